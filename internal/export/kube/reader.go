package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/nodeguard/nodeguard/internal/fleet"
)

// Reader asks a cluster what agents wrote, for somebody at a terminal. It writes nothing.
type Reader struct {
	core   rest.Interface
	params runtime.ParameterCodec
}

// NewReader returns a reader for a server. The configuration is not changed; its
// timeout is that of each request.
func NewReader(config *rest.Config) (*Reader, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the API types: %w", err)
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.WarningHandler = rest.NoWarnings{}
	config.QPS = -1 // one request after the other
	if config.UserAgent == "" {
		config.UserAgent = "nodeguard"
	}
	core, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("set up the client: %w", err)
	}
	return &Reader{core: core, params: runtime.NewParameterCodec(scheme)}, nil
}

// Selection of Nodes, as kubectl's --selector and --field-selector; "" is all.
type Selection struct{ Labels, Fields string }

// Nodes lists Nodes, page by page.
func (r *Reader) Nodes(ctx context.Context, s Selection) (nodes []fleet.Node, err error) {
	options := metav1.ListOptions{LabelSelector: s.Labels, FieldSelector: s.Fields, Limit: nodesPerPage}
	for expired := false; ; {
		page := new(corev1.NodeList)
		err := r.core.Get().Resource("nodes").VersionedParams(&options, r.params).Do(ctx).Into(page)
		if apierrors.IsResourceExpired(err) && options.Continue != "" && !expired {
			expired = true
			if options.Continue = remainder(err); options.Continue == "" {
				options.Limit, nodes = 0, nil // all of them anew, in one answer that cannot expire
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the nodes: %w", err)
		}
		expired = false
		for i := range page.Items {
			nodes = append(nodes, fleetNode(&page.Items[i]))
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nodes, nil
		}
	}
}

// remainder is where the server would go on with the list, with the Nodes as they are
// now, when it has forgotten how they were at the first page.
func remainder(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Continue
	}
	return ""
}

// Node gets one Node.
func (r *Reader) Node(ctx context.Context, name string) (fleet.Node, error) {
	n := new(corev1.Node)
	if err := r.core.Get().Resource("nodes").Name(name).Do(ctx).Into(n); err != nil {
		return fleet.Node{}, fmt.Errorf("get the node: %w", err)
	}
	return fleetNode(n), nil
}

// fleetNode keeps nodeguard's conditions, in their own order.
func fleetNode(n *corev1.Node) fleet.Node {
	out := fleet.Node{Name: n.Name, Profile: n.Annotations[ProfileName]}
	for _, c := range n.Status.Conditions {
		if owned(string(c.Type)) {
			out.Conditions = append(out.Conditions, fleet.Condition{Condition: conditionOf(c), Heartbeat: c.LastHeartbeatTime.UTC()})
		}
	}
	slices.SortStableFunc(out.Conditions, func(a, b fleet.Condition) int {
		return slices.Index(conditionTypes[:], a.Type) - slices.Index(conditionTypes[:], b.Type)
	})
	return out
}
