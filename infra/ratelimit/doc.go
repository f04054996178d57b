// Package ratelimit says how often a user may call a route.
//
// In: who calls what, at which cost in units. Out: an [events.Allowance], which
// tells the truth about what is left. The method is GCRA: a user has a quota of
// units for each route, all of it to begin with, and gets them back one by one at
// an even rate. So a burst passes, and what lasts is bounded.
//
// A call that costs more than the whole quota passes when nothing is missing,
// and leaves a debt: a large batch is never refused for ever, and the rate
// holds all the same.
//
// [Limits] is the configuration, [Limiter] applies it. Where the quotas are kept
// is a [Buckets]: [Local] for one process, infra/redis for all of them. The suite
// in ratelimittest judges both.
package ratelimit
