#!/usr/bin/env bash
# Draws the pictures in docs/images: the dashboard over the healthy and the troubled history that
# dashboards/check makes up. Run it after a change of the dashboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/setup-tests.sh
export PATH="$PWD/.tools/bin:$PATH"
mkdir -p docs/images
for history in healthy troubled; do
  node dashboards/check/draw.mjs "$history" --out "docs/images/dashboard-$history.png"
done
