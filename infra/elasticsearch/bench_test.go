//go:build integration

package elasticsearch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/elastic/go-elasticsearch/v8"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/storetest"
	"github.com/chat-platform/chat/infra/words"
)

func BenchmarkSearch(b *testing.B) {
	storetest.BenchmarkSearch(b, func(b *testing.B) storetest.Search { return open(b, configOf(b, servertest.Elasticsearch(b))) })
}

// BenchmarkAgainstDriver compares the store with the bare driver, which sends the
// same requests and reads the same answers: writes of 100 messages, searches of 50
// hits in 50,000 messages.
func BenchmarkAgainstDriver(b *testing.B) {
	c := configOf(b, servertest.Elasticsearch(b))
	c.BulkBytes = 8 << 20
	s := open(b, c)
	bare, err := driver.NewClient(driver.Config{Addresses: c.URLs, Transport: &http.Transport{MaxIdleConnsPerHost: 64}})
	require.NoError(b, err)
	var seq atomic.Uint64
	batch := func(n int) []events.Message {
		ms := make([]events.Message, n)
		for i := range ms {
			k := seq.Add(1)
			ms[i] = events.Message{Seq: k, MessageSent: events.MessageSent{
				ID: events.MessageID(fmt.Sprintf("msg_%026d", k)), ChannelID: events.ChannelID(fmt.Sprintf("ch_%d", k%100)), AuthorID: "somebody",
				Text: fmt.Sprintf("word%d word%d common talk of the day, about number %d and the weather %d", k%7, k%1_009, k, k%31), SentAt: time.UnixMilli(int64(k)).UTC(),
			}}
		}
		return ms
	}
	for range 50 {
		require.NoError(b, s.IndexMessages(b.Context(), batch(1_000)))
	}
	request(b, c.URLs[0], http.MethodPost, "/"+c.Index+"/_forcemerge?max_num_segments=1", nil, nil)
	var size struct {
		All struct {
			Total struct {
				Store struct {
					Bytes float64 `json:"size_in_bytes"`
				} `json:"store"`
				Docs struct {
					Count float64 `json:"count"`
				} `json:"docs"`
			} `json:"total"`
		} `json:"_all"`
	}
	request(b, c.URLs[0], http.MethodGet, "/"+c.Index+"/_stats/store,docs", nil, &size)
	perMessage := size.All.Total.Store.Bytes / size.All.Total.Docs.Count

	channels := make([]events.ChannelID, 20)
	for i := range channels {
		channels[i] = events.ChannelID(fmt.Sprintf("ch_%d", i))
	}
	works := map[string]map[string]func(context.Context) error{
		"write": {
			"store": func(ctx context.Context) error { return s.IndexMessages(ctx, batch(100)) },
			"driver": func(ctx context.Context) error {
				var body bytes.Buffer
				for _, m := range batch(100) {
					fmt.Fprintf(&body, `{"index":{"_id":%q,"version_type":"external_gte","version":%d}}`+"\n", m.ID, math.MaxInt64-int64(m.Seq))
					doc, err := json.Marshal(struct {
						events.Message
						Terms string `json:"terms"`
					}{m, string(words.AppendTerms(nil, m.Text))})
					if err != nil {
						return err
					}
					body.Write(append(doc, '\n'))
				}
				res, err := bare.Bulk(&body, bare.Bulk.WithContext(ctx), bare.Bulk.WithIndex(c.Index))
				if err != nil {
					return err
				}
				defer res.Body.Close()
				var answer struct{ Errors bool }
				if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
					return fmt.Errorf("%s: %w", res.Status(), err)
				}
				if answer.Errors || res.IsError() {
					return fmt.Errorf("%s, errors: %t", res.Status(), answer.Errors)
				}
				return nil
			},
		},
		"search": {
			"store": func(ctx context.Context) error {
				page, err := s.SearchMessages(ctx, events.SearchQuery{Text: "common word3 wea", Channels: channels, Limit: 50})
				if err == nil && len(page.Hits) != 50 {
					err = fmt.Errorf("%d hits", len(page.Hits))
				}
				return err
			},
			"driver": func(ctx context.Context) error {
				ids, err := json.Marshal(channels)
				if err != nil {
					return err
				}
				body := fmt.Sprintf(`{"size":51,"track_total_hits":false,"sort":[{"seq":"desc"}],"query":{"bool":{"filter":[{"terms":{"channel_id":%s}},{"term":{"terms":"common"}},{"term":{"terms":"word3"}},{"prefix":{"terms":"wea"}}]}}}`, ids)
				res, err := bare.Search(bare.Search.WithContext(ctx), bare.Search.WithIndex(c.Index), bare.Search.WithBody(strings.NewReader(body)))
				if err != nil {
					return err
				}
				defer res.Body.Close()
				var answer struct {
					Hits struct {
						Hits []struct {
							Source events.Message `json:"_source"`
						}
					}
				}
				if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
					return fmt.Errorf("%s: %w", res.Status(), err)
				}
				if len(answer.Hits.Hits) != 51 {
					return fmt.Errorf("%s, %d hits", res.Status(), len(answer.Hits.Hits))
				}
				return nil
			},
		},
	}
	for _, kind := range []struct {
		name string
		size int
	}{{"search", 1}, {"write", 100}} {
		for _, inFlight := range storetest.InFlight {
			b.Run(fmt.Sprintf("%s %d/%d", kind.name, kind.size, inFlight), func(b *testing.B) {
				work := works[kind.name]
				storetest.Duel{InFlight: inFlight, Size: kind.size}.Run(b,
					func(ctx context.Context, _ int) error { return work["store"](ctx) },
					func(ctx context.Context, _ int) error { return work["driver"](ctx) })
			})
		}
	}
	b.Run("bytes", func(b *testing.B) {
		b.ReportMetric(perMessage, "B/message")
		b.ReportMetric(0, "ns/op")
	})
}
