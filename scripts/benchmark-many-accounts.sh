#!/usr/bin/env bash
# Measures the exporter with 100, 1 000 and 10 000 accounts at an interval of 60 s; the simulator is a process
# of its own. Prints a table of the exporter's CPU, memory, scrape time and delays.
#
# ACCOUNTS="100 1000 10000"  numbers of accounts, one run each
# SECONDS_SETTLING=120       two intervals: first attempts are spread over the first
# SECONDS_MEASURED=120       duration of the measurement
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

read -ra sizes <<<"${ACCOUNTS:-100 1000 10000}"
settling=${SECONDS_SETTLING:-120}
window=${SECONDS_MEASURED:-120}
interval=60
scrapes=11

cargo build --locked --release --bin tradernet-exporter --example simulator
target=${CARGO_TARGET_DIR:-target}/release
folder=$(mktemp -d)
children=()
stop() {
  local child
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  for child in "${children[@]}"; do wait "$child" 2>/dev/null || true; done
  children=()
}
trap 'stop; rm -rf "$folder"' EXIT

# until_seen FILE TEXT: waits up to 30 s for a line with the text
until_seen() {
  # shellcheck disable=SC2016 # the inner shell expands it
  timeout 30 bash -c 'until grep -q -- "$2" "$1" 2>/dev/null; do sleep 0.05; done' _ "$1" "$2" ||
    { echo "no '$2' in $1:" >&2; cat "$1" >&2; exit 1; }
}

# Ticks of user and system time so far. The name in the second field has no spaces.
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
memory_mib() { awk -v key="$2:" '$1 == key { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
polls() { awk '/^tradernet_polls_total\{/ { sum += $NF } END { printf "%d", sum }' "$1"; }

ticks=$(getconf CLK_TCK)
echo "| accounts | CPU, % of one core | memory, MiB (peak) | page, KiB | scrape, ms: median (worst) | polls made / due | failed | latest poll, s late | longest queue, ms |"
echo "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for size in "${sizes[@]}"; do
  "$target/examples/simulator" 127.0.0.1:0 "$size" "$folder/accounts.yml" >"$folder/simulator.log" 2>&1 &
  children+=($!)
  until_seen "$folder/simulator.log" listening
  "$target/tradernet-exporter" --config.file "$folder/accounts.yml" --web.listen-address 127.0.0.1:0 \
    2>"$folder/exporter.log" &
  exporter=$!
  children+=("$exporter")
  until_seen "$folder/exporter.log" 'listening'
  address=$(grep -m 1 -o 'address=[0-9.:]*' "$folder/exporter.log" | cut -d = -f 2)
  page=$folder/page
  scrape() { curl --silent --fail --output "$page" --write-out '%{time_total}\n' "http://$address/metrics"; }

  sleep "$settling"
  scrape >/dev/null
  polls_before=$(polls "$page")
  ticks_before=$(cpu_ticks "$exporter")
  began=$(date +%s.%N)
  # Scraped as Prometheus would, every 15 s; the measured scrapes come after the window.
  for ((left = window; left > 0; left -= 15)); do
    sleep $((left < 15 ? left : 15))
    scraped=$(date +%s.%N)
    scrape >/dev/null
  done
  ended=$(date +%s.%N)
  ticks_after=$(cpu_ticks "$exporter")
  polls_after=$(polls "$page")
  late=$(awk -v now="$scraped" -v interval=$interval '
    /^tradernet_last_successful_poll_timestamp_seconds\{/ { late = now - $NF - interval; if (late > worst) worst = late }
    END { printf "%.2f", worst }' "$page")
  queue=$(awk '/^tradernet_poll_queue_seconds\{/ { if ($NF > worst) worst = $NF } END { printf "%.1f", worst * 1000 }' "$page")
  failed=$(awk '/^tradernet_poll_failures_total\{/ { sum += $NF } END { printf "%d", sum }' "$page")
  times=$(for ((n = 0; n < scrapes; n++)); do scrape; done | sort -n)
  median=$(sed -n $(((scrapes + 1) / 2))p <<<"$times")
  worst=$(tail -n 1 <<<"$times")

  awk -v size="$size" -v ticks="$ticks" -v spent=$((ticks_after - ticks_before)) -v began="$began" -v ended="$ended" \
    -v memory="$(memory_mib "$exporter" VmRSS)" -v peak="$(memory_mib "$exporter" VmHWM)" \
    -v bytes="$(stat -c %s "$page")" -v median="$median" -v worst="$worst" -v made=$((polls_after - polls_before)) \
    -v interval=$interval -v failed="$failed" -v late="$late" -v queue="$queue" 'BEGIN {
      wall = ended - began
      printf "| %d | %.2f | %s (%s) | %.0f | %.1f (%.1f) | %.3f | %d | %s | %s |\n", size,
        100 * spent / ticks / wall, memory, peak, bytes / 1024, 1000 * median, 1000 * worst,
        made / (size * wall / interval), failed, late, queue
    }'
  stop
done
