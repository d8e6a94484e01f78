VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 60s

.DEFAULT_GOAL := help
.PHONY: help check build test lint e2e demo soak fuzz bench bench-scale image clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: build ## Look at this host once and print the report
	@hack/check.sh

build: ## Build the static bin/nodeguard
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/nodeguard ./cmd/nodeguard

test: ## Install what the tests need, then vet and test everything with the race detector
	@hack/test.sh

lint: ## Run golangci-lint, and govulncheck where its database can be reached
	@hack/lint.sh

e2e: build ## Run a real cluster, and a real systemd with firewalls, and watch them (needs root)
	@hack/e2e.sh

demo: build ## Break a node of a real cluster, see who is told what, and repair it (needs root; DEMO=auto asks nothing)
	@hack/demo.sh

soak: ## A day of drift in some minutes: memory, goroutines and descriptors stay flat (needs root)
	go test -count=1 -v ./cmd/nodeguard -run '^TestADayOfDriftLeaksNothing$$'

fuzz: ## Run every fuzz target for FUZZTIME (60s)
	@FUZZTIME=$(FUZZTIME) hack/fuzz.sh

bench: build ## Measure what is promised beside something known, BENCH=name for one, into docs/benchmarks.md (needs root)
	@BENCH=$(BENCH) hack/bench.sh

bench-scale: build ## Measure what takes long: 200,000 files, cold caches, 5,000 agents (needs root)
	@BENCH=$(BENCH) hack/bench.sh --scale

image: ## Write the image for amd64 and arm64 to bin/image (OCI layout, no Docker)
	@VERSION=$(VERSION) hack/image.sh

clean: ## Remove what make built (the e2e tree stays cached, see hack/e2e.sh)
	rm -rf bin coverage.out coverage.html
