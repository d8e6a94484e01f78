package hostconfig

import (
	"maps"
	"slices"
)

// how a table takes Rule.In
const (
	inNeeded  = "needed"
	inRefused = "refused"
	inChosen  = "chosen" // some of its choices
)

// tableKind is a kind of table: what a rule can look at.
type tableKind struct {
	in       string
	paths    bool // In are paths of the host
	choices  []string
	together bool // In is one table
	read     func(l *look, r Rule, in string) *table
}

// kinds are all of them. A new kind of table is a line here.
func kinds() map[string]tableKind {
	return map[string]tableKind{
		"resolver":      {in: inNeeded, paths: true, read: (*look).resolver},
		"hosts":         {in: inNeeded, paths: true, read: (*look).hosts},
		"sshd":          {in: inNeeded, paths: true, read: (*look).sshd},
		"settings":      {in: inNeeded, paths: true, read: (*look).settings},
		"files":         {in: inNeeded, paths: true, read: (*look).files},
		"names":         {in: inNeeded, paths: true, read: (*look).names},
		"versioned":     {in: inNeeded, paths: true, read: (*look).versioned},
		"schedule":      {in: inNeeded, paths: true, read: (*look).schedule},
		"shells":        {in: inNeeded, paths: true, read: (*look).shells},
		"locks":         {in: inNeeded, paths: true, read: (*look).locks},
		"directory":     {in: inNeeded, paths: true, read: (*look).directory},
		"space":         {in: inNeeded, paths: true, read: (*look).space},
		"units":         {in: inNeeded, read: (*look).units},
		"programs":      {in: inNeeded, read: (*look).programs},
		"modules":       {in: inNeeded, read: (*look).modules},
		"listeners":     {in: inNeeded, read: (*look).listeners},
		"enabled-units": {in: inRefused, read: (*look).enabledUnits},
		"packages":      {in: inRefused, read: (*look).packages},
		"swap":          {in: inRefused, read: (*look).swap},
		"clock":         {in: inRefused, read: (*look).clock},
		"time-daemon":   {in: inRefused, read: (*look).timeDaemon},
		"kernel":        {in: inRefused, read: (*look).kernel},
		"sessions":      {in: inRefused, read: (*look).sessions},
		"routes":        {in: inChosen, choices: []string{defaultRoute, bridgeOverlap}, read: (*look).routes},
		"pods":          {in: inChosen, choices: traits(), together: true, read: (*look).pods},
		"memory":        {in: inRefused, read: (*look).memoryUse},
		"probe":         {in: inChosen, choices: []string{apiServer, clusterDNS}, read: (*look).probe},
	}
}

func tableOf(name string) (tableKind, bool) {
	k, ok := kinds()[name]
	return k, ok
}

// Tables are the names of what rules can look at.
func Tables() []string { return slices.Sorted(maps.Keys(kinds())) }

// table is what one look sees of one thing.
type table struct {
	area    string // subject of the fact that it was looked at
	prefix  string // of the subjects of its settings; "" where they are subjects themselves
	owns    func(subject string) bool
	entries map[string]entry
	absent  bool   // what it would be read from is not there
	skip    bool   // there is nothing here to judge
	fault   *fault // why it could not be looked at
}

// entry is one setting.
type entry struct {
	value   string // "" is there without one
	number  int64  // where a rule asks for one
	want    string // what is supported, where the rule does not say
	lacking bool   // the value only says why the setting is not there
	pending bool   // takes effect at the next start
	local   bool   // true of this machine alone
	changed int64  // when its file last changed, Unix seconds; 0 unknown
	args    map[string]string
}

// newTable is a table whose settings are named after the prefix.
func newTable(prefix string) *table {
	return &table{area: prefix, prefix: prefix, entries: map[string]entry{}}
}

// skipped is a table of what does not exist here.
func skipped() *table { return &table{skip: true} }

// faulty is a table that could not be looked at.
func faulty(prefix string, f *fault) *table {
	t := newTable(prefix)
	t.fault = f
	return t
}

func (t *table) subject(key string) string {
	if t.prefix == "" {
		return key
	}
	return t.prefix + " " + key
}

// key is the setting that a recorded subject is about.
func (t *table) key(subject string) (string, bool) {
	if t.prefix == "" {
		return subject, t.owns(subject)
	}
	if len(subject) > len(t.prefix) && subject[:len(t.prefix)] == t.prefix && subject[len(t.prefix)] == ' ' {
		return subject[len(t.prefix)+1:], true
	}
	return "", false
}

// scope is the subject of the fact that the rule's settings of the table were
// looked at: what a rule did not cover when the baseline was recorded is not new.
func (t *table) scope(r Rule) string {
	if len(r.Keys) == 0 {
		return t.area + " (all)"
	}
	return t.area + " (" + joined(r.Keys) + ")"
}
