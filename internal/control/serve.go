package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Serve answers until ctx ends.
func Serve(ctx context.Context, l net.Listener, answers Answers) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+acceptPath, func(w http.ResponseWriter, r *http.Request) {
		var asked AcceptRequest
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&asked); err != nil {
			http.Error(w, "the request cannot be read", http.StatusBadRequest)
			return
		}
		answer(w, answers.Accept(r.Context(), asked))
	})
	mux.HandleFunc("GET "+reportPath, func(w http.ResponseWriter, _ *http.Request) {
		report, complete := answers.Report()
		if !complete {
			http.Error(w, "the first full pass is under way", http.StatusServiceUnavailable)
			return
		}
		answer(w, report)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
