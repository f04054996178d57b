package source_test

import (
	"encoding/pem"
	"net/http/httptest"
	"testing"

	"github.com/caarlos0/env/v11"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/source"
)

func driver(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := natsgo.Connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func TestConfigFromEnvironment(t *testing.T) {
	cfg, err := env.ParseAsWithOptions[source.Config](env.Options{Environment: map[string]string{
		"SOURCE_STREAM": "MESSAGES", "SOURCE_CONSUMER": "writer", "K_SINK": "http://writer.default.svc/", "SOURCE_FILTERS": "messages.send.*,messages.edit.*", "SOURCE_SHARE": "2/3"}})
	require.NoError(t, err)
	require.NoError(t, cfg.Validate())
	assert.Equal(t, source.Batch, cfg.Mode)
	assert.Equal(t, []string{"messages.send.*", "messages.edit.*"}, cfg.Filters)
	assert.Equal(t, source.Share("2/3"), cfg.Share)
	assert.Positive(t, cfg.MaxPending)
	assert.Positive(t, cfg.Timeout)
}

func TestConfigFaults(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*source.Config)
		want   string
	}{
		"stream":      {func(c *source.Config) { c.Stream = "" }, "SOURCE_STREAM"},
		"consumer":    {func(c *source.Config) { c.Consumer = "" }, "SOURCE_CONSUMER"},
		"sink":        {func(c *source.Config) { c.Sink = "writer:80" }, "K_SINK"},
		"mode":        {func(c *source.Config) { c.Mode = "bulk" }, "SOURCE_MODE"},
		"order":       {func(c *source.Config) { c.Order = "any" }, "SOURCE_ORDER"},
		"pending":     {func(c *source.Config) { c.MaxPending = -1 }, "SOURCE_MAX_PENDING"},
		"ack wait":    {func(c *source.Config) { c.AckWait = -1 }, "SOURCE_ACK_WAIT"},
		"outage cap":  {func(c *source.Config) { c.OutageCap = -1 }, "SOURCE_OUTAGE_CAP"},
		"share":       {func(c *source.Config) { c.Share = "2" }, "SOURCE_SHARE"},
		"share of 0":  {func(c *source.Config) { c.Share = "0/0" }, "SOURCE_SHARE"},
		"no share":    {func(c *source.Config) { c.Share = "a/b" }, "SOURCE_SHARE"},
		"beyond":      {func(c *source.Config) { c.Share = "3/3" }, "SOURCE_SHARE"},
		"overrides":   {func(c *source.Config) { c.Overrides = "tenant=a" }, "K_CE_OVERRIDES"},
		"extension":   {func(c *source.Config) { c.Overrides = `{"extensions":{"Bad_Name":"x"}}` }, "Bad_Name"},
		"attribute":   {func(c *source.Config) { c.Overrides = `{"extensions":{"id":"x"}}` }, "K_CE_OVERRIDES"},
		"no CA":       {func(c *source.Config) { c.CACerts = "certificate" }, "K_CA_CERTS"},
		"all at once": {func(c *source.Config) { *c = source.Config{} }, "K_SINK"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config("http://writer/")
			c.change(&cfg)
			_, err := source.New(nil, cfg, source.Options{})
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestOwnCertificates(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, sent("ch_a", 0))
	s := &sink{}
	s.Server = httptest.NewUnstartedServer(s)
	s.StartTLS()
	defer s.Close()
	cfg := config(s.URL)
	cfg.CACerts = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	run(t, log, cfg)
	applied(t, log, 1)
	assert.Equal(t, 1, s.count())
}
