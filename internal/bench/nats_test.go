package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// connectNATS is Attach for a NATS server: the connection is ready when its PONG is here.
func connectNATS(conn net.Conn) (*Link, error) {
	_ = conn.SetDeadline(time.Now().Add(handshakeLimit))
	r := bufio.NewReaderSize(conn, 1024)
	if _, err := r.ReadString('\n'); err != nil { // INFO
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	link := &Link{Conn: conn, Other: answerNATS}
	if _, err := io.WriteString(conn, `CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1}`+"\r\n"); err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if err := subscribe(link, r, Range{}, ""); err != nil {
		return nil, err
	}
	return link, conn.SetDeadline(time.Time{})
}

// subscribe asks for subjects, with a number where ToDigits stand, and returns when the server has them.
func subscribe(link *Link, r *bufio.Reader, names Range, subject string) error {
	var b []byte
	digits := make([]byte, nameDigits)
	for name := names.Lo; name < names.Lo+names.N; name++ {
		putDecimal(digits, uint32(name))
		b = append(append(b, "SUB "...), strings.Replace(subject, ToDigits, string(digits), 1)...)
		b = strconv.AppendInt(append(b, ' '), int64(natsSID+name), 10)
		b = append(b, "\r\n"...)
	}
	if _, err := link.Conn.Write(append(b, "PING\r\n"...)); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("subscribe: %w", err)
		case strings.HasPrefix(line, "-ERR"):
			return fmt.Errorf("subscribe: %s", line)
		case line == "PONG\r\n":
			return nil
		}
	}
}

// natsSID makes all numbers of subscriptions equally long.
const natsSID = 100_000

// natsForm is a frame of NATS with a stanza as its payload, so that it carries what our server carries.
func natsForm(subject string, stanza *Form) *Form {
	payload := []byte(strings.Clone(string(stanza.sent)))
	copy(payload[stanza.number:], Number)
	if stanza.from >= 0 {
		copy(payload[stanza.from:], FromDigits)
	}
	size := strconv.Itoa(len(payload))
	sid := strconv.Itoa(natsSID)
	return NewForm("PUB "+subject+" "+size+"\r\n"+string(payload)+"\r\n",
		"MSG "+subject+" "+sid+" "+size+"\r\n"+string(payload)+"\r\n", "MSG ", "\r\n")
}

// answerNATS answers PING, and passes over what else a server may say.
func answerNATS(b []byte) (n int, answer []byte, err error) {
	end := bytes.IndexByte(b, '\n')
	switch {
	case end < 0:
		return 0, nil, nil
	case bytes.HasPrefix(b, []byte("PING")):
		answer = []byte("PONG\r\n")
	case bytes.HasPrefix(b, []byte("-ERR")):
		return 0, nil, fmt.Errorf("%w: %s", errStanza, b[:end])
	}
	return end + 1, answer, nil
}
