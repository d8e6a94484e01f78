package kube

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
)

// DefaultNamespace is where the manifests put the agents.
const DefaultNamespace = "nodeguard"

// Access is how somebody at a terminal reaches a cluster, by kubectl's flags.
type Access struct {
	rules     *clientcmd.ClientConfigLoadingRules
	overrides clientcmd.ConfigOverrides
}

// BindFlags adds the flags, named as kubectl's.
func BindFlags(flags *pflag.FlagSet) *Access {
	a := &Access{rules: clientcmd.NewDefaultClientConfigLoadingRules()}
	flags.StringVar(&a.rules.ExplicitPath, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, ~/.kube/config or the pod's service account)")
	named := clientcmd.RecommendedConfigOverrideFlags("")
	named.ContextOverrideFlags.Namespace.Description = "namespace of the agents (default " + DefaultNamespace + ")"
	named.ClusterOverrideFlags.APIServer.ShortName = "s"
	clientcmd.BindOverrideFlags(&a.overrides, flags, named)
	return a
}

// Namespace is the one of the agents. The kubeconfig's own has no say.
func (a *Access) Namespace() string {
	if a.overrides.Context.Namespace != "" {
		return a.overrides.Context.Namespace
	}
	return DefaultNamespace
}

// Reader returns a reader of the cluster.
func (a *Access) Reader() (*Reader, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(a.rules, &a.overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	return NewReader(config)
}
