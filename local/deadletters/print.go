package deadletters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printer writes for people, or JSON for programs. What letters hold was
// written by anybody: nothing of it reaches a terminal as a control character.
type printer struct {
	out  io.Writer
	json bool
}

// reasonMost and contentMost bound what is shown to people; JSON has all.
const (
	reasonMost  = 80
	contentMost = 16 << 10
)

func (p printer) object(v any) error { return json.NewEncoder(p.out).Encode(v) }

// say tells people something that programs see for themselves.
func (p printer) say(format string, args ...any) {
	if !p.json {
		fmt.Fprintf(p.out, format+"\n", args...)
	}
}

func (p printer) table(all []Letter) error {
	if p.json {
		for _, l := range all {
			if err := p.object(l); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		p.say("There are no dead letters.")
		return nil
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SEQ\tGIVEN UP\tCONSUMER\tSTATUS\tTRIES\tEVENT\tSUBJECT\tREASON")
	for _, l := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", l.Seq, when(l.Time), clean(l.Consumer), status(l.Status), l.Attempts,
			clean(fmt.Sprintf("%s:%d", l.Stream, l.EventSeq)), clean(l.Subject), cut(clean(l.Reason), reasonMost))
	}
	return w.Flush()
}

func (p printer) letter(l Letter) error {
	if p.json {
		return p.object(l)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"dead letter", strconv.FormatUint(l.Seq, 10)},
		{"consumer", l.Consumer},
		{"reason", l.Reason},
		{"status", status(l.Status)},
		{"attempts", strconv.Itoa(l.Attempts)},
		{"given up", when(l.Time)},
		{"event", fmt.Sprintf("%s:%d on %s", l.Stream, l.EventSeq, l.Subject)},
		{"trace", l.TraceParent},
		{"fault", l.Fault},
	} {
		if line[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", line[0], clean(line[1]))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var pretty bytes.Buffer
	if l.Event != nil && json.Indent(&pretty, l.Event, "", "  ") == nil {
		p.say("\n%s", cut(lines(pretty.String()), contentMost))
		return nil
	}
	p.say("")
	for _, k := range slices.Sorted(maps.Keys(l.Header)) {
		p.say("%s: %s", clean(k), clean(strings.Join(l.Header[k], ", ")))
	}
	p.say("%s", cut(strconv.Quote(string(l.Data)), contentMost))
	return nil
}

func (p printer) outcome(o Outcome) error {
	if p.json {
		return p.object(o)
	}
	what := "redriven"
	switch {
	case o.Redriven:
	case o.Away:
		what = "not redriven, the sink is away: " + clean(o.Reason)
	case o.Status == 0:
		what = "not redriven: " + clean(o.Reason)
	default:
		what = fmt.Sprintf("refused again with %s: %s", status(o.Status), clean(o.Reason))
	}
	p.say("%d  %s  %s", o.Seq, clean(o.Consumer), what)
	return nil
}

func (p printer) discarded(seq uint64) error {
	if p.json {
		return p.object(map[string]any{"seq": seq, "discarded": true})
	}
	p.say("%d  discarded", seq)
	return nil
}

func status(code int) string {
	if code == 0 {
		return "-"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

// clean makes text safe for a line on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, s)
}

// lines is clean for text of several lines.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i := range all {
		all[i] = clean(all[i])
	}
	return strings.Join(all, "\n")
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
