// Package redis keeps in Redis or Valkey what processes share but could do
// without: rate limits ([Store]) and a cache ([Cache]).
//
// Rate limits are kept so that all processes count together: GCRA in one script, atomic, by the server's clock, one round
// trip a call. A bucket is one key that expires once it says nothing any more.
//
// An outage never breaks a call and hardly slows one. A call that gets no answer
// within Config.Timeout is judged by buckets of this process; after three such
// calls in a row all calls are, at once, so that limits hold per process
// meanwhile. One probe in the background looks, with back-off, whether Redis
// takes writes again (a server that comes and goes is left alone for up to half a
// minute); then calls come back to it one more at a time, and it is not trampled.
// Each change of state is logged once. Redis is therefore no part of anybody's
// readiness.
//
// The cache goes without Redis by the same rules: nobody finds anything then.
// Values have versions, and what is not of the version asked for is not there; of
// those who miss one at the same time one process is told to make it.
//
// What Redis has forgotten after a crash is to the users' favour.
package redis
