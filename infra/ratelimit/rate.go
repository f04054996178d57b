package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

// Bounds of a rate and of a call.
const (
	MaxUnits  = 1_000_000           // of a rate's count and of its burst
	MaxPer    = 24 * time.Hour      // of a rate's time
	MaxWindow = 30 * 24 * time.Hour // in which an empty quota is full again
	MaxCost   = 1000                // of one call; what costs more costs this
)

// Rate is Count units in Per, of which Burst may be used at once. Time is
// counted in whole microseconds, so a rate of many thousands a second is kept
// to a percent or so, in the caller's favour. The zero value limits nothing.
type Rate struct {
	Count int
	Per   time.Duration
	Burst int
}

var errRate = errors.New(`expected a rate like "50/1s", "50/1s burst 200", or "off"`)

// ParseRate reads "50/1s burst 200": 50 units a second, 200 at once. Without a
// burst it is the count. "off" is no limit.
func ParseRate(s string) (Rate, error) {
	fields := strings.Fields(s)
	if len(fields) == 1 && fields[0] == "off" {
		return Rate{}, nil
	}
	if len(fields) != 1 && (len(fields) != 3 || fields[1] != "burst") {
		return Rate{}, errRate
	}
	count, per, ok := strings.Cut(fields[0], "/")
	if !ok || per == "" {
		return Rate{}, errRate
	}
	if per[0] < '0' || per[0] > '9' { // 50/s
		per = "1" + per
	}
	var r Rate
	var errs [3]error
	r.Count, errs[0] = strconv.Atoi(count)
	r.Per, errs[1] = time.ParseDuration(per)
	r.Burst = r.Count
	if len(fields) == 3 {
		r.Burst, errs[2] = strconv.Atoi(fields[2])
	}
	if errors.Join(errs[:]...) != nil {
		return Rate{}, errRate
	}
	return r, r.validate()
}

func (r Rate) validate() error {
	switch {
	case r.Count < 1 || r.Count > MaxUnits || r.Burst < 1 || r.Burst > MaxUnits:
		return fmt.Errorf("expected a rate and a burst of 1 to %d", MaxUnits)
	case r.Per < time.Microsecond || r.Per > MaxPer || r.interval() < 1:
		return errors.New("expected a rate per 24h at most, and at most one in a microsecond")
	case r.interval()*int64(r.Burst) > MaxWindow.Microseconds():
		return errors.New("expected a burst that the rate gives back within 30 days")
	}
	return nil
}

// Off tells whether the rate limits nothing.
func (r Rate) Off() bool { return r == Rate{} }

// String is what [ParseRate] reads.
func (r Rate) String() string {
	if r.Off() {
		return "off"
	}
	return fmt.Sprintf("%d/%s burst %d", r.Count, r.Per, r.Burst)
}

// UnmarshalText is [ParseRate], for configuration from the environment.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// interval is the time in which one unit comes back, in microseconds.
func (r Rate) interval() int64 { return r.Per.Microseconds() / int64(r.Count) }

// Script gives what the arithmetic of [Rate.Take] needs, for buckets that do it
// elsewhere: the microseconds in which a unit comes back, the quota, the units
// that a call of the cost has to find, and those that it uses.
func (r Rate) Script(cost int) (interval, quota, need, use int64) {
	use = int64(min(max(cost, 1), MaxCost))
	return r.interval(), int64(r.Burst), min(use, int64(r.Burst)), use
}

// Take is the method. A bucket is one number: behind, the microseconds until
// nothing of the quota is missing any more. Take gives what it is after a call.
func (r Rate) Take(behind int64, cost int) (after int64, allowed bool) {
	interval, quota, need, use := r.Script(cost)
	behind = min(max(behind, 0), interval*max(quota, MaxCost)) // whatever the clock did
	if behind+need*interval > quota*interval {
		return behind, false
	}
	return behind + use*interval, true
}

// Allowance words what [Rate.Take] has given.
func (r Rate) Allowance(behind int64, allowed bool, cost int) events.Allowance {
	interval, quota, need, _ := r.Script(cost)
	a := events.Allowance{Allowed: allowed, Quota: r.Burst, Window: micros(quota * interval)}
	left := max(0, quota*interval-behind) / interval
	a.Remaining = int(left)
	if behind > 0 {
		a.Reset = micros(behind - (quota-left-1)*interval)
	}
	if !allowed {
		a.RetryAfter = micros(behind - (quota-need)*interval)
	}
	return a
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
