package rebuild

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Report is one thing that has happened.
type Report struct {
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
}

// Progress is how far a view's rebuild is. Total is 0 where there is nothing to
// count.
type Progress struct {
	View  string `json:"view"`
	Phase string `json:"phase"`
	From  uint64 `json:"from,omitempty"` // where it began, of an interrupted one not 0
	Done  uint64 `json:"done,omitempty"`
	Total uint64 `json:"total,omitempty"`
}

// Printer shows reports to people: a bar with rate and time left while events are
// copied, a line for every other step, checksums at the end.
type Printer struct {
	out   io.Writer
	bar   *progressbar.ProgressBar
	phase string
}

// NewPrinter prints to out.
func NewPrinter(out io.Writer) *Printer { return &Printer{out: out} }

// Print shows one report.
func (p *Printer) Print(r Report) {
	if r.Progress != nil {
		p.progress(*r.Progress)
	}
	if r.Result != nil {
		p.end()
		p.result(*r.Result)
	}
}

// End ends a bar that is not full.
func (p *Printer) End() { p.end() }

func (p *Printer) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
		fmt.Fprintln(p.out)
	}
	p.bar, p.phase = nil, ""
}

func (p *Printer) progress(at Progress) {
	if phase := at.View + at.Phase; phase != p.phase {
		p.end()
		p.phase = phase
		if at.Total <= at.From {
			fmt.Fprintf(p.out, "%-10s %s\n", at.View, at.Phase)
			return
		}
		what := at.Phase
		if at.From > 0 {
			what += fmt.Sprintf(" (goes on after %d)", at.From)
		}
		p.bar = progressbar.NewOptions64(int64(at.Total-at.From), progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(fmt.Sprintf("%-10s %s", at.View, what)),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetWidth(30), progressbar.OptionSetRenderBlankState(true))
	}
	if p.bar != nil && at.Done >= at.From {
		_ = p.bar.Set64(int64(min(at.Done, at.Total) - at.From))
	}
}

func (p *Printer) result(r Result) {
	if r.Completed {
		fmt.Fprintf(p.out, "%-10s generation %d is live: the rebuild that was interrupted is complete (%s)\n", r.View, r.Generation, r.Took.Round(time.Millisecond))
	} else {
		fmt.Fprintf(p.out, "%-10s %d events in %s (%.0f/s; %s in all), %d refused: %s\n", r.View, r.Events, r.Copying.Round(time.Millisecond),
			float64(r.Events)/r.Copying.Seconds(), r.Took.Round(time.Millisecond), r.Refused, r.verdict())
	}
	if r.Unjudged {
		fmt.Fprintf(p.out, "  too many records to be judged by the log alone\n")
	}
	if r.InMotion > 0 {
		fmt.Fprintf(p.out, "  %d channels changed whenever they were compared with the log\n", r.InMotion)
	}
	if r.Left != "" {
		fmt.Fprintf(p.out, "  the old generation has to be removed by hand: %s\n", r.Left)
	}
	for _, c := range r.Channels {
		moving := ""
		if c.Moving && c.Before != c.After {
			moving = "  (changed meanwhile)"
		}
		fmt.Fprintf(p.out, "  %-24s before %s  after %s%s\n", c.ID, c.Before, c.After, moving)
	}
}

// verdict is about the generation that was replaced; the new one is what the log
// says, or it would not be live.
func (r *Result) verdict() string {
	switch n := r.Differing(); {
	case r.LiveError != "":
		return "as the log says; the one before could not be read: " + r.LiveError
	case n == 0:
		return "equal before and after"
	case r.Lags:
		return fmt.Sprintf("as the log says; the one before lagged behind it in %d of %d channels", n, len(r.Channels))
	default:
		return fmt.Sprintf("as the log says; the one before differed from it in %d of %d channels", n, len(r.Channels))
	}
}
