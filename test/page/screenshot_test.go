//go:build e2e

package page

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"testing"

	"github.com/chromedp/cdproto/page"
)

const (
	images  = "../../docs/images/"
	largest = 150 << 10
)

// screenshot holds that the documentation has a picture that a page can carry;
// NODEGUARD_UPDATE=1 takes it anew.
func screenshot(t *testing.T, browser *chromium, h *host, v view, name string) {
	t.Helper()
	if os.Getenv("NODEGUARD_UPDATE") != "" {
		if err := os.WriteFile(images+name, picture(t, browser, h, v), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(images + name)
	if err != nil {
		t.Fatal(err)
	}
	is, err := png.DecodeConfig(bytes.NewReader(text))
	if err != nil || is.Width != 1100 || len(text) > largest {
		t.Errorf("%s: %d wide, %d bytes: %v", name, is.Width, len(text), err)
	}
}

// picture is the upper part of the page, compressed as well as can be.
func picture(t *testing.T, browser *chromium, h *host, v view) []byte {
	t.Helper()
	b := newTab(t, browser, v)
	b.open(h.page)
	beyond := true
	taken := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{Clip: &page.Viewport{Width: 1100, Height: 860, Scale: 1}, CaptureBeyondViewport: &beyond}).Data
	drawn, _, err := image.Decode(bytes.NewReader(taken))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, drawn); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
