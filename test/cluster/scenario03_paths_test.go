//go:build e2e

package cluster

import (
	"path"
	"testing"
)

// What can be done to a protected file or directory, with the container runtime
// and the kubelet running on.
func TestProtectedPaths(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[1], cluster.seen.Mark()
	n.Run(t, "mkdir -p /srv/kept /srv/other")
	var changes []Change
	change := func(what, words, command, back string) {
		changes = append(changes, Change{What: what, Condition: "KubernetesPathDrift", Words: words, Command: command, Back: back})
	}
	files := []string{"/etc/kubernetes/policy.yaml", "/var/lib/kubelet/config.yaml", "/etc/containerd/config.toml"}
	dirs := []string{"/etc/kubernetes", "/etc/containerd"}
	for _, file := range files {
		kept := "/srv/kept/" + path.Base(file)
		change("edit "+file, file+" is content", "cp -p "+file+" "+kept+"; echo '# edited' >> "+file, "cat "+kept+" > "+file)
	}
	for _, file := range files {
		change("chmod "+file, file+" is mode 0666", "chmod 0666 "+file, "chmod 0644 "+file)
	}
	for _, file := range files {
		kept := "/srv/kept/" + path.Base(file)
		change("delete "+file, file+" is missing", "mv "+file+" "+kept, "mv "+kept+" "+file)
	}
	for _, file := range files {
		kept := "/srv/kept/" + path.Base(file)
		change("link for "+file, file+" is link", "mv "+file+" "+kept+"; ln -s "+kept+" "+file, "mv -f "+kept+" "+file)
	}
	for _, file := range files {
		change("mount over "+file, file+" is mounted over", "cp "+file+" /srv/other/; mount --bind /srv/other/"+path.Base(file)+" "+file, "umount "+file)
	}
	for _, dir := range dirs {
		change("add to "+dir, dir+"/added is new file", "echo x > "+dir+"/added", "rm "+dir+"/added")
	}
	change("add /var/lib/kubelet/config.d", "/var/lib/kubelet/config.d is new dir", "mkdir /var/lib/kubelet/config.d", "rmdir /var/lib/kubelet/config.d")
	for _, dir := range dirs {
		change("mount over "+dir, dir+" (mount) is on", "mount --bind /srv/other "+dir, "umount "+dir)
	}
	for _, dir := range dirs {
		change("link for "+dir, dir+" is link", "mv "+dir+" /srv/kept/; ln -s /srv/kept/"+path.Base(dir)+" "+dir, "rm "+dir+"; mv /srv/kept/"+path.Base(dir)+" "+dir)
	}
	n.Drifts(t, changes...)
	only(t, mark, n, "KubernetesPathDrift", "NodeOutOfSupport")
}
