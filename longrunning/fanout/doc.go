// Package fanout reads the log and sends each event to the notification instances
// whose users it is for: to instances, never to users (I3).
//
// What goes in are the streams MESSAGES and METADATA, from the moment at which the
// service began. What comes out is one NATS message per instance and batch, on
// "notify.<instance>", in the form that longrunning/internal/link describes; the
// instances say which keys (channels, users) they want. An event goes to the
// instances that announced its channel, a joined or left member also to those that
// announced the user.
//
//   - Order: a link brings the events of each stream in the log's order, once.
//   - No gap: an answered interest names a position; every event of the key after
//     it comes on the link. This is exact because a batch is routed and keys are
//     changed under one lock.
//   - No silence: whenever something could not be sent (connection lost, event too
//     large, log replaced) the link's numbers show a hole or the link is ended, and
//     the instance reads from the log what it missed.
//   - Nothing is kept: a fan-out that starts knows nobody, and the instances come
//     by themselves. It holds the routing table ([Table]: about 60 bytes a key) and
//     one frame per instance being filled; it never waits for a batch to fill up.
//   - Full: a fan-out serves at most 64 instances and leaves the rest to others.
//
// It holds two NATS subscriptions and one consumer per stream, however many users
// and channels there are.
package fanout
