package main

import (
	"io"
	"log/slog"
)

// newLogger logs text for people at a terminal, JSON for machines.
func newLogger(w io.Writer) *slog.Logger {
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}
