#!/usr/bin/env bash
# Lints the modules whose folders are given. Each must also build and vet
# without the workspace, by its own go.mod and go.sum: that proves what it
# depends on, and so the direction of imports where no linter looks (generated
# code).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
for module in "$@"; do
  (
    cd "$module" || exit 1
    if packages=$(go list ./... 2>/dev/null) && [ -z "$packages" ]; then exit 0; fi
    echo "lint: $module"
    status=0
    golangci-lint run --allow-parallel-runners ./... || status=1
    GOWORK=off go build ./... && GOWORK=off go vet ./... || status=1
    exit $status
  ) || failed+=("$module")
done

[ ${#failed[@]} -eq 0 ] || {
  echo "lint: findings in ${failed[*]}" >&2
  exit 1
}
