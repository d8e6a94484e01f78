package main

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
)

// cluster is a simulated API server: Nodes and the agents' pods, in pages, as protobuf
// and compressed as a real one does it. test/apiserver has the real one.
type cluster struct {
	nodes   []corev1.Node
	pods    []corev1.Pod
	maxPage int                  // 0: what is asked for
	expires string               // "remainder", "all": a continued list is answered 410, once
	forbids []string             // resources
	proxy   http.Handler         // of the pods
	log     []string             // what was asked for
	bodies  map[string]*response // by request, so that only the first one costs the server
	mu      sync.Mutex
}

type response struct{ plain, compressed []byte }

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, r.URL.RequestURI())
	resource := strings.TrimPrefix(r.URL.Path, "/api/v1/")
	for _, forbidden := range c.forbids {
		if strings.HasSuffix(resource, forbidden) || strings.Contains(resource, forbidden+"/") {
			c.refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, forbidden+` is forbidden: User "somebody" may not`, "")
			return
		}
	}
	switch {
	case resource == "nodes":
		c.list(w, r)
	case strings.HasPrefix(resource, "nodes/"):
		c.get(w, strings.TrimPrefix(resource, "nodes/"))
	case strings.Contains(resource, "/proxy/"):
		c.proxy.ServeHTTP(w, r)
	case strings.HasSuffix(resource, "/pods"):
		c.listPods(w, r, strings.Split(resource, "/")[1])
	default:
		http.NotFound(w, r)
	}
}

func (c *cluster) list(w http.ResponseWriter, r *http.Request) {
	if body, ok := c.bodies[r.URL.RawQuery]; ok {
		body.write(w, r)
		return
	}
	query := r.URL.Query()
	from, token := 0, query.Get("continue")
	if token != "" {
		decoded, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			c.refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "continue key is not valid", "")
			return
		}
		kind, at, _ := strings.Cut(string(decoded), " ")
		from, _ = strconv.Atoi(at)
		if kind == "consistent" && c.expires != "" {
			remainder := ""
			if c.expires == "remainder" {
				remainder = base64.StdEncoding.EncodeToString([]byte("inconsistent " + at))
			}
			c.refuse(w, http.StatusGone, metav1.StatusReasonExpired, "The provided continue parameter is too old", remainder)
			return
		}
	}
	page := &corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}}
	selected := c.selected(query.Get("labelSelector"), query.Get("fieldSelector"))
	limit, _ := strconv.Atoi(query.Get("limit"))
	if c.maxPage > 0 && limit > c.maxPage {
		limit = c.maxPage
	}
	page.Items = selected[from:]
	if limit > 0 && len(page.Items) > limit {
		page.Items = page.Items[:limit]
		page.Continue = base64.StdEncoding.EncodeToString([]byte("consistent " + strconv.Itoa(from+limit)))
	}
	body := encoded(page)
	if c.bodies != nil {
		c.bodies[r.URL.RawQuery] = body
	}
	body.write(w, r)
}

func (c *cluster) selected(byLabels, byFields string) (out []corev1.Node) {
	label, err := labels.Parse(byLabels)
	field, err2 := fields.ParseSelector(byFields)
	if errors.Join(err, err2) != nil {
		return nil
	}
	for _, n := range c.nodes {
		if label.Matches(labels.Set(n.Labels)) && field.Matches(fields.Set{"metadata.name": n.Name}) {
			out = append(out, n)
		}
	}
	return out
}

func (c *cluster) get(w http.ResponseWriter, name string) {
	i := slices.IndexFunc(c.nodes, func(n corev1.Node) bool { return n.Name == name })
	if i < 0 {
		c.refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("nodes %q not found", name), "")
		return
	}
	n := c.nodes[i]
	n.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}
	encoded(&n).write(w, nil)
}

func (c *cluster) listPods(w http.ResponseWriter, r *http.Request, namespace string) {
	label, _ := labels.Parse(r.URL.Query().Get("labelSelector"))
	field, _ := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	out := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for _, p := range c.pods {
		if p.Namespace == namespace && label.Matches(labels.Set(p.Labels)) && field.Matches(fields.Set{"spec.nodeName": p.Spec.NodeName}) {
			out.Items = append(out.Items, p)
		}
	}
	encoded(out).write(w, nil)
}

func (c *cluster) refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason, message, remainder string) {
	status := apierrors.StatusError{ErrStatus: metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, ListMeta: metav1.ListMeta{Continue: remainder},
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}}
	body, _ := json.Marshal(status.ErrStatus)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(code))
	_, _ = w.Write(body)
}

func encoded(o runtime.Object) *response {
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	var plain, compressed bytes.Buffer
	if err := protobuf.NewSerializer(scheme, scheme).Encode(o, &plain); err != nil {
		panic(err)
	}
	if plain.Len() > 128<<10 { // as a real server
		z, _ := gzip.NewWriterLevel(&compressed, 1)
		_, _ = z.Write(plain.Bytes())
		_ = z.Close()
	}
	return &response{plain.Bytes(), compressed.Bytes()}
}

func (b *response) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	if r != nil && len(b.compressed) > 0 && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(b.compressed)
		return
	}
	_, _ = w.Write(b.plain)
}

// kubeconfig has two contexts: sim for the server, and away for one that is not there.
func kubeconfig(server string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- {name: sim, cluster: {server: %q}}
- {name: away, cluster: {server: "http://127.0.0.1:1"}}
users:
- {name: somebody, user: {}}
contexts:
- {name: sim, context: {cluster: sim, user: somebody}}
- {name: away, context: {cluster: away, user: somebody}}
current-context: sim
`, server)
}

// scene is a cluster as scripts write it down.
type scene struct {
	MaxPage int      `yaml:"maxPage"`
	Expires string   `yaml:"expires"`
	Forbids []string `yaml:"forbids"`
	Agent   string   `yaml:"agent"` // what its pods answer: refuses, tls, or a file
	Nodes   []struct {
		Name        string            `yaml:"name"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
		Heartbeat   time.Duration     `yaml:"heartbeat"`  // ago
		Conditions  string            `yaml:"conditions"` // a line each
		Pod         string            `yaml:"pod"`        // of the agent: namespace/name
	} `yaml:"nodes"`
}

// startCluster simulates the cluster that FILE describes, and writes its kubeconfig.
func startCluster(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: cluster FILE")
	}
	var s scene
	ts.Check(yaml.UnmarshalWithOptions([]byte(ts.ReadFile(args[0])), &s, yaml.Strict()))
	c := &cluster{maxPage: s.MaxPage, expires: s.Expires, forbids: s.Forbids, proxy: s.answers(ts)}
	for _, n := range s.Nodes {
		node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: n.Labels, Annotations: n.Annotations}}
		for _, text := range strings.FieldsFunc(n.Conditions, func(r rune) bool { return r == '\n' }) {
			node.Status.Conditions = append(node.Status.Conditions, conditionFrom(ts, text, n.Heartbeat))
		}
		c.nodes = append(c.nodes, node)
		if namespace, name, ok := strings.Cut(n.Pod, "/"); ok {
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "nodeguard"}}}
			pod.Spec.NodeName, pod.Status.Phase = n.Name, corev1.PodRunning
			c.pods = append(c.pods, pod)
		}
	}
	server := httptest.NewServer(c)
	ts.Defer(server.Close)
	ts.Check(os.WriteFile(ts.MkAbs("kubeconfig"), kubeconfig(server.URL), 0o600))
	ts.Setenv("KUBECONFIG", ts.MkAbs("kubeconfig"))
}

// conditionFrom reads "TYPE STATUS REASON AGE MESSAGE", the message with Go's escapes.
func conditionFrom(ts *testscript.TestScript, text string, heartbeat time.Duration) corev1.NodeCondition {
	parts := strings.SplitN(text, " ", 5)
	if len(parts) != 5 {
		ts.Fatalf("condition %q is not TYPE STATUS REASON AGE MESSAGE", text)
	}
	age, err := time.ParseDuration(parts[3])
	ts.Check(err)
	message, err := strconv.Unquote(`"` + strings.ReplaceAll(parts[4], `"`, `\"`) + `"`)
	ts.Check(err)
	return corev1.NodeCondition{
		Type: corev1.NodeConditionType(parts[0]), Status: corev1.ConditionStatus(parts[1]), Reason: parts[2], Message: message,
		LastTransitionTime: metav1.NewTime(time.Now().Add(-age)), LastHeartbeatTime: metav1.NewTime(time.Now().Add(-heartbeat)),
	}
}

// answers is what the API server passes on from the agents.
func (s scene) answers(ts *testscript.TestScript) http.Handler {
	var report string
	if s.Agent != "" && s.Agent != "refuses" {
		report = ts.ReadFile(strings.TrimPrefix(s.Agent, "tls "))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.Agent == "refuses":
			http.Error(w, "This is answered on the node itself, or to peers that authenticate.", http.StatusForbidden)
		case strings.HasPrefix(s.Agent, "tls ") && !strings.Contains(r.URL.Path, "/https:"):
			http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(report))
		}
	})
}
