package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitInSupport = 0
	exitDrift     = 1
	exitTrouble   = 2
)

// errDrift and errBlind end a command that has said all it has to say.
var (
	errDrift = errors.New("drift")
	errBlind = errors.New("could not look")
)

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// usage adds a hint to an error of the user's.
func usage(err error, hint string, args ...any) error {
	return hinted{err, fmt.Sprintf(hint, args...)}
}

// exitCode says the error on stderr, once, and returns the exit code for it.
func exitCode(stderr io.Writer, err error) int {
	switch {
	case err == nil:
		return exitInSupport
	case errors.Is(err, errDrift):
		return exitDrift
	case errors.Is(err, errBlind):
		return exitTrouble
	}
	fmt.Fprintf(stderr, "nodeguard: %v\n", err)
	var h hinted
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "hint: %s\n", h.hint)
	}
	return exitTrouble
}

func oneOf(cmd *cobra.Command, flag, value string, allowed []string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return usage(fmt.Errorf("%s: there is no %q", flag, value), "%s takes %s with %s", cmd.CommandPath(), flag, list(allowed))
}

func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
