package baseline

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUpgradeIsKept(t *testing.T) {
	open := &Upgrade{
		Noticed:  time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Versions: []Change{{"components", "kubelet release", "v2", ""}},
		Folded:   []Change{{"paths", `/etc/a "b" \x00`, "content sha256:1", ""}},
	}
	for _, u := range []*Upgrade{nil, open} {
		b := &Baseline{Header: Header{Format: Format}, Scopes: map[string]Scope{"paths": {"/a": "1"}}, Upgrade: u}
		data, err := Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, back); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
}

func TestSameUpgrade(t *testing.T) {
	a := Upgrade{Noticed: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Versions: []Change{{"c", "v", "2", ""}}, Folded: []Change{{"p", "/a", "1", ""}}}
	later, another, more := a, a, a
	later.Noticed = a.Noticed.Add(time.Second)
	another.Versions = []Change{{"c", "v", "3", ""}}
	more.Folded = append([]Change{{"p", "/b", "1", ""}}, a.Folded...)
	local := a
	local.Noticed = a.Noticed.Local()
	var none *Upgrade
	if !a.Same(&local) || !none.Same(nil) {
		t.Error("the same is another one")
	}
	for _, b := range []*Upgrade{nil, &later, &another, &more} {
		if a.Same(b) || b.Same(&a) {
			t.Errorf("%+v is the same", b)
		}
	}
	if diff := cmp.Diff(map[string]string{"v": "2"}, a.Observed()); diff != "" || none.Observed() != nil {
		t.Error(diff)
	}
}
