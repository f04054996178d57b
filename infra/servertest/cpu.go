package servertest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
)

// CPU is how much processor time the server has used since it started, all cores
// together.
func (s *Server) CPU(t testing.TB) time.Duration {
	t.Helper()
	var stats container.StatsResponse
	err := s.docker(func(ctx context.Context, c *testcontainers.DockerClient) error {
		answer, err := c.ContainerStats(ctx, s.container.ID, client.ContainerStatsOptions{})
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		return json.NewDecoder(answer.Body).Decode(&stats)
	})
	if err != nil {
		t.Fatalf("processor time of %s: %v", s.product, err)
	}
	return time.Duration(stats.CPUStats.CPUUsage.TotalUsage)
}
