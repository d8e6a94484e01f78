//go:build e2e

package monitoring

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// promise is what a query of a panel returns.
type promise func(answer []series) error

// promises are those of a panel's queries, in order; one is that of all.
type promises struct{ healthy, drifted []promise }

func always(p ...promise) promises { return promises{p, p} }

func first(healthy, drifted promise) promises {
	return promises{[]promise{healthy}, []promise{drifted}}
}

// is is one series with this value.
func is(want string) promise {
	return func(answer []series) error {
		if len(answer) != 1 || answer[0].now() != want {
			return errors.New("want one series with " + want)
		}
		return nil
	}
}

// between is series, each with a last value in the range.
func between(least, most float64) promise {
	return func(answer []series) error {
		if len(answer) == 0 {
			return errors.New("want series")
		}
		for _, s := range answer {
			if v, err := strconv.ParseFloat(s.now(), 64); err != nil || v < least || v > most {
				return fmt.Errorf("%v is not from %v to %v", s, least, most)
			}
		}
		return nil
	}
}

func nothing(answer []series) error {
	if len(answer) > 0 {
		return errors.New("want nothing")
	}
	return nil
}

// row has a series with these labels; "…" stands for any text.
func row(pairs ...string) promise {
	return func(answer []series) error {
		for _, s := range answer {
			fits := true
			for i := 0; i < len(pairs); i += 2 {
				got := s.Metric[pairs[i]]
				fits = fits && (got == pairs[i+1] || pairs[i+1] == "…" && got != "")
			}
			if fits {
				return nil
			}
		}
		return fmt.Errorf("want a row with %v", pairs)
	}
}

// valued is row whose last value is in the range.
func valued(least, most float64, pairs ...string) promise {
	return func(answer []series) error {
		for _, s := range answer {
			if row(pairs...)([]series{s}) == nil && between(least, most)([]series{s}) == nil {
				return nil
			}
		}
		return fmt.Errorf("want a row with %v and a value from %v to %v", pairs, least, most)
	}
}

func all(wanted ...promise) promise {
	return func(answer []series) error {
		for _, p := range wanted {
			if err := p(answer); err != nil {
				return err
			}
		}
		return nil
	}
}

const (
	kernel  = "KernelParameterDrift"
	config  = "ComponentConfigDrift"
	forward = "ack.net.ip-forward"
)

// documentedRow is the finding of net.ipv4.ip_forward with what the catalogue says.
var documentedRow = row("condition", kernel, "operation", forward, "subject", "net.ipv4.ip_forward", "severity", "critical",
	"title", "net.ipv4.ip_forward was set to 0", "recovery", "Set net.ipv4.ip_forward to 1.", "class", "revert")

// checks are all seven.
var checks = all(row("check", "sysctl"), row("check", "paths"), row("check", "firewall"), row("check", "components"), row("check", "volumes"), row("check", "identity"), row("check", "hostconfig"))

// panelPromises is what each panel shows of four nodes in support, and with n4
// out of support: the queries' kinds and values.
var panelPromises = map[string]map[string]promises{
	"nodeguard-fleet.json": {
		"Nodes watched":                     always(is("4")),
		"Nodes out of support":              first(is("0"), is("1")),
		"Rebuild advised":                   always(is("0")),
		"Nodes that cannot tell":            always(is("0")),
		"Agents down":                       always(is("0")),
		"Findings":                          {[]promise{is("0"), is("0")}, []promise{between(3, 20), between(0, 20)}},
		"Nodes out of support by condition": first(all(valued(0, 0, "condition", kernel), valued(0, 0, "condition", config)), all(valued(1, 1, "condition", kernel), valued(1, 1, "condition", config))),
		"By condition and pool":             first(nothing, valued(1, 1, "condition", kernel, "cluster", "c1", "pool", "a")),
		"Since when":                        first(nothing, valued(1.7e12, 1e13, "node", "n4", "cluster", "c1", "pool", "a", "condition", kernel)),
		"Findings and recovery":             first(nothing, all(documentedRow, row("node", "n4", "pool", "a", "operation", "ack.worker.core-params", "subject", "kubelet config maxPods", "recovery", "…"))),
		"Operations by nodes":               first(nothing, valued(1, 1, "operation", forward, "severity", "critical", "condition", kernel, "title", "…")),
		"Outliers":                          first(nothing, row("node", "n4", "pool", "a", "scope", "components", "digest", "…")),
		"Sources and modes":                 always(all(valued(4, 4, "source", "inotify", "mode", "event"), between(1, 4))),
		"Sources that notice at once":       always(between(0.01, 1)),
		"Detection latency":                 first(nothing, between(0, 60)),
		"Events lost":                       always(all(valued(0, 0, "source", "inotify"))),
		"Oldest look":                       always(all(checks, between(0, 120))),
		"Versions":                          always(all(valued(4, 4, "version", "…", "goversion", "…"))),
	},
	"nodeguard-node.json": {
		"Support":                     first(is("0"), is("1")),
		"Rebuild advised":             always(is("0")),
		"Findings":                    {[]promise{is("0"), is("0"), between(0, 20)}, []promise{between(3, 20), between(0, 20), between(0, 20)}},
		"Waived":                      first(is("0"), is("1")),
		"Not shown":                   always(is("0")),
		"Out of support in this time": first(is("0"), between(1, 300)),
		"Findings and recovery": first(nothing, all(documentedRow,
			row("operation", forward, "state", "pending", "waived", "false"), row("operation", "ack.net.tcp-tw-reuse", "waived", "true", "recovery", "…"))),
		"Conditions":             first(all(valued(0, 0, "condition", kernel), valued(0, 0, "condition", config)), all(valued(1, 1, "condition", kernel), valued(1, 1, "condition", config))),
		"Findings over time":     first(nothing, valued(1, 1, "operation", forward, "subject", "net.ipv4.ip_forward", "state", "active")),
		"Sources":                always(row("source", "inotify", "mode", "event")),
		"Events by source":       always(row("source", "inotify")),
		"Events lost and errors": always(row("source", "inotify"), row("source", "inotify")),
		"Detection latency":      first(nothing, between(0, 60)),
		"Age of the last look":   always(all(checks, between(0, 120))),
		"Deliveries":             always(nothing, nothing), // there is no cluster
		"CPU":                    always(between(0, 2)),
		"Memory":                 always(between(1<<20, 1<<28), between(1<<18, 1<<28)),
		"Looks":                  always(checks, checks),
		"Duration of a look":     always(all(checks, between(0, 10))),
	},
}

// asks runs every query of every panel, as Grafana would for all clusters and
// node n4, until each returns what the panel promises.
func (f *fleet) asks(state string) {
	f.t.Helper()
	variables := strings.NewReplacer("$cluster", ".*", "$pool", ".*", "$node", "n4", "$__rate_interval", "30s", "$__range", "2m")
	for name, d := range dashboards(f.t) {
		f.offers(name, d, variables)
		untried := maps.Clone(panelPromises[name])
		for _, p := range d.Panels {
			if p.Type == "row" {
				continue
			}
			promised, ok := untried[p.Title]
			if !ok {
				f.t.Errorf("%s: nothing is promised of %s", name, p.Title)
				continue
			}
			delete(untried, p.Title)
			wanted := promised.healthy
			if state == "drifted" {
				wanted = promised.drifted
			}
			for i, q := range p.Targets {
				want := wanted[min(i, len(wanted)-1)]
				expr := variables.Replace(q.Expr)
				eventually(f.t, fmt.Sprintf("%s, %s: %s %s: %s", state, name, p.Title, q.RefID, expr), func() error {
					got, err := f.prometheus.query(expr, q.Range)
					if err != nil {
						return err
					}
					got = current(got)
					if err := want(got); err != nil {
						return fmt.Errorf("%w, got %v", err, got)
					}
					return p.shows(got)
				})
			}
		}
		for title := range untried {
			f.t.Errorf("%s has no panel %s", name, title)
		}
	}
}

// offers holds that there is something to choose from in every variable.
func (f *fleet) offers(name string, d dashboard, variables *strings.Replacer) {
	f.t.Helper()
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		asked := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Query.(map[string]any)["query"].(string))
		if asked == nil {
			f.t.Fatalf("%s: %s asks %v", name, v.Name, v.Query)
		}
		got, err := f.prometheus.query(variables.Replace("count by ("+asked[2]+") ("+asked[1]+")"), false)
		if err != nil || len(got) == 0 || got[0].Metric[asked[2]] == "" {
			f.t.Errorf("%s: %s offers %v, %v", name, v.Name, got, err)
		}
	}
}

// current leaves out values of a quantile of nothing.
func current(answer []series) []series {
	return slices.DeleteFunc(answer, func(s series) bool { return s.now() == "NaN" })
}

// shows tells of columns of a table that no row has.
func (p panel) shows(answer []series) error {
	for _, t := range p.Transformations {
		for _, column := range t.Options.Include.Names {
			has := func(s series) bool { _, ok := s.Metric[column]; return ok || column == "Value" }
			if len(answer) > 0 && !slices.ContainsFunc(answer, has) {
				return fmt.Errorf("no row has the column %s: %v", column, answer)
			}
		}
	}
	return nil
}
