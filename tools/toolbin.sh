#!/usr/bin/env bash
# Prints the folder that holds the pinned build tools for this checkout. The
# folder is named after what decides its content, so clones with equal pins
# share it and a changed pin gets a new one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

digest=$({
  cat go.mod go.sum npm/package-lock.json
  go env GOVERSION GOOS GOARCH
} | sha256sum | cut -c1-16)
echo "${XDG_CACHE_HOME:-$HOME/.cache}/kontor/tools/$digest/bin"
