package observability

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// TraceConfig is the settings of tracing, by OpenTelemetry's own names. Those
// of the exporter's other variables (headers, timeout) that are set count too.
type TraceConfig struct {
	Endpoint string  `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`              // base URL of an OTLP/HTTP collector; empty: nothing is exported
	Ratio    float64 `env:"OTEL_TRACES_SAMPLER_ARG" envDefault:"0.1"` // share of traces begun here that are exported, 0 to 1
	Service  string  `env:"OTEL_SERVICE_NAME"`                        // empty: the process's name
}

// Tracing is a tracer provider and the W3C propagator.
type Tracing struct {
	Provider   *sdktrace.TracerProvider
	Propagator propagation.TextMapPropagator
}

// NewTracing makes the provider of a process. Without an endpoint it exports
// nothing, yet makes trace ids and passes on those that come in, with their
// sampling decision. No collector is contacted here, and one that cannot be
// reached later costs spans, never a request.
func NewTracing(ctx context.Context, name string, cfg TraceConfig) (*Tracing, error) {
	if cfg.Service != "" {
		name = cfg.Service
	}
	if !(cfg.Ratio >= 0 && cfg.Ratio <= 1) {
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %v, expected a number from 0 to 1", cfg.Ratio)
	}
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", name))),
	}
	root := sdktrace.NeverSample()
	if cfg.Endpoint != "" {
		url := strings.TrimRight(cfg.Endpoint, "/") + "/v1/traces"
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
		if err != nil {
			return nil, fmt.Errorf("trace exporter to %s: %w", url, err)
		}
		root = sdktrace.TraceIDRatioBased(cfg.Ratio)
		opts = append(opts, sdktrace.WithBatcher(exporter))
	}
	opts = append(opts, sdktrace.WithSampler(sdktrace.ParentBased(root)))
	return &Tracing{
		Provider:   sdktrace.NewTracerProvider(opts...),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}, nil
}

// Install makes this the tracing of the whole process; what OpenTelemetry has
// to complain about goes to the log.
func (t *Tracing) Install(log *slog.Logger) {
	otel.SetTracerProvider(t.Provider)
	otel.SetTextMapPropagator(t.Propagator)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("tracing", "error", err)
	}))
}

// Shutdown exports what is left and ends the provider. It is bounded by ctx.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if err := t.Provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("flush traces: %w", err)
	}
	return nil
}
