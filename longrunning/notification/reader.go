package notification

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

var (
	errClosed  = errors.New("the session is closed")
	errTooLong = errors.New("it took too long")
	errBye     = errors.New("the client closes")
)

// wireError is a fault of the client on the wire, with the code that it closes with.
type wireError struct {
	code   ws.StatusCode
	reason string
}

func (e wireError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.reason) }

var messages = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// Read gives what the HTTP server read too much, then what the connection brings.
func (s *session) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(p, s.early)
		if s.early = s.early[n:]; len(s.early) == 0 {
			s.early = nil
		}
		return n, nil
	}
	return s.conn.Read(p)
}

// read calls f with every text message of the client. It returns when the
// connection ends or the client breaks the rules; a client's close frame is
// answered and gives errBye. While it waits it holds no buffer.
func (s *session) read(f func(message []byte)) error {
	var message *[]byte // of a fragmented message
	defer func() {
		if message != nil {
			messages.Put(message)
		}
	}()
	state := ws.StateServerSide
	for {
		h, err := ws.ReadHeaderBuffer(s, s.header[:])
		if err != nil {
			return err
		}
		s.heard.Store(time.Now().UnixNano())
		if err := ws.CheckHeader(h, state); err != nil {
			return wireError{ws.StatusProtocolError, err.Error()}
		}
		if h.OpCode.IsControl() {
			if err := s.control(h); err != nil {
				return err
			}
			continue
		}
		if h.OpCode == ws.OpBinary {
			return wireError{ws.StatusUnsupportedData, "binary message, expected text"}
		}
		if message == nil {
			message = messages.Get().(*[]byte)
			*message = (*message)[:0]
		}
		if int64(len(*message))+h.Length > int64(s.svc.cfg.MaxMessageBytes) {
			return wireError{ws.StatusMessageTooBig, fmt.Sprintf("message is longer than %d bytes", s.svc.cfg.MaxMessageBytes)}
		}
		if *message, err = s.payload(h, *message); err != nil {
			return err
		}
		if !h.Fin {
			state = state.Set(ws.StateFragmented)
			continue
		}
		state = state.Clear(ws.StateFragmented)
		if !utf8.Valid(*message) {
			return wireError{ws.StatusInvalidFramePayloadData, "text is not valid UTF-8"}
		}
		f(*message)
		if cap(*message) <= 8<<10 {
			messages.Put(message)
		}
		message = nil
	}
}

// payload appends a frame's payload to b as it arrives, so that an announced
// length alone costs nothing.
func (s *session) payload(h ws.Header, b []byte) ([]byte, error) {
	start := len(b)
	for left := int(h.Length); left > 0; {
		part := min(left, 2<<10)
		b = append(b, make([]byte, part)...)
		if _, err := io.ReadFull(s, b[len(b)-part:]); err != nil {
			return b, err
		}
		left -= part
	}
	if h.Masked {
		ws.Cipher(b[start:], h.Mask, 0)
	}
	return b, nil
}

// control answers a ping and a close.
func (s *session) control(h ws.Header) error {
	p, err := s.payload(h, make([]byte, 0, ws.MaxControlFramePayloadSize))
	if err != nil {
		return err
	}
	switch h.OpCode {
	case ws.OpPing:
		s.send(ws.MustCompileFrame(ws.NewPongFrame(p)))
	case ws.OpClose:
		code := ws.StatusNormalClosure
		if len(p) > 0 {
			sent, reason := ws.ParseCloseFrameData(p)
			if code = sent; len(p) == 1 || ws.CheckCloseFrameData(code, reason) != nil {
				return wireError{ws.StatusProtocolError, "close frame is not valid"}
			}
		}
		s.close(code, "")
		return errBye
	}
	return nil
}
