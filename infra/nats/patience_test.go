package nats_test

import "time"

// patience bounds every wait; each ends as soon as what it waits for is there.
const patience = time.Minute
