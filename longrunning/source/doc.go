// Package source carries the log's events to one sink over HTTP: pull consumer
// in, CloudEvents out.
//
// An event is acknowledged after the sink's 2xx, or after its dead letter is
// stored, and at no other time. So every event reaches the sink at least once,
// and each ends either there or in the dead letters; it may come twice, after a
// crash or a lost acknowledgement.
//
// Order: events of one channel (the partition key, else the subject) travel in
// a lane of their own. A lane is in one request at a time and its events keep
// their order, over retries too: while its head waits for another attempt, what
// is behind it waits as well, and nothing of other lanes does. Different lanes
// share a batch and run in parallel. The order is that of one Run: what a process
// held that crashed comes again after AckWait, behind later events, and of several
// processes on one consumer each keeps only its own order; where the stream has
// partitions and each process a Share of them, a channel is one process's. Sinks
// must commute anyway. With [OrderNone] every event is a lane by itself: a sink
// whose answers take long, such as an index that answers once what it was given can
// be found, is not held to one request a channel.
//
// Bounds: at most MaxPending events are held and InFlight requests made at once;
// a busy source asks for no more and the rest stays in the log. Whatever is held
// is reported in progress at half of AckWait, so a slow sink sees no duplicate
// for its slowness.
//
// What the sink's answer means:
//
//	2xx                                  acknowledge
//	400 401 403 413 415 422              dead letter
//	404 408 409 429, 5xx but 503         again later; dead letter after MaxAttempts
//	any other status                     likewise
//	503, network error, timeout          again later, for ever
//
// Of a refused batch, the culprit is found by halving; only an event that was
// refused alone becomes a dead letter. Later is exponential with full jitter, no
// sooner than Retry-After says; while nobody is there it stays below OutageCap, so
// that what waits goes on soon after the sink's return. Requests then shrink, by halves
// down to one event, and grow again with each success: a sink that is back and still
// slow gets no more than it manages. A dead letter that cannot be stored leaves the
// event to be tried again. People who have mended the sink hand it the event again
// by Redrive.
package source
