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
exec node "/opt/tidemark/$file" "$@"
