package deploy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
)

// certificates writes an authority and a certificate for this machine.
func certificates(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	require.NoError(t, err)
	write("ca.crt", "CERTIFICATE", der)
	node := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "node"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err = x509.CreateCertificate(rand.Reader, node, authority, key.Public(), authorityKey)
	require.NoError(t, err)
	write("tls.crt", "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write("tls.key", "PRIVATE KEY", der)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// cluster starts three nodes from the deployment's own file; only paths and
// ports are others.
func cluster(t *testing.T) (nodes []*server.Server, ca string) {
	t.Helper()
	setPasswords(t)
	dir := t.TempDir()
	certificates(t, dir)
	file, err := os.ReadFile("nats-server.conf")
	require.NoError(t, err)
	permissions, err := os.ReadFile("permissions.conf")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "permissions.conf"), permissions, 0o600))
	var ports [3]int
	var routes []string
	for i := range ports {
		ports[i] = freePort(t)
		routes = append(routes, fmt.Sprintf(`"nats://cluster:secret@127.0.0.1:%d"`, ports[i]))
	}
	t.Setenv("NATS_CLUSTER_PASSWORD", "secret")
	t.Setenv("NATS_ROUTES", "["+strings.Join(routes, ", ")+"]")
	for i, port := range ports {
		t.Setenv("NATS_SERVER_NAME", fmt.Sprintf("nats-%d", i))
		conf := strings.NewReplacer("/etc/nats/tls", dir, "/data", filepath.Join(dir, fmt.Sprint(i)), "0.0.0.0:4222", "127.0.0.1:-1",
			"127.0.0.1:8222", "127.0.0.1:-1", "0.0.0.0:6222", fmt.Sprintf("127.0.0.1:%d", port)).Replace(string(file))
		name := filepath.Join(dir, fmt.Sprintf("node-%d.conf", i))
		require.NoError(t, os.WriteFile(name, []byte(conf), 0o600))
		nodes = append(nodes, run(t, name))
	}
	return nodes, filepath.Join(dir, "ca.crt")
}

func TestCluster(t *testing.T) {
	nodes, ca := cluster(t)
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.ClientURL())
	}
	cfg := nats.Config{
		URL: strings.Join(urls, ","), User: "operator", Password: "secret-of-operator", CA: ca, Replicas: 3, Partitions: 2,
		Logger: quiet, ConnectWait: time.Minute, AckWait: time.Minute,
	}
	var operator *nats.Log
	require.Eventually(t, func() (ok bool) { // once the nodes have elected a leader
		var err error
		operator, err = nats.Open(t.Context(), cfg)
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	defer operator.Close()

	cfg.User, cfg.Password = "sendmessage", "secret-of-sendmessage"
	log, err := nats.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer log.Close()
	send := func(n int) (events.Ack, error) {
		return log.Publish(t.Context(), event(t, fmt.Sprint("evt_", n), events.TypeMessageSent, events.MessageSubject(general), "x"))
	}
	for n := range 10 {
		_, err := send(n)
		require.NoError(t, err)
	}

	// Replicas are not divided anew under way. On one it may be done, while
	// everything runs.
	require.ErrorIs(t, operator.Repartition(t.Context(), 4), events.ErrConflict)
	replicate := func(n int) {
		t.Helper()
		nc, err := natsgo.Connect(cfg.URL, natsgo.UserInfo("operator", "secret-of-operator"), natsgo.RootCAs(ca))
		require.NoError(t, err)
		defer nc.Close()
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			s, err := js.Stream(t.Context(), events.StreamMessages)
			if err != nil {
				return false
			}
			info := s.CachedInfo()
			if info.Config.Replicas != n {
				cfg := info.Config
				cfg.Replicas = n
				_, _ = js.UpdateStream(t.Context(), cfg) // asked again if need be
				return false
			}
			here := info.Cluster.Leader != "" && len(info.Cluster.Replicas) == n-1
			for _, r := range info.Cluster.Replicas {
				here = here && r.Current
			}
			return here
		}, time.Minute, 100*time.Millisecond, "%d replicas", n)
	}
	replicate(1)
	require.NoError(t, operator.Repartition(t.Context(), 4))
	replicate(3)
	cfg.User, cfg.Password = "source-message-writer", "secret-of-source-message-writer"
	source, err := nats.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer source.Close()
	c, err := source.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: events.ConsumerMessages})
	require.NoError(t, err)
	taken := 0
	take := func(want uint64) {
		t.Helper()
		require.Eventually(t, func() bool {
			ds, err := c.Fetch(t.Context(), 100, 100*time.Millisecond)
			if err != nil {
				return false
			}
			for _, d := range ds {
				taken++
				if d.Ack() != nil {
					return false
				}
			}
			applied, err := operator.Applied(t.Context(), events.StreamMessages, events.ConsumerMessages)
			return err == nil && applied == want
		}, time.Minute, 10*time.Millisecond)
	}
	take(10)
	require.Equal(t, 10, taken)

	nodes[0].Shutdown()
	require.Eventually(t, func() bool { _, err := send(10); return err == nil }, time.Minute, 100*time.Millisecond, "two of three go on")
	for n := range 11 {
		ack, err := send(n)
		require.NoError(t, err)
		require.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: uint64(n + 1), Duplicate: true}, ack, "nothing was lost")
	}
	take(11)

	cfg.User, cfg.Password = "sendmessage", "secret-of-sendmessage"
	cfg.CA, cfg.ConnectWait = "", 500*time.Millisecond
	_, err = nats.Open(t.Context(), cfg)
	require.ErrorIs(t, err, events.ErrUnavailable, "an unknown authority is not trusted")
}
