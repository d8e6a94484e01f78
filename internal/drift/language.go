package drift

import (
	"fmt"
	"strings"
)

// Language of what people read.
type Language string

const (
	English Language = "en"
	Chinese Language = "zh"
)

// Languages are the ones that the catalogue speaks.
var Languages = [...]Language{English, Chinese}

// say formats the phrase of the language.
func (l Language) say(en, zh string, args ...any) string {
	if l == Chinese {
		return fmt.Sprintf(zh, args...)
	}
	return fmt.Sprintf(en, args...)
}

// Finding says a finding in one clause: name, value, supported value.
func (l Language) Finding(f FindingReport) string {
	clause := l.say("%s is %s", "%s 为 %s", f.Subject, f.Observed)
	if f.Supported != "" {
		clause += l.say(", supported %s", "，支持 %s", f.Supported)
	}
	clause += l.say(" (%s", "（%s", f.Operation)
	if f.Folded > 0 {
		clause += l.say(", with %d more changes", "，连同另外 %d 项变更", f.Folded)
	}
	if f.State == Pending {
		clause += l.say(", pending", "，待生效")
	}
	if f.Waiver != nil {
		clause += l.say(", waived", "，已豁免")
	} else if !f.Severity.Weighs() {
		clause += l.say(", info", "，提示")
	}
	return clause + l.say(")", "）")
}

// Actor says in one phrase who did it: "sed (pid 4711, uid 0, pod default/p, container c)".
func (l Language) Actor(a Actor) string {
	who := a.Comm
	if who == "" {
		who = l.say("a process", "某进程")
	}
	parts := []string{fmt.Sprintf("pid %d", a.PID), fmt.Sprintf("uid %d", a.UID)}
	if a.LoginUID != NoLogin && a.LoginUID != a.UID {
		parts = append(parts, l.say("login uid %d", "登录 uid %d", a.LoginUID))
	}
	if a.Pod != "" {
		parts = append(parts, l.say("pod %s", "Pod %s", a.Pod))
	}
	if a.Container != "" {
		parts = append(parts, l.say("container %s", "容器 %s", a.Container))
	}
	if len(a.Parents) > 0 {
		var above []string
		for _, p := range a.Parents {
			above = append(above, p.Comm)
		}
		parts = append(parts, l.say("of %s", "父进程 %s", strings.Join(above, " < ")))
	}
	return who + l.say(" (%s)", "（%s）", strings.Join(parts, l.say(", ", "，")))
}

// Gap says in one clause what could not be looked at, and why.
func (l Language) Gap(g UnknownReport) string {
	what := g.Subject
	if what == "" {
		what = g.Operation
	}
	if what == "" {
		return l.say("cannot tell: %s", "无法判断：%s", g.Reason)
	}
	return l.say("cannot tell about %s: %s", "无法判断 %s：%s", what, g.Reason)
}
