package sysctl

import "sync"

// maxNames is far more than one look asks for.
const maxNames = 16 << 10

// names are what parameters are called, worked out once: each look asks for those of
// hundreds of interfaces. The zero value is ready.
type names struct {
	mu    sync.Mutex
	known map[scoped]name
}

// scoped is a rule's parameter of one interface or scope.
type scoped struct{ parameter, scope string }

type name struct {
	subject string // as sysctl(8) has it
	path    string // below /proc/sys
}

func (n *names) of(r Rule, scope string) name {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := scoped{r.Parameter, scope}
	if known, ok := n.known[at]; ok {
		return known
	}
	if n.known == nil || len(n.known) >= maxNames {
		n.known = map[scoped]name{} // interfaces come and go
	}
	subject := r.of(scope)
	n.known[at] = name{subject: subject, path: key(subject)}
	return n.known[at]
}
