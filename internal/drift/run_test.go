package drift_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

type checkFunc func(ctx context.Context) drift.Observation

func (checkFunc) Name() string { return "test" }

func (f checkFunc) Observe(ctx context.Context, _ []string) drift.Observation { return f(ctx) }

func TestRunAnswersForAHungCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		look := drift.Run(t.Context(), checkFunc(func(context.Context) drift.Observation {
			<-release
			return drift.Observation{}
		}), nil, time.Minute)
		close(release)
		if look.Took != time.Minute || !strings.Contains(look.Error, "within 1m0s") {
			t.Errorf("got %+v", look)
		}
	})
}

func TestRunAnswersForAPanic(t *testing.T) {
	look := drift.Run(t.Context(), checkFunc(func(context.Context) drift.Observation { panic("out\nof range") }), nil, time.Minute)
	if look.Error != `the check failed: out\x0aof range` {
		t.Errorf("got %q", look.Error)
	}
}

func TestRunGivesTheCheckItsDeadline(t *testing.T) {
	look := drift.Run(t.Context(), checkFunc(func(ctx context.Context) drift.Observation {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("no deadline")
		}
		return drift.Observation{Gaps: []drift.Gap{{Reason: "seen"}}}
	}), nil, time.Minute)
	if len(look.Gaps) != 1 || look.Error != "" {
		t.Errorf("got %+v", look)
	}
}
