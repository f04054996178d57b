// Package outage shows what people notice while one of the servers is away for
// a minute: next to nothing. For each server a test lets people talk on a
// platform that stands on all real servers, kills that server under the traffic,
// brings it back, and then counts: every message that was accepted was delivered
// once and in order, is in its channel's history once and in order, and is found
// by search; the views have caught up and hold exactly what was accepted, and
// nothing lies in the dead letters.
//
// There is nothing here but tests, which need the servers (build tag
// integration). docs/testing/outages.md says what they found.
package outage
