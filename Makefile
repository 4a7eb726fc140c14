# Every target has its one line of help after "##"; `make` prints them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Pinned generators and linters live in a cache shared between clones and come
# before anything of the same name on the machine.
TOOLBIN := $(shell tools/toolbin.sh)
export PATH := $(TOOLBIN):$(PATH)

# Where the modules of go.work are, relative to the root.
MODULES = $(shell go list -m -f '{{.Dir}}' | sed 's|^$(CURDIR)/||')
# Services (or others) whose SQL is generated to Go.
SQL = $(patsubst %/sqlc.yaml,%,$(wildcard services/*/sqlc.yaml libs/*/sqlc.yaml))

.PHONY: help
help: ## Show every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

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
