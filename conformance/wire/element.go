package wire

// Name is an expanded name (Namespaces in XML 1.0, 2.1).
type Name struct{ Space, Local string }

// Attr is one attribute that is no declaration of a namespace, its value normalised (XML 1.0 3.3.3).
type Attr struct {
	Name  Name
	Value string
}

// Element is an element with all it holds.
type Element struct {
	Name     Name
	Prefix   string // as it was written, "" for none
	Attrs    []Attr // in document order
	Children []Node // in document order
	Raw      []byte // as on the wire; of a stream header, its tag
}

// Node is an element, or the text between two.
type Node struct {
	Element *Element // nil for text
	Text    string   // references resolved, line ends normalised (XML 1.0 2.11)
}

// Kind is what a reader has read.
type Kind byte

// The kinds of events.
const (
	Header Kind = iota // the opening tag of the stream: Element without children
	Whole              // an element of the stream, whole: Element
	Text               // text between the elements of a stream, white space too: Text
	End                // the closing tag of the stream
)

// Event is one thing that stands in a stream.
type Event struct {
	Kind    Kind
	Element *Element
	Text    string
	Raw     []byte
}
