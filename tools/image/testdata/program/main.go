// Program is a small binary with a module in it.
package main

import "github.com/google/go-containerregistry/pkg/v1/types"

func main() { println(types.OCILayer) }
