//go:build e2e

package cluster

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

//go:embed node.sh
var nodeScript string

// Node is a host of its own: a Debian with pid, mount, network, UTS and IPC
// namespaces, containerd, kubelet and kube-proxy. Its root is an overlay of the
// machine's in memory.
type Node struct {
	Name, IP string
	index    int
	cluster  *Cluster
	proxier  string // mode of kube-proxy

	init                       *exec.Cmd
	ended                      chan struct{}
	containerd, kubelet, proxy *Service
	kubeletFlags               []string
}

func (c *Cluster) newNode(i int) *Node {
	n := &Node{Name: fmt.Sprintf("node%d", i), IP: fmt.Sprintf("10.99.0.%d", 10+i), index: i, cluster: c, proxier: "nftables"}
	if i == 2 {
		n.proxier = "iptables"
	}
	n.kubeletFlags = []string{
		"--config=/var/lib/kubelet/config.yaml", "--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--hostname-override=" + n.Name, "--node-ip=" + n.IP, "--max-pods=110",
	}
	return n
}

func (n *Node) dir() string    { return filepath.Join(machineDir, n.Name) }
func (n *Node) link() string   { return fmt.Sprintf("ngv%d", n.index) }
func (n *Node) mac() string    { return fmt.Sprintf("02:00:0a:63:00:%02x", 10+n.index) }
func (n *Node) cgroup() string { return os.Getenv("NODEGUARD_E2E_NAME") + "-" + n.Name }

// Disk is the node's root while it is down, as far as it differs from the machine's.
func (n *Node) Disk(name string) string { return filepath.Join(n.dir(), "upper", name) }

// Boot starts the node, the first time with an empty disk, and returns when its
// components run.
func (n *Node) Boot() error {
	var images []string
	_, err := os.Stat(n.dir())
	if first := err != nil; first {
		if err := n.install(); err != nil {
			return err
		}
		images = []string{pauseImage, os.Getenv("NODEGUARD_E2E_IMAGE")}
	}
	if err := n.startInit(); err != nil {
		return err
	}
	if err := n.StartContainerd(); err != nil {
		return err
	}
	for _, image := range images {
		if err := n.importImage(image); err != nil {
			return err
		}
	}
	if err := n.StartKubelet(); err != nil {
		return err
	}
	n.proxy, err = n.serve("kube-proxy", "/usr/local/bin/kube-proxy", "--config=/etc/kube-proxy/config.yaml")
	return err
}

// The kubelet's certificate is a link to the latest of its files, as the kubelet keeps it.
const (
	clientCertificate = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	firstCertificate  = "kubelet-client-2026-01-01-00-00-00.pem"
)

// install writes what an installer leaves on a node.
func (n *Node) install() error {
	cert, key, err := n.cluster.pki.issue("system:node:"+n.Name, []string{"system:nodes"})
	if err != nil {
		return err
	}
	proxy, err := n.cluster.pki.kubeconfig("system:kube-proxy")
	if err != nil {
		return err
	}
	// Nothing of what the machine itself may have of Kubernetes.
	for _, name := range []string{"etc/kubernetes", "etc/containerd", "etc/cni", "var/lib/kubelet", "var/lib/containerd", "var/lib/cni", "var/lib/nodeguard"} {
		if err := os.MkdirAll(n.Disk(name), 0o755); err != nil {
			return err
		}
		if err := syscall.Setxattr(n.Disk(name), "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return err
		}
	}
	machineID := strings.Repeat(strconv.Itoa(n.index), 32)
	for name, content := range map[string]string{
		"etc/machine-id":                              machineID + "\n",
		"etc/hostname":                                n.Name + "\n",
		"etc/kubernetes/kubelet.conf":                 kubeconfig("{client-certificate: "+clientCertificate+", client-key: "+clientCertificate+"}", n.cluster.pki.ca()),
		"var/lib/kubelet/pki/" + firstCertificate:     string(cert) + string(key),
		"etc/kubernetes/pki/ca.crt":                   string(n.cluster.pki.ca()),
		"etc/kubernetes/kubelet-customized-args.conf": "# written by the node pool's configuration\n",
		"etc/kubernetes/policy.yaml":                  "# the provider's\n",
		"etc/cni/net.d/10-bridge.conflist":            fmt.Sprintf(cniConfig, n.index),
		"etc/containerd/config.toml":                  containerdConfig,
		"etc/kube-proxy/config.yaml":                  fmt.Sprintf(proxyConfig, n.proxier),
		"etc/kube-proxy/kubeconfig":                   proxy,
		"var/lib/kubelet/config.yaml":                 fmt.Sprintf(kubeletConfig, n.cgroup()),
	} {
		if err := writeFile(n.Disk(name), content); err != nil {
			return err
		}
	}
	if err := os.Symlink("/var/lib/kubelet/pki/"+firstCertificate, n.Disk(clientCertificate)); err != nil {
		return err
	}
	for to, from := range map[string]string{
		"/usr/bin/kubelet":                 component("kubelet"),
		"/usr/local/bin/kube-proxy":        component("kube-proxy"),
		"/usr/bin/containerd":              "/usr/bin/containerd", // on the node's own disk, to be replaced there
		"/usr/bin/containerd-shim-runc-v2": "/usr/bin/containerd-shim-runc-v2",
		"/usr/sbin/runc":                   "/usr/sbin/runc",
	} {
		if err := run("install", "-D", from, n.Disk(to)); err != nil {
			return err
		}
	}
	return nil
}

// startInit starts the node's first process and returns when it has mounted
// everything and is on the network.
func (n *Node) startInit() error {
	n.init = exec.Command("/proc/self/exe")
	n.init.Env = append(environment(), role+"=node", "NODE="+n.Name, "DIR="+n.dir(), "IP="+n.IP, "GATEWAY="+machineIP, "CGROUP="+n.cgroup())
	n.init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true,
	}
	log, err := os.OpenFile(filepath.Join(logDir, n.Name+"-init.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	n.init.Stderr = log
	power, err := n.init.StdinPipe()
	if err != nil {
		return err
	}
	up, err := n.init.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.init.Start(); err != nil {
		return err
	}
	if err := run("ip", "link", "add", n.link(), "type", "veth", "peer", "name", "eth0", "address", n.mac(), "netns", n.pid()); err != nil {
		return err
	}
	if err := run("ip", "link", "set", n.link(), "master", "ng0", "up"); err != nil {
		return err
	}
	if _, err := io.WriteString(power, "on\n"); err != nil {
		return err
	}
	if _, err := io.ReadFull(up, make([]byte, len("up\n"))); err != nil {
		return fmt.Errorf("it does not boot, see %s-init.log: %w", n.Name, err)
	}
	n.ended = make(chan struct{})
	go func() {
		_ = n.init.Wait()
		close(n.ended)
	}()
	return nil
}

// initNode is the first process of a node: it sets the node up, and then buries the dead.
func initNode() int {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	if _, err := io.ReadFull(os.Stdin, make([]byte, len("on\n"))); err != nil {
		return 1
	}
	cmd := exec.Command("/bin/bash", "-c", nodeScript)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "node.sh:", err)
		return 1
	}
	fmt.Println("up")
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); errors.Is(err, syscall.ECHILD) {
			<-children
		}
	}
}

func (n *Node) pid() string { return strconv.Itoa(n.init.Process.Pid) }

// Crash takes the node off: every process ends, and memory, mounts, cgroups and
// network with them.
func (n *Node) Crash() {
	services := []*Service{n.kubelet, n.proxy, n.containerd}
	for _, s := range services {
		s.last()
	}
	_ = n.init.Process.Kill()
	<-n.ended
	for _, s := range services {
		<-s.gone
	}
	removeCgroups(n.cgroup())
	_ = run("ip", "link", "del", n.link()) // a network namespace takes its time to end
}

func (n *Node) enter(args ...string) []string {
	return append([]string{"nsenter", "-t", n.pid(), "-m", "-u", "-i", "-n", "-p", "--"}, args...)
}

func (n *Node) start(name string, args ...string) (*Process, error) {
	return start(n.Name+"-"+name, n.enter(args...)...)
}

// onlyChild is the component that nsenter started.
func onlyChild(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	children := strings.Fields(string(data))
	if len(children) != 1 {
		return 0, fmt.Errorf("%d children", len(children))
	}
	return strconv.Atoi(children[0])
}

// StartContainerd returns when it answers.
func (n *Node) StartContainerd() (err error) {
	if n.containerd, err = n.serve("containerd", "/usr/bin/containerd"); err != nil {
		return err
	}
	return eventually(componentUp, func() error { return run(n.enter("ctr", "version")...) })
}

// StartKubelet starts it; when it is up the Node says.
func (n *Node) StartKubelet() (err error) {
	n.kubelet, err = n.serve("kubelet", append([]string{"/usr/bin/kubelet"}, n.kubeletFlags...)...)
	return err
}

func (n *Node) importImage(tar string) error {
	in, err := os.Open(tar)
	if err != nil {
		return err
	}
	defer in.Close()
	args := n.enter("ctr", "-n", "k8s.io", "images", "import", "-")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Env = in, environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("import %s: %w\n%s", tar, err, out)
	}
	return nil
}

// Run runs a shell command on the node; the test ends where it fails.
func (n *Node) Run(t testing.TB, command string) string {
	t.Helper()
	out, err := output(n.enter("sh", "-euc", command)...)
	if err != nil {
		t.Fatalf("%s: %v", n.Name, err)
	}
	return out
}

func writeFile(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}
