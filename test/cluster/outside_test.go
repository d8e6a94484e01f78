//go:build e2e

package cluster

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The machine has a network of its own. This is the one of whoever started it, where
// the browser is.
const outsideFD = 3

// network is the namespace that the machine inherits as outsideFD.
func network() (*os.File, error) { return os.Open("/proc/self/ns/net") }

// outside runs something in the network of whoever started the machine.
func outside(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends, as it is in the wrong place
		if err := unix.Setns(outsideFD, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("the network outside: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}

// door is an address outside behind which something of the machine answers.
type door struct {
	URL      string
	listener net.Listener
}

func newDoor(t testing.TB) *door {
	t.Helper()
	d := &door{}
	err := outside(func() (err error) {
		d.listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.listener.Close() })
	d.URL = "http://" + d.listener.Addr().String()
	return d
}

// open leads to an address of the machine.
func (d *door) open(address string) {
	proxy := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: address}) },
		ErrorLog: log.New(io.Discard, "", 0), // who asks is told
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(d.listener) }()
}

// get asks as whoever started the machine would.
func (d *door) get(path string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = outside(func() error {
			c, err = (&net.Dialer{}).DialContext(ctx, network, address)
			return err
		})
		return c, err
	}}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(d.URL + path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s: %s", d.URL, path, response.Status)
	}
	return string(body), err
}
