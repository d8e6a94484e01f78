package bench

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// meter counts what goes over the connections of all agents.
type meter struct {
	mu       sync.Mutex
	kinds    map[string]int // PATCH, POST, WATCH, GET
	failed   map[string]int // "PATCH 429"
	sent     int64          // bodies, in bytes
	received int64
	took     []float64 // ms, of all but watches
	watches  int       // open now
}

// traffic is what went through since the last time.
type traffic struct {
	kinds          map[string]int
	failed         map[string]int
	sent, received int64
	took           []float64
}

func newMeter() *meter { return &meter{kinds: map[string]int{}, failed: map[string]int{}} }

func (m *meter) take() traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := traffic{m.kinds, m.failed, m.sent, m.received, m.took}
	m.kinds, m.failed, m.sent, m.received, m.took = map[string]int{}, map[string]int{}, 0, 0, nil
	return out
}

func (t traffic) requests() (n int) {
	for _, count := range t.kinds {
		n += count
	}
	return n
}

func (t traffic) failures() (n int) {
	for _, count := range t.failed {
		n += count
	}
	return n
}

func (m *meter) open() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.watches
}

// through returns a transport that is counted.
func (m *meter) through(next http.RoundTripper) http.RoundTripper {
	return transport(func(r *http.Request) (*http.Response, error) {
		kind := r.Method
		if r.URL.Query().Get("watch") != "" {
			kind = "WATCH"
		}
		began := time.Now()
		answer, err := next.RoundTrip(r)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.kinds[kind]++
		m.sent += max(0, r.ContentLength)
		if kind != "WATCH" {
			m.took = append(m.took, ms(time.Since(began)))
		}
		switch {
		case err != nil:
			m.failed[kind+" unanswered"]++
		case answer.StatusCode >= http.StatusBadRequest:
			m.failed[kind+" "+strconv.Itoa(answer.StatusCode)]++
		}
		if err == nil {
			answer.Body = &counted{ReadCloser: answer.Body, meter: m, watch: kind == "WATCH"}
			if kind == "WATCH" {
				m.watches++
			}
		}
		return answer, err
	})
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// counted is the body of an answer.
type counted struct {
	io.ReadCloser
	meter  *meter
	watch  bool
	closed sync.Once
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.meter.mu.Lock()
	c.meter.received += int64(n)
	c.meter.mu.Unlock()
	return n, err
}

func (c *counted) Close() error {
	c.closed.Do(func() {
		if c.watch {
			c.meter.mu.Lock()
			c.meter.watches--
			c.meter.mu.Unlock()
		}
	})
	return c.ReadCloser.Close()
}
