#!/usr/bin/env bash
# Takes the screenshots of the status page in docs/images: the demo after a few minutes, on a phone and on a
# wall screen, light and dark. Run it after a change of the page. Two runs differ, because the demo's state
# depends on time.
#
# WATCH_SECONDS=<n>  how long the demo runs first; default 180
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/setup-tests.sh
export PATH="$PWD/.tools/bin:$PATH"
cargo build --locked
mkdir -p docs/images

log=$(mktemp)
WEB_LISTEN_ADDRESS=127.0.0.1:0 "${CARGO_TARGET_DIR:-target}/debug/tradernet-exporter" demo 2>"$log" &
demo=$!
trap 'kill "$demo"; rm -f "$log"' EXIT
until address=$(grep -oP 'listening address=\K\S+' "$log"); do
  kill -0 "$demo"
  sleep 0.1
done
echo "the demo runs for ${WATCH_SECONDS:-180} s"
sleep "${WATCH_SECONDS:-180}"

# picture NAME WIDTH HEIGHT SCHEME SCALE
picture() {
  printf '{"do":"open","url":"http://%s/","width":%s,"height":%s,"scheme":"%s","scale":%s}\n' "$address" "$2" "$3" "$4" "$5"
  printf '{"do":"wait","selector":".card"}\n'
  printf '{"do":"screenshot","file":"docs/images/status-%s.png"}\n' "$1"
}
replies=$({
  picture phone-light 390 844 light 1
  picture phone-dark 390 844 dark 1
  # 1920 × 1080, scaled down to keep the files small.
  picture wall-light 1920 1080 light 0.6666667
  picture wall-dark 1920 1080 dark 0.6666667
} | node tests/e2e/browser/driver.cjs)
if grep '"error"' <<<"$replies"; then exit 1; fi
ls -l docs/images/status-*.png
