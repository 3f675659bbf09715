#!/bin/sh
# Entry of the image: `broker`, `operator` or `tidemark`, then its arguments. Linked as `tidemark`,
# it is that command alone, so `kubectl exec <pod> -- tidemark topic list` works.
set -eu
[ "$(basename "$0")" = tidemark ] && set -- tidemark "$@"
program=${1:-}
case $program in
  broker | operator) file=$program/main.js ;;
  tidemark) file=client/cli/main.js ;;
  *)
    echo "Cannot start \"$program\": the first argument must be broker, operator or tidemark" >&2
    exit 64
    ;;
esac
shift
# As scripts/process-environment.mjs has them, with the reasons; version 1 of control groups names a
# number where nothing bounds the container, version 2 a word.
memory=$(cat /sys/fs/cgroup/memory.max 2>/dev/null ||
  cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
mmap=131072 trim=131072
if [ "$memory" = max ] || [ "$memory" -ge 1073741824 ]; then
  mmap=8388608 trim=67108864
fi
export "MALLOC_MMAP_THRESHOLD_=${MALLOC_MMAP_THRESHOLD_:-$mmap}"
export "MALLOC_TRIM_THRESHOLD_=${MALLOC_TRIM_THRESHOLD_:-$trim}"
# Node bounds its heap by half of the container's memory, which leaves the other half for buffers,
# but never by less than 262 MiB: in a smaller container the kernel ends the process first.
heap=
case ${NODE_OPTIONS:-} in
  *max-old-space-size*) ;;
  *) [ "$memory" = max ] || [ "$memory" -ge 536870912 ] ||
    heap=--max-old-space-size=$((memory / 2097152)) ;;
esac
exec node ${heap:+"$heap"} "/opt/tidemark/$file" "$@"
