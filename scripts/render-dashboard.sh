#!/usr/bin/env bash
# Draws the pictures in docs/images: the dashboard over the healthy and the troubled history that
# tools/dashboard-render makes up. Run it after a change of the dashboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/setup-tests.sh
export PATH="$PWD/.tools/bin:$PATH"
mkdir -p docs/images
for data in baseline incident; do
  node tools/dashboard-render/render-with-history.mjs "$data" --out "docs/images/dashboard-$data.png"
done
