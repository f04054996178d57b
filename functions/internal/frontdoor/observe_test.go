package frontdoor_test

import (
	"context"
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// series lists what a registry holds, "name{labels} value", histograms by their count.
func series(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			sort.Strings(labels)
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if h := m.GetHistogram(); h != nil {
				v = float64(h.GetSampleCount())
				assert.InDelta(t, 0.0005, h.GetBucket()[0].GetUpperBound(), 1e-9)
			}
			got[fmt.Sprintf("%s{%s}", f.GetName(), strings.Join(labels, ","))] = v
		}
	}
	return got
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := greetFunction(frontdoor.WithRegisterer(reg)).Alone()
	twin := greetFunction(frontdoor.WithRegisterer(reg)).Alone() // another instance in the process
	store := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(context.Context, []events.Event) error { return nil },
		frontdoor.WithRegisterer(reg), frontdoor.WithLogger(silent)).Alone()
	for range 2 {
		do(f, request("POST", greetings, `{"text":"a"}`, "Content-Type", "application/json"))
		do(twin, request("POST", greetings, `{"text":"a"}`, "Content-Type", "application/json"))
	}
	do(f, request("POST", greetings, `{"text":"a"}`))
	do(f, request("POST", "/", `{}`, "Content-Type", "text/plain"))
	do(store, request("POST", "/", "["+structured("1", "a", "1")+","+structured("2", "a", "1")+"]", "Content-Type", "application/cloudevents-batch+json"))
	got := series(t, reg)
	for name, want := range map[string]float64{
		"chat_function_requests_total{function=greet,mode=rest,status=202}":    4,
		"chat_function_requests_total{function=greet,mode=rest,status=415}":    1,
		"chat_function_requests_total{function=greet,mode=unknown,status=415}": 1,
		"chat_function_requests_total{function=store,mode=batch,status=200}":   1,
		"chat_function_duration_seconds{function=greet,mode=rest}":             5,
		"chat_function_events_total{function=store}":                           2,
		"chat_function_in_flight{function=greet}":                              0,
	} {
		v, there := got[name]
		assert.True(t, there, name)
		assert.InDelta(t, want, v, 1e-9, name)
	}
}

// recorder is the process's one tracer provider: the global can be set only once.
var recorder = sync.OnceValue(func() *tracetest.InMemoryExporter {
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)))
	return spans
})

func TestTraces(t *testing.T) {
	spans := recorder()
	spans.Reset()

	var seen string
	var fail error
	spec := greetSpec
	f := frontdoor.Command(spec, func(ctx context.Context, _ events.Caller, _ greet) (greeting, error) {
		seen = frontdoor.TraceParent(ctx)
		return greeting{status: 200}, fail
	}, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)).Alone()
	const id = "0af7651916cd43dd8448eb211c80319c"
	const parent = "00-" + id + "-b7ad6b7169203331-01"
	binary := []string{"Content-Type", "application/json", "Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", spec.Type, "Ce-Traceparent", parent}

	res := do(f, request("POST", greetings, "", "Traceparent", parent))
	require.Equal(t, 200, res.StatusCode)
	span := spans.GetSpans()[0]
	assert.Equal(t, "greet", span.Name)
	assert.Equal(t, trace.SpanKindServer, span.SpanKind)
	assert.Equal(t, id, span.SpanContext.TraceID().String())
	assert.Equal(t, "b7ad6b7169203331", span.Parent.SpanID().String())
	assert.Equal(t, "00-"+id+"-"+span.SpanContext.SpanID().String()+"-01", seen)

	// A CloudEvent's own trace goes on where HTTP names none, and into the answer.
	res = do(f, request("POST", "/", `{}`, binary...))
	require.Equal(t, 200, res.StatusCode)
	assert.Equal(t, seen, res.Header.Get("Ce-Traceparent"))
	assert.Contains(t, seen, id)

	// A batch's span is linked to its events' traces.
	spans.Reset()
	event := strings.TrimSuffix(structured("1", spec.Type, `{}`), "}") + `,"traceparent":"` + parent + `"}`
	res = do(f, request("POST", "/", "["+event+","+structured("2", spec.Type, `{}`)+"]", "Content-Type", "application/cloudevents-batch+json"))
	require.Equal(t, 200, res.StatusCode)
	require.Len(t, spans.GetSpans()[0].Links, 1)
	assert.Equal(t, id, spans.GetSpans()[0].Links[0].SpanContext.TraceID().String())
	assert.NotContains(t, seen, id)

	spans.Reset()
	fail = errSecret
	require.Equal(t, 500, do(f, request("POST", greetings, "")).StatusCode)
	assert.Equal(t, codes.Error, spans.GetSpans()[0].Status.Code)

	assert.Empty(t, frontdoor.TraceParent(t.Context()))
	assert.Equal(t, http.StatusOK, do(f, request("GET", "/health/liveness", "")).StatusCode)
}
