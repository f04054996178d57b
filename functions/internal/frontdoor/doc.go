// Package frontdoor is the function runtime: it turns a handler into HTTP
// endpoints and keeps the promises that all functions share.
//
// A command or query has a REST route and a CloudEvents route, both with a
// verified bearer token; a writer has a CloudEvents route only and belongs on an
// internal listener. Every request ends in exactly one answer: the handler's, or
// a problem (RFC 9457) with a stable code and the request's id. Bad input never
// reaches a handler half-read, a panic is a 500, and what goes wrong inside is
// logged, not told.
//
// Each event is received inline, on its request's own goroutine, so that clients
// that give up cannot wedge the server as they do with the SDK's receiver.
//
// Bounded: body size, headers, requests in flight and time per request, each
// from the [Spec]. More requests than allowed get a 503 with Retry-After at
// once; nothing queues here. Nothing is retried here either: the status tells
// the client or the source what to do, see [StatusOf].
//
// Order and duplicates are the handler's business. A batch is handed to a writer
// whole and in its order; a batch of commands runs one after the other.
package frontdoor
