// Package e2e has the journeys through the web page: in JavaScript, since what
// they drive is a browser. Its one test runs them against a Keycloak of its own.
package e2e
