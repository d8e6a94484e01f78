// Package pagerduty stands for PagerDuty in tests: it takes events of the Events API
// v2, strictly, and keeps them.
package pagerduty

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// patience is for a machine that has other things to do.
const patience = 90 * time.Second

// Event is an event of PagerDuty's Events API v2, with all the fields it has.
type Event struct {
	RoutingKey  string `json:"routing_key"`
	EventAction string `json:"event_action"`
	DedupKey    string `json:"dedup_key"`
	Client      string `json:"client"`
	ClientURL   string `json:"client_url"`
	Payload     struct {
		Summary       string            `json:"summary"`
		Source        string            `json:"source"`
		Severity      string            `json:"severity"`
		Timestamp     string            `json:"timestamp"`
		Component     string            `json:"component"`
		Group         string            `json:"group"`
		Class         string            `json:"class"`
		CustomDetails map[string]string `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
	Images []struct {
		Src  string `json:"src"`
		Href string `json:"href"`
		Alt  string `json:"alt"`
	} `json:"images"`
}

// problems are what the API would refuse, or an on-call would miss.
func (e Event) problems(size int) (out []string) {
	wrong := func(is bool, what string) {
		if is {
			out = append(out, what)
		}
	}
	wrong(size > 512<<10, "larger than 512 KB")
	wrong(len(e.RoutingKey) != 32, "routing_key has not 32 characters")
	wrong(!slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.EventAction), "event_action is "+e.EventAction)
	wrong(e.DedupKey == "" || len(e.DedupKey) > 255, "dedup_key is empty or longer than 255")
	if e.EventAction != "trigger" {
		return out
	}
	wrong(e.Payload.Summary == "" || utf8.RuneCountInString(e.Payload.Summary) > 1024, "summary is empty or longer than 1024")
	wrong(e.Payload.Source == "", "source is empty")
	wrong(!slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity), "severity is "+e.Payload.Severity)
	for _, name := range []string{"impact", "recovery", "runbook", "firing"} {
		wrong(e.Payload.CustomDetails[name] == "", "no "+name+" in the details")
	}
	wrong(len(e.Links) != 1 || !strings.HasPrefix(e.Links[0].Href, "https://") || e.Links[0].Text == "", fmt.Sprintf("links are %v", e.Links))
	return out
}

// Receiver stands for PagerDuty: it answers as the API does, and keeps what it got.
type Receiver struct {
	*httptest.Server
	t testing.TB

	mu     sync.Mutex
	events []Event
	came   chan struct{} // closed and made anew with each event
}

// NewReceiver starts one, until the test ends.
func NewReceiver(t testing.TB) *Receiver {
	r := &Receiver{t: t, came: make(chan struct{})}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		r.t.Error(err)
	}
	var e Event
	strict := json.NewDecoder(strings.NewReader(string(body)))
	strict.DisallowUnknownFields()
	problems := []string{}
	if err := strict.Decode(&e); err != nil {
		problems = append(problems, err.Error())
	} else {
		problems = e.problems(len(body))
	}
	if q.Method != "POST" || q.URL.Path != "/v2/enqueue" || q.Header.Get("Content-Type") != "application/json" {
		problems = append(problems, q.Method+" "+q.URL.Path+" "+q.Header.Get("Content-Type"))
	}
	if len(problems) > 0 {
		r.t.Errorf("not an event of the API: %v\n%s", problems, body)
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": problems})
		return
	}
	r.mu.Lock()
	r.events = append(r.events, e)
	close(r.came)
	r.came = make(chan struct{})
	r.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey})
}

// Seen are the events so far that match.
func (r *Receiver) Seen(match func(Event) bool) (out []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if match(e) {
			out = append(out, e)
		}
	}
	return out
}

// Wait returns the first event that matches.
func (r *Receiver) Wait(what string, match func(Event) bool) Event {
	r.t.Helper()
	late := time.After(patience)
	for {
		r.mu.Lock()
		came := r.came
		r.mu.Unlock()
		if found := r.Seen(match); len(found) > 0 {
			return found[0]
		}
		select {
		case <-came:
		case <-late:
			r.t.Fatalf("no event within %v: %s; there were %+v", patience, what, r.Seen(func(Event) bool { return true }))
		}
	}
}

// Of matches events of an alert and operation.
func Of(action, alert, operation string) func(Event) bool {
	return func(e Event) bool {
		return e.EventAction == action && e.Payload.Class == alert && e.Payload.Component == operation
	}
}
