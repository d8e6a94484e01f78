package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/fleet"
)

const (
	agentLabels = "app.kubernetes.io/name=nodeguard"
	reportPath  = "api/v1/report"
)

// Report asks the agent of a Node for its report, through the API server. An error
// says in one line why there is none.
func (r *Reader) Report(ctx context.Context, namespace, node string) (drift.Report, error) {
	pod, err := r.agent(ctx, namespace, node)
	if err != nil {
		return drift.Report{}, err
	}
	data, err := r.proxied(ctx, namespace, pod+":") // the first port of the pod
	if plainToTLS(err) {
		data, err = r.proxied(ctx, namespace, "https:"+pod+":")
	}
	if err != nil {
		return drift.Report{}, refusal(pod, err)
	}
	return fleet.DecodeReport(data)
}

// agent is the name of the running agent's pod.
func (r *Reader) agent(ctx context.Context, namespace, node string) (string, error) {
	pods := new(corev1.PodList)
	err := r.core.Get().Namespace(namespace).Resource("pods").VersionedParams(&metav1.ListOptions{
		LabelSelector: agentLabels, FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String(),
	}, r.params).Do(ctx).Into(pods)
	if err != nil {
		return "", fmt.Errorf("find the agent's pod: %w", err)
	}
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("no agent runs on it in namespace %s", namespace)
}

func (r *Reader) proxied(ctx context.Context, namespace, pod string) ([]byte, error) {
	answer := r.core.Get().Namespace(namespace).Resource("pods").Name(pod).SubResource("proxy").Suffix(reportPath).
		SetHeader("Accept", "application/json").MaxRetries(0).Do(ctx)
	if err := answer.Error(); err != nil { // the API server's own no is a Status
		return nil, err
	}
	return answer.Raw()
}

// plainToTLS tells whether the agent speaks TLS only.
func plainToTLS(err error) bool {
	cause, _ := apierrors.StatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
	return apierrors.IsBadRequest(err) && strings.Contains(cause.Message, "HTTP request to an HTTPS server")
}

// refusal tells the API server's no from the agent's.
func refusal(pod string, err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return fmt.Errorf("ask the agent in pod %s: %w", pod, err)
	}
	switch code := status.Status().Code; code {
	case http.StatusForbidden, http.StatusUnauthorized:
		return fmt.Errorf("the agent in pod %s shows its report on its own node only, or to who authenticates (%d)", pod, code)
	case http.StatusServiceUnavailable:
		return fmt.Errorf("the agent in pod %s has no report yet", pod)
	default:
		return fmt.Errorf("the agent in pod %s answers %d", pod, code)
	}
}
