// Package admin reads from Keycloak what cuts tokens off: users who were
// disabled, deleted or logged out, sessions that ended, roles that were taken
// away. It asks the admin API for the realm's admin events and user events with
// a service account of the roles view-events and view-users (client chat-watcher
// of infra/keycloak/realm).
//
// The realm has to keep both kinds of events, admin events with their
// representation; the first call says what is missing. What is kept no longer
// cannot be read: the realm's expirations have to outlast a watcher's absence.
//
// A [Client] is for one goroutine at a time. Requests take milliseconds, end
// within ten seconds, and are two for each call where nothing happened.
package admin
