#!/usr/bin/env bash
# Generates Go and OpenAPI from the contract.
#   tools/generate-proto.sh [folder or file under proto/ ...]
# With arguments only their Go code; the OpenAPI description is of the whole.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

paths=()
for path in "$@"; do paths+=(--path "$path"); done
buf generate "${paths[@]}"

# What a removed or renamed source left behind would still compile.
find proto/gen/go -name '*.pb.go' -o -name '*.pb.gw.go' | while read -r file; do
  source=proto/${file#proto/gen/go/}
  source=${source%.go} source=${source%.gw} source=${source%.pb}
  [ -f "$source.proto" ] || [ -f "${source%_grpc}.proto" ] || rm -v "$file"
done

[ $# -gt 0 ] || buf generate --template buf.gen.openapi.yaml
