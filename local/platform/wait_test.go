package platform_test

import "time"

const (
	waitLong = 30 * time.Second
	waitStep = 20 * time.Millisecond
)
