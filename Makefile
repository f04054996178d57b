# `make` alone prints this manual: each target's line is the comment behind it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
GO       ?= go
TOOLS    := $(CURDIR)/.cache/tools
PKG      ?= ./...
T        ?=
# The full corpus where it is there; the tool has an excerpt of its own.
CORPUS   ?= $(firstword $(wildcard ../shared/data/ubuntu-irc.jsonl.xz))
URL      ?= http://localhost:$(or $(PORT),8080)
TAGS     := integration,e2e
LINT     := $(TOOLS)/golangci-lint-2.15.0
STATIC   := $(TOOLS)/staticcheck-0.8.2
VULN     := $(TOOLS)/govulncheck-1.9.0

# The race detector needs a C compiler; without one the tests run all the same.
CC_FOUND := $(shell command -v $${CC:-cc} >/dev/null 2>&1 && echo yes)
RACE     := $(if $(CC_FOUND),-race)
TESTENV  := $(if $(CC_FOUND),CGO_ENABLED=1)

# COVER=file makes tests write a coverage profile.
PROFILE  := $(if $(COVER),-coverprofile='$(COVER)' -covermode=atomic)

##@ Run
.PHONY: run
run: bin/chat ## build and start the whole platform on http://localhost:8080 (PORT=, DATA_DIR=)
	@exec bin/chat run

.PHONY: run-full
run-full: bin/chat ## the same on all real servers, in containers: make stop-full, make clean-full
	@exec bin/chat full

.PHONY: stop-full
stop-full: bin/chat ## stop the servers of run-full; their data stays
	@bin/chat full stop

.PHONY: clean-full
clean-full: bin/chat ## remove the servers of run-full with their data
	@bin/chat full clean

.PHONY: build
build: bin/chat functions services ## build every binary, static, into bin/

.PHONY: bin/chat
bin/chat:
	@$(GO) build -trimpath -ldflags=-s -o $@ ./local/cmd/chat

.PHONY: functions
functions: ## build each function as a static binary of its own into bin/functions/
	@mkdir -p bin/functions
	@$(GO) build -trimpath -ldflags=-s -o bin/functions/ $(addprefix ./,$(sort $(dir $(wildcard functions/cmd/*/main.go))))

.PHONY: services
services: ## build source, fan-out and notification into bin/services/
	@mkdir -p bin/services
	@$(GO) build -trimpath -ldflags=-s -o bin/services/ $(addprefix ./,$(sort $(dir $(wildcard longrunning/cmd/*/main.go))))

##@ Try
.PHONY: invoke
invoke: bin/chat ## post a fixture to one function started alone: make invoke F=sendmessage E=ok (MODE=binary|structured|batch, SERVE=1 keeps it)
	@bin/chat invoke -function '$(F)' -event '$(or $(E),ok)' -mode '$(or $(MODE),structured)' $(if $(SERVE),-serve)

.PHONY: replay-corpus
replay-corpus: bin/chat ## send real transcripts through the REST API and verify them (CORPUS=, URL=)
	@bin/chat replay -url '$(URL)' $(if $(CORPUS),-corpus '$(CORPUS)')

.PHONY: load
load: bin/chat ## send at a steady rate, measure sends and deliveries (RATE=1000 FOR=20s, URL=)
	@bin/chat load -url '$(URL)' -rate '$(or $(RATE),1000)' -for '$(or $(FOR),20s)'

.PHONY: rebuild
rebuild: bin/chat ## rebuild views from the log, while the platform serves or not (V=messages|metadata|search|all, DATA_DIR=)
	@bin/chat rebuild '$(or $(V),all)'

##@ Test
.PHONY: test
test: ## every test that needs nothing but Go (PKG=./events T=TestName)
	@$(if $(CC_FOUND),,echo "no C compiler: the race detector stays off";)
	$(TESTENV) $(GO) test $(RACE) -timeout 20m $(if $(T),-run '$(T)') $(PROFILE) $(PKG)

.PHONY: cover
cover: ## tests with coverage, and the gate: 80 % of every package
	@$(MAKE) --no-print-directory test COVER=coverage.out
	@.ci/cover coverage.out

# Packages with tests that need a server.
INTEGRATION = $(addprefix ./,$(sort $(dir $(shell grep -rl --include='*_test.go' '^//go:build integration' infra functions local | grep -v '^local/outage/'))))

.PHONY: test-integration
test-integration: ## adapters and platform against the real servers, in containers or at CASSANDRA_URL=, MONGODB_URL= …
	$(TESTENV) $(GO) test $(RACE) -tags integration -p 1 -timeout 20m $(if $(T),-run '$(T)') $(PROFILE) $(INTEGRATION)

.PHONY: test-outage
test-outage: ## each server killed for a minute under traffic, and nothing lost (OUTAGE=60s, T=TestOutages/Redis)
	$(TESTENV) $(GO) test $(RACE) -tags integration -v -timeout 45m $(if $(T),-run '$(T)') ./local/outage/

.PHONY: test-e2e
test-e2e: bin/chat functions ## journeys on the page in headless Chromium, and the JavaScript CloudEvents client
	@cd local/e2e && npm ci --silent --no-fund --no-audit && npm test

.PHONY: test-e2e-keycloak
test-e2e-keycloak: bin/chat functions ## the same journeys, by people who log in at a real Keycloak (container, or KEYCLOAK_URL=)
	@cd local/e2e && npm ci --silent --no-fund --no-audit
	$(GO) test -v -tags e2e -count=1 -timeout 45m ./local/e2e

.PHONY: test-full
test-full: bin/chat functions ## journeys and a corpus replay on all real servers, in containers of their own
	@.ci/full

.PHONY: test-func
test-func: bin/chat functions ## `func invoke` against a function started as a plain process
	@.ci/func-invoke

.PHONY: fuzz
fuzz: ## every fuzz target for a short while (FUZZTIME=10s)
	@.ci/fuzz

.PHONY: bench
bench: ## every benchmark once (PKG=./longrunning/fanout T=Lookup)
	$(GO) test -run '^$$' -bench '$(or $(T),.)' -benchmem $(PKG)

.PHONY: bench-adapters
bench-adapters: ## one table: each adapter against its bare driver, on real servers (ADAPTERS="cassandra redis", BENCH_TURN_MS=)
	@GO='$(GO)' .ci/bench-adapters

##@ Guard
.PHONY: lint
lint: $(LINT) $(STATIC) ## golangci-lint and staticcheck, of all files: tests for servers and browsers too
	$(LINT) run --build-tags $(TAGS) ./...
	$(STATIC) -tags $(TAGS) ./...

.PHONY: vuln
vuln: $(VULN) ## known vulnerabilities in what is called
	@.ci/vuln $(VULN)

.PHONY: tidy-check
tidy-check: ## go.mod and go.sum are what `go mod tidy` makes
	$(GO) mod tidy -diff

.PHONY: history
history: ## I5: main's first-parent history is merges only
	@.ci/history

.PHONY: hooks
hooks: ## enable the git hooks of .githooks/
	git config core.hooksPath .githooks

.PHONY: ci
ci: ## all that guards the project, as on a new machine
	.ci/run

.PHONY: clean
clean: ## remove what was built; data/ stays
	rm -rf bin .cache coverage*.out

$(LINT):
	@echo "building golangci-lint"; GOBIN=$(TOOLS)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 && mv $(TOOLS)/bin/golangci-lint $@
$(STATIC):
	@echo "building staticcheck"; GOBIN=$(TOOLS)/bin $(GO) install honnef.co/go/tools/cmd/staticcheck@v0.8.2 && mv $(TOOLS)/bin/staticcheck $@
$(VULN):
	@echo "building govulncheck"; GOBIN=$(TOOLS)/bin $(GO) install golang.org/x/vuln/cmd/govulncheck@v1.9.0 && mv $(TOOLS)/bin/govulncheck $@

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET [VARIABLE=value …]"} \
	/^##@/ {printf "\n%s\n", substr($$0, 5)} \
	/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
