//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/infra/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// All journeys, by people who log in at a real Keycloak. bin/chat and the
// packages of npm must be there: see make test-e2e-keycloak.
func TestJourneysWithKeycloak(t *testing.T) {
	r := keycloaktest.New(t)
	npm := exec.CommandContext(t.Context(), "npm", "test")
	npm.Env = append(os.Environ(), "E2E_ISSUER=keycloak", "OIDC_ISSUER="+r.Issuer, "CHAT_DEMO_PASSWORD="+keycloaktest.Password)
	npm.Stdout, npm.Stderr = os.Stdout, os.Stderr
	require.NoError(t, npm.Run())
}
