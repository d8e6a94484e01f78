package hostconfig

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/nodeguard/nodeguard/internal/host"
)

// askAPIServer opens a TCP connection to the server of the kubelet's kubeconfig.
func askAPIServer(ctx context.Context, root *host.Root) (string, error) {
	address, err := kubeletServer(root)
	if err != nil {
		return "", err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return address, fmt.Errorf("connect to the API server: %w", err)
	}
	return address, conn.Close()
}

// kubeconfigs are where the kubelet's is where its command line does not tell.
var kubeconfigs = [...]string{"/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/kubeconfig", "/etc/kubernetes/kubelet.kubeconfig"}

// kubeletServer is the host and port of the current cluster.
func kubeletServer(root *host.Root) (string, error) {
	args := kubeletArgs(root)
	names := kubeconfigs[:]
	if name := flagOf(args, "--kubeconfig"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		data, err := root.ReadFile(name, maxFile)
		if err != nil {
			continue
		}
		if address := serverOf(data); address != "" {
			return address, nil
		}
	}
	return "", errNotHere
}

// serverOf reads nothing of a kubeconfig but where the server is.
func serverOf(data []byte) string {
	var config struct {
		Current  string `yaml:"current-context"`
		Contexts []struct {
			Name    string `yaml:"name"`
			Context struct {
				Cluster string `yaml:"cluster"`
			} `yaml:"context"`
		} `yaml:"contexts"`
		Clusters []struct {
			Name    string `yaml:"name"`
			Cluster struct {
				Server string `yaml:"server"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
	}
	if yaml.Unmarshal(data, &config) != nil {
		return ""
	}
	wanted := ""
	for _, c := range config.Contexts {
		if c.Name == config.Current {
			wanted = c.Context.Cluster
		}
	}
	for _, c := range config.Clusters {
		if c.Name == wanted || wanted == "" {
			return hostPort(c.Cluster.Server)
		}
	}
	return ""
}

func hostPort(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
	}
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// askClusterDNS asks each of the cluster's DNS servers for the API's Service; any
// answer will do, from any of them.
func askClusterDNS(ctx context.Context, root *host.Root) (string, error) {
	servers, domain := kubeletDNS(root)
	if len(servers) == 0 {
		return "", errNotHere
	}
	var failed error
	for _, server := range servers {
		if failed = query(ctx, net.JoinHostPort(server, "53"), "kubernetes.default.svc."+domain+"."); failed == nil {
			return server, nil
		}
	}
	return strings.Join(servers, ", "), failed
}

// kubeletDNS are the servers that the kubelet gives to pods, and the domain.
func kubeletDNS(root *host.Root) (servers []string, domain string) {
	args := kubeletArgs(root)
	name := flagOf(args, "--config")
	if name == "" {
		name = "/var/lib/kubelet/config.yaml"
	}
	var config struct {
		DNS    []string `yaml:"clusterDNS"`
		Domain string   `yaml:"clusterDomain"`
	}
	if data, err := root.ReadFile(path.Clean("/"+name), maxFile); err == nil {
		_ = yaml.Unmarshal(data, &config) // what it does not tell is not probed
	}
	if list := flagOf(args, "--cluster-dns"); list != "" {
		config.DNS = strings.Split(list, ",")
	}
	if config.Domain == "" {
		config.Domain = "cluster.local"
	}
	for _, s := range config.DNS {
		if net.ParseIP(s) != nil {
			servers = append(servers, s)
		}
	}
	return servers, strings.TrimSuffix(config.Domain, ".")
}

func query(ctx context.Context, server, name string) error {
	wanted, err := dnsmessage.NewName(name)
	if err != nil {
		return fmt.Errorf("name %s: %w", name, err)
	}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(time.Now().UnixNano()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: wanted, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	packet, err := message.Pack()
	if err != nil {
		return fmt.Errorf("pack a DNS question: %w", err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", server)
	if err != nil {
		return fmt.Errorf("ask %s: %w", server, err)
	}
	defer conn.Close()
	end := time.Now().Add(probeTimeout)
	if by, ok := ctx.Deadline(); ok {
		end = by
	}
	if err := conn.SetDeadline(end); err != nil {
		return fmt.Errorf("set the deadline: %w", err)
	}
	if _, err := conn.Write(packet); err != nil {
		return fmt.Errorf("ask %s: %w", server, err)
	}
	answer := make([]byte, 4096)
	for {
		n, err := conn.Read(answer)
		if err != nil {
			return fmt.Errorf("hear from %s: %w", server, err)
		}
		var parser dnsmessage.Parser
		if header, err := parser.Start(answer[:n]); err == nil && header.Response && header.ID == message.ID {
			return nil
		}
	}
}

// kubeletArgs are those of the running kubelet; nil where none runs.
func kubeletArgs(root *host.Root) []string {
	found, err := root.Processes("kubelet")
	if err != nil || len(found) == 0 {
		return nil
	}
	return found[0].Args
}

func flagOf(args []string, name string) string {
	value := ""
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			value = v
		} else if a == name && i+1 < len(args) {
			value = args[i+1]
		}
	}
	return value
}
