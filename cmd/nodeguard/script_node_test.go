package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
	"github.com/nodeguard/nodeguard/internal/node"
)

// checkWithNode looks at the tree of a script as an agent does that has seen its Node:
// FILE holds the Node as JSON, only.yaml the configuration.
func checkWithNode(ts *testscript.TestScript, seen *shown, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: node CODE FILE PROFILE")
	}
	want, file, profile := args[0], args[1], args[2]
	var n node.Node
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(file)))
	decoder.DisallowUnknownFields()
	ts.Check(decoder.Decode(&n))

	var notes bytes.Buffer
	report, policy, err := reportWithNode(n, &options{root: ts.MkAbs("host"), profile: profile, config: ts.MkAbs("only.yaml"), stdout: &notes, stderr: &notes})
	ts.Check(err)
	var table, machine bytes.Buffer
	ts.Check(text.Print(&table, "table", report, text.Options{Language: drift.English, Checks: policy.Checks}))
	ts.Check(text.Print(&machine, "json", report, text.Options{Language: drift.English, Checks: policy.Checks}))
	ts.Check(seen.add(ts.Name(), machine.Bytes()))
	fmt.Fprint(ts.Stdout(), steady(table.String()))
	fmt.Fprint(ts.Stderr(), notes.String())
	if got := strconv.Itoa(exitCode(&notes, verdict(report))); got != want {
		ts.Fatalf("the verdict is %s, want %s", got, want)
	}
}

func reportWithNode(n node.Node, o *options) (drift.Report, drift.Policy, error) {
	s, err := openHost(o)
	if err != nil {
		return drift.Report{}, drift.Policy{}, err
	}
	defer s.host.Close()
	s.ownNode = &node.Source{}
	s.ownNode.Set(n)
	checks, err := s.checks()
	if err != nil {
		return drift.Report{}, drift.Policy{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	looks, err := s.look(ctx, checks)
	if err != nil {
		return drift.Report{}, drift.Policy{}, err
	}
	policy := s.policy(checks)
	s.record(looks)
	judged, _ := s.fold(drift.Report{}, looks, s.store.AgentOwns(), now())
	return drift.Judge(policy, drift.Report{}, judged, now()), policy, nil
}
