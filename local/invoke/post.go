package invoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
)

// request makes the POST of a fixture in a mode.
func request(ctx context.Context, mode string, fx fixture, to string) (*http.Request, error) {
	body, contentType := fx.raw, events.ContentTypeStructured
	switch mode {
	case "batch":
		body, contentType = append(append([]byte("["), bytes.TrimSpace(fx.raw)...), ']'), events.ContentTypeBatch
	case "binary":
		body = fx.event.Data
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if mode == "binary" {
		for k, v := range fx.event.Header() {
			req.Header.Set(k, v[0])
		}
		return req, nil
	}
	req.Header.Set("Content-Type", contentType)
	return req, nil
}

func post(ctx context.Context, cfg Config, fx fixture, to, token string, out io.Writer) error {
	req, err := request(ctx, cfg.Mode, fx, to)
	if err != nil {
		return fmt.Errorf("invoke %s: %w", cfg.Function, err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("invoke %s: %w", cfg.Function, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("invoke %s: read the answer: %w", cfg.Function, err)
	}
	fmt.Fprintf(out, "%s ← %s (%s mode", cfg.Function, fx.path, cfg.Mode)
	if fx.caller != "" {
		fmt.Fprintf(out, ", as %s", fx.caller)
	}
	fmt.Fprintf(out, ")\n\nanswer: %s\n", res.Status)
	for _, h := range []string{"Content-Type", "Ce-Id", "Ce-Type", "Ce-Source", "Retry-After", "Www-Authenticate"} {
		if v := res.Header.Get(h); v != "" {
			fmt.Fprintf(out, "%s: %s\n", h, v)
		}
	}
	if len(answer) > 0 {
		fmt.Fprintln(out, pretty(answer))
	}
	return nil
}

// printPublished shows what the log holds beyond the given positions.
func printPublished(ctx context.Context, l *natslog.Log, before map[string]uint64, out io.Writer) error {
	n := 0
	for _, stream := range streams {
		last, err := l.LastSequence(ctx, stream)
		if err != nil {
			return fmt.Errorf("position of %s: %w", stream, err)
		}
		if last <= before[stream] {
			continue
		}
		err = l.Range(ctx, stream, nil, before[stream]+1, last, func(e events.Event) error {
			n++
			return printEvent(out, stream, e)
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", stream, err)
		}
	}
	if n == 0 {
		fmt.Fprintln(out, "\npublished: nothing")
	}
	return nil
}

func printEvent(out io.Writer, stream string, e events.Event) error {
	b, err := e.AppendJSON(nil)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\npublished to %s (%s), sequence %d:\n%s\n", e.Subject, stream, e.Sequence, pretty(b))
	return err
}

// serve keeps the function behind a proxy that adds the token, prints what to
// paste, and shows every event as it is published.
func serve(ctx context.Context, cfg Config, fx fixture, fn *function, token string, l *natslog.Log, before map[string]uint64, out io.Writer) error {
	target, err := url.Parse(fn.url)
	if err != nil {
		return fmt.Errorf("serve %s: %w", cfg.Function, err)
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve %s: %w", cfg.Function, err)
	}
	proxy := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if token != "" && r.Out.Header.Get("Authorization") == "" {
			r.Out.Header.Set("Authorization", "Bearer "+token)
		}
	}}}
	at := "http://" + ln.Addr().String()
	fmt.Fprintf(out, "%s listens on %s; requests without a token come from %q. Try:\n\n", cfg.Function, at, fx.caller)
	fmt.Fprintf(out, "  curl -i %s -H 'Content-Type: %s' --data @%s\n", at, events.ContentTypeStructured, fx.path)
	fmt.Fprintf(out, "  func invoke --path %s -f cloudevent -t %s --type %s --data '%s'\n\nCtrl-C ends it.\n",
		"functions/*/"+cfg.Function, at, fx.event.Type, fx.event.Data)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		return proxy.Close()
	})
	group.Go(func() error {
		if err := proxy.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", cfg.Function, err)
		}
		return nil
	})
	for _, stream := range streams {
		group.Go(func() error {
			return l.Follow(ctx, stream, nil, before[stream]+1, nil, func(es []events.Event) error {
				for _, e := range es {
					if err := printEvent(out, stream, e); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	return group.Wait()
}
