// Package notification is the WebSocket service: it holds the clients' sockets
// and brings every event to the sessions that it is for.
//
// In come frames from one fan-out (core NATS, see longrunning/internal/link) and
// the clients' ops; out go JSON text frames. What it promises to a session:
//
//   - Every event of its user's channels and memberships after the session's
//     position, once, each channel's messages in the log's order. Across a
//     reconnect to any instance the cursor carries on where it was, or the
//     answer says what is missing: `limited`, `limited_all`, `invalid_session`.
//     Only where a connection breaks while a channel just joined is being caught
//     up may events come again; (stream, channel_id, seq) tells them.
//   - Nothing of a channel after the event that says that its user left it.
//   - A lost link, a fan-out that died or a gap in its frames is filled from the
//     log before anything later is delivered.
//   - A session that does not keep up with a bounded queue loses its socket
//     (4001) and resumes by its cursor; nobody waits for it.
//   - A session whose user or login is cut off (Config.CutOffs) is closed (4502)
//     as soon as that is known, and does not begin again.
//
// Encoding is done once an event, not once a socket; frames that wait for the
// same socket leave in one write. An idle socket costs one goroutine that waits
// in a read, and no buffers. NATS subscriptions do not depend on users: there is
// one, for the instance's frames, besides those of log reads under way.
//
// A session that begins reads of the log what changed, not what its user is in:
// of users in many channels a snapshot of the memberships lies beside the log,
// whichever instance wrote it. In memory every channel of a user that has a socket
// here costs about 200 bytes, and nothing once the socket is gone.
//
// A [Service] owns its goroutines: Run returns once every socket is closed.
package notification
