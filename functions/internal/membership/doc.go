// Package membership answers "may this user act in this channel?" from the log
// itself: the last event of members.<channel>.<user>. So a join counts from its
// acknowledgement on, and no view needs to have seen it.
//
// A user who may not act gets [events.ErrChannelNotFound] where the channel does
// not exist and [events.ErrNotMember] where it does, a private one too: that a
// channel id is taken is no secret (creating it would tell as well), only what
// the channel holds is.
//
// Positive answers are kept for a second, so that a member who leaves through
// another process may act for at most that long; one who leaves through this
// process is forgotten at once ([Members.Forget]). Refusals are never kept: who
// was refused and joins is let in. At most 65,536 answers are kept. A burst of
// questions about one membership asks the log once.
package membership
