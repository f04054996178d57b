package storetest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/storetest"
)

// The suite is itself tested: a sound store passes (Refresh is counted), and
// each of these faults makes it fail, in a process of its own.
const faultEnv = "STORETEST_FAULT"

var faults = map[string]struct {
	test     string // that has to notice
	messages func(storetest.Messages) storetest.Messages
	metadata func(storetest.Metadata) storetest.Metadata
	search   func(storetest.Search) storetest.Search

	oneGeneration bool
}{
	"one generation":   {test: "TestMetadata/generations", oneGeneration: true},
	"any log's":        {test: "TestMetadata/origin", metadata: func(s storetest.Metadata) storetest.Metadata { return anyLogs{s} }},
	"sums of all":      {test: "TestMessages/checksums", messages: func(s storetest.Messages) storetest.Messages { return sumsAll{s} }},
	"more after":       {test: "TestMessages/history", messages: func(s storetest.Messages) storetest.Messages { return noMoreAfter{s} }},
	"leaks channels":   {test: "TestMessages/by_id", messages: func(s storetest.Messages) storetest.Messages { return anyChannel{s} }},
	"last write wins":  {test: "TestMessages/writes", messages: func(s storetest.Messages) storetest.Messages { return lowersSequences{s} }},
	"forgets a reply":  {test: "TestMessages/writes", messages: func(s storetest.Messages) storetest.Messages { return noReplies{s} }},
	"survives Close":   {test: "TestMessages/ping", messages: func(s storetest.Messages) storetest.Messages { return neverCloses{s} }},
	"stale joins":      {test: "TestMetadata/writes", metadata: func(s storetest.Metadata) storetest.Metadata { return revives{s} }},
	"sees all":         {test: "TestSearch/channels", search: func(s storetest.Search) storetest.Search { return seesAll{s} }},
	"inclusive bound":  {test: "TestSearch/pages", search: func(s storetest.Search) storetest.Search { return inclusive{s} }},
	"operators":        {test: "TestSearch/words", search: func(s storetest.Search) storetest.Search { return operators{s} }},
	"snippet of start": {test: "TestSearch/snippets", search: func(s storetest.Search) storetest.Search { return startSnippets{s} }},
}

// generations are files beside each other; with the fault of one generation all
// are the same file.
func generations[S storetest.View](open func(ctx context.Context, path string) (S, error)) storetest.Generations[S] {
	return func(t *testing.T) func(int) S {
		dir := t.TempDir()
		return func(generation int) S {
			if faults[os.Getenv(faultEnv)].oneGeneration {
				generation = 1
			}
			s, err := open(t.Context(), filepath.Join(dir, fmt.Sprint(generation)))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	}
}

func TestMessages(t *testing.T) {
	fault := faults[os.Getenv(faultEnv)]
	storetest.TestMessages(t, func(t *testing.T) storetest.Messages {
		s, err := sqlite.OpenMessages(t.Context(), filepath.Join(t.TempDir(), "messages.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		if fault.messages != nil {
			return fault.messages(s)
		}
		return s
	}, generations(func(ctx context.Context, path string) (storetest.Messages, error) {
		return sqlite.OpenMessages(ctx, path)
	}))
}

func TestMetadata(t *testing.T) {
	fault := faults[os.Getenv(faultEnv)]
	storetest.TestMetadata(t, func(t *testing.T) storetest.Metadata {
		s, err := sqlite.OpenMetadata(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		if fault.metadata != nil {
			return fault.metadata(s)
		}
		return s
	}, generations(func(ctx context.Context, path string) (storetest.Metadata, error) {
		s, err := sqlite.OpenMetadata(ctx, path)
		if fault.metadata != nil && err == nil {
			return fault.metadata(s), nil
		}
		return s, err
	}))
}

func TestSearch(t *testing.T) {
	fault := faults[os.Getenv(faultEnv)]
	refreshed := 0
	storetest.TestSearch(t, func(t *testing.T) storetest.Search {
		s, err := sqlite.OpenSearch(t.Context(), filepath.Join(t.TempDir(), "search.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		if fault.search != nil {
			return fault.search(s)
		}
		return refreshing{s, &refreshed}
	}, generations(func(ctx context.Context, path string) (storetest.Search, error) { return sqlite.OpenSearch(ctx, path) }))
	if fault.search == nil {
		require.Positive(t, refreshed)
	}
}

func TestSuiteNotices(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+fault.test+"$", "-test.failfast", "-test.timeout=1m")
			cmd.Env = append(os.Environ(), faultEnv+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "the suite passed a store with this fault")
			require.Contains(t, string(out), "--- FAIL: "+fault.test)
		})
	}
}

type refreshing struct {
	storetest.Search
	n *int
}

func (s refreshing) Refresh(context.Context) error { *s.n++; return nil }

type sumsAll struct{ storetest.Messages }

func (s sumsAll) Checksums(ctx context.Context, _ uint64) (map[events.ChannelID]events.Checksum, error) {
	return s.Messages.Checksums(ctx, 1<<63)
}

type anyLogs struct{ storetest.Metadata }

func (s anyLogs) Claim(_ context.Context, epoch string) (string, error) { return epoch, nil }

type noMoreAfter struct{ storetest.Messages }

func (s noMoreAfter) History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error) {
	page, err := s.Messages.History(ctx, q)
	page.MoreAfter = page.MoreAfter && q.Before == 0
	return page, err
}

type anyChannel struct{ storetest.Messages }

func (s anyChannel) MessagesByID(ctx context.Context, _ events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	all := map[events.MessageID]events.Message{}
	for _, c := range []events.ChannelID{"ch_general", "ch_random"} {
		some, err := s.Messages.MessagesByID(ctx, c, ids)
		if err != nil {
			return nil, err
		}
		for id, m := range some {
			all[id] = m
		}
	}
	return all, nil
}

// lowersSequences makes the last write win by pretending that it was the first.
type lowersSequences struct{ storetest.Messages }

func (s lowersSequences) PutMessages(ctx context.Context, ms []events.Message) error {
	ms = slices.Clone(ms)
	for i := range ms {
		ms[i].Seq = 10_000_000 - ms[i].Seq
	}
	return s.Messages.PutMessages(ctx, ms)
}

type noReplies struct{ storetest.Messages }

func (s noReplies) PutMessages(ctx context.Context, ms []events.Message) error {
	ms = slices.Clone(ms)
	for i := range ms {
		ms[i].ReplyTo = ""
	}
	return s.Messages.PutMessages(ctx, ms)
}

type neverCloses struct{ storetest.Messages }

func (neverCloses) Close() error { return nil }

type revives struct{ storetest.Metadata }

func (s revives) PutMembers(ctx context.Context, ms []events.Member) error {
	ms = slices.Clone(ms)
	for i := range ms {
		if ms[i].Active {
			ms[i].Seq += 1_000
		}
	}
	return s.Metadata.PutMembers(ctx, ms)
}

type seesAll struct{ storetest.Search }

func (s seesAll) SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error) {
	q.Channels = append(slices.Clone(q.Channels), "ch", "ch_a")
	return s.Search.SearchMessages(ctx, q)
}

type inclusive struct{ storetest.Search }

func (s inclusive) SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error) {
	if q.Before != 0 {
		q.Before++
	}
	return s.Search.SearchMessages(ctx, q)
}

type operators struct{ storetest.Search }

func (s operators) SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error) {
	if q.Text == "hello AND wide" {
		q.Text = "hello wide"
	}
	return s.Search.SearchMessages(ctx, q)
}

type startSnippets struct{ storetest.Search }

func (s startSnippets) SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error) {
	page, err := s.Search.SearchMessages(ctx, q)
	for i := range page.Hits {
		text := []rune(page.Hits[i].Message.Text)
		page.Hits[i].Snippet = string(text[:min(100, len(text))])
	}
	return page, err
}
