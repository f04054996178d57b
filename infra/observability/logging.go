// Package observability sets up what every process tells about itself: logs
// (slog), metrics (Prometheus) and traces (OpenTelemetry, W3C trace context).
// Nothing here is global until a main installs it; packages get a logger and a
// registerer, and take tracers from OpenTelemetry's global provider.
package observability

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// LogFormat is how a line of the log is written.
type LogFormat string

// Text is key=value for people, JSON is for collectors.
const (
	Text LogFormat = "text"
	JSON LogFormat = "json"
)

// UnmarshalText accepts "text" and "json".
func (f *LogFormat) UnmarshalText(b []byte) error {
	switch v := LogFormat(b); v {
	case Text, JSON:
		*f = v
		return nil
	}
	return fmt.Errorf("expected %q or %q", Text, JSON)
}

// LogConfig is the log's settings.
type LogConfig struct {
	Format LogFormat  `env:"LOG_FORMAT" envDefault:"text"`
	Level  slog.Level `env:"LOG_LEVEL" envDefault:"INFO"` // DEBUG, INFO, WARN, ERROR
}

// NewLogger makes a logger that writes to w and adds trace_id and span_id to
// records that are logged with a context that has a span.
func NewLogger(w io.Writer, cfg LogConfig) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.Level}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if cfg.Format == JSON {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(traced{h})
}

type traced struct{ slog.Handler }

func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		r.AddAttrs(slog.String("trace_id", sc.TraceID().String()), slog.String("span_id", sc.SpanID().String()))
	}
	return t.Handler.Handle(ctx, r)
}

func (t traced) WithAttrs(as []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(as)} }
func (t traced) WithGroup(name string) slog.Handler    { return traced{t.Handler.WithGroup(name)} }
