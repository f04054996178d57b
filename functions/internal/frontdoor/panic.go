package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
)

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// protect turns a panic of f into an error, but for the one that aborts a
// connection on purpose.
func (x *exchange) protect(f func(*exchange) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel, compared as net/http does
				panic(v)
			}
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f(x)
}

// stackOf is the stack of the panic that err is, or "".
func stackOf(err error) string {
	var p *panicError
	if errors.As(err, &p) {
		return string(p.stack)
	}
	return ""
}

// late makes the error of a driver that gave up because the time was over what
// it is.
func late(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	var p *panicError
	if errors.As(err, &p) || StatusOf(err) != http.StatusInternalServerError {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
