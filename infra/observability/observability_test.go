package observability_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/infra/observability"
)

func TestLogger(t *testing.T) {
	tr, err := observability.NewTracing(t.Context(), "test", observability.TraceConfig{})
	require.NoError(t, err)
	ctx, span := tr.Provider.Tracer("x").Start(t.Context(), "op")
	defer span.End()

	var b bytes.Buffer
	log := observability.NewLogger(&b, observability.LogConfig{Format: observability.JSON, Level: slog.LevelInfo})
	log.With("a", 1).WithGroup("g").InfoContext(ctx, "hello", "b", 2)
	log.Debug("quiet")
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	require.Equal(t, "hello", line["msg"])
	require.EqualValues(t, 1, line["a"])
	require.Equal(t, span.SpanContext().TraceID().String(), line["g"].(map[string]any)["trace_id"])

	b.Reset()
	log = observability.NewLogger(&b, observability.LogConfig{Format: observability.Text, Level: slog.LevelDebug})
	log.Debug("loud", "k", "v w")
	require.Contains(t, b.String(), `msg=loud k="v w"`)
	require.NotContains(t, b.String(), "trace_id")
}

func TestLogFormat(t *testing.T) {
	var f observability.LogFormat
	require.NoError(t, f.UnmarshalText([]byte("json")))
	require.Equal(t, observability.JSON, f)
	require.EqualError(t, f.UnmarshalText([]byte("xml")), `expected "text" or "json"`)
}

func TestMetrics(t *testing.T) {
	reg := observability.NewRegistry("sendmessage")
	srv := httptest.NewServer(observability.MetricsHandler(reg, slog.New(slog.DiscardHandler)))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, want := range []string{"go_goroutines ", "process_start_time_seconds ", `chat_process_info{name="sendmessage"} 1`} {
		require.Contains(t, string(body), want)
	}
}

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestTracingWithoutCollector(t *testing.T) {
	tr, err := observability.NewTracing(t.Context(), "test", observability.TraceConfig{})
	require.NoError(t, err)
	tr.Install(slog.New(slog.DiscardHandler))
	_, span := otel.Tracer("x").Start(t.Context(), "root")
	require.True(t, span.SpanContext().IsValid(), "a trace has an id though nothing is exported")
	require.False(t, span.SpanContext().IsSampled())

	for _, parent := range []string{sampled, unsampled} {
		ctx := otel.GetTextMapPropagator().Extract(t.Context(), propagation.MapCarrier{"traceparent": parent})
		ctx, span := otel.Tracer("x").Start(ctx, "child")
		out := propagation.MapCarrier{}
		otel.GetTextMapPropagator().Inject(ctx, out)
		require.Equal(t, parent[:36], out["traceparent"][:36], "the same trace")
		require.Equal(t, parent[52:], out["traceparent"][52:], "the same decision")
		require.Contains(t, out["traceparent"], span.SpanContext().SpanID().String())
	}
	require.NoError(t, tr.Shutdown(t.Context()))
}

func TestTracingExportsOnShutdown(t *testing.T) {
	got := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && bytes.Contains(body, []byte("my-service")) {
			got <- r.URL.Path
		}
	}))
	defer srv.Close()
	tr, err := observability.NewTracing(t.Context(), "test", observability.TraceConfig{Endpoint: srv.URL + "/", Ratio: 1, Service: "my-service"})
	require.NoError(t, err)
	_, span := tr.Provider.Tracer("x").Start(t.Context(), "op", trace.WithSpanKind(trace.SpanKindServer))
	require.True(t, span.SpanContext().IsSampled())
	span.End()
	require.NoError(t, tr.Shutdown(t.Context()))
	require.Equal(t, "/v1/traces", <-got)
}

func TestTracingRefusesARatio(t *testing.T) {
	_, err := observability.NewTracing(t.Context(), "test", observability.TraceConfig{Ratio: 2})
	require.ErrorContains(t, err, "OTEL_TRACES_SAMPLER_ARG")
	require.ErrorContains(t, err, "0 to 1")
}
