package web

import (
	"io"
	"net/http"
)

const (
	pageBegin = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>nodeguard</title></head>
<body>
<h1>nodeguard</h1>
<ul>
<li><a href="/api/v1/report">report</a></li>
<li><a href="/metrics">metrics</a></li>
<li><a href="/healthz">health</a></li>
<li><a href="/readyz">readiness</a></li>
`
	pagePprof = `<li><a href="/debug/pprof/">profiles</a></li>
`
	pageEnd = `</ul>
</body>
</html>
`
)

// page links to the rest.
func page(o Options) http.HandlerFunc {
	html := pageBegin + pageEnd
	if o.Pprof {
		html = pageBegin + pagePprof + pageEnd
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, html)
	}
}
