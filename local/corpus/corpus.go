// Package corpus reads real conversations from a file of JSON Lines and gives
// them the platform's identities.
//
// A line is {"id","ts","channel","user","text","reply_to"?}: ts in RFC 3339,
// ids unique in the file, reply_to the id of any other line. Files may be
// packed by xz (name ends in .xz). An excerpt with its licence is part of the
// binary. Everything is held in memory: about 400 bytes a message.
//
// The same file gives the same identities every time: the client id of a
// message follows from its id in the file, so that it can be sent again without
// becoming a second message.
package corpus

import (
	"bufio"
	"bytes"
	_ "embed" // the excerpt
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ulikunitz/xz"

	"github.com/chat-platform/chat/events"
)

//go:embed excerpt/ubuntu-irc-excerpt.jsonl.xz
var excerpt []byte

// Corpus is conversations in the order of their file.
type Corpus struct {
	Name     string
	Messages []events.MessageSent
	Channels []Channel // in the order of their first message
}

// Channel is one channel of a corpus and who speaks in it.
type Channel struct {
	ID      events.ChannelID
	Name    string
	Members []events.UserID // in the order of their first message
}

// Users counts the people of all channels.
func (c *Corpus) Users() int {
	all := map[events.UserID]bool{}
	for _, ch := range c.Channels {
		for _, u := range ch.Members {
			all[u] = true
		}
	}
	return len(all)
}

// Open reads the file at path, or the excerpt where path is empty. Its errors
// name the file and the line.
func Open(path string) (*Corpus, error) {
	if path == "" {
		return read("excerpt", "excerpt.jsonl.xz", bytes.NewReader(excerpt))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("corpus: %w", err)
	}
	defer f.Close()
	return read(path, path, f)
}

type line struct {
	ID      string    `json:"id"`
	TS      time.Time `json:"ts"`
	Channel string    `json:"channel"`
	User    string    `json:"user"`
	Text    string    `json:"text"`
	ReplyTo string    `json:"reply_to"`
}

// maxLine is the longest line that is read: 50,000 characters of four bytes,
// each escaped, fit.
const maxLine = 1 << 20

func read(name, file string, r io.Reader) (*Corpus, error) {
	if strings.HasSuffix(file, ".xz") {
		unpacked, err := xz.NewReader(bufio.NewReaderSize(r, 1<<16))
		if err != nil {
			return nil, fmt.Errorf("corpus %s: unpack: %w", name, err)
		}
		r = unpacked
	}
	var lines []line
	at := map[string]int{} // id → index in lines
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 1<<16), maxLine)
	for scanner.Scan() {
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, events.Invalid("invalid_corpus", "", "corpus %s: line %d: %v", name, len(lines)+1, err)
		}
		if _, twice := at[l.ID]; l.ID == "" || twice {
			return nil, events.Invalid("invalid_corpus", "id", "corpus %s: line %d: id %q is empty or was there before", name, len(lines)+1, l.ID)
		}
		at[l.ID] = len(lines)
		lines = append(lines, l)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("corpus %s: line %d: %w", name, len(lines)+1, err)
	}
	if len(lines) == 0 {
		return nil, events.Invalid("invalid_corpus", "", "corpus %s holds no message", name)
	}
	return identify(name, lines, at)
}

func identify(name string, lines []line, at map[string]int) (*Corpus, error) {
	c := &Corpus{Name: name, Messages: make([]events.MessageSent, len(lines))}
	channels := map[events.ChannelID]int{}
	members := map[string]bool{}
	for i, l := range lines {
		m := events.MessageSent{ChannelID: channelID(l.Channel), AuthorID: userID(l.User), Text: l.Text, SentAt: l.TS.UTC().Truncate(time.Millisecond)}
		client, err := events.ClientIDOf("corpus " + l.ID)
		if err != nil {
			return nil, fmt.Errorf("corpus %s: line %d: %w", name, i+1, err)
		}
		m.ClientID, m.ID = client, events.NewMessageID(m.AuthorID, m.ChannelID, client)
		if err := m.Validate(); err != nil {
			return nil, fmt.Errorf("corpus %s: line %d: %w", name, i+1, err)
		}
		c.Messages[i] = m

		n, known := channels[m.ChannelID]
		if !known {
			n = len(c.Channels)
			channels[m.ChannelID] = n
			c.Channels = append(c.Channels, Channel{ID: m.ChannelID, Name: l.Channel})
		}
		if key := string(m.ChannelID) + "\x00" + string(m.AuthorID); !members[key] {
			members[key] = true
			c.Channels[n].Members = append(c.Channels[n].Members, m.AuthorID)
		}
	}
	for i, l := range lines {
		if l.ReplyTo == "" {
			continue
		}
		target, ok := at[l.ReplyTo]
		if !ok {
			return nil, events.Invalid("invalid_corpus", "reply_to", "corpus %s: line %d: reply_to %q is no id in the file", name, i+1, l.ReplyTo)
		}
		c.Messages[i].ReplyTo = c.Messages[target].ID
	}
	return c, nil
}

// channelID keeps what a channel id may hold and writes the rest like _2E.
func channelID(name string) events.ChannelID {
	return events.ChannelID(strings.ReplaceAll(events.Token(name), "%", "_"))
}

// userID is the name itself; spaces at its ends, which an identity may not
// have, are written like %20, so that different names stay different people.
func userID(name string) events.UserID {
	inner := strings.TrimSpace(name)
	if inner == name {
		return events.UserID(name)
	}
	from := strings.Index(name, inner)
	return events.UserID(url.PathEscape(name[:from]) + inner + url.PathEscape(name[from+len(inner):]))
}
