// Package link is the contract between fan-out and notification: what crosses
// core NATS between a fan-out and the instances that are attached to it, byte by
// byte, and what both sides may rely on.
//
// # Subjects
//
//	notify.<instance>      fan-out → instance   frames; the instance subscribes before it attaches
//	fanout.attach          instance → a fan-out request, queue group "fanout": any fan-out with a free slot answers
//	fanout.<id>.interest   instance → fan-out   requests: Interest (without keys it is the heartbeat), Detach
//
// Instances and fan-outs are subscribed, channels and users never are.
//
// # A link
//
// A link is one instance on one fan-out, from an attach to its end. The instance
// makes up its id ([NewLinkID]), a new one for every try, so that it knows a frame
// of its link even if that comes before the answer to the attach.
//
//	           Attach (new id), answer OK: positions A
//	detached ────────────────────────────────────────────▶ attached: expects frame 1
//	    ▲                                                     │  frame n = expected: deliver, expect n+1
//	    │                                                     │  frame of another link: ignore
//	    └──────────────── broken ◀────────────────────────────┘
//	       a hole or a repetition in the numbers · no frame for SilenceAfter ·
//	       a frame with Last set · StatusUnknown to a request · no answer
//
// Frames of a link are numbered 1, 2, 3 … in the order in which they are sent. A
// frame without events, the tick, goes out every [TickEvery], and before the answer
// to an Interest that adds keys, so that an instance need not wait to be where that
// answer says. Broken means: attach again with a new id, to whichever fan-out
// answers, announce all keys again, and read from the log what lies between the last
// position delivered and the positions answered to the interest. [Tracker] is this
// machine in code.
//
// The instance sends an Interest, with or without keys, at least every
// [HeartbeatEvery]; a fan-out that hears nothing for [DeadAfter] ends the link. An
// attach of an instance also ends the link which that instance had there before.
//
// # Positions
//
// A position is a sequence of a stream, [Positions] is one for each. In a frame
// they say: every event of this link up to them is in this frame or an earlier
// one. In the answer to an Interest they say: every event of the added keys with a
// greater sequence will come on the link, once and in the stream's order; the ones
// up to them are for the instance to read from the log. An event at or below them
// may come too (where another key called for it), so whoever replays up to a
// position drops what the link brings at or below it. Removed keys may bring a few
// more events after the answer; the instance looks its own sockets up anyway.
//
// Within one frame and from frame to frame the events of one stream ascend; the two
// streams have no order between them.
//
// # Bytes
//
// Everything is big-endian, begins with a letter for the kind and a version, and is
// length-checked: a malformed input gives [ErrMalformed], never a panic, and
// allocates no more than a small multiple of its own size. Decoded event data alias
// the input, which must therefore not be written to afterwards; identities and
// attributes are copies.
package link
