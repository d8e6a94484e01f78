package baseline

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"
)

// Format is the version of the file that this nodeguard writes.
const Format = 1

// Baseline is all that was accepted of a node.
type Baseline struct {
	Header
	Scopes   map[string]Scope // by check
	Accepted []Acceptance     // oldest first
	Upgrade  *Upgrade         // nil: none is open
}

// Header says whose baseline it is.
type Header struct {
	Format   int       `json:"format"`
	Machine  Machine   `json:"machine"`
	Profile  string    `json:"profile"` // chosen when it was recorded, and kept
	Recorded time.Time `json:"recorded"`
	Version  string    `json:"version"` // of the nodeguard that wrote it
}

// Machine identifies the machine that a baseline belongs to.
type Machine struct {
	ID       string `json:"id"`       // machine-id
	Instance string `json:"instance"` // the cloud's instance id; "" where there is none
	NodeUID  string `json:"nodeUid"`  // "" outside a cluster
}

// Same tells whether m and other can be one machine. What one of them does not
// know does not tell them apart.
func (m Machine) Same(other Machine) bool {
	if m.Instance != "" && other.Instance != "" {
		return m.Instance == other.Instance
	}
	return m.ID == "" || other.ID == "" || m.ID == other.ID
}

// On returns the machine as the Node with that UID.
func (m Machine) On(nodeUID string) Machine {
	m.NodeUID = nodeUID
	return m
}

// Digest names the installation of the operating system without telling its
// machine-id, which machine-id(5) asks to keep confidential; "" where it is not known.
func (m Machine) Digest() string {
	if m.ID == "" {
		return ""
	}
	sum := hmac.New(sha256.New, []byte("nodeguard.io/identity"))
	sum.Write([]byte(m.ID))
	return fmt.Sprintf("sha256:%x", sum.Sum(nil))
}

// Acceptance is one `baseline accept`.
type Acceptance struct {
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
	Subjects []string  `json:"subjects"` // as they were named; none: all
	Changed  int       `json:"changed"`
}

// maxAccepted bounds the history that the file carries; the journal has it all.
const maxAccepted = 100

// Note keeps the acceptance.
func (b *Baseline) Note(a Acceptance) {
	b.Accepted = append(b.Accepted, a)
	if extra := len(b.Accepted) - maxAccepted; extra > 0 {
		b.Accepted = b.Accepted[extra:]
	}
}

// Scope returns what the check recorded, nil where it has not.
func (b *Baseline) Scope(check string) Scope {
	if b == nil {
		return nil
	}
	return b.Scopes[check]
}
