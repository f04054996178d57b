package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// Some tests start this binary again, as another process that writes.
const writerEnv = "SQLITE_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		if err := writeForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const batchSize = 20

// message is the n-th of a conversation that every process knows.
func message(n int) events.Message {
	client := events.ClientID(fmt.Sprintf("01912f4e-8d3c-7c7a-b1a0-%012d", n))
	channel := events.ChannelID(fmt.Sprintf("ch_%d", n%7))
	return events.Message{Seq: uint64(n + 1), MessageSent: events.MessageSent{
		ID: events.NewMessageID("somebody", channel, client), ChannelID: channel, AuthorID: "somebody",
		Text: fmt.Sprintf("hello number %d", n), ClientID: client,
	}}
}

func batch(first int) []events.Message {
	ms := make([]events.Message, batchSize)
	for i := range ms {
		ms[i] = message(first + i)
	}
	return ms
}

// writeForever writes batch after batch and says so after each.
func writeForever(path string) error {
	ctx := context.Background()
	messages, err := sqlite.OpenMessages(ctx, filepath.Join(path, "messages.db"))
	if err != nil {
		return err
	}
	search, err := sqlite.OpenSearch(ctx, filepath.Join(path, "search.db"))
	if err != nil {
		return err
	}
	for n := 0; ; n += batchSize {
		if err := messages.PutMessages(ctx, batch(n)); err != nil {
			return err
		}
		if err := search.IndexMessages(ctx, batch(n)); err != nil {
			return err
		}
		if _, err := fmt.Println(n + batchSize); err != nil {
			return nil //nolint:nilerr // nobody listens any more
		}
	}
}

func startWriter(t *testing.T, dir string) (written func() int, kill func()) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	written = func() int {
		require.True(t, lines.Scan(), "the other process has died")
		n, err := strconv.Atoi(lines.Text())
		require.NoError(t, err)
		return n
	}
	return written, func() {
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
}

func TestKilledProcess(t *testing.T) {
	dir := t.TempDir()
	written, kill := startWriter(t, dir)
	acknowledged := 0
	for range 10 {
		acknowledged = written()
	}
	kill()

	messages, err := sqlite.OpenMessages(t.Context(), filepath.Join(dir, "messages.db"))
	require.NoError(t, err)
	defer messages.Close()
	search, err := sqlite.OpenSearch(t.Context(), filepath.Join(dir, "search.db"))
	require.NoError(t, err)
	defer search.Close()
	count := func(sums map[events.ChannelID]events.Checksum, err error) int {
		require.NoError(t, err)
		n := 0
		for _, sum := range sums {
			n += int(sum.Count)
		}
		return n
	}
	stored := count(messages.Checksums(t.Context(), stores.All))
	require.GreaterOrEqual(t, stored, acknowledged, "what was acknowledged is there")
	require.Zero(t, stored%batchSize, "and no half of a batch")
	indexed := count(search.Checksums(t.Context(), stores.All))
	require.GreaterOrEqual(t, indexed, acknowledged)
	require.Zero(t, indexed%batchSize)

	page, err := search.SearchMessages(t.Context(), events.SearchQuery{
		Text: "hello", Channels: []events.ChannelID{"ch_0", "ch_1", "ch_2", "ch_3", "ch_4", "ch_5", "ch_6"}, Limit: 10_000})
	require.NoError(t, err)
	require.Len(t, page.Hits, indexed, "the index and its messages agree")

	for n := 0; n < stored+batchSize; n += batchSize { // the log is delivered again
		require.NoError(t, messages.PutMessages(t.Context(), batch(n)))
		require.NoError(t, search.IndexMessages(t.Context(), batch(n)))
	}
	want := map[events.ChannelID]events.Checksum{}
	for n := range stored + batchSize {
		m := message(n)
		m.SentAt = m.SentAt.UTC()
		sum := want[m.ChannelID]
		require.NoError(t, sum.Add(m))
		want[m.ChannelID] = sum
	}
	got, err := messages.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestSeveralProcesses(t *testing.T) {
	dir := t.TempDir()
	messages, err := sqlite.OpenMessages(t.Context(), filepath.Join(dir, "messages.db"))
	require.NoError(t, err)
	defer messages.Close()
	search, err := sqlite.OpenSearch(t.Context(), filepath.Join(dir, "search.db"))
	require.NoError(t, err)
	defer search.Close()

	written, kill := startWriter(t, dir)
	defer kill()
	for n := 0; n < 200; n += batchSize { // both write the same, at the same time
		require.NoError(t, messages.PutMessages(t.Context(), batch(n)))
		require.NoError(t, search.IndexMessages(t.Context(), batch(n)))
	}
	for written() < 400 {
	}
	// What the other has written is seen here, under the right channels.
	for n := range 400 {
		m := message(n)
		m.SentAt = m.SentAt.UTC()
		page, err := messages.History(t.Context(), events.HistoryQuery{Channel: m.ChannelID, Around: m.Seq, Limit: 1})
		require.NoError(t, err)
		require.Equal(t, []events.Message{m}, page.Messages)
	}
	page, err := search.SearchMessages(t.Context(), events.SearchQuery{
		Text: "hello number 399", Channels: []events.ChannelID{message(399).ChannelID}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Hits, 1)
}
