package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
)

const (
	requestTimeout = 10 * time.Second
	dialTimeout    = 2 * time.Second
	writesPerSec   = 10 // of each kind: events do not hold the conditions up
	writesBurst    = 20
	nodesPerPage   = 500
)

// Client speaks of Nodes and of events, and of nothing else.
type Client struct {
	nodes, events rest.Interface
	dialer        *connrotation.Dialer
	params        runtime.ParameterCodec
}

// Connect reads a kubeconfig: the named file, else $KUBECONFIG, ~/.kube/config, or
// the service account of the Pod.
func Connect(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return config, nil
}

// LogTo sends what the Kubernetes libraries log to the same logger.
func LogTo(log *slog.Logger) { klog.SetSlogLogger(log) }

// NewClient returns a client for a server. The configuration is not changed.
func NewClient(config *rest.Config) (*Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register the API types: %w", err)
		}
	}
	c := &Client{dialer: connrotation.NewDialer(dialer().DialContext), params: runtime.NewParameterCodec(scheme)}

	config = rest.CopyConfig(config)
	config.Dial = c.dialer.DialContext
	config.Timeout = 0 // each request has its own; the watch has none
	rereadToken(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.WarningHandler = rest.NoWarnings{}
	if config.UserAgent == "" {
		config.UserAgent = "nodeguard"
	}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("set up the connection: %w", err)
	}
	group := func(path string, gv schema.GroupVersion) (rest.Interface, error) {
		of := rest.CopyConfig(config)
		of.APIPath, of.GroupVersion = path, &gv
		of.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(writesPerSec, writesBurst)
		return rest.RESTClientForConfigAndClient(of, web)
	}
	if c.nodes, err = group("/api", corev1.SchemeGroupVersion); err != nil {
		return nil, fmt.Errorf("set up the client: %w", err)
	}
	if c.events, err = group("/apis", eventsv1.SchemeGroupVersion); err != nil {
		return nil, fmt.Errorf("set up the client: %w", err)
	}
	return c, nil
}

// rereadToken reads the token file anew as soon as the server refuses the token; left
// alone, client-go would use it for the best part of a minute.
func rereadToken(config *rest.Config) {
	if config.BearerTokenFile == "" {
		return
	}
	config.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(config.BearerTokenFile)))
	config.BearerToken, config.BearerTokenFile = "", ""
}

// dialer gives up early, on connecting and on a peer that no longer answers: the
// next attempt is what finds the server again.
func dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         giveUpUnanswered,
	}
}

// patchStatus merges into the Node's status and returns the Node as it stands then.
func (c *Client) patchStatus(ctx context.Context, node string, body []byte) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out := new(corev1.Node)
	err := c.nodes.Patch(types.StrategicMergePatchType).Resource("nodes").Name(node).SubResource("status").
		MaxRetries(0).Body(body).Do(ctx).Into(out)
	return out, c.judged(ctx, err)
}

// create writes an event.
func (c *Client) create(ctx context.Context, event *eventsv1.Event) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := c.events.Post().Namespace(event.Namespace).Resource("events").MaxRetries(0).Body(event).Do(ctx).Error()
	return c.judged(ctx, err)
}

// judged drops the connections after a request that nobody answered: they may be
// half open, and the next one would wait on them as long.
func (c *Client) judged(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.dialer.CloseAll()
		return fmt.Errorf("no answer within %v: %w", requestTimeout, err)
	}
	return err
}

// watch follows one Node; without a resource version it begins with the Node as it is.
func (c *Client) watch(ctx context.Context, node string) (watch.Interface, error) {
	ctx, cancel := context.WithCancel(ctx)
	opening := time.AfterFunc(requestTimeout, cancel)
	stream, err := c.nodes.Get().Resource("nodes").VersionedParams(&metav1.ListOptions{
		Watch: true, FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, node).String(),
	}, c.params).MaxRetries(0).Watch(ctx)
	if err != nil || !opening.Stop() {
		cancel()
		if err == nil {
			stream.Stop()
			err = fmt.Errorf("no answer within %v", requestTimeout)
		}
		return nil, err
	}
	return &cancelled{Interface: stream, cancel: cancel}, nil
}

// cancelled is a watch that ends its request when it is stopped.
type cancelled struct {
	watch.Interface
	cancel context.CancelFunc
}

func (c *cancelled) Stop() {
	c.Interface.Stop()
	c.cancel()
}

// page lists some Nodes, from where the page before ended.
func (c *Client) page(ctx context.Context, from string) (*corev1.NodeList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	out := new(corev1.NodeList)
	err := c.nodes.Get().Resource("nodes").VersionedParams(&metav1.ListOptions{Limit: nodesPerPage, Continue: from}, c.params).
		Do(ctx).Into(out)
	return out, c.judged(ctx, err)
}
