// Package replay sends a corpus to a running platform through the public REST
// API, as its people, and then reads everything back through the public query
// API.
//
// A replay may be stopped at any time and run again: every message carries the
// client id that follows from the corpus, so what is there already is not sent
// twice. Messages of one channel go in their order, one batch after the other;
// channels go side by side. Answers that say "later" and broken connections are
// tried again.
package replay

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/corpus"
)

// Importer is the user in whose name a corpus is imported; it owns the
// channels that it creates.
const Importer = "corpus-importer"

// MaxBatch is the most messages or members of one request, the API's bound.
const MaxBatch = 1000

// giveUp is how long the platform may go without one success.
const giveUp = 2 * time.Minute

// Replay sends one corpus to one platform.
type Replay struct {
	Batch int // messages a request, 1 to MaxBatch; New sets MaxBatch

	client *client.Client
	corpus *corpus.Corpus
	out    io.Writer
}

// New prepares a replay of c to the platform at url, whose issuer may want a
// password of the [Importer]; progress and the summary go to out.
func New(url, password string, c *corpus.Corpus, out io.Writer) (*Replay, error) {
	cl, err := client.New(url, Importer, events.RoleImport)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	return &Replay{Batch: MaxBatch, client: cl.WithPassword(password), corpus: c, out: out}, nil
}

// Receipt is what a replay did and found.
type Receipt struct {
	Sent       int           // messages accepted now
	Existing   int           // messages that were there before
	Accepted   time.Duration // first send to last receipt
	Searchable time.Duration // first send until search had indexed the last message
	Channels   []Verified
}

// Run sends everything, waits until it is searchable, and verifies it. The
// error says what differed.
func (r *Replay) Run(ctx context.Context) (Receipt, error) {
	if r.Batch < 1 || r.Batch > MaxBatch {
		return Receipt{}, events.Invalid("out_of_range", "batch", "-batch is %d, expected 1 to %d", r.Batch, MaxBatch)
	}
	fmt.Fprintf(r.out, "%s: %d messages of %d people in %d channels\n",
		r.corpus.Name, len(r.corpus.Messages), r.corpus.Users(), len(r.corpus.Channels))
	if err := r.prepare(ctx); err != nil {
		return Receipt{}, err
	}
	receipt, last, err := r.send(ctx)
	if err != nil {
		return receipt, err
	}
	if receipt.Searchable, err = r.indexed(ctx, last, receipt.Accepted); err != nil {
		return receipt, err
	}
	receipt.Channels, err = r.verify(ctx)
	if err != nil {
		return receipt, err
	}
	r.print(receipt)
	return receipt, nil
}

func (r *Replay) bar(total int, what, unit string) *progressbar.ProgressBar {
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(r.out), progressbar.OptionSetDescription(fmt.Sprintf("%-10s", what)),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetWidth(30), progressbar.OptionOnCompletion(func() { fmt.Fprintln(r.out) }))
}

// prepare creates the channels and makes everybody who speaks a member.
func (r *Replay) prepare(ctx context.Context) error {
	total := 0
	for _, ch := range r.corpus.Channels {
		total += len(ch.Members)
	}
	bar := r.bar(total, "members", "members")
	for _, ch := range r.corpus.Channels {
		err := client.Retry(ctx, giveUp, func(ctx context.Context) error {
			return r.client.CreateChannel(ctx, ch.ID, ch.Name, "")
		})
		if err != nil {
			return fmt.Errorf("create channel %s: %w", ch.ID, err)
		}
		for from := 0; from < len(ch.Members); from += MaxBatch {
			users := ch.Members[from:min(from+MaxBatch, len(ch.Members))]
			err := client.Retry(ctx, giveUp, func(ctx context.Context) error { return r.client.AddMembers(ctx, ch.ID, users) })
			if err != nil {
				return fmt.Errorf("add members to %s: %w", ch.ID, err)
			}
			_ = bar.Add(len(users))
		}
	}
	return bar.Finish()
}

// send sends all messages, and gives the highest sequence among them.
func (r *Replay) send(ctx context.Context) (Receipt, uint64, error) {
	bar := r.bar(len(r.corpus.Messages), "messages", "msg")
	var sent, existing, last atomic.Uint64
	started := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, ch := range r.corpus.Channels {
		group.Go(func() error {
			batch := make([]client.Outgoing, 0, r.Batch)
			flush := func() error {
				if len(batch) == 0 {
					return nil
				}
				var receipts []client.Sent
				err := client.Retry(ctx, giveUp, func(ctx context.Context) (err error) {
					receipts, err = r.client.SendBatch(ctx, batch)
					return err
				})
				if err != nil {
					return fmt.Errorf("send %d messages to %s: %w", len(batch), ch.ID, err)
				}
				for _, s := range receipts {
					if s.Existing {
						existing.Add(1)
					} else {
						sent.Add(1)
					}
					for seen := last.Load(); s.Seq > seen && !last.CompareAndSwap(seen, s.Seq); seen = last.Load() {
					}
				}
				_ = bar.Add(len(batch))
				batch = batch[:0]
				return nil
			}
			for i := range r.corpus.Messages {
				m := &r.corpus.Messages[i]
				if m.ChannelID != ch.ID {
					continue
				}
				batch = append(batch, client.Outgoing{ChannelID: m.ChannelID, Text: m.Text, ClientID: m.ClientID, ReplyTo: m.ReplyTo, AuthorID: m.AuthorID, SentAt: &m.SentAt})
				if len(batch) == r.Batch {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			return flush()
		})
	}
	err := group.Wait()
	receipt := Receipt{Sent: int(sent.Load()), Existing: int(existing.Load()), Accepted: time.Since(started)}
	if err != nil {
		return receipt, 0, err
	}
	return receipt, last.Load(), bar.Finish()
}

// indexed waits until search says that it holds everything up to last. It gives
// up where search gets no further.
func (r *Replay) indexed(ctx context.Context, last uint64, soFar time.Duration) (time.Duration, error) {
	bar := r.bar(int(last), "searchable", "events")
	started := time.Now()
	moved, through := started, uint64(0)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := r.client.Search(ctx, "the", r.corpus.Channels[0].ID, "")
		if err == nil && found.IndexedThrough > through {
			moved, through = time.Now(), found.IndexedThrough
			_ = bar.Set64(int64(min(through, last)))
		}
		if through >= last {
			return soFar + time.Since(started), nil
		}
		if err == nil && time.Since(moved) > giveUp {
			err = fmt.Errorf("gave up after %s without an event more", giveUp)
		}
		if err != nil && (ctx.Err() != nil || time.Since(moved) > giveUp) {
			return 0, fmt.Errorf("search has indexed up to %d, not %d: %w", through, last, err)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("search has indexed up to %d, not %d: %w", through, last, ctx.Err())
		case <-tick.C:
		}
	}
}

func (r *Replay) print(receipt Receipt) {
	n := len(r.corpus.Messages)
	fmt.Fprintf(r.out, "\n%-24s %10s %12s  %s\n", "channel", "messages", "last seq", "checksum (count:sum of records)")
	total := 0
	for _, v := range receipt.Channels {
		fmt.Fprintf(r.out, "%-24s %10d %12d  %s\n", v.Channel, v.Messages, v.LastSeq, v.Checksum)
		total += v.Messages
	}
	rate := func(d time.Duration) float64 { return float64(n) / d.Seconds() }
	fmt.Fprintf(r.out, "\nverified %d of %d: each once, in order, with its text and its reply link; samples found by search\n", total, n)
	fmt.Fprintf(r.out, "sent %d, already there %d\n", receipt.Sent, receipt.Existing)
	fmt.Fprintf(r.out, "accepted and logged in %s (%.0f messages/s), stored and searchable in %s (%.0f messages/s)\n",
		receipt.Accepted.Round(time.Millisecond), rate(receipt.Accepted), receipt.Searchable.Round(time.Millisecond), rate(receipt.Searchable))
}
