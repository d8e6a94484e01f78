package main

import (
	"strconv"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

// coverage is how much of what a provider documents a node can tell.
type coverage struct {
	Profile    string   `json:"profile"`
	Documented int      `json:"documented"`
	Detected   int      `json:"detected"`
	BySymptom  int      `json:"bySymptom"`          // the node sees what follows from it
	NotVisible int      `json:"notVisible"`         // only the API of the cluster or the cloud shows it
	Untested   []string `json:"notShown,omitempty"` // has rules, and no report of the tests shows them
}

func (s *session) listCoverage() error {
	list, err := coverageOf(s.catalog)
	if err != nil {
		return err
	}
	switch s.output {
	case "json":
		return text.JSON(s.stdout, list)
	case "yaml":
		return text.YAML(s.stdout, list)
	}
	rows := [][]string{{"PROFILE", "DOCUMENTED", "DETECTED", "BY SYMPTOM", "NOT VISIBLE", "NOT SHOWN"}}
	for _, c := range list {
		rows = append(rows, []string{c.Profile, strconv.Itoa(c.Documented), strconv.Itoa(c.Detected), strconv.Itoa(c.BySymptom), strconv.Itoa(c.NotVisible), strconv.Itoa(len(c.Untested))})
	}
	return text.Columns(s.stdout, rows)
}

// coverageOf counts the operations of every profile's own documents. Detected is
// what the tests have shown, not what a rule claims.
func coverageOf(c *catalog.Catalog) ([]coverage, error) {
	shown, err := catalog.Detected()
	if err != nil {
		return nil, err
	}
	var out []coverage
	for _, name := range c.Names() {
		p, err := c.Own(name)
		if err != nil {
			return nil, err
		}
		of := coverage{Profile: name, Documented: len(p.Operations)}
		for _, o := range p.Operations {
			switch {
			case o.Unseen != nil && o.Unseen.Symptom != "":
				of.BySymptom++
			case o.Unseen != nil:
				of.NotVisible++
			case shown[o.ID]:
				of.Detected++
			default:
				of.Untested = append(of.Untested, o.ID)
			}
		}
		out = append(out, of)
	}
	return out, nil
}
