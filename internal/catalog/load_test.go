package catalog

import "testing"

func TestEmbeddedProfilesLoad(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Names() {
		p, err := c.Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d operations", name, len(p.Operations))
	}
}
