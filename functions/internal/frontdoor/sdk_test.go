package frontdoor_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

func sdkEvent(t *testing.T) cloudevents.Event {
	t.Helper()
	e := cloudevents.NewEvent()
	e.SetID("e1")
	e.SetSource("/t")
	e.SetType(greetSpec.Type)
	e.SetSubject("s.1")
	e.SetExtension("partitionkey", "ch_a")
	e.SetExtension("sequence", "00000000000000000007")
	require.NoError(t, e.SetData("application/json", map[string]string{"channel_id": "ch_a", "text": "hi é"}))
	return e
}

func checkSDKAnswer(t *testing.T, answer *cloudevents.Event) {
	t.Helper()
	require.NotNil(t, answer)
	require.NoError(t, answer.Validate())
	assert.Equal(t, events.EventID(greetSpec.Type+".answer", "/t", "e1"), answer.ID())
	assert.Equal(t, greetSpec.Type+".answer", answer.Type())
	assert.Equal(t, "s.1", answer.Subject())
	assert.Equal(t, "ch_a", answer.Extensions()["partitionkey"])
	assert.JSONEq(t, `{"channel":"ch_a","user":"u1","text":"hi é"}`, string(answer.Data()))
}

func TestSDKClientIsAnsweredInAllModes(t *testing.T) {
	server := httptest.NewServer(greetFunction().Alone())
	defer server.Close()
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(server.URL+"/functions/greet"), cloudevents.WithHeader("Authorization", "Bearer u1"))
	require.NoError(t, err)
	for name, encoding := range map[string]func(context.Context) context.Context{
		"binary": cloudevents.WithEncodingBinary, "structured": cloudevents.WithEncodingStructured,
	} {
		t.Run(name, func(t *testing.T) {
			answer, result := client.Request(encoding(t.Context()), sdkEvent(t))
			require.True(t, cloudevents.IsACK(result), "%v", result)
			checkSDKAnswer(t, answer)
		})
	}
	t.Run("batch", func(t *testing.T) {
		req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), server.URL, []cloudevents.Event{sdkEvent(t), sdkEvent(t)})
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer u1")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		answers, err := cehttp.NewEventsFromHTTPResponse(res)
		require.NoError(t, err)
		require.Len(t, answers, 2)
		checkSDKAnswer(t, &answers[0])
		checkSDKAnswer(t, &answers[1])
	})
	t.Run("an error", func(t *testing.T) {
		e := sdkEvent(t)
		e.SetType("other")
		_, result := client.Request(t.Context(), e)
		var status *cehttp.Result
		require.ErrorAs(t, result, &status)
		assert.Equal(t, 400, status.StatusCode)
	})
}

func TestWriterGetsWhatTheSDKSent(t *testing.T) {
	got := make(chan events.Event, 1)
	server := httptest.NewServer(frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(_ context.Context, batch []events.Event) error {
		got <- batch[0]
		return nil
	}, frontdoor.WithLogger(silent)).Alone())
	defer server.Close()
	client, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(server.URL))
	require.NoError(t, err)
	for _, encoding := range []func(context.Context) context.Context{cloudevents.WithEncodingBinary, cloudevents.WithEncodingStructured} {
		require.True(t, cloudevents.IsACK(client.Send(encoding(t.Context()), sdkEvent(t))))
		e := <-got
		assert.Equal(t, events.Event{ID: "e1", Source: "/t", Type: greetSpec.Type, Subject: "s.1", PartitionKey: "ch_a", Sequence: 7, Time: e.Time, Data: e.Data}, e)
		assert.JSONEq(t, `{"channel_id":"ch_a","text":"hi é"}`, string(e.Data))
	}
}

// funcgo is the form that func-go looks for.
type funcgo interface {
	Handle(context.Context, cloudevents.Event) (*cloudevents.Event, error)
}

func TestFuncGoForm(t *testing.T) {
	var f funcgo = greetFunction()
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer u1")
	ctx := cehttp.WithRequestDataAtContext(t.Context(), r)

	answer, err := f.Handle(ctx, sdkEvent(t))
	require.NoError(t, err)
	checkSDKAnswer(t, answer)

	noText, badSequence := sdkEvent(t), sdkEvent(t)
	require.NoError(t, noText.SetData("application/json", map[string]string{}))
	badSequence.SetExtension("sequence", "x")
	for name, c := range map[string]struct {
		ctx    context.Context
		event  cloudevents.Event
		status int
		text   string
	}{
		"no token":      {t.Context(), sdkEvent(t), 401, "token_missing"},
		"refused":       {ctx, noText, 400, "empty_message"},
		"a bad event":   {ctx, badSequence, 400, "invalid_event"},
		"no event":      {ctx, cloudevents.Event{}, 400, "invalid_event"},
		"no attributes": {ctx, cloudevents.NewEvent(), 400, "invalid_event"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.Handle(c.ctx, c.event)
			var status *cehttp.Result
			require.ErrorAs(t, err, &status)
			assert.Equal(t, c.status, status.StatusCode)
			assert.Contains(t, err.Error(), c.text)
		})
	}

	writer := frontdoor.Writer(frontdoor.Spec{Name: "store", Type: greetSpec.Type}, func(_ context.Context, batch []events.Event) error {
		if batch[0].Sequence != 7 {
			panic("sequence")
		}
		return nil
	}, frontdoor.WithLogger(silent))
	answer, err = writer.Handle(t.Context(), sdkEvent(t))
	require.NoError(t, err)
	assert.Nil(t, answer)
	other := sdkEvent(t)
	other.SetType("other")
	_, err = writer.Handle(t.Context(), other)
	require.ErrorContains(t, err, "unexpected_type")
	other = sdkEvent(t)
	other.SetExtension("sequence", "8")
	_, err = writer.Handle(t.Context(), other)
	require.ErrorContains(t, err, "500")
}
