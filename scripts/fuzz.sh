#!/usr/bin/env bash
# Fuzzes each target for this many seconds, 60 by default: scripts/fuzz.sh 600 [target…]
# Needs cargo-fuzz and a nightly toolchain. A finding is in fuzz/artifacts: fix it, and put the input into the
# target's folder of tests/fixtures, which the tests replay.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(answer login websocket socketio request accounts_file)
for target in "${targets[@]}"; do
  case $target in
    answer) seeds=tests/fixtures/answers ;;
    accounts_file) seeds=tests/fixtures/config ;;
    *) seeds=tests/fixtures/fuzz/$target ;;
  esac
  mkdir -p "fuzz/corpus/$target"
  echo "== $target"
  cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "$seeds" -- \
    -max_total_time="$seconds" -max_len=65536 -timeout=30 -print_final_stats=1 -verbosity=0
done
