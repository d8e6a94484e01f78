package agent_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// What belongs to something else is not judged; whoever follows the looks sees all of it.
func TestClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		var looked, open int
		b := start(t, agent.Config{
			Set: one(h),
			Classify: func(before drift.Report, seen map[string]drift.Look, _ time.Time) map[string]drift.Look {
				open = len(before.Findings)
				look := seen["a"]
				look.Findings = slices.DeleteFunc(slices.Clone(look.Findings), func(f drift.Finding) bool { return f.Subject == "y" })
				return map[string]drift.Look{"a": look}
			},
			Looked: func(looks map[string]drift.Look, _ time.Time) time.Time {
				looked = len(looks["a"].Findings)
				return time.Time{}
			},
		})
		defer b.stop()
		for _, subject := range []string{"x", "y"} {
			h.set(subject, true)
			h.source().Hint(drift.Hint{Source: "fake", Subject: subject})
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"raised x"}, b.told()); diff != "" || looked != 2 || open != 1 {
			t.Errorf("%s; %d findings were looked at, %d were open", diff, looked, open)
		}
	})
}
