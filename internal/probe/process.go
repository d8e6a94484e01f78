package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// Process is a child at its task.
type Process struct {
	process *os.Process
	answers *os.File
	decoder *json.Decoder
	exited  chan struct{}
}

// maxAnswers is what is taken of a child's answers: nobody knows what became of one
// that reads what is not to be trusted.
const maxAnswers = 64 << 20

// Start lets a child do a task, on files that it is to read, if any. Whatever happens to
// it, Kill has to be called.
func Start(root *host.Root, task string, request any, files ...*os.File) (*Process, error) {
	if os.Getenv(marker) != "" {
		return nil, errors.New("a child starts no children")
	}
	data, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode the request of %s: %w", task, err)
	}
	dir, err := rootOf(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	asked, ask, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", task, err)
	}
	defer asked.Close()
	answers, answer, err := os.Pipe()
	if err != nil {
		_ = ask.Close()
		return nil, fmt.Errorf("start %s: %w", task, err)
	}
	defer answer.Close()
	process, err := os.StartProcess("/proc/self/exe", []string{os.Args[0], argument, task}, &os.ProcAttr{ //nolint:gosec // this program itself
		Env:   environment(),
		Files: append([]*os.File{asked, answer, nil, dir}, files...),
	})
	if err != nil {
		_, _ = ask.Close(), answers.Close()
		return nil, fmt.Errorf("start %s: %w", task, err)
	}
	p := &Process{process: process, answers: answers, decoder: json.NewDecoder(io.LimitReader(answers, maxAnswers)), exited: make(chan struct{})}
	go p.reap()
	go func() {
		_, _ = ask.Write(data)
		_ = ask.Close()
	}()
	return p, nil
}

// marker is in the environment of children, so that a program which does not know
// what its argument means cannot start itself for ever.
const marker = "NODEGUARD_PROBE"

// environment has nothing of the agent's: what a child needs it is told.
func environment() []string {
	env := []string{"GOMAXPROCS=1", "GOTRACEBACK=none", marker + "=1"}
	if dir, ok := os.LookupEnv("GOCOVERDIR"); ok {
		env = append(env, "GOCOVERDIR="+dir)
	}
	return env
}

// rootOf is a descriptor of the host's root directory for a child.
func rootOf(root *host.Root) (*os.File, error) {
	name, done, err := root.SocketPath("/")
	if err != nil {
		return nil, fmt.Errorf("open the host root: %w", err)
	}
	defer func() { _ = done() }()
	dir, err := os.OpenFile(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the host root: %w", err)
	}
	return dir, nil
}

// reap waits for the child's end, which may never come.
func (p *Process) reap() {
	_, _ = p.process.Wait()
	close(p.exited)
}

// Next decodes the next answer, and fails with io.EOF when there is none any more.
func (p *Process) Next(into any) error {
	err := p.decoder.Decode(into)
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

// Kill ends the child as far as the kernel can. It does not wait: a child that
// waits for a dead server may outlive its killing.
func (p *Process) Kill() {
	_ = p.process.Kill()
	_ = p.answers.Close()
}

// Exited is closed when the child is gone.
func (p *Process) Exited() <-chan struct{} { return p.exited }
