//go:build e2e

package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	machineDir = "/mnt" // a file system in memory, in the machine's namespace
	logDir     = machineDir + "/logs"
	tmpDir     = machineDir + "/tmp"
)

// Process is a component, with its output in a file.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
}

// start starts a component that is to run until it is stopped.
func start(name string, args ...string) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(logDir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &Process{name: name, cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = environment()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// environment is what a component sees: nothing of the roles of the tests.
func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends it at once, and returns when it is gone.
func (p *Process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func run(args ...string) error {
	_, err := output(args...)
	return err
}

func output(args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), err
}

// eventually tries until it works. It is for what cannot be watched: a socket
// that is not there yet, a component that starts.
func eventually(within time.Duration, try func() error) error {
	late := time.After(within)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-late:
			return fmt.Errorf("not within %v: %w", within, err)
		case <-again.C:
		}
	}
}

// printLogs prints the end of the logs of a component, or of all that failed to
// come up; $NODEGUARD_E2E_LOGS keeps them whole.
func printLogs(pattern string) {
	names, _ := filepath.Glob(filepath.Join(logDir, pattern))
	for _, name := range names {
		text, _ := os.ReadFile(name)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(os.Stderr, "== %s\n", filepath.Base(name))
		for _, line := range lines[max(0, len(lines)-10):] {
			fmt.Fprintln(os.Stderr, line[:min(len(line), 300)])
		}
	}
}
