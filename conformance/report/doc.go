// Package report says what became of a run of the conformance suite: on a screen while it goes on and after it, in files for
// other programs (TAP, JUnit, JSON) and in pages for people (HTML).
//
//	cases --Play--> Result --Mask--> --Expectations--> Screen         (no secrets in it; known failures named)
//	                Run    --Mask--> --Expectations--> Save: .tap .xml .json .html
//	                                         .json --Load--> Compare, Matrix
//
// What a peer has sent is hostile text: Visible shows it before it comes to a terminal or a page.
package report
