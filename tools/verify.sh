#!/usr/bin/env bash
# Checks that what is generated is what generating gives, that the contract
# keeps to its rules, and that it breaks nobody. Changes nothing.
#   AGAINST=<commit>   compare the contract with that commit
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "verify: the contract's lint and format"
buf lint
buf format --diff --exit-code proto

echo "verify: generated code"
buf generate -o "$work"
buf generate --template buf.gen.openapi.yaml -o "$work"
diff -r -u --exclude=go.mod --exclude=go.sum --exclude=openapi.go "$work/proto/gen" proto/gen || {
  echo "verify: proto/gen is not what proto/ gives; run: make generate-proto" >&2
  exit 1
}
GOWORK=off go -C tools run ./thirdparty -out "$work/third_party"
diff -r -u --exclude=README.md "$work/third_party" third_party/proto || {
  echo "verify: third_party/proto is not of the version in tools/go.mod; run: make generate-third-party" >&2
  exit 1
}
for config in services/*/sqlc.yaml libs/*/sqlc.yaml; do
  [ -f "$config" ] || continue
  (cd "$(dirname "$config")" && sqlc diff) || {
    echo "verify: run: make generate-sql S=$(dirname "$config")" >&2
    exit 1
  }
done

# The contract as it stood where this line of work left the main branch, or
# one commit ago when this is the main branch.
base() {
  local ref start
  if [ -n "${AGAINST:-}" ]; then
    git rev-parse --verify --quiet "$AGAINST^{commit}"
    return
  fi
  for ref in origin/main main; do
    start=$(git merge-base HEAD "$ref" 2>/dev/null) || continue
    [ "$start" = "$(git rev-parse HEAD)" ] || { echo "$start" && return; }
  done
  git rev-parse --verify --quiet HEAD^
}

if commit=$(base) && git cat-file -e "$commit:buf.yaml" 2>/dev/null; then
  echo "verify: the contract against commit ${commit:0:12}"
  mkdir "$work/before"
  git archive "$commit" buf.yaml proto third_party/proto | tar -x -C "$work/before"
  buf breaking --against "$work/before"
else
  echo "verify: no earlier commit here to compare the contract with; that check is left out"
fi
