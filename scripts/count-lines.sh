#!/usr/bin/env bash
# Counts lines of Rust code: no blank lines, no comments, test modules apart.
#
# A test module is a file tests.rs, test_support.rs or fuzzing.rs, a folder tests/, or an inline module under #[cfg(test)].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2016
git ls-files -z 'src/**.rs' 'src/*.rs' 'tests/**.rs' 'benches/*.rs' build.rs | xargs -0 awk '
  FNR == 1 { in_test = attribute = in_comment = 0; file_is_test = FILENAME ~ /(^|\/)tests?\// || FILENAME ~ /\/(tests|test_support|fuzzing)\.rs$/ }
  { line = $0; sub(/^[ \t]+/, "", line) }
  in_comment { if (line ~ /\*\//) in_comment = 0; next }
  line ~ /^\/\*/ { if (line !~ /\*\//) in_comment = 1; next }
  line == "" || line ~ /^\/\// { next }
  line == "#[cfg(test)]" { attribute = 1; match($0, /^ */); closing = substr($0, 1, RLENGTH) "}"; add(1); next }
  {
    add(in_test || attribute)
    if (in_test) { if ($0 == closing || $0 == closing ";") in_test = 0; next }
    # The attribute covers one item, which ends at a bracket of its own indentation.
    if (!attribute || line ~ /^#\[/) next
    if (line ~ /\{$/) in_test = 1
    if (line ~ /[{;}]$/) attribute = 0
  }
  function add(is_test,  folder, parts, n) {
    n = split(FILENAME, parts, "/")
    if (file_is_test || is_test) { folder = parts[1] == "src" ? "src, test modules" : parts[1] "/" parts[2]; group = "tests" }
    else if (FILENAME ~ /^src\/(simulator|demo)\//) { folder = "src/" parts[2]; group = "simulator and demo" }
    else if (parts[1] == "src") { folder = n > 2 ? "src/" parts[2] : "src"; group = "product" }
    else { folder = parts[1]; group = "benches and build" }
    sums[group]++
    folders[group "\t" folder]++
  }
  END {
    for (key in folders) { split(key, parts, "\t"); printf "%s\t1\t  %-28s %6d\n", parts[1], parts[2], folders[key] }
    for (group in sums) printf "%s\t2\t%-30s %6d\n%s\t3\t\n", group, group ", sum", sums[group], group
    printf "~\t3\t%-30s %6d\n", "src, product and simulator", sums["product"] + sums["simulator and demo"]
  }' | sort -t "$(printf '\t')" -k1,1 -k2,2n -k3 | cut -f 3
