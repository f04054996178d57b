package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
)

// sink is the other end: one URL.
type sink struct {
	url        string
	mode       Mode
	timeout    time.Duration
	client     *http.Client
	extensions [][2]string
	prefix     []byte // of every event in a batch: the extensions as JSON members
	tracer     trace.Tracer
}

// answer is what came back; status 0 means nothing did.
type answer struct {
	status int
	reason string        // for people
	after  time.Duration // Retry-After
	took   time.Duration
}

func newSink(cfg Config, transport http.RoundTripper) (*sink, error) {
	if transport == nil {
		t := &http.Transport{
			Proxy:        http.ProxyFromEnvironment,
			DialContext:  (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			MaxIdleConns: cfg.InFlight, MaxIdleConnsPerHost: cfg.InFlight, MaxConnsPerHost: cfg.InFlight,
			IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 5 * time.Second,
			ForceAttemptHTTP2: true, DisableCompression: true, WriteBufferSize: 64 << 10,
		}
		if cfg.CACerts != "" {
			pool, err := x509.SystemCertPool()
			if err != nil {
				pool = x509.NewCertPool()
			}
			if !pool.AppendCertsFromPEM([]byte(cfg.CACerts)) {
				return nil, errors.New("K_CA_CERTS holds no certificate, expected PEM")
			}
			t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
		transport = t
	}
	s := &sink{url: cfg.Sink, mode: cfg.Mode, timeout: cfg.Timeout, tracer: otel.Tracer("github.com/chat-platform/chat/longrunning/source"),
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	extensions, err := cfg.extensions()
	if err != nil {
		return nil, err
	}
	for name, value := range extensions {
		s.extensions = append(s.extensions, [2]string{name, value})
	}
	slices.SortFunc(s.extensions, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	for _, e := range s.extensions {
		v, _ := json.Marshal(e[1]) // a string
		s.prefix = fmt.Appendf(s.prefix, "%q:%s,", e[0], v)
	}
	return s, nil
}

func (s *sink) close() { s.client.CloseIdleConnections() }

var bodies = sync.Pool{New: func() any { return new([]byte) }}

// post makes one request with the events and reads its answer.
func (s *sink) post(ctx context.Context, batch []*item) answer {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ctx, span := s.span(ctx, batch)
	defer span.End()
	buf := bodies.Get().(*[]byte)
	defer bodies.Put(buf)
	req, err := s.request(ctx, batch, buf)
	if err != nil {
		// Bytes that are no JSON document cannot travel in a batch.
		return answer{status: http.StatusUnprocessableEntity, reason: err.Error(), took: time.Since(start)}
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(req.Header))
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{reason: err.Error(), took: time.Since(start)}
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // read on so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		a.reason = reason(resp.StatusCode, body)
		span.SetAttributes(attribute.Int("http.response.status_code", a.status))
	}
	a.took = time.Since(start)
	return a
}

func (s *sink) request(ctx context.Context, batch []*item, buf *[]byte) (*http.Request, error) {
	if s.mode == Single {
		e := batch[0].d.Event
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(e.Data))
		if err != nil {
			return nil, err
		}
		for k, v := range e.Header() {
			req.Header.Set(k, v[0])
		}
		for _, x := range s.extensions {
			req.Header.Set("ce-"+x[0], percent(x[1]))
		}
		return req, nil
	}
	b := (*buf)[:0]
	b = append(b, '[')
	for i, it := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		at := len(b)
		var err error
		if b, err = it.d.Event.AppendJSON(b); err != nil {
			return nil, err
		}
		if len(s.prefix) > 0 {
			b = slices.Insert(b, at+1, s.prefix...)
		}
	}
	b = append(b, ']')
	*buf = b
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", events.ContentTypeBatch)
	return req, nil
}

// span continues the trace of an event that goes alone; a batch begins one of
// its own that links to the first few.
func (s *sink) span(ctx context.Context, batch []*item) (context.Context, trace.Span) {
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(attribute.String("messaging.consumer.group.name", batch[0].d.Consumer), attribute.Int("messaging.batch.message_count", len(batch)))}
	if len(batch) == 1 {
		return s.tracer.Start(parent(ctx, batch[0].d.Event.TraceParent), "source deliver", opts...)
	}
	for _, it := range batch[:min(len(batch), 8)] {
		if sc := trace.SpanContextFromContext(parent(ctx, it.d.Event.TraceParent)); sc.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
		}
	}
	return s.tracer.Start(ctx, "source deliver", opts...)
}

func parent(ctx context.Context, traceparent string) context.Context {
	if traceparent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// retryAfterMost is the longest that a sink may send the source away for.
const retryAfterMost = 10 * time.Minute

// retryAfter reads seconds or a date.
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(min(max(n, 0), int(retryAfterMost.Seconds()))) * time.Second
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return min(max(t.Sub(now), 0), retryAfterMost)
}

// reason is the detail of a problem document, or the beginning of the body.
func reason(status int, body []byte) string {
	var problem struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &problem) == nil && problem.Detail+problem.Code != "" {
		return strings.TrimPrefix(problem.Code+": "+problem.Detail, ": ")
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), 512)]), ""))
	if text == "" {
		return http.StatusText(status)
	}
	return text
}

// percent encodes an attribute for a header as the HTTP binding asks.
func percent(v string) string {
	var b strings.Builder
	for i := range len(v) {
		if c := v[i]; c <= ' ' || c == '"' || c == '%' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
