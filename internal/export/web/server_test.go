package web_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/nodeguard/nodeguard/internal/export/web"
)

// lines is a log that a test reads line by line.
type lines struct {
	slog.Handler
	records chan slog.Record
}

func newLines() lines { return lines{slog.DiscardHandler, make(chan slog.Record, 100)} }

func (l lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l lines) Handle(_ context.Context, r slog.Record) error    { l.records <- r; return nil }

// await returns an attribute of the next line with this message.
func (l lines) await(t *testing.T, message, attr string) string {
	t.Helper()
	for {
		select {
		case r := <-l.records:
			if !strings.Contains(r.Message, message) {
				continue
			}
			var value string
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == attr {
					value = a.Value.String()
				}
				return true
			})
			return value
		case <-time.After(30 * time.Second):
			t.Fatalf("nothing logged like %q", message)
		}
	}
}

// run serves until the test ends, or until the returned function is called.
func run(t *testing.T, o web.Options) (lines, func()) {
	t.Helper()
	log := newLines()
	o.Log = slog.New(log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		web.Run(ctx, o)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return log, stop
}

const listening, failing = "Listening on", "not served here"

// get asks without keeping the connection, so that each request is a handshake.
func get(t *testing.T, c *tls.Config, url, user, password string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

func TestSeveralAddresses(t *testing.T) {
	o := working()
	o.Addresses = []string{"127.0.0.1:0", "[::1]:0", "127.0.0.2:0"}
	log, stop := run(t, o)
	var addresses []string
	for range o.Addresses {
		addresses = append(addresses, log.await(t, listening, "address"))
	}
	for _, a := range addresses {
		if code, body := get(t, nil, "http://"+a+"/api/v1/report", "", ""); code != 200 {
			t.Errorf("%s: %d %s", a, code, body)
		}
	}
	stop()
	for _, a := range addresses {
		if code, _ := get(t, nil, "http://"+a+"/healthz", "", ""); code != 0 {
			t.Errorf("%s still answers", a)
		}
	}
}

// Nothing to listen on is nothing to do.
func TestNoAddress(t *testing.T) { web.Run(t.Context(), working()) }

// A peer on the node that does not come by loopback is from afar, too.
func TestOwnAddressIsNotLoopback(t *testing.T) {
	own := ownAddress(t)
	o := working()
	o.Addresses = []string{net.JoinHostPort(own, "0")}
	log, _ := run(t, o)
	url := "http://" + log.await(t, listening, "address")
	for path, want := range map[string]int{"/metrics": 200, "/healthz": 200, "/readyz": 200, "/": 403, "/api/v1/report": 403} {
		if code, _ := get(t, nil, url+path, "", ""); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	t.Skip("this machine has no address but loopback; the table of peers has the case without a network")
	return ""
}

// A port that is taken stops neither the other address nor the wait for it.
func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := working()
	o.Addresses = []string{taken.Addr().String()}
	log, _ := run(t, o)
	if reason := log.await(t, failing, "err"); !strings.Contains(reason, "address already in use") {
		t.Errorf("logged: %s", reason)
	}
	o.Addresses = []string{"127.0.0.1:0", taken.Addr().String()}
	both, stop := run(t, o)
	if code, _ := get(t, nil, "http://"+both.await(t, listening, "address")+"/healthz", "", ""); code != 200 {
		t.Errorf("the other address: %d", code)
	}
	stop()
	taken.Close()
	free := log.await(t, listening, "address")
	if code, _ := get(t, nil, "http://"+free+"/healthz", "", ""); code != 200 || free != taken.Addr().String() {
		t.Errorf("after the port is free: %s %d", free, code)
	}
}

// An open request ends before Run does.
func TestGracefulShutdown(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var answered atomic.Bool
	o := working()
	o.Addresses = []string{"127.0.0.1:0"}
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		_, _ = io.WriteString(w, "late\n")
		answered.Store(true)
	})
	log, stop := run(t, o)
	url := "http://" + log.await(t, listening, "address")
	body := make(chan string)
	go func() {
		_, b := get(t, nil, url+"/metrics", "", "")
		body <- b
	}()
	<-asked
	go func() {
		for code := 200; code != 0; { // until it does not listen any more
			code, _ = get(t, nil, url+"/healthz", "", "")
		}
		close(answer)
	}()
	stop()
	if !answered.Load() {
		t.Error("stopped with a request open")
	}
	if b := <-body; b != "late\n" {
		t.Errorf("the open request got %q", b)
	}
}

// secrets is a directory with a certificate, its key and a web configuration.
type secrets struct{ dir string }

func (s secrets) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s secrets) config() string { return filepath.Join(s.dir, "web.yml") }

const serving = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"

func users(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("basic_auth_users: {prometheus: %s}\n", hash)
}

// certificate writes a new one and returns what trusts it, as client and server.
func (s secrets) certificate(t *testing.T, address string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "nodeguard"}, IPAddresses: []net.IP{net.ParseIP(address)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.write(t, "tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(leaf)
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestTLSAndPasswords(t *testing.T) {
	own := ownAddress(t)
	s := secrets{t.TempDir()}
	trust := s.certificate(t, own)
	s.write(t, "web.yml", serving+users(t, "first"))
	o := working()
	o.Addresses, o.ConfigFile = []string{net.JoinHostPort(own, "0")}, s.config()
	log, _ := run(t, o)
	address := log.await(t, listening, "address")
	log.await(t, "TLS is enabled", "")
	url := "https://" + address

	for _, c := range []struct {
		path, password string
		code           int
	}{
		{"/metrics", "first", 200}, {"/metrics", "wrong", 401}, {"/metrics", "", 401},
		{"/api/v1/report", "first", 200}, {"/api/v1/report", "", 401}, {"/", "first", 200}, {"/else", "", 401},
		{"/healthz", "", 200}, {"/readyz", "", 200}, {"/healthz/", "", 401}, {"/healthz/../api/v1/report", "", 401},
	} {
		user := "prometheus"
		if c.password == "" {
			user = ""
		}
		if code, body := get(t, trust, url+c.path, user, c.password); code != c.code {
			t.Errorf("%s with %q: %d %s, want %d", c.path, c.password, code, body, c.code)
		}
	}
	if code, _ := get(t, nil, "http://"+address+"/metrics", "prometheus", "first"); code == 200 {
		t.Error("answers without TLS")
	}

	t.Run("reloaded", func(t *testing.T) {
		s.write(t, "web.yml", serving+users(t, "second"))
		if code, _ := get(t, trust, url+"/api/v1/report", "prometheus", "first"); code != 401 {
			t.Errorf("the old password: %d", code)
		}
		if code, _ := get(t, trust, url+"/api/v1/report", "prometheus", "second"); code != 200 {
			t.Errorf("the new password: %d", code)
		}
		old := trust
		trust = s.certificate(t, own)
		if code, body := get(t, old, url+"/healthz", "", ""); code != 0 {
			t.Errorf("the old certificate: %d %s", code, body)
		}
		if code, body := get(t, trust, url+"/healthz", "", ""); code != 200 {
			t.Errorf("the new certificate: %d %s", code, body)
		}
	})
	t.Run("users taken away", func(t *testing.T) {
		s.write(t, "web.yml", serving)
		if code, _ := get(t, trust, url+"/metrics", "", ""); code != 200 {
			t.Errorf("metrics: %d", code)
		}
		if code, _ := get(t, trust, url+"/api/v1/report", "prometheus", "second"); code != 403 {
			t.Errorf("the report: %d", code)
		}
	})
	t.Run("broken", func(t *testing.T) {
		s.write(t, "web.yml", "basic_auth_users: [\n")
		if code, _ := get(t, trust, url+"/api/v1/report", "", ""); code == 200 {
			t.Error("the report is served with a broken configuration")
		}
	})
}

func TestClientCertificates(t *testing.T) {
	own := ownAddress(t)
	s := secrets{t.TempDir()}
	trust := s.certificate(t, own)
	s.write(t, "web.yml", "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_ca_file: tls.crt, client_auth_type: VerifyClientCertIfGiven}\n")
	o := working()
	o.Addresses, o.ConfigFile = []string{net.JoinHostPort(own, "0")}, s.config()
	log, _ := run(t, o)
	url := "https://" + log.await(t, listening, "address") + "/api/v1/report"
	if code, body := get(t, trust, url, "", ""); code != 200 {
		t.Errorf("with a certificate: %d %s", code, body)
	}
	anonymous := trust.Clone()
	anonymous.Certificates = nil
	if code, _ := get(t, anonymous, url, "", ""); code != 403 {
		t.Errorf("without: %d", code)
	}
}

// A configuration that is not valid is never answered by serving without it.
func TestInvalidConfiguration(t *testing.T) {
	s := secrets{t.TempDir()}
	s.write(t, "web.yml", "basic_auth_user: {a: b}\n")
	o := working()
	o.Addresses, o.ConfigFile = []string{"127.0.0.1:0"}, s.config()
	log, _ := run(t, o)
	if reason := log.await(t, failing, "err"); !strings.Contains(reason, "basic_auth_user") {
		t.Errorf("logged: %s", reason)
	}
	s.write(t, "web.yml", users(t, "right"))
	url := "http://" + log.await(t, listening, "address")
	if code, _ := get(t, nil, url+"/metrics", "prometheus", "right"); code != 200 {
		t.Errorf("repaired: %d", code)
	}
	if code, _ := get(t, nil, url+"/metrics", "", ""); code != 401 {
		t.Errorf("without a password: %d", code)
	}
}
