// Package events is the contract of the platform: what is written to the log,
// under which subject, by whom, for whom and in which order. It does no I/O and
// imports nothing of this module, so that every other package may import it.
//
//	type                    stream    subject                   payload         producer       consumers                               order
//	chat.message.sent.v1    MESSAGES  messages.send.<channel>   MessageSent     sendmessage*   message writer, search writer, fan-out  the stream's, per channel
//	chat.channel.created.v1 METADATA  channels.<channel>        ChannelCreated  createchannel  metadata writer, fan-out                the stream's, per channel
//	chat.member.joined.v1   METADATA  members.<channel>.<user>  MemberJoined    createchannel, metadata writer, fan-out                the stream's, per channel
//	                                                                            joinchannel,
//	                                                                            addmembers
//	chat.member.left.v1     METADATA  members.<channel>.<user>  MemberLeft      leavechannel   metadata writer, fan-out                the stream's, per channel
//	chat.user.cutoff.v1     CUTOFFS   cutoffs.user.<user>,      UserCutOff      identity,       every front door, notification          none
//	                                  cutoffs.session.<session>,                development
//	                                  cutoffs.everyone                          issuer
//	(any, refused)          DEADLETTERS  dead.<consumer>        as it came      source         people: list, show, redrive, discard    none
//
// * sendmessage and sendmessages (the batch endpoint).
//
// An event's ID is its publish de-duplication key and the key under which
// views write it; its stream sequence decides who wins. A reader may therefore
// see an event twice or late, and ends at the same state.
//
// Events are read for ever (docs/adr/0012): the log, and its archived segments,
// hold what was written years ago, and every view can be rebuilt from it. So
// what is in testdata, stored events of every type and version, is never changed
// and always decodes to the same record. Within a version a payload may get
// another optional field, whose absence means what it meant before; readers pass
// over fields that they do not know, of the payload and of the CloudEvent alike.
// Anything else (a field that goes, is renamed, required or means something new,
// another value where values are listed, as with roles) is a new version of the
// type with a payload of its own, and the old one stays readable.
//
// Inside a subject an identity is written with [Token], so that a user may be
// called "a.b" or "x y" without becoming two tokens.
package events
