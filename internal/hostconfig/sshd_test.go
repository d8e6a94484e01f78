package hostconfig

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parsed reads a configuration whose includes are in files.
func parsedSSHD(text string, files map[string]string) (sshdConfig, error) {
	p := sshdParser{dir: "/etc/ssh", config: sshdConfig{global: directives{}}, include: func(glob string) ([][]byte, error) {
		if glob == "/etc/ssh/unreadable" {
			return nil, errors.New("unreadable")
		}
		var out [][]byte
		for _, name := range sortedKeys(files) {
			if onPath(glob, name) {
				out = append(out, []byte(files[name]))
			}
		}
		return out, nil
	}}
	p.parse([]byte(text), 0)
	return p.config, p.err
}

func TestRootLogin(t *testing.T) {
	dropIn := func(text string) map[string]string {
		return map[string]string{"/etc/ssh/sshd_config.d/50-cloud-init.conf": text}
	}
	for _, c := range []struct {
		name, text string
		files      map[string]string
		want       string
	}{
		{"defaults", "", nil, "refused"},
		{"root and passwords", "PermitRootLogin yes", nil, "allowed"},
		{"as sshd takes it", "permitrootlogin=\"yes\" # for now", nil, "allowed"},
		{"no passwords", "PermitRootLogin yes\nPasswordAuthentication no", nil, "refused"},
		{"keys only", "PermitRootLogin without-password", nil, "refused"},
		{"PAM asks for it all the same", "PermitRootLogin yes\nPasswordAuthentication no\nUsePAM yes", nil, "allowed"},
		{"nor does PAM", "PermitRootLogin yes\nPasswordAuthentication no\nUsePAM yes\nChallengeResponseAuthentication no", nil, "refused"},
		{"the first value counts", "PasswordAuthentication no\nPasswordAuthentication yes\nPermitRootLogin yes", nil, "refused"},
		{"an include before", "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin no", dropIn("PermitRootLogin yes"), "allowed"},
		{"an include after", "PermitRootLogin no\nInclude sshd_config.d/*.conf", dropIn("PermitRootLogin yes"), "refused"},
		{"a comment", "#PermitRootLogin yes", nil, "refused"},
		{"a Match block", "PermitRootLogin no\nMatch Address 10.0.0.0/8\n PermitRootLogin yes", nil, "allowed in a Match block"},
		{"a Match block takes it away", "PermitRootLogin yes\nMatch Address 10.0.0.0/8\n PermitRootLogin no", nil, "allowed"},
		{"a Match block about others", "PermitRootLogin no\nMatch User git,deploy\n PermitRootLogin yes", nil, "refused"},
		{"a Match block about all but root", "Match User *,!root\n PermitRootLogin yes", nil, "refused"},
		{"a Match block ends with Match all", "Match User git\n X11Forwarding no\nMatch all\nPermitRootLogin yes", nil, "allowed"},
		{"a Match block ends with its file", "Include sshd_config.d/*.conf\nPermitRootLogin yes", dropIn("Match User git\nPermitRootLogin no"), "allowed"},
		{"two factors", "PermitRootLogin yes\nAuthenticationMethods publickey,password", nil, "refused"},
		{"either factor", "PermitRootLogin yes\nAuthenticationMethods publickey password", nil, "allowed"},
		{"other users only", "PermitRootLogin yes\nAllowUsers admin deploy@10.*", nil, "refused"},
		{"root from somewhere", "PermitRootLogin yes\nAllowUsers admin root@10.*", nil, "allowed"},
		{"not root", "PermitRootLogin yes\nDenyUsers r??t", nil, "refused"},
		{"a group without root", "PermitRootLogin yes\nAllowGroups ssh-users", nil, "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := parsedSSHD(c.text, c.files)
			if err != nil {
				t.Fatal(err)
			}
			if got := config.rootLogin(); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestSSHDUnreadableInclude(t *testing.T) {
	if _, err := parsedSSHD("Include unreadable\nPermitRootLogin no", nil); err == nil {
		t.Error("an include that cannot be read is passed over")
	}
}

// An include that includes itself ends.
func TestSSHDIncludesItself(t *testing.T) {
	files := map[string]string{"/etc/ssh/a": "Include a a a\nPermitRootLogin yes"}
	config, err := parsedSSHD("Include a", files)
	if err != nil || config.rootLogin() != "allowed" {
		t.Errorf("%s, %v", config.rootLogin(), err)
	}
}

func TestSSHDTable(t *testing.T) {
	rule := Rule{Look: "sshd", In: []string{"/etc/ssh/sshd_config"}, Keys: []string{rootLogin}, Supported: []string{"refused"}}
	files := map[string]string{"etc/ssh/sshd_config": "PermitRootLogin yes\n"}
	if o := observe(t, tree(t, files), nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("a configuration without a server is judged: %v", o)
	}
	files["usr/sbin/sshd"] = ""
	want := []string{"sshd password login of root: allowed, refused"}
	if diff := cmp.Diff(want, seen(observe(t, tree(t, files), nil, rule))); diff != "" {
		t.Error(diff)
	}
	files["etc/ssh/sshd_config"] = "Include sshd_config.d\n"
	files["etc/ssh/sshd_config.d/x"] = ""
	if o := observe(t, tree(t, files), nil, rule); len(o.Gaps) != 1 || len(o.Findings) > 0 {
		t.Errorf("an include that is a directory: %+v", o)
	}
}
