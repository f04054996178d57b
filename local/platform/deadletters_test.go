package platform_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/deadletters"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/tools"
)

// dead runs `chat dead …` against a platform.
func dead(t *testing.T, p *platformtest.Platform, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := process.Run("chat", process.World{Args: append([]string{"dead"}, args...), Environ: []string{"DATA_DIR=" + p.Dir, "LOG_LEVEL=ERROR"},
		Stdout: &out, Stderr: &out, Signals: make(chan os.Signal)}, tools.Dead)
	return code, out.String()
}

func deadList(t *testing.T, p *platformtest.Platform, args ...string) (all []deadletters.Letter) {
	t.Helper()
	code, out := dead(t, p, append([]string{"list", "-json"}, args...)...)
	require.Zero(t, code, out)
	for line := range strings.Lines(out) {
		var l deadletters.Letter
		require.NoError(t, json.Unmarshal([]byte(line), &l), line)
		all = append(all, l)
	}
	return all
}

var natsURL = regexp.MustCompile(`NATS +(nats://\S+)`)

// Whatever gets into the log past the commands, the channel goes on, and an
// operator sees it and decides.
func TestPoisonInTheLog(t *testing.T) {
	p := platformtest.Start(t, "", "NATS_PORT=-1")
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	_, err := alice.Send(t.Context(), "ch_x", "before the poison", events.NewClientID())
	require.NoError(t, err)

	require.Regexp(t, natsURL, p.Output())
	nc, err := natsgo.Connect(natsURL.FindStringSubmatch(p.Output())[1])
	require.NoError(t, err)
	defer nc.Close()
	log, err := natslog.Open(t.Context(), natslog.Config{URL: nc.ConnectedUrl()})
	require.NoError(t, err)
	defer log.Close()
	trace := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	bad, err := log.Publish(t.Context(), events.Event{ID: "evt_bad", Source: "/elsewhere", Type: events.TypeMessageSent, Subject: "messages.send.ch_x",
		PartitionKey: "ch_x", TraceParent: trace, Data: []byte(`{"channel_id":"ch_x","text":7}`)})
	require.NoError(t, err)
	_, err = nc.Request("messages.send.ch_x", []byte("no event at all"), waitLong)
	require.NoError(t, err)
	after, err := alice.Send(t.Context(), "ch_x", "after the poison", events.NewClientID())
	require.NoError(t, err)

	require.Eventually(t, func() bool {
		found, err := alice.Search(t.Context(), "poison", "", "")
		return err == nil && found.IndexedThrough >= after.Seq && len(found.Hits) == 2
	}, waitLong, waitStep, "the channel's other messages are searchable")
	page, err := alice.HistoryAfter(t.Context(), "ch_x", 0, 100)
	require.NoError(t, err)
	assert.Len(t, page.Messages, 2)

	var all []deadletters.Letter
	require.Eventually(t, func() bool {
		all = deadList(t, p)
		return len(all) == 4
	}, waitLong, waitStep, "both writers of messages refused both")
	letters := deadList(t, p, "-consumer", events.ConsumerSearch)
	require.Len(t, letters, 2)
	slices.SortFunc(letters, func(a, b deadletters.Letter) int { return cmp.Compare(a.EventSeq, b.EventSeq) })
	first := letters[0]
	assert.Equal(t, bad.Seq, first.EventSeq)
	assert.Equal(t, "evt_bad", first.EventID)
	assert.Equal(t, trace, first.TraceParent)
	assert.Equal(t, http.StatusBadRequest, first.Status)
	assert.Contains(t, first.Reason, "text")
	assert.Contains(t, letters[1].Reason, "not a CloudEvent")

	code, out := dead(t, p, "show", "-seq", fmt.Sprint(first.Seq))
	require.Zero(t, code, out)
	assert.Contains(t, out, `"text": 7`)
	code, out = dead(t, p, "redrive", "-seq", fmt.Sprint(first.Seq))
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "refused again with 400", "it is as wrong as it was")
	assert.Len(t, deadList(t, p), 4)
	code, out = dead(t, p, "discard", "-seq", fmt.Sprint(first.Seq))
	require.Zero(t, code, out)
	assert.Len(t, deadList(t, p), 3)
	code, out = dead(t, p, "discard", "-all")
	require.Zero(t, code, out)
	assert.Empty(t, deadList(t, p))
}

// A good event that was refused once, for whatever reason, appears where it
// belongs after it is redriven: at its own place, in the one view that lacks it.
func TestRedriveReachesTheView(t *testing.T) {
	p := platformtest.Start(t, "", "NATS_PORT=-1")
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	message := func(n int) events.Event {
		client := events.NewClientID()
		data, err := json.Marshal(events.MessageSent{ID: events.NewMessageID("alice", "ch_x", client), ChannelID: "ch_x", AuthorID: "alice",
			Text: fmt.Sprintf("number %d", n), ClientID: client})
		require.NoError(t, err)
		return events.Event{ID: fmt.Sprintf("evt_%d", n), Source: "/elsewhere", Type: events.TypeMessageSent, Subject: "messages.send.ch_x", PartitionKey: "ch_x", Data: data}
	}
	log, err := natslog.Open(t.Context(), natslog.Config{URL: natsURL.FindStringSubmatch(p.Output())[1]})
	require.NoError(t, err)
	defer log.Close()

	// A letter as the search writer's source would have left it, of an event that
	// the search view has never seen.
	e := message(1)
	body, err := e.AppendJSON(nil)
	require.NoError(t, err)
	nc, err := natsgo.Connect(natsURL.FindStringSubmatch(p.Output())[1])
	require.NoError(t, err)
	defer nc.Close()
	_, err = nc.RequestMsg(&natsgo.Msg{Subject: events.DeadLetterSubject(events.ConsumerSearch), Data: body, Header: natsgo.Header{
		"content-type": {events.ContentTypeStructured}, natslog.HeaderDeadReason: {"the index was broken"}, natslog.HeaderDeadStream: {events.StreamMessages},
		natslog.HeaderDeadSubject: {e.Subject}, natslog.HeaderDeadSequence: {"1000"}, natslog.HeaderDeadConsumer: {events.ConsumerSearch},
	}}, waitLong)
	require.NoError(t, err)

	code, out := dead(t, p, "redrive", "-all")
	require.Zero(t, code, out)
	assert.Contains(t, out, "search-writer  redriven")
	found, err := alice.Search(t.Context(), "number", "", "")
	require.NoError(t, err)
	require.Len(t, found.Hits, 1)
	assert.EqualValues(t, 1000, found.Hits[0].Message.Seq)
	page, err := alice.HistoryAfter(t.Context(), "ch_x", 0, 100)
	require.NoError(t, err)
	assert.Empty(t, page.Messages, "nobody else was given it")
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.Zero(t, last, "the log was not written")
	assert.Empty(t, deadList(t, p))
}

func TestTheInternalListenerIsTheOwners(t *testing.T) {
	p := platformtest.Start(t, "")
	file := filepath.Join(p.Dir, datadir.Internal)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	with := strings.TrimSpace(string(b))
	require.Regexp(t, `^http://operator:\w{26}@127\.0\.0\.1:\d+$`, with)
	assert.NotContains(t, p.Output(), with[len("http://operator:"):strings.Index(with, "@")])
	get := func(url string) int {
		req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	host := with[strings.Index(with, "@")+1:]
	assert.Equal(t, http.StatusOK, get(with+deadletters.Path))
	assert.Equal(t, http.StatusForbidden, get("http://"+host+deadletters.Path))
	assert.Equal(t, http.StatusForbidden, get("http://operator:guess@"+host+deadletters.Path))
	assert.Equal(t, http.StatusForbidden, get("http://"+host+"/admin/"))
	assert.NotEqual(t, http.StatusOK, get(p.URL+deadletters.Path+"/1"), "the public side knows nothing of it")

	require.Zero(t, p.Stop(t))
	assert.NoFileExists(t, file)
	code, out := dead(t, p, "list")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "no platform runs on the data folder "+p.Dir)
}
