package platform_test

import "time"

const (
	waitLong = time.Minute
	waitStep = 20 * time.Millisecond
)
