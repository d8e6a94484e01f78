package drift

import "strings"

// maxMessage is what a condition's message holds, in bytes.
const maxMessage = 1024

// message joins clauses with "; " up to limit bytes, never cutting one, and
// counts what is left out. tail always fits: it is short and ours.
func (l Language) message(clauses []string, tail string, limit int) string {
	limit -= len(tail)
	all := strings.Join(clauses, "; ")
	if len(all) <= limit {
		return all + tail
	}
	for kept := len(clauses) - 1; kept > 0; kept-- {
		short := strings.Join(clauses[:kept], "; ") + l.more(len(clauses)-kept)
		if len(short) <= limit {
			return short + tail
		}
	}
	return strings.TrimSpace(l.more(len(clauses))) + tail
}

func (l Language) more(n int) string { return l.say(" (+%d more)", "（另有 %d 项）", n) }
