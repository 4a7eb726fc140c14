#!/usr/bin/env bash
# Installs the pinned build tools into the folder that toolbin.sh names: Go
# tools from tools/go.mod, and those published as npm packages from
# tools/npm/package-lock.json. Does nothing when they are there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for need in go node npm; do
  command -v "$need" >/dev/null || {
    echo "setup: $need is missing; Kontor needs Go 1.26 and Node 20 with npm" >&2
    exit 1
  }
done

bin=$(./toolbin.sh)
home=$(dirname "$bin")
[ -d "$home" ] && exit 0

echo "setup: installing build tools into $bin (a few minutes, once)"
mkdir -p "$(dirname "$home")"
# Built aside and moved in one step: an interrupted run leaves nothing that
# looks finished, and two runs at once don't meet.
work=$(mktemp -d "$home.XXXXXX")
trap 'rm -rf "$work"' EXIT

mkdir "$work/bin" "$work/npm"
GOWORK=off GOBIN="$work/bin" go install tool
cp npm/package.json npm/package-lock.json "$work/npm/"
npm ci --prefix "$work/npm" --omit=dev --no-audit --no-fund --loglevel=error
(cd "$work/bin" && ln -s ../npm/node_modules/@bufbuild/buf-linux-*/bin/buf buf)

chmod 755 "$work"
mv -T "$work" "$home" 2>/dev/null || [ -d "$home" ]
