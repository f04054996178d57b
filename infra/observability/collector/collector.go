// Package collector lets several parts of a process share a metric. It knows
// nothing of this module, so that any package with metrics may use it.
package collector

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers c, or gives the collector that was registered before it
// under the same names. Without a registerer c is used and not shown.
func Register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if there, ok := already.ExistingCollector.(C); ok {
			return there
		}
	}
	return c
}
