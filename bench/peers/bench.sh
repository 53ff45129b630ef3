#!/bin/bash
# Entry point: compiles the load tools, then runs router.mjs (or $BENCH_MAIN)
# inside its own PID, mount, network and IPC namespaces.  Whatever the run
# starts dies with the PID namespace, also after a crash or ctrl-C.
# As root it uses plain namespaces; otherwise (or with BENCH_UNPRIV=1) a user
# namespace is made first.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${BENCH_BUILD:-$here/.build}
mkdir -p "$build"
for t in netload vdeload; do
  if [ "$here/$t.c" -nt "$build/$t" ]; then
    gcc -O2 -Wall -pthread -o "$build/$t.new" "$here/$t.c" && mv "$build/$t.new" "$build/$t"
  fi
done
export BENCH_BUILD=$build
ulimit -Hn 200000 2>/dev/null || true   # 10,000 flows need room; only root may raise it
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
export BENCH_WORK=$(mktemp -d "${TMPDIR:-/tmp}/slbench-XXXXXX")   # short: socket paths live in it
trap 'rm -rf "$BENCH_WORK"' EXIT
user=()
if [ "$(id -u)" != 0 ] || [ "${BENCH_UNPRIV:-}" = 1 ]; then user=(--user --map-root-user); fi
pin=()
if [ -n "${BENCH_CPUS:-}" ]; then pin=(taskset -c "$BENCH_CPUS"); fi
# unshare itself ignores SIGTERM; its death kills everything inside
"${pin[@]}" unshare "${user[@]}" --net --mount --pid --ipc --fork --kill-child --mount-proc \
  node "$here/${BENCH_MAIN:-router.mjs}" "$@" &
inner=$!
trap 'kill -9 $inner 2>/dev/null; exit 143' TERM INT HUP
rc=0; wait "$inner" || rc=$?
exit "$rc"
