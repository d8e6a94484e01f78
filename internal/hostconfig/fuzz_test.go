package hostconfig

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func FuzzSSHD(f *testing.F) {
	f.Add("PermitRootLogin yes\nMatch User root,!x Address *\nPasswordAuthentication=\"no\"\nInclude x \"y z\"")
	f.Add("match\nMatch all\nAllowUsers !* ** root@[::1]\nAuthenticationMethods ,,: any")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			return
		}
		config, err := parsedSSHD(text, map[string]string{"/etc/ssh/x": text})
		if err != nil {
			return
		}
		switch got := config.rootLogin(); got {
		case "allowed", "allowed in a Match block", "refused":
		default:
			t.Errorf("%q", got)
		}
		for keyword, value := range config.global {
			printable(t, drift.Printable(keyword))
			printable(t, shownDirective(value))
		}
	})
}

func printable(t *testing.T, s string) {
	t.Helper()
	for _, r := range s {
		if !utf8.ValidString(s) || !unicode.IsPrint(r) {
			t.Errorf("not printable: %q", s)
		}
	}
}

func FuzzResolver(f *testing.F) {
	f.Add([]byte("nameserver 127.0.0.53\nsearch a b\noptions x:1 y\n;c"))
	f.Fuzz(func(_ *testing.T, data []byte) { parseResolver(data).stub() })
}

func FuzzDpkg(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\n\n: \nPackage:\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if names, _ := namesOf(data); names[""] {
			t.Error("a package without a name")
		}
	})
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("a b c swap sw,noauto\n[x]\n=\n127.0.0.1 x # y\nroot:x:0:0:::"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		parseHosts(data)
		parseSettings(data)
		parseSwaps(data)
		parseFstabSwap(data)
		parseShells(data)
		parseModules(data)
		parseModulePaths(data)
		parseCommandLine(string(data))
		digestOf(data)
		mentions(data, []string{"a", "b"})
	})
}

func FuzzKernelTables(f *testing.F) {
	f.Add([]byte("0: 0100007F:0016 0:0 0A\neth0 00000000 0 0003 0 0 0 00000000 0 0 0\n |-- 1.2.3.4\n /32 host LOCAL\nMemTotal: 1 kB"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		parseListeners(data)
		parseRoutes(data)
		parseFibTrie(data)
		parseInet6(data)
		parseMemTotal(data)
		parseWtmp(data)
		parseSession(data)
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"process":{"capabilities":{"effective":["CAP_SYS_ADMIN"]}},"mounts":[{"type":"bind","source":"/etc/../","options":null}],"annotations":{"a":"b"},"linux":{"resources":{"memory":{"limit":-1}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseBundle(data); err == nil && c.memory < 0 {
			t.Errorf("a limit of %d", c.memory)
		}
	})
}

func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte("current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\nclusters: [{name: b, cluster: {server: 'https://[::1]:6443'}}]"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		if len(data) < 4<<10 {
			serverOf(data)
		}
	})
}
