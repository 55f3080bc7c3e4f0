// Package wire reads an XML stream (RFC 6120 4) as strictly as the recommendations ask: what is not well-formed, not
// namespace-well-formed or restricted (RFC 6120 11.1) is told, with the place. It knows nothing of stanzas.
package wire
