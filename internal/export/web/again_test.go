package web

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Pauses grow, start anew after it served for a while, and end with ctx.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		var at []time.Duration
		began := time.Now()
		again(ctx, slog.New(slog.NewTextHandler(&log, nil)), func(ctx context.Context) error {
			at = append(at, time.Since(began)/time.Second)
			switch len(at) {
			case 4:
				return errors.New("another")
			case 9:
				time.Sleep(time.Hour)
			case 11:
				go cancel()
				<-ctx.Done()
				return nil
			}
			return errors.New("in use")
		})
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63, 123, 183, 183 + 3600 + 1, 183 + 3600 + 3}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("attempts at seconds (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 4 {
			t.Errorf("%d lines, want one for each of in use, another, in use, and in use an hour later:\n%s", n, &log)
		}
	})
}

// A peer that is slow or many cannot hold the agent.
func TestLimits(t *testing.T) {
	s := newServer(Options{Log: slog.New(slog.DiscardHandler), Metrics: http.NotFoundHandler()})
	for name, limit := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "read": s.ReadTimeout, "write": s.WriteTimeout, "idle": s.IdleTimeout,
	} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("%s: %v", name, limit)
		}
	}
	if s.MaxHeaderBytes <= 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("header bytes: %d", s.MaxHeaderBytes)
	}
	if s.WriteTimeout <= 30*time.Second {
		t.Errorf("a CPU profile takes 30 s, writing may take %v", s.WriteTimeout)
	}
}
