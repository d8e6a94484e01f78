package kube

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// What the API takes, in bytes.
const (
	maxNote     = 1024
	maxInstance = 128
	maxName     = 253
)

// Reporter is the reporting controller of all events.
const Reporter = "nodeguard.io/agent"

// event words the news about a condition.
func (c Config) event(name, uid string, n news, now time.Time) *eventsv1.Event {
	out := c.eventOnNode(name, uid, now)
	if n.condition.Status == drift.True {
		out.Reason, out.Action, out.Type = n.condition.Type+"Detected", "Detect", corev1.EventTypeWarning
		out.Note = c.note(n)
	} else {
		out.Reason, out.Action, out.Type = n.condition.Type+"Resolved", "Resolve", corev1.EventTypeNormal
		out.Note = cut(n.condition.Message, maxNote)
	}
	return out
}

// note names the new findings, each with its recovery, as far as there is room. An
// aggregate has no findings of its own, only its message.
func (c Config) note(n news) string {
	findings := n.joined
	if len(findings) == 0 {
		findings = n.all
	}
	if len(findings) == 0 {
		return cut(n.condition.Message, maxNote)
	}
	var said []string
	for _, f := range findings {
		said = append(said, cut(c.Language.Finding(f), maxNote/2)+c.actor(f.Actor)+c.recovery(f))
	}
	return cut(strings.Join(said, "; "), maxNote)
}

func (c Config) recovery(f drift.FindingReport) string {
	how := f.Recovery.Text
	if commands := strings.Join(f.Recovery.Commands, "; "); commands != "" {
		how = strings.TrimSpace(how + " [" + commands + "]")
	}
	switch {
	case how == "":
		return ""
	case c.Language == drift.Chinese:
		return "。恢复：" + how
	default:
		return ". Recovery: " + how
	}
}

// actor is who did it, where that is known.
func (c Config) actor(a *drift.Actor) string {
	switch {
	case a == nil:
		return ""
	case c.Language == drift.Chinese:
		return "，操作者：" + cut(c.Language.Actor(*a), maxNote/4)
	default:
		return ", by " + cut(c.Language.Actor(*a), maxNote/4)
	}
}

// cut shortens to a number of bytes, never inside a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const dots = "…"
	end := limit - len(dots)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + dots
}

// eventName is one that no other event of the Node has.
func eventName(node string, now time.Time) string {
	suffix := fmt.Sprintf(".%x", now.UnixNano())
	if room := maxName - len(suffix); len(node) > room {
		node = strings.TrimRight(node[:room], "-.")
	}
	return node + suffix
}
