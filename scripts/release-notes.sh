#!/usr/bin/env bash
# Prints the section of CHANGELOG.md for a version, as the notes of its release. Fails unless the section has a date and every
# file that names the version has this one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=${1:?usage: release-notes.sh VERSION}

die() { printf 'release-notes: %s\n' "$*" >&2; exit 1; }
line() { grep -qxF -- "$2" "$1" || die "$1 does not have: $2"; }
names() { grep -qF -- "$2" "$1" || die "$1 does not have: $2"; }

line Cargo.toml "version = \"$version\""
names Dockerfile "image.version=\"$version\""
names deploy/compose/compose.yaml ":$version}"
names README.md "_$version-1_amd64.deb"
names docs/installing.md "_$version-1_amd64.deb"
names docs/installing.md ":$version"
names docs/installing.md "--version $version "
line deploy/helm/tradernet-exporter/Chart.yaml "version: $version"
line deploy/helm/tradernet-exporter/Chart.yaml "appVersion: $version"
grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md || die "CHANGELOG.md has no section '## [$version] - DATE'"

awk -v head="## [$version]" 'index($0, head) == 1 { found = 1; next } found && /^## / { exit } found' CHANGELOG.md |
  sed -e '/./,$!d'
