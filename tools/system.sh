#!/usr/bin/env bash
# Sees to the programs that Kontor's tests and demo start privately: PostgreSQL
# with its client tools, and Redis; and the programs named as arguments, which
# only some targets need and whose packages are called like them. Installs their
# Debian packages when missing, as root or by sudo; the packages' own services
# are neither started nor left to start at boot. Says what to run when it can't.
set -euo pipefail

has_postgres() {
  local bin
  for bin in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin; do
    [ -x "$bin/initdb" ] && [ -x "$bin/pg_dump" ] && [ -x "$bin/pg_restore" ] && return
  done
  return 1
}

missing=()
has_postgres || missing+=(postgresql postgresql-client)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v redis-cli >/dev/null && command -v redis-benchmark >/dev/null || missing+=(redis-tools)
# Tests turn a server's clock with libfaketime, which does not get on with Redis's own allocator.
has_library() { ls /usr/lib/*/"$1" >/dev/null 2>&1; }
has_library faketime/libfaketime.so.1 || missing+=(libfaketime)
has_library libtcmalloc_minimal.so.4 || missing+=(libtcmalloc-minimal4)
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
  echo "setup: please install PostgreSQL 15 (server and client), Redis 7${*:+, $*}; on Debian: $install" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root=(sudo)
  else
    echo "setup: missing: ${missing[*]}. As root, run: apt-get update && $install" >&2
    exit 1
  fi
fi

echo "setup: installing ${missing[*]}"
"${as_root[@]}" bash -s "${missing[@]}" <<'ROOT'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# Debian asks this file whether a package may start its service; 101 says no.
# A file that is there already is the owner's and is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi

log=$(mktemp)
{
  apt-get update -qq -o DPkg::Lock::Timeout=300 &&
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
} >"$log" 2>&1 </dev/null || {
  cat "$log" >&2
  exit 1
}
rm "$log"
for package in "$@"; do
  case $package in redis-server | postgresql) ;; *) continue ;; esac
  if command -v systemctl >/dev/null; then
    systemctl disable --quiet "$package.service" || true
  fi
done
ROOT
