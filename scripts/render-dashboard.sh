#!/usr/bin/env bash
# Renders the dashboard for docs/images: the first screen with the generated baseline and incident series.
# Run it after a change of the dashboard.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/setup-tests.sh
export PATH="$PWD/.tools/bin:$PATH"
mkdir -p docs/images
for data in baseline incident; do
  node tools/dashboard-render/render-with-history.mjs "$data" --height 1010 --out "docs/images/dashboard-$data.png"
done
