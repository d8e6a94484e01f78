package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// Compact makes etcd forget how things were before now, as it does every five minutes.
func (s *Server) Compact(ctx context.Context) error {
	var etcd string
	for _, arg := range s.args {
		if servers, ok := strings.CutPrefix(arg, "--etcd-servers="); ok {
			etcd = servers
		}
	}
	// The first revisions are enough: a list that is that old is forgotten.
	body := strings.NewReader(`{"revision":"2","physical":true}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, etcd+"/v3/kv/compaction", body)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("compact etcd: %s", answer.Status)
	}
	return nil
}
