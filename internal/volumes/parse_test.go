package volumes

import (
	"strings"
	"testing"
)

// Whatever stands in a cgroup path or a vol_data.json, reading it ends well and
// tells of no pod that the text does not name.
func FuzzParse(f *testing.F) {
	f.Add("/kubepods/besteffort/pod"+podA+"/c1", `{"driverName":"d","volumeHandle":"h"}`)
	f.Add("/kubepods.slice/kubepods-pod"+strings.ReplaceAll(podA, "-", "_")+".slice/crio-c1.scope", `{"volumeLifecycleMode":"Ephemeral"}`)
	f.Add("//..//pod/", "{")
	f.Fuzz(func(t *testing.T, cgroup, data string) {
		uid, _, ok := parseCgroup(cgroup)
		if ok && !strings.Contains(strings.ReplaceAll(cgroup, "_", "-"), uid) || ok && len(uid) < 32 {
			t.Errorf("%q is in pod %q", cgroup, uid)
		}
		v := &volume{pod: &pod{}}
		if err := v.decodeCSI([]byte(data)); err == nil && v.kind == persistent && strings.Contains(data, `"volumeLifecycleMode":"Ephemeral"}`) && strings.Count(data, "volumeLifecycleMode") == 1 {
			t.Errorf("%q must be a mount", data)
		}
	})
}
