// Package redis keeps rate limits in Redis or Valkey, so that all processes
// count together: GCRA in one script, atomic, by the server's clock, one round
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
// What Redis has forgotten after a crash is to the users' favour.
package redis
