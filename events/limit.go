package events

import "time"

// Allowance is what a rate limit says about one call.
type Allowance struct {
	Limit      string        // the limit's name, like "send"; empty: nothing limits the call
	Allowed    bool          // whether the call may go on
	Quota      int           // units that may be used at once; a call costs one or more
	Window     time.Duration // in which an empty quota is full again: Quota/Window is the lasting rate
	Remaining  int           // units that are left
	Reset      time.Duration // until there is one more; 0 where none is missing
	RetryAfter time.Duration // until the same call would be allowed; 0 if it is
}
