// Package architecture tests the shape of the repository: which folder may
// import which, where drivers live, and that no name says nothing. It parses
// the sources itself, so that files behind build tags are judged too and no
// cache hides a change.
package architecture
