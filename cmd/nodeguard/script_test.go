package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nodeguard/nodeguard/internal/probe"
)

var update = flag.Bool("update", false, "write what nodeguard prints into the golden files of the scripts")

func TestMain(m *testing.M) {
	if code, child := probe.Child(os.Args, tasks()); child {
		os.Exit(code)
	}
	syscall.Umask(0o022) // the modes of a script's files are looked at
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=10") // or each of some hundred runs takes a second to exit
	}
	testscript.Main(m, map[string]func(){"nodeguard": main, pluginName: main})
}

// TestScripts runs the cases of testdata/script: the tree of a host, what happens
// to it, and what nodeguard says. A new case is a new file there.
func TestScripts(t *testing.T) {
	seen := newShown()
	t.Cleanup(func() {
		if all := flag.Lookup("test.run").Value.String(); all == "" || all == "TestScripts" {
			seen.compare(t)
			seen.trapped(t)
		}
	})
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      *update,
		RequireUniqueNames: true,
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"check": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) == 0 {
					ts.Fatalf("usage: check CODE [FLAG…]")
				}
				args = append([]string{args[0], "check", "--root", "host"}, args[1:]...)
				exits(ts, args[0], args[1:])
				show(ts, seen, args[1:])
			},
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) == 0 {
					ts.Fatalf("usage: exits CODE [ARG…]")
				}
				exits(ts, args[0], args[1:])
			},
			"trap":        func(ts *testscript.TestScript, _ bool, args []string) { trap(ts, seen, args) },
			"node":        func(ts *testscript.TestScript, _ bool, args []string) { checkWithNode(ts, seen, args) },
			"append":      appendLine,
			"cluster":     startCluster,
			"certificate": certificate,
		},
	})
}

// exits runs nodeguard, wants the exit code and keeps the output without what
// differs from run to run.
func exits(ts *testscript.TestScript, want string, args []string) {
	got := 0
	if err := ts.Exec("nodeguard", args...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	fmt.Fprint(ts.Stdout(), steady(stdout))
	fmt.Fprint(ts.Stderr(), stderr)
	if strconv.Itoa(got) != want {
		ts.Fatalf("nodeguard exits %d, want %s", got, want)
	}
}

// show lets a check look once more, in this process, for the list of what the scripts show.
func show(ts *testscript.TestScript, seen *shown, args []string) {
	args = append(slices.Clone(args), "-o", "json")
	for i, flag := range args[:len(args)-1] {
		if flag == "--root" || flag == "--config" {
			args[i+1] = ts.MkAbs(args[i+1])
		}
	}
	var report bytes.Buffer
	if run(context.Background(), args, &report, io.Discard); report.Len() > 0 {
		ts.Check(seen.add(ts.Name(), report.Bytes()))
	}
}

// dated is when a certificate in the file begins.
func dated(file string) time.Time {
	if day := regexp.MustCompile(`\d{4}-\d\d-\d\d`).FindString(filepath.Base(file)); day != "" {
		if at, err := time.Parse(time.DateOnly, day); err == nil {
			return at
		}
	}
	before, err := os.ReadFile(file)
	if block, _ := pem.Decode(before); err == nil && block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			return cert.NotBefore.Add(time.Hour)
		}
	}
	return time.Now()
}

// unsteady are the parts of a report that differ from run to run or from machine
// to machine, with what stands for them.
var unsteady = []struct {
	form *regexp.Regexp
	word string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`(durationSeconds"?: )[0-9.e-]+`), "${1}0.001"},
	{regexp.MustCompile(`( time=")[0-9.]+"`), `${1}0.001"`},
	{regexp.MustCompile(`(?m)( TOOK) +(ERROR)$`), "$1 $2"},
	{regexp.MustCompile(`(?m)( (?:Drifted|InSupport|Unknown) +)[0-9.]+(?:µs|ms|s)$`), "${1}0.001s"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:DIGEST"},
}

func steady(s string) string {
	for _, u := range unsteady {
		s = u.form.ReplaceAllString(s, u.word)
	}
	return s
}

// appendLine writes into the file as it is, without replacing it.
func appendLine(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: append FILE LINE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	ts.Check(err)
	_, err = fmt.Fprintln(f, args[1])
	ts.Check(errors.Join(err, f.Close()))
}

// certificate writes a client certificate with its key, as kubelet keeps them: as of the
// date in the file's name, or newer than the one that was there.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: certificate FILE ISSUER SUBJECT")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	ts.Check(err)
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: args[1]}}
	issued := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"system:nodes"}, CommonName: args[2]},
		NotBefore: dated(ts.MkAbs(args[0])),
	}
	issued.NotAfter = issued.NotBefore.AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, issued, issuer, key.Public(), key)
	ts.Check(err)
	private, err := x509.MarshalECPrivateKey(key)
	ts.Check(err)
	var both bytes.Buffer
	ts.Check(errors.Join(
		pem.Encode(&both, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.Encode(&both, &pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		os.WriteFile(ts.MkAbs(args[0]), both.Bytes(), 0o600),
	))
}
