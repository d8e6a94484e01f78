//go:build e2e

package cluster

import (
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Service is a component of a node. One that ends by itself is started again, as
// systemd would.
type Service struct {
	node *Node
	name string
	args []string
	gone chan struct{} // closed when it is over

	mu      sync.Mutex
	process *Process
	over    bool
}

func (n *Node) serve(name string, args ...string) (*Service, error) {
	p, err := n.start(name, args...)
	if err != nil {
		return nil, err
	}
	s := &Service{node: n, name: name, args: args, gone: make(chan struct{}), process: p}
	go s.keep(p)
	return s, nil
}

func (s *Service) keep(p *Process) {
	defer close(s.gone)
	for err := error(nil); err == nil; {
		<-p.done
		s.mu.Lock()
		if s.over {
			err = syscall.ECANCELED
		} else if p, err = s.node.start(s.name, s.args...); err == nil {
			s.process = p
		}
		s.mu.Unlock()
	}
}

// last says that it is not to be started again.
func (s *Service) last() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	return s.process
}

// Stop asks it to end, and returns when it is gone.
func (s *Service) Stop() error {
	pid, err := onlyChild(s.last().cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.gone:
		return nil
	case <-time.After(componentUp):
		return fmt.Errorf("%s does not end", s.name)
	}
}
