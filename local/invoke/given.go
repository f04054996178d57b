package invoke

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/local/views"
)

// give publishes the events that the fixture assumes, lets the views catch up
// with them and notes where the streams end.
func (s *stage) give(ctx context.Context) error {
	_, errs := s.log.PublishAll(ctx, s.given, nil)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, v := range views.All() {
		refused, err := v.CatchUp(ctx, s.log, s.dir)
		if err != nil {
			return err
		}
		if refused > 0 {
			return fmt.Errorf("%s refuses %d of the events", v.Writer, refused)
		}
	}
	s.before = map[string]uint64{}
	for _, stream := range streams {
		seq, err := s.log.LastSequence(ctx, stream)
		if err != nil {
			return err
		}
		s.before[stream] = seq
	}
	return nil
}
