#!/usr/bin/env bash
# Installs what it needs (see scripts/setup-tests.sh), runs every check and test even after a failure, and
# ends with the line "N passed, N failed".
#
# ADVISORY_DB=<git repository>  read the RustSec database from there instead of GitHub
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

./scripts/setup-tests.sh

export PATH="$PWD/.tools/venv/bin:$PWD/.tools/bin:$PATH"
# The Python that has the vendor's SDK. Tests that need it fail without it: a skipped test proves nothing.
export TEST_PYTHON="$PWD/.tools/venv/bin/python"

passed=0
failed=0
failures=()

title() { printf '\n== %s\n' "$*"; }
passes() { passed=$((passed + 1)); }
fails() {
  failed=$((failed + 1))
  failures+=("$1")
}

# check NAME COMMAND…
check() {
  local name=$1
  shift
  title "$name"
  if "$@"; then passes; else fails "$name"; fi
}

# Advisories need a database from GitHub. If it cannot be fetched, this is printed and nothing fails.
advisories() {
  title 'cargo deny: advisories'
  local git_settings=() copy seen
  if [ -n "${ADVISORY_DB:-}" ]; then
    local n=${GIT_CONFIG_COUNT:-0}
    git_settings=("GIT_CONFIG_COUNT=$((n + 1))" "GIT_CONFIG_KEY_$n=url.$ADVISORY_DB.insteadOf"
      "GIT_CONFIG_VALUE_$n=https://github.com/RustSec/advisory-db")
  fi
  copy=$(compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/advisory-db-*" || true)
  seen=()
  if ! env GIT_TERMINAL_PROMPT=0 "${git_settings[@]}" timeout 120 cargo-deny --log-level off --locked fetch db; then
    if [ -z "$copy" ]; then
      echo 'advisories NOT checked: the RustSec database could not be fetched, and there is no copy of it'
      return
    fi
    echo "the RustSec database could not be fetched: using the copy of $(git -C "$copy" log -1 --format=%cs)"
    seen=(--offline)
  fi
  if env GIT_TERMINAL_PROMPT=0 "${git_settings[@]}" cargo-deny --locked "${seen[@]}" check --hide-inclusion-graph advisories
  then passes; else fails 'cargo deny: advisories'; fi
}

# prometheus_rules KEY SUBCOMMAND FLAG…: the files in dashboards/ whose first key is KEY: `groups` are rules,
# `rule_files` tests of rules.
prometheus_rules() {
  local key=$1 subcommand=$2 files
  shift 2
  mapfile -t files < <(grep -lE "^$key:" dashboards/*.yaml 2>/dev/null)
  [ ${#files[@]} -gt 0 ] || return 0
  check "promtool $subcommand rules" promtool "$subcommand" rules "$@" "${files[@]}"
}

# vmalert accepts the rules. Debian's version 1.79 does not know `keep_firing_for`, which came with 1.92.
vmalert_rules() {
  local rules status=0
  rules=$(mktemp --suffix .yaml)
  grep -v keep_firing_for dashboards/alerts.yaml >"$rules"
  vmalert -dryRun -loggerLevel=ERROR -rule="$rules" || status=$?
  rm "$rules"
  return "$status"
}

# count ATTRIBUTE FILE: a number from the first line of nextest's report, `<testsuites … tests="12" failures="0" …>`.
count() { sed -nE "/<testsuites /{s/.* $1=\"([0-9]+)\".*/\1/p;q}" "$2"; }

tests() {
  title 'tests'
  local report=${CARGO_TARGET_DIR:-target}/nextest/default/junit.xml status=0 ran bad
  rm -f "$report"
  cargo-nextest nextest run --locked --features e2e --no-fail-fast || status=$?
  if [ ! -s "$report" ]; then
    fails 'tests (none was run)'
    return
  fi
  ran=$(count tests "$report")
  bad=$(($(count failures "$report") + $(count errors "$report")))
  passed=$((passed + ran - bad))
  failed=$((failed + bad))
  if [ "$bad" -gt 0 ]; then
    failures+=("tests ($bad of $ran)")
  elif [ "$status" -ne 0 ]; then
    fails "tests (nextest ended with $status)"
  fi
}

check 'format' cargo fmt --check
check 'clippy' cargo clippy --locked --all-targets --features e2e -- -D warnings
# The documentation is for contributors, so it includes private items and links to them.
check 'documentation' env RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --locked --no-deps --document-private-items
check 'imports' scripts/check-imports.py
check 'links' scripts/check-links.py
check 'shell scripts' shellcheck .ci/run scripts/*.sh
check 'cargo deny: bans, licences, sources' cargo-deny --locked check --hide-inclusion-graph bans licenses sources
advisories
prometheus_rules groups check --lint=all --lint-fatal
prometheus_rules rule_files test
check 'promtool check config' promtool check config examples/prometheus.yml
check 'vmalert -dryRun' vmalert_rules
check 'amtool check-config' amtool check-config examples/alertmanager.yml
check 'dashboard lint' python3 -B -m unittest discover tools/dashboard-lint
check 'alert rules' python3 -B -m unittest discover tools/alert-rules
check 'dashboard rendered' node --test tools/dashboard-render/dashboard.test.mjs
check 'documentation tests' cargo test --locked --doc
tests
# With the program that the tests have built.
check 'deployment' env EXPORTER="${CARGO_TARGET_DIR:-target}/debug/tradernet-exporter" python3 -B -m unittest discover tests/deploy

title 'result'
for failure in "${failures[@]}"; do printf 'failed: %s\n' "$failure"; done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
