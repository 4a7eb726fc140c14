# Every target has its one line of help after "##"; `make` prints them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Pinned generators and linters live in a cache shared between clones and come
# before anything of the same name on the machine.
TOOLBIN := $(shell tools/toolbin.sh)
export PATH := $(TOOLBIN):$(PATH)

# The folders of go.work's modules.
MODULES = $(shell go list -m -f '{{.Dir}}' | sed 's|^$(CURDIR)/||')
# Options for the programs that run, demo and bench start, e.g. ARGS=--reset.
ARGS ?=
# Services (or others) whose SQL is generated to Go.
SQL = $(patsubst %/sqlc.yaml,%,$(wildcard services/*/sqlc.yaml libs/*/sqlc.yaml))

.PHONY: help
help: ## Show every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-20s %s\n", $$1, $$2}'

.PHONY: setup
setup: tools ## Install what is missing on this machine; quick when nothing is
	@tools/system.sh

.PHONY: tools
tools: ## Install the pinned build tools only (no system packages)
	@tools/install.sh

.PHONY: generate
generate: generate-proto generate-sql ## Generate everything that is generated

.PHONY: generate-proto
generate-proto: tools ## Generate Go and OpenAPI from proto/ (P=proto/kontor/x: Go of that part only)
	@tools/generate-proto.sh $(P)

.PHONY: generate-sql
generate-sql: tools ## Generate Go from SQL queries (S=services/x: that service only)
	@for dir in $(or $(S),$(SQL)); do echo "sqlc $$dir"; (cd "$$dir" && sqlc generate); done

.PHONY: generate-third-party
generate-third-party: ## Print third_party/proto anew after its version in tools/go.mod changed
	@GOWORK=off go -C tools run ./thirdparty -out ../third_party/proto

.PHONY: verify
verify: tools ## Check the contract and that generated files are what generating gives; changes nothing
	@tools/verify.sh

.PHONY: format
format: tools ## Format Go and proto sources in place (M=services/x: that module only)
	@$(if $(M),,buf format -w proto)
	@for dir in $(or $(M),$(MODULES)); do (cd "$$dir" && golangci-lint fmt ./...); done

.PHONY: tidy
tidy: ## Bring all modules to the same versions of what they share, and their go.mod and go.sum in order
	@go work sync
	@for dir in $(MODULES) $(MODULES); do (cd "$$dir" && GOWORK=off go mod tidy); done # twice: modules stand on one another

.PHONY: lint
lint: tools ## Lint every module and build each without the workspace (M=services/x: that module only)
	@tools/lint.sh $(or $(M),$(MODULES))

.PHONY: test
test: setup verify lint ## Everything: set-up, generated files, lint, and all tests of all modules
	@go test -timeout 15m $(patsubst %,./%/...,$(filter-out test,$(MODULES)))
	@go test -timeout 15m -count=1 ./test/... # reads and starts what lies outside its module, which Go's test cache does not see

.PHONY: demo
demo: setup ## Play the main job on real input against a suite started for it, showing each step
	@go build -o bin/ ./deploy/local/cmd/kontor-local ./test/cmd/demo
	@exec bin/demo $(ARGS)

.PHONY: run
run: setup ## Run the whole suite until Ctrl-C; data is kept between runs
	@go build -o bin/ ./deploy/local/cmd/kontor-local
	@exec bin/kontor-local $(ARGS)

.PHONY: bench
bench: setup ## Measure and print one line a figure; nothing passes or fails by it
	@go build -o bin/ ./deploy/local/cmd/kontor-local ./test/cmd/bench
	@exec bin/bench $(ARGS)

.PHONY: bench-seats
bench-seats: setup ## Measure seats: claims, refusals, memory, two copies, a dead holder's seat
	@go build -o bin/ ./test/cmd/bench-seats
	@exec bin/bench-seats $(ARGS)

.PHONY: bench-backup
bench-backup: setup ## Measure snapshots against restic: the first, after changes, read back, restored, of many small companies
	@tools/system.sh restic
	@go build -o bin/ ./test/cmd/bench-backup
	@exec bin/bench-backup $(ARGS)

.PHONY: soak
soak: setup ## Claim, renew and lose a million times while the seat store is lost, cut off, and its clock turned
	@cd services/licensing && KONTOR_SOAK=1000000 go test ./internal/seat -count=1 -timeout 60m -v -run 'TestSeatsUnderFire|TestSeatsAreNeverOversold'
