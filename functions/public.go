package functions

import (
	"time"

	"github.com/chat-platform/chat/functions/command/addmembers"
	"github.com/chat-platform/chat/functions/command/createchannel"
	"github.com/chat-platform/chat/functions/command/joinchannel"
	"github.com/chat-platform/chat/functions/command/leavechannel"
	"github.com/chat-platform/chat/functions/command/sendmessage"
	"github.com/chat-platform/chat/functions/command/sendmessages"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/query/channelhistory"
	"github.com/chat-platform/chat/functions/query/listchannels"
	"github.com/chat-platform/chat/functions/query/searchmessages"
)

// Log is what commands and queries need of the log.
type Log interface {
	addmembers.Log
	channelhistory.Log
	createchannel.Log
	joinchannel.Log
	leavechannel.Log
	sendmessage.Log
	sendmessages.Log
	idempotency.Log
	membership.Log
	listchannels.Log
	// DedupWindow is for how long the log knows an event's id.
	DedupWindow() time.Duration
	// Restored is when the log was restored from a backup, zero if it was not.
	Restored() time.Time
}

// Messages is the message view's read side.
type Messages interface {
	channelhistory.View
	idempotency.View
}

// Metadata is the metadata view's read side.
type Metadata interface{ listchannels.View }

// Index is the search view's read side.
type Index interface{ searchmessages.Index }

// Deps is what commands and queries are made of. They have no way to write a
// view.
type Deps struct {
	Log      Log
	Messages Messages
	Metadata Metadata
	Index    Index
	Pages    *Pages // keeps channels' latest pages; nothing does if nil
	Serving
}

// Public makes all commands and queries.
func Public(d Deps) []*Function {
	members := membership.New(d.Log) // one, so that who leaves is forgotten by all
	originals := idempotency.New(d.Log, d.Messages, d.Log.DedupWindow()).Restored(d.Log.Restored())

	create := createchannel.New(d.Log)
	join := joinchannel.New(d.Log)
	add := addmembers.New(d.Log, members)
	leave := leavechannel.New(d.Log, members)
	send := sendmessage.New(d.Log, members, originals)
	sendAll := sendmessages.New(d.Log, members, originals)
	list := listchannels.New(d.Log, d.Metadata)
	history := channelhistory.New(d.Log, members, d.Messages, d.Pages)
	search := searchmessages.New(d.Log, members, d.Metadata, d.Index)
	return []*Function{
		frontdoor.Command(createchannel.Spec, create.Handle, d.options(create)...),
		frontdoor.Command(joinchannel.Spec, join.Handle, d.options(join)...),
		frontdoor.Command(addmembers.Spec, add.Handle, d.options(add)...),
		frontdoor.Command(leavechannel.Spec, leave.Handle, d.options(leave)...),
		frontdoor.Command(sendmessage.Spec, send.Handle, d.options(send)...),
		frontdoor.Command(sendmessages.Spec, sendAll.Handle, d.options(sendAll)...),
		frontdoor.Command(listchannels.Spec, list.Handle, d.options(list)...),
		frontdoor.Command(channelhistory.Spec, history.Handle, d.options(history)...),
		frontdoor.Command(searchmessages.Spec, search.Handle, d.options(search)...),
	}
}
