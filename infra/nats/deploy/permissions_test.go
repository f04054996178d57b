package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
)

var quiet = slog.New(slog.DiscardHandler)

var users = []string{
	"sys", "operator", "createchannel", "joinchannel", "addmembers", "leavechannel", "sendmessage", "sendmessages",
	"listchannels", "channelhistory", "searchmessages", "identity", "messagewriter", "searchwriter", "metadatawriter",
	"source-message-writer", "source-search-writer", "source-metadata-writer", "fanout", "notification",
	"archiver", // the last: it takes away what the others read
}

func setPasswords(t *testing.T) {
	for _, u := range users {
		t.Setenv("NATS_PASSWORD_"+strings.ToUpper(strings.ReplaceAll(u, "-", "_")), "secret-of-"+u)
	}
}

// start runs a server with the permissions of the deployment.
func start(t *testing.T) *server.Server {
	t.Helper()
	setPasswords(t)
	dir := t.TempDir()
	permissions, err := os.ReadFile("permissions.conf")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "permissions.conf"), permissions, 0o600))
	conf := filepath.Join(dir, "server.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "listen: \"127.0.0.1:-1\"\njetstream { store_dir: %q }\ninclude ./permissions.conf\n", filepath.Join(dir, "js")), 0o600))
	return run(t, conf)
}

func run(t *testing.T, conf string) *server.Server {
	t.Helper()
	opts, err := server.ProcessConfigFile(conf)
	require.NoError(t, err)
	opts.NoSigs, opts.NoLog = true, true
	srv, err := server.NewServer(opts)
	require.NoError(t, err)
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	require.True(t, srv.ReadyForConnections(time.Minute))
	return srv
}

func open(t *testing.T, srv *server.Server, user string) *nats.Log {
	t.Helper()
	log, err := nats.Open(t.Context(), nats.Config{URL: srv.ClientURL(), User: user, Password: "secret-of-" + user, Logger: quiet, ConnectWait: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func event(t *testing.T, id, typ, subject string, payload any) events.Event {
	t.Helper()
	data, err := json.Marshal(payload)
	require.NoError(t, err)
	return events.Event{ID: id, Source: "/test", Type: typ, Subject: subject, Time: time.UnixMilli(1_700_000_000_000).UTC(), Data: data}
}

const general = events.ChannelID("ch_general")

// Every service does through infra/nats what it does in production, with
// partitions too.
func TestEachServiceMayDoItsJob(t *testing.T) {
	for _, partitions := range []int{1, 8} {
		t.Run(fmt.Sprint(partitions), func(t *testing.T) { eachServiceMayDoItsJob(t, partitions) })
	}
}

func eachServiceMayDoItsJob(t *testing.T, partitions int) {
	srv := start(t)
	operator := open(t, srv, "operator") // makes the streams
	ctx := t.Context()
	require.NoError(t, operator.Repartition(ctx, partitions))
	publish := func(log *nats.Log, id, subject string) {
		t.Helper()
		_, err := log.Publish(ctx, event(t, id, events.TypeMessageSent, subject, "x"))
		require.NoError(t, err)
	}
	publish(operator, "evt_c", events.ChannelSubject(general))
	publish(operator, "evt_m", events.MemberSubject(general, "ann"))
	publish(operator, "evt_1", events.MessageSubject(general))
	for stream, consumers := range map[string][]string{
		events.StreamMessages: {events.ConsumerMessages, events.ConsumerSearch}, events.StreamMetadata: {events.ConsumerMetadata},
	} {
		for _, name := range consumers {
			_, err := operator.Consumer(ctx, nats.ConsumerConfig{Stream: stream, Name: name})
			require.NoError(t, err)
		}
	}

	metadata := func(log *nats.Log) {
		t.Helper()
		_, err := log.Last(ctx, events.MemberSubject(general, "ann"))
		require.NoError(t, err)
		_, err = log.Last(ctx, events.MemberSubject(general, "nobody"))
		require.ErrorIs(t, err, events.ErrNotFound)
		_, err = log.LastConfirmed(ctx, events.ChannelSubject(general))
		require.NoError(t, err)
		of, err := log.LastOf(ctx, []string{events.ChannelSubject(general), events.MemberSubject(general, "ann")})
		require.NoError(t, err)
		require.Len(t, of, 2)
		_, err = log.Tail(ctx, events.MembershipsOf("ann"), 1, 10)
		require.NoError(t, err)
		require.NoError(t, log.Ping(ctx))
	}
	messages := func(log *nats.Log) {
		t.Helper()
		_, err := log.BySequence(ctx, events.StreamMessages, 1)
		require.NoError(t, err)
		_, err = log.Tail(ctx, events.MessagesOf(general), 1, 10)
		require.NoError(t, err)
	}
	position := func(log *nats.Log, stream, consumer string) {
		t.Helper()
		_, last, err := log.Position(ctx, stream, consumer)
		require.NoError(t, err)
		require.NotZero(t, last)
	}
	view := func(log *nats.Log) {
		t.Helper()
		_, revision, err := log.ReadView(ctx, "messages")
		require.NoError(t, err)
		require.NotZero(t, revision)
		_, err = log.Epoch(ctx)
		require.NoError(t, err)
	}
	_, err := operator.WriteView(ctx, "messages", []byte("{}"), 0)
	require.NoError(t, err)
	source := func(stream, consumer string) func(*nats.Log) {
		return func(log *nats.Log) {
			t.Helper()
			for _, filters := range [][]string{nil, {"messages.send.>"}} {
				if stream == events.StreamMetadata {
					filters = nil
				}
				c, err := log.Consumer(ctx, nats.ConsumerConfig{Stream: stream, Name: consumer, Filters: filters})
				require.NoError(t, err)
				ds, err := c.Fetch(ctx, 1, time.Minute)
				require.NoError(t, err)
				if len(ds) > 0 { // the second time it may have been acknowledged
					require.NoError(t, ds[0].InProgress())
					require.NoError(t, log.PublishDead(ctx, ds[0], nats.DeadReason{Reason: "test"}))
					require.NoError(t, ds[0].Terminate("test"))
				}
				c.Close()
			}
			require.Eventually(t, func() bool {
				applied, err := operator.Applied(ctx, stream, consumer)
				return err == nil && applied > 0
			}, time.Minute, 10*time.Millisecond, "the server has the acknowledgement")
		}
	}
	delivery := func(log *nats.Log) {
		t.Helper()
		for stream, filters := range map[string][]string{
			events.StreamMessages: {"messages.send.ch_general", "messages.send.ch_other"},
			events.StreamMetadata: {"channels.*", "members.*.*"},
		} {
			for _, f := range [][]string{nil, filters[:1], filters} {
				n := 0
				require.NoError(t, log.Range(ctx, stream, f, 1, 1000, func(events.Event) error { n++; return nil }))
				require.NotZero(t, n)
				follow, stop := context.WithCancel(ctx)
				require.NoError(t, log.Follow(follow, stream, f, 1, nil, func([]events.Event) error { stop(); return nil }))
				stop()
			}
		}
		_, err := log.LastBefore(ctx, []string{events.MessageSubject(general)}, 100)
		require.NoError(t, err)
		_, err = log.Epoch(ctx)
		require.NoError(t, err)
	}

	random := make([]byte, 5<<20) // more than the server sends without asking whether it comes through
	_, _ = rand.Read(random)
	segments := func(log *nats.Log) *nats.Objects {
		t.Helper()
		bucket, err := log.Objects(ctx, "segments", 1)
		require.NoError(t, err)
		got, err := bucket.Get(ctx, "MESSAGES/1", 0, -1)
		require.NoError(t, err)
		require.True(t, bytes.Equal(random, got))
		n := 0
		require.NoError(t, bucket.List(ctx, "MESSAGES/", func(string, int64) error { n++; return nil }))
		require.Equal(t, 1, n)
		return bucket
	}
	bucket, err := operator.Objects(ctx, "segments", 1)
	require.NoError(t, err)
	require.NoError(t, bucket.Put(ctx, "MESSAGES/1", random))

	cutOffs := func(log *nats.Log) {
		t.Helper()
		follow, stop := context.WithCancel(ctx)
		defer stop()
		require.NoError(t, log.FollowSince(follow, events.StreamCutOffs, nil, time.Now().Add(-time.Hour), nil, func([]events.Event) error { stop(); return nil }))
	}
	publish(operator, "evt_x", "cutoffs.user.ann")
	fanout := open(t, srv, "fanout")
	jobs := map[string]func(*nats.Log){
		"createchannel": func(log *nats.Log) {
			_, err := log.PublishExpecting(ctx, event(t, "evt_c2", events.TypeChannelCreated, events.ChannelSubject("ch_new"), "x"), 0)
			require.NoError(t, err)
			publish(log, "evt_m2", events.MemberSubject("ch_new", "ann"))
			metadata(log)
		},
		"joinchannel": func(log *nats.Log) { publish(log, "evt_j", events.MemberSubject(general, "bob")); metadata(log) },
		"addmembers":  func(log *nats.Log) { publish(log, "evt_a", events.MemberSubject(general, "x y")); metadata(log) },
		"leavechannel": func(log *nats.Log) {
			publish(log, "evt_l", events.MemberSubject(general, "bob"))
			metadata(log)
		},
		"messagewriter":  func(log *nats.Log) { view(log); position(log, events.StreamMessages, events.ConsumerMessages) },
		"searchwriter":   func(log *nats.Log) { view(log); position(log, events.StreamMessages, events.ConsumerSearch) },
		"metadatawriter": func(log *nats.Log) { view(log); position(log, events.StreamMetadata, events.ConsumerMetadata) },
		"sendmessage": func(log *nats.Log) {
			view(log)
			publish(log, "evt_2", events.MessageSubject(general))
			metadata(log)
			messages(log)
			position(log, events.StreamMessages, events.ConsumerMessages)
		},
		"sendmessages": func(log *nats.Log) {
			view(log)
			_, errs := log.PublishAll(ctx, []events.Event{event(t, "evt_3", events.TypeMessageSent, events.MessageSubject(general), "x")}, nil)
			require.NoError(t, errs[0])
			metadata(log)
			messages(log)
			position(log, events.StreamMessages, events.ConsumerMessages)
		},
		"listchannels": func(log *nats.Log) {
			view(log)
			metadata(log)
			position(log, events.StreamMetadata, events.ConsumerMetadata)
		},
		"channelhistory": func(log *nats.Log) {
			view(log)
			metadata(log)
			messages(log)
			position(log, events.StreamMessages, events.ConsumerMessages)
		},
		"searchmessages": func(log *nats.Log) {
			view(log)
			metadata(log)
			messages(log)
			position(log, events.StreamMessages, events.ConsumerSearch)
			position(log, events.StreamMetadata, events.ConsumerMetadata)
		},
		"source-message-writer":  source(events.StreamMessages, events.ConsumerMessages),
		"source-search-writer":   source(events.StreamMessages, events.ConsumerSearch),
		"source-metadata-writer": source(events.StreamMetadata, events.ConsumerMetadata),
		"notification": func(log *nats.Log) {
			delivery(log)
			long := make([]byte, 1<<20) // two parts
			require.NoError(t, log.WriteSnapshot(ctx, "memberships of ann", long))
			snapshot, err := log.ReadSnapshot(ctx, "memberships of ann")
			require.NoError(t, err)
			require.Len(t, snapshot, len(long))
			segments(log)
			bus := log.Bus()
			got := make(chan string, 1)
			_, err = bus.Subscribe("notify.me", "", func(m nats.BusMessage) { got <- string(m.Data) })
			require.NoError(t, err)
			require.NoError(t, bus.Flush(ctx))
			for _, subject := range []string{"fanout.attach", "fanout.one.interest"} {
				answer, err := bus.Request(ctx, subject, []byte("?"))
				require.NoError(t, err)
				require.Equal(t, "yes", string(answer))
			}
			require.NoError(t, fanout.Bus().Publish("notify.me", []byte("frame")))
			select {
			case frame := <-got:
				require.Equal(t, "frame", frame)
			case <-time.After(time.Minute):
				require.Fail(t, "no frame came")
			}
		},
		"fanout": delivery,
		"identity": func(log *nats.Log) {
			publish(log, "evt_x2", "cutoffs.session.1")
			n := 0
			require.NoError(t, log.Range(ctx, events.StreamCutOffs, nil, 1, 1000, func(events.Event) error { n++; return nil }))
			require.NotZero(t, n)
		},
		"archiver": func(log *nats.Log) {
			for _, stream := range []string{events.StreamMetadata, events.StreamMessages} {
				require.NoError(t, log.KeepID(ctx, stream))
				n := 0
				require.NoError(t, log.Copy(ctx, stream, 1, 1000, func(uint64, time.Time, string, map[string][]string, []byte) error { n++; return nil }))
				require.NotZero(t, n)
			}
			state, err := log.State(ctx, events.StreamMessages)
			require.NoError(t, err)
			_, err = log.LastBefore(ctx, []string{events.MessageSubject(general), events.ChannelSubject(general)}, 100)
			require.NoError(t, err)
			upTo, _, err := log.Settled(ctx, events.StreamMessages, events.ConsumerMessages, events.ConsumerSearch)
			require.NoError(t, err)
			require.NotZero(t, upTo)
			require.NoError(t, log.NoteArchived(ctx, events.StreamMessages, state.ID, map[string]uint64{events.MessageSubject(general): 1}, 1))
			noted, err := log.Noted(ctx, events.StreamMessages, state.ID)
			require.NoError(t, err)
			require.EqualValues(t, 1, noted)
			require.NoError(t, log.Trim(ctx, events.StreamMessages, state.ID, 1))
			first, err := log.FirstSequence(ctx, events.StreamMessages)
			require.NoError(t, err)
			require.EqualValues(t, 2, first)
			_, err = log.LastBefore(ctx, []string{events.MessageSubject("ch_gone")}, 100)
			require.NoError(t, err, "it reads the notes")
			bucket := segments(log)
			require.NoError(t, bucket.Put(ctx, "MESSAGES/1", random), "once more")
			require.NoError(t, bucket.Put(ctx, "MESSAGES/2", random[:100]))
			_, err = bucket.Get(ctx, "MESSAGES/none", 0, -1)
			require.ErrorIs(t, err, events.ErrNotFound)
		},
	}
	for subject, queue := range map[string]string{"fanout.attach": "fanout", "fanout.one.interest": ""} {
		_, err := fanout.Bus().Subscribe(subject, queue, func(m nats.BusMessage) { assert.NoError(t, m.Respond([]byte("yes"))) })
		require.NoError(t, err)
	}
	require.NoError(t, fanout.Bus().Flush(ctx))
	for _, user := range users {
		if job, ok := jobs[user]; ok {
			log := open(t, srv, user)
			job(log)
			if user != "fanout" && user != "archiver" && !strings.HasPrefix(user, "source-") && !strings.HasSuffix(user, "writer") {
				cutOffs(log)
			}
		} else {
			require.Contains(t, []string{"sys", "operator"}, user, "every service is tried")
		}
	}
	last, err := operator.LastSequence(ctx, events.StreamDeadLetters)
	require.NoError(t, err)
	require.NotZero(t, last)
}

// What each may publish of a list that covers everybody's; all else is denied.
func TestNobodyMayDoAnothersJob(t *testing.T) {
	srv := start(t)
	open(t, srv, "operator")
	messages, members, channels := "messages.send.ch_a", "members.ch_a.ann", "channels.ch_a"
	readMetadata := []string{"$JS.API.DIRECT.GET.METADATA", "$JS.API.DIRECT.GET.METADATA.members.ch_a.ann", "$JS.API.STREAM.MSG.GET.METADATA"}
	readMessages := []string{"$JS.API.DIRECT.GET.MESSAGES", "$JS.API.DIRECT.GET.MESSAGES.messages.send.ch_a", "$JS.API.STREAM.MSG.GET.MESSAGES"}
	consumer := func(stream, name string) []string {
		return []string{
			"dead." + name, "$JS.API.CONSUMER.CREATE." + stream + "." + name, "$JS.API.CONSUMER.CREATE." + stream + "." + name + ".messages.>",
			"$JS.API.CONSUMER.INFO." + stream + "." + name, "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + name,
			"$JS.ACK." + stream + "." + name + ".1.1.1.1.1", "$JS.ACK.hub.hash." + stream + "." + name + ".1.1.1.1.1.x",
		}
	}
	messageWriter, searchWriter, metadataWriter := consumer("MESSAGES", "message-writer"), consumer("MESSAGES", "search-writer"), consumer("METADATA", "metadata-writer")
	for p := range 8 {
		messageWriter = append(messageWriter, consumer("MESSAGES", fmt.Sprint("message-writer-", p))[1:]...)
		searchWriter = append(searchWriter, consumer("MESSAGES", fmt.Sprint("search-writer-", p))[1:]...)
	}
	info := func(of []string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(s string) bool { return !strings.HasPrefix(s, "$JS.API.CONSUMER.INFO.") })
	}
	messagesInfo := slices.Concat(info(messageWriter), info(searchWriter))
	cutOffs := []string{"$JS.API.CONSUMER.CREATE.CUTOFFS.ordered_x", "$JS.API.CONSUMER.MSG.NEXT.CUTOFFS.ordered_x", "$JS.API.CONSUMER.DELETE.CUTOFFS.ordered_x"}
	readView := []string{"$JS.API.STREAM.MSG.GET.VIEWS"}
	follow := []string{
		"$JS.API.CONSUMER.CREATE.MESSAGES.ordered_x", "$JS.API.CONSUMER.CREATE.MESSAGES.ordered_x.messages.send.ch_a",
		"$JS.API.CONSUMER.CREATE.METADATA.ordered_x", "$JS.API.CONSUMER.MSG.NEXT.MESSAGES.ordered_x", "$JS.API.CONSUMER.MSG.NEXT.METADATA.ordered_x",
		"$JS.API.CONSUMER.DELETE.MESSAGES.ordered_x", "$JS.API.CONSUMER.DELETE.METADATA.ordered_x",
	}
	readBucket := []string{
		"$JS.API.CONSUMER.CREATE.OBJ_segments.x", "$JS.API.CONSUMER.CREATE.OBJ_segments.x.$O.segments.C.y", "$JS.API.CONSUMER.DELETE.OBJ_segments.x",
		"$JS.FC.OBJ_segments.x.y", "$JS.API.DIRECT.GET.OBJ_segments.$O.segments.M.y",
	}
	directAll := []string{"$JS.API.DIRECT.GET.ARCHIVED", "$JS.API.DIRECT.GET.OBJ_segments.$O.segments.M.y"}
	nobodys := []string{
		"users.ann", "messages.delete.ch_a", "notify", "other", "$SYS.REQ.SERVER.PING", "_INBOX_sendmessage.x", "_INBOX.x",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.CREATE.MESSAGES", "$JS.API.STREAM.UPDATE.MESSAGES", "$JS.API.STREAM.DELETE.MESSAGES",
		"$JS.API.STREAM.MSG.DELETE.MESSAGES", "$JS.API.STREAM.SNAPSHOT.MESSAGES", "$JS.API.STREAM.RESTORE.MESSAGES",
		"$JS.API.STREAM.DELETE.METADATA", "$JS.API.STREAM.PURGE.METADATA", "$JS.API.STREAM.DELETE.DEADLETTERS", "$JS.API.STREAM.MSG.GET.DEADLETTERS",
		"$JS.API.CONSUMER.DELETE.MESSAGES.message-writer", "$JS.API.CONSUMER.DELETE.MESSAGES.message-writer-7", "0.send.ch_a", "$JS.API.CONSUMER.DELETE.MESSAGES.search-writer", "$JS.API.CONSUMER.DELETE.METADATA.metadata-writer",
		"$JS.API.CONSUMER.DURABLE.CREATE.MESSAGES.message-writer", "$JS.API.CONSUMER.PAUSE.MESSAGES.message-writer", "$JS.API.CONSUMER.LEADER.STEPDOWN.MESSAGES.message-writer",
		"$JS.API.CONSUMER.CREATE.DEADLETTERS.ordered_x",
		"$JS.API.STREAM.PURGE.CUTOFFS", "$JS.API.STREAM.DELETE.CUTOFFS", "$JS.API.STREAM.MSG.DELETE.CUTOFFS",
		"views.messages", "$JS.API.STREAM.PURGE.VIEWS", "snapshots.x", "$JS.API.STREAM.PURGE.SNAPSHOTS",
		"$JS.API.STREAM.UPDATE.METADATA", "$JS.API.STREAM.CREATE.ARCHIVED", "$JS.API.STREAM.PURGE.ARCHIVED", "$JS.API.STREAM.CREATE.OBJ_segments",
		"$JS.API.STREAM.DELETE.OBJ_segments", "$O.other.C.x", "$JS.API.STREAM.PURGE.OBJ_other", "$JS.FC.MESSAGES.x.y",
	}
	may := map[string][]string{
		"createchannel":          slices.Concat([]string{channels, members}, readMetadata, cutOffs),
		"joinchannel":            slices.Concat([]string{members}, readMetadata, cutOffs),
		"addmembers":             slices.Concat([]string{members}, readMetadata, cutOffs),
		"leavechannel":           slices.Concat([]string{members}, readMetadata, cutOffs),
		"sendmessage":            slices.Concat([]string{messages}, readView, readMetadata, readMessages, messagesInfo, cutOffs),
		"sendmessages":           slices.Concat([]string{messages}, readView, readMetadata, readMessages, messagesInfo, cutOffs),
		"listchannels":           slices.Concat(readView, readMetadata, info(metadataWriter), cutOffs),
		"channelhistory":         slices.Concat(readView, readMetadata, readMessages, messagesInfo, cutOffs),
		"searchmessages":         slices.Concat(readView, readMetadata, readMessages, messagesInfo, info(metadataWriter), cutOffs),
		"identity":               slices.Concat([]string{"cutoffs.user.ann", "cutoffs.everyone", "$JS.API.DIRECT.GET.CUTOFFS", "$JS.API.STREAM.MSG.GET.CUTOFFS"}, cutOffs),
		"messagewriter":          slices.Concat(readView, readMessages[2:], messagesInfo),
		"searchwriter":           slices.Concat(readView, readMessages[2:], messagesInfo),
		"metadatawriter":         slices.Concat(readView, readMetadata[2:], info(metadataWriter)),
		"source-message-writer":  messageWriter,
		"source-search-writer":   searchWriter,
		"source-metadata-writer": metadataWriter,
		"fanout":                 slices.Concat([]string{"$JS.API.DIRECT.GET.CUTOFFS", "notify.x"}, readMetadata, readMessages, follow, directAll),
		"notification":           slices.Concat([]string{"$JS.API.DIRECT.GET.CUTOFFS", "fanout.attach", "fanout.one.interest", "snapshots.x.0"}, readMetadata, readMessages, follow, cutOffs, directAll, readBucket),
		"archiver": slices.Concat([]string{
			"archived.MESSAGES", "archived.messages.send.ch_a", "$JS.API.STREAM.PURGE.MESSAGES", "$JS.API.CONSUMER.LIST.MESSAGES",
			"$JS.API.DIRECT.GET.METADATA", "$JS.API.STREAM.MSG.GET.METADATA", "$JS.API.DIRECT.GET.MESSAGES", "$JS.API.STREAM.MSG.GET.MESSAGES", "$JS.API.DIRECT.GET.ARCHIVED",
			"$O.segments.C.x", "$O.segments.M.y", "$JS.API.STREAM.PURGE.OBJ_segments",
		}, info(messageWriter), info(searchWriter), readBucket),
	}
	all := slices.Clone(nobodys)
	for _, of := range may {
		all = append(all, of...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for user, subjects := range may {
		t.Run(user, func(t *testing.T) {
			nc := connect(t, srv, user)
			for _, subject := range all {
				require.NoError(t, nc.Publish(subject, nil))
				require.NoError(t, nc.Flush())
				require.Equal(t, slices.Contains(subjects, subject), !refused(nc, subject), "publish to %s", subject)
			}
			hears := []string{"_INBOX_" + user + ".>"}
			switch user {
			case "fanout":
				hears = append(hears, "fanout.one.interest")
			case "notification":
				hears = append(hears, "notify.me")
			}
			for _, subject := range []string{
				">", "messages.>", "members.>", "dead.>", "notify.me", "fanout.attach", "fanout.one.interest", "_INBOX.>", "$SYS.>", "$JS.EVENT.>",
				"_INBOX_" + user + ".>", "_INBOX_operator.>", "_INBOX_sendmessage.x", "_INBOX_fanout.x",
			} {
				if strings.HasPrefix(subject, "_INBOX_"+user+".") && !slices.Contains(hears, subject) {
					continue // its own
				}
				_, err := nc.SubscribeSync(subject)
				require.NoError(t, err)
				require.NoError(t, nc.Flush())
				require.Equal(t, slices.Contains(hears, subject), !refused(nc, subject), "subscribe to %s", subject)
			}
		})
	}
	t.Run("fan-outs answer with a queue group only", func(t *testing.T) {
		nc := connect(t, srv, "fanout")
		_, err := nc.QueueSubscribeSync("fanout.attach", "fanout")
		require.NoError(t, err)
		require.NoError(t, nc.Flush())
		require.NoError(t, nc.LastError())
	})
	t.Run("the wrong password", func(t *testing.T) {
		_, err := natsgo.Connect(srv.ClientURL(), natsgo.UserInfo("sendmessage", "secret-of-operator"))
		require.ErrorIs(t, err, natsgo.ErrAuthorization)
		_, err = natsgo.Connect(srv.ClientURL())
		require.ErrorIs(t, err, natsgo.ErrAuthorization)
		_, err = nats.Open(t.Context(), nats.Config{URL: srv.ClientURL(), User: "sendmessage", Password: "x", Logger: quiet})
		require.ErrorContains(t, err, "Authorization")
	})
}

// Whoever sets up the servers reads there which passwords are wanted, and for whom.
func TestEveryUserIsDescribed(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, user := range users {
		require.Contains(t, string(readme), "`"+user+"`")
	}
}

func connect(t *testing.T, srv *server.Server, user string) *natsgo.Conn {
	t.Helper()
	nc, err := natsgo.Connect(srv.ClientURL(), natsgo.UserInfo(user, "secret-of-"+user), natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// refused tells whether the server's last word was that the subject is not
// permitted. It speaks before it answers a flush.
func refused(nc *natsgo.Conn, subject string) bool {
	err := nc.LastError()
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "permissions violation") && strings.Contains(err.Error(), `"`+subject+`"`)
}
