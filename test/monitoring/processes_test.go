//go:build e2e

package monitoring

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is for a machine that has other things to do.
const patience = 90 * time.Second

// process is a program that runs until the test ends.
type process struct {
	*exec.Cmd
	address string
}

// start starts a program; its output is printed if the test fails.
func start(t *testing.T, address string, args ...string) *process {
	t.Helper()
	log, err := os.CreateTemp(t.TempDir(), filepath.Base(args[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{exec.Command(args[0], args[1:]...), address}
	p.Stdout, p.Stderr = log, log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", args[0], text[max(0, len(text)-3000):])
		}
	})
	return p
}

func (p *process) stop() {
	if p.ProcessState == nil {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

// freeAddress is a port on loopback that nobody has.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually tries until it works: there is nothing to wait for but the answer.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-again.C:
		}
	}
}

// get decodes a JSON answer.
func get(address string, into any) error {
	r, err := http.Get(address)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", address, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(into)
}

// series is one result of a query.
type series struct {
	Metric map[string]string
	Value  [2]any   // now
	Values [][2]any // over a time
}

func (s series) now() string {
	if len(s.Values) > 0 {
		return fmt.Sprint(s.Values[len(s.Values)-1][1])
	}
	return fmt.Sprint(s.Value[1])
}

// query asks Prometheus, for now or for the last minute.
func (p *process) query(expr string, over bool) ([]series, error) {
	ask := "http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(expr)
	if over {
		now := time.Now()
		ask = fmt.Sprintf("http://%s/api/v1/query_range?query=%s&start=%d&end=%d&step=1", p.address, url.QueryEscape(expr), now.Add(-time.Minute).Unix(), now.Unix())
	}
	var answer struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	r, err := http.Get(ask)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, errors.New(answer.Error)
	}
	return answer.Data.Result, nil
}

// answers waits for a query to have this value.
func (p *process) answers(t *testing.T, expr, want string) {
	t.Helper()
	eventually(t, expr, func() error {
		got, err := p.query(expr, false)
		if err != nil || len(got) != 1 || got[0].now() != want {
			return fmt.Errorf("%v %w", got, errors.Join(err, errors.New("not "+want)))
		}
		return nil
	})
}

// binary is nodeguard, built from this tree.
func binary(t *testing.T) string {
	t.Helper()
	if built := os.Getenv("NODEGUARD_E2E_BINARY"); built != "" {
		return built
	}
	out := filepath.Join(t.TempDir(), "nodeguard")
	build := exec.Command("go", "build", "-o", out, "./cmd/nodeguard")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, text)
	}
	return out
}

// replaced is a committed file with some of its text changed; what is to be
// changed has to be there.
func replaced(t *testing.T, file string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := string(text)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(out, pairs[i]) {
			t.Fatalf("%s has no %q", file, pairs[i])
		}
		out = strings.ReplaceAll(out, pairs[i], pairs[i+1])
	}
	return out
}
