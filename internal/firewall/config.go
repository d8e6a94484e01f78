package firewall

import "strings"

// config is what a service's own configuration says.
type config struct {
	armed    bool            // started, it would enforce
	saved    []table         // what it would load, where armed depends on that
	declares map[string]bool // "family name" of the tables that nftables.conf defines
}

func always(files) (config, error) { return config{armed: true}, nil }

func ufwConfig(f files) (config, error) {
	values, err := f.assignments("/etc/ufw/ufw.conf")
	return config{armed: isYes(values["ENABLED"])}, err
}

// csfConfig: testing rules are taken away again by a cron job, and with
// csf.disable nothing is loaded.
func csfConfig(f files) (config, error) {
	values, err := f.assignments("/etc/csf/csf.conf")
	if err != nil {
		return config{}, err
	}
	disabled, err := f.exists("/etc/csf/csf.disable")
	return config{armed: len(values) > 0 && values["TESTING"] != "1" && !disabled}, err
}

// apfConfig: in development mode the rules are flushed every five minutes.
func apfConfig(f files) (config, error) {
	for _, name := range []string{"/etc/apf/conf.apf", "/etc/apf-firewall/conf.apf"} {
		values, err := f.assignments(name)
		if err != nil || len(values) > 0 {
			return config{armed: err == nil && values["DEVEL_MODE"] != "1"}, err
		}
	}
	return config{}, nil
}

func shorewallConfig(name string) func(files) (config, error) {
	return func(f files) (config, error) {
		values, err := f.assignments(name)
		return config{armed: isYes(values["STARTUP_ENABLED"])}, err
	}
}

func savedRules(family string, names ...string) func(files) (config, error) {
	return func(f files) (config, error) {
		var out config
		for _, name := range names {
			data, err := f.read(name)
			if err != nil {
				return config{}, err
			}
			out.saved = append(out.saved, parseSaved(family, data)...)
		}
		return out, nil
	}
}

func persistentRules(f files) (config, error) {
	v4, err := savedRules("ip", "/etc/iptables/rules.v4")(f)
	if err != nil {
		return config{}, err
	}
	v6, err := savedRules("ip6", "/etc/iptables/rules.v6")(f)
	return config{saved: append(v4.saved, v6.saved...)}, err
}

func nftablesConfig(f files) (config, error) {
	script, err := f.nftScript("/etc/nftables.conf", "/etc/sysconfig/nftables.conf")
	return config{armed: script.hooked && script.drops, declares: script.tables}, err
}

func isYes(value string) bool { return strings.EqualFold(value, "yes") }

// parseAssignments returns the values of a file of shell assignments; the last one of a
// name counts.
func parseAssignments(data []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		name = strings.TrimSpace(strings.TrimPrefix(name, "export "))
		if ok && name != "" && !strings.HasPrefix(name, "#") {
			out[name] = unquote(strings.TrimSpace(value))
		}
	}
	return out
}

// unquote is the word that a shell reads; what follows it is a comment.
func unquote(value string) string {
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		word, _, _ := strings.Cut(value[1:], value[:1])
		return word
	}
	word, _, _ := strings.Cut(value, "#")
	word, _, _ = strings.Cut(word, ";")
	return strings.TrimSpace(word)
}
