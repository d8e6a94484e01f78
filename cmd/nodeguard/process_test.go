package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// startProcess starts an agent in a process of its own, by a command such as setpriv
// that executes what follows it.
func startProcess(t *testing.T, by []string, args ...string) (*running, *os.Process) {
	t.Helper()
	self, err := os.Readlink("/proc/self/exe")
	program := t.TempDir() + "/nodeguard" // its name makes the test's program the agent
	if err == nil {
		err = os.Symlink(self, program)
	}
	if err != nil {
		t.Fatal(err)
	}
	return startProgram(t, program, by, args...)
}

// builtAgent is the program as it is delivered, for what is done too often for one with
// the race detector in it.
func builtAgent(t *testing.T) string {
	t.Helper()
	program := t.TempDir() + "/nodeguard"
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func startProgram(t *testing.T, program string, by []string, args ...string) (*running, *os.Process) {
	t.Helper()
	words := append(slices.Clone(by), program, "agent", "--standalone", "--profile", "ack", "--baseline-settle", "0")
	cmd := exec.Command(words[0], append(words[1:], args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	a := &running{t: t, cancel: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }, lines: make(chan string, 10_000), code: make(chan int, 1)}
	go func() {
		defer close(a.lines)
		said := bufio.NewReader(log)
		for {
			line, err := said.ReadString('\n')
			if line != "" {
				a.lines <- line
			}
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, log)
		_ = cmd.Wait()
		a.code <- cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return a, cmd.Process
}

// served is where an agent of the tests answers.
var served = []string{"--web.listen-address", "127.0.0.1:19639"}

// wholeReport is the agent's report.
func wholeReport(t *testing.T) (r drift.Report) {
	t.Helper()
	if err := json.Unmarshal(get(t, "/api/v1/report"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// reportPatience is how long a report may take to become what it has to be.
const reportPatience = time.Minute

// awaitReport asks until the report is as wanted.
func awaitReport(t *testing.T, as func(drift.Report) bool) drift.Report {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // nothing tells of a report, and the agent needs the processor
		r := wholeReport(t)
		if as(r) {
			return r
		}
		if time.Since(begin) > reportPatience {
			t.Fatalf("the report is still %+v", r.Conditions)
		}
	}
}

// fakeKubelet is a process that looks like a kubelet, until it is told to end.
func fakeKubelet(t *testing.T, flags ...string) (stop func()) {
	t.Helper()
	const binary = "/var/lib/programs/kubelet"
	if _, err := os.Stat(binary); err != nil {
		hosttest.Run(t, "install", "-D", "/bin/bash", binary)
	}
	cmd := exec.Command(binary, append([]string{"-c", "echo; read", "kubelet"}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = stdout.Read(make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
}
