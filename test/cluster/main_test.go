//go:build e2e

// Package cluster proves nodeguard on a real Kubernetes: etcd, API server,
// controller manager, scheduler and two nodes with containerd, kubelet and
// kube-proxy, on one machine. Everything runs in namespaces whose first process
// is this test, so the kernel takes all of it down however the test ends.
package cluster

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// role tells what this process is: nothing, the machine, or a node on it.
const role = "NODEGUARD_CLUSTER_ROLE"

var cluster *Cluster

func TestMain(m *testing.M) {
	flag.Parse()
	switch os.Getenv(role) {
	case "machine":
		os.Exit(onMachine(m))
	case "node":
		os.Exit(initNode())
	default:
		os.Exit(startMachine())
	}
}

// startMachine runs this test again as the first process of namespaces of its own.
func startMachine() int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "a cluster on one machine needs namespaces, and they need root: sudo make e2e")
		return 2
	}
	name := os.Getenv("NODEGUARD_E2E_NAME")
	if name == "" {
		removeCgroups("nodeguard-e2e-") // of runs that were killed
		name = "nodeguard-e2e-" + strconv.Itoa(os.Getpid())
	}
	defer removeCgroups(name + "-")

	outside, err := network()
	if err != nil {
		fmt.Fprintln(os.Stderr, "the network outside:", err)
		return 1
	}
	defer outside.Close()

	runtime.LockOSThread() // the machine dies with the thread that started it
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"=machine", "NODEGUARD_E2E_NAME="+name)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdout, os.Stderr, []*os.File{outside}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start the machine:", err)
		return 1
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-stop:
		_ = cmd.Process.Kill() // and with it every process of every node
		<-ended
		return 130
	}
	return cmd.ProcessState.ExitCode()
}

// onMachine brings the cluster up and runs the tests.
func onMachine(m *testing.M) int {
	syscall.CloseOnExec(outsideFD)
	if err := prepareMachine(); err != nil {
		fmt.Fprintln(os.Stderr, "prepare the machine:", err)
		return 1
	}
	var err error
	if cluster, err = Up(); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		printLogs("*.log")
		return 1
	}
	code := m.Run()
	printTable(os.Stdout)
	if code != 0 {
		cluster.explain()
	}
	return code
}

// removeCgroups removes those that are empty: cgroups outlive namespaces.
func removeCgroups(prefix string) {
	for _, pattern := range []string{"/sys/fs/cgroup/" + prefix + "*", "/sys/fs/cgroup/*/" + prefix + "*"} {
		roots, _ := filepath.Glob(pattern)
		for _, root := range roots {
			removeTree(root)
		}
	}
}

func removeTree(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeTree(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir)
}

// prepareMachine gives the namespaces a /proc, a place in memory for all state,
// and the network that the nodes are on. Nothing can be written elsewhere.
func prepareMachine() error {
	commands := []string{
		"mount --make-rprivate /",
		"mount -t proc proc /proc",
		"mount -t tmpfs -o mode=755 tmpfs " + machineDir,
		"mkdir " + logDir + " " + tmpDir,
		"mount -o remount,bind,ro /",
		"ip link set lo up",
		"ip link add ng0 type bridge",
		"ip address add " + machineIP + "/24 dev ng0",
		"ip link set ng0 up",
	}
	if dir := os.Getenv("NODEGUARD_E2E_LOGS"); dir != "" {
		commands = slices.Insert(commands, 4, "mount --bind "+dir+" "+logDir)
	}
	for _, command := range commands {
		if err := run(strings.Fields(command)...); err != nil {
			return err
		}
	}
	return os.Setenv("TMPDIR", tmpDir)
}
