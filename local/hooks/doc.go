// Package hooks tests the git hooks in .githooks and the history check in
// .ci/history, in repositories of its own. It has no other code.
package hooks
