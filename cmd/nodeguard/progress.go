package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// showProgress says on a terminal what is being read once that takes longer than
// a second. The returned function ends it and wipes the line.
func (s *session) showProgress() (stop func()) {
	if !isTerminal(s.stderr) {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.progressLines(done)
	}()
	return func() {
		close(done)
		<-ended
	}
}

func (s *session) progressLines(done <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	shown := false
	for {
		select {
		case <-ticker.C:
			shown = true
			fmt.Fprintf(s.stderr, "\rread %d files, %d MiB", s.progress.Files.Load(), s.progress.Bytes.Load()>>20)
		case <-done:
			if shown {
				fmt.Fprint(s.stderr, "\r\x1b[K")
			}
			return
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// wantsColor follows https://no-color.org.
func wantsColor(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
