package apiserver

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Client is somebody else's: the kubelet's, an operator's, a consumer's of conditions.
type Client struct{ nodes, events rest.Interface }

// NewClient returns one for a configuration.
func NewClient(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	_ = eventsv1.AddToScheme(scheme)
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.QPS = -1
	core, events := rest.CopyConfig(config), rest.CopyConfig(config)
	core.APIPath, core.GroupVersion = "/api", &corev1.SchemeGroupVersion
	events.APIPath, events.GroupVersion = "/apis", &eventsv1.SchemeGroupVersion
	c := &Client{}
	var err, err2 error
	c.nodes, err = rest.RESTClientFor(core)
	c.events, err2 = rest.RESTClientFor(events)
	return c, errors.Join(err, err2)
}

// Grant gives the agent's user the rights that its service account has in a cluster.
func (c *Client) Grant(ctx context.Context) error {
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	role := `{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"nodeguard"},"rules":[
	  {"apiGroups":[""],"resources":["nodes"],"verbs":["get","watch"]},
	  {"apiGroups":[""],"resources":["nodes/status"],"verbs":["patch"]},
	  {"apiGroups":["events.k8s.io"],"resources":["events"],"verbs":["create"]}]}`
	binding := `{"kind":"ClusterRoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"nodeguard"},
	  "roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"nodeguard"},
	  "subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"` + agentUser + `"}]}`
	for path, body := range map[string]string{"clusterroles": role, "clusterrolebindings": binding} {
		err := c.nodes.Post().AbsPath(rbac+path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(ctx).Error()
		if err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	return nil
}

// CreateNode registers a Node.
func (c *Client) CreateNode(ctx context.Context, n *corev1.Node) error {
	return c.nodes.Post().Resource("nodes").Body(n).Do(ctx).Error()
}

// DeleteNode deletes it.
func (c *Client) DeleteNode(ctx context.Context, name string) error {
	return c.nodes.Delete().Resource("nodes").Name(name).Do(ctx).Error()
}

// Node gets it.
func (c *Client) Node(ctx context.Context, name string) (*corev1.Node, error) {
	out := new(corev1.Node)
	return out, c.nodes.Get().Resource("nodes").Name(name).Do(ctx).Into(out)
}

// Patch merges into the Node, or into its status.
func (c *Client) Patch(ctx context.Context, name, body string, subresource ...string) error {
	return c.nodes.Patch(types.StrategicMergePatchType).Resource("nodes").Name(name).SubResource(subresource...).
		Body([]byte(body)).Do(ctx).Error()
}

// Await watches the Node until it is as wanted; nil stands for one that is gone.
func (c *Client) Await(ctx context.Context, name string, as func(*corev1.Node) bool) (last *corev1.Node, err error) {
	stream, err := c.nodes.Get().Resource("nodes").Param("watch", "true").Param("fieldSelector", "metadata.name="+name).Watch(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		n, ok := event.Object.(*corev1.Node)
		if !ok {
			return last, fmt.Errorf("watch: %v", event.Object)
		}
		if event.Type == "DELETED" {
			n = nil
		}
		if last = n; as(n) {
			return n, nil
		}
	}
	return last, fmt.Errorf("the Node never was as wanted: %w", context.Cause(ctx))
}

// Events are those about a Node.
func (c *Client) Events(ctx context.Context, node string) ([]eventsv1.Event, error) {
	list := new(eventsv1.EventList)
	if err := c.events.Get().Namespace(metav1.NamespaceDefault).Resource("events").Do(ctx).Into(list); err != nil {
		return nil, err
	}
	var out []eventsv1.Event
	for _, e := range list.Items {
		if e.Regarding.Kind == "Node" && e.Regarding.Name == node {
			out = append(out, e)
		}
	}
	return out, nil
}

// AwaitEvent watches for an event about a Node with a reason.
func (c *Client) AwaitEvent(ctx context.Context, node, reason string) (*eventsv1.Event, error) {
	stream, err := c.events.Get().Namespace(metav1.NamespaceDefault).Resource("events").Param("watch", "true").Watch(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if e, ok := event.Object.(*eventsv1.Event); ok && e.Regarding.Name == node && e.Reason == reason {
			return e, nil
		}
	}
	return nil, fmt.Errorf("no event %s about %s: %w", reason, node, context.Cause(ctx))
}
