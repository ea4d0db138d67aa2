#!/usr/bin/env bash
# Builds the files of a release for this machine's architecture into dist/ (or the folder that is named):
#
#   tradernet-exporter-VERSION-linux-ARCH.tar.gz         static binary with its list of dependencies, manual page,
#                                                        completions, units, rules, dashboard
#   tradernet-exporter-VERSION-linux-ARCH.cdx.json       SBOM in CycloneDX
#   tradernet-exporter_VERSION-1_ARCH.deb                the same for Debian and Ubuntu; inside, 1.0.0-rc.1 is 1.0.0~rc.1
#
# The same commit and toolchain give the same bytes, in whichever folder it is built.
#   --install-tools   installs the cargo commands that it needs, in these versions
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TOOLS=(cargo-auditable@0.7.7 cargo-cyclonedx@0.5.9 cargo-deb@3.8.0)
if [ "${1:-}" = --install-tools ]; then
  exec cargo install --locked "${TOOLS[@]}"
fi

to=${1:-dist}
mkdir -p "$to"
to=$(cd "$to" && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p;T;q' Cargo.toml)
architecture=$(dpkg --print-architecture)
triple=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-$PWD/target}
name=tradernet-exporter-$version-linux-$architecture

# Relative relocations take 0.3 MiB less when they are packed, for which glibc 2.36 is linked.
linking="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
# Paths and times of this build are not part of the result.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="$linking --remap-path-prefix=$PWD=/build --remap-path-prefix=$target=/target --remap-path-prefix=$cargo_home=/cargo"
export CFLAGS="-ffile-prefix-map=$target=/target -ffile-prefix-map=$cargo_home=/cargo"
export CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0

cargo auditable build --locked --release --target "$triple"
binary=$target/$triple/release/tradernet-exporter

# Manual page and completions; Cargo.toml lists them for the Debian package.
package=$target/$triple/release/package
mkdir -p "$package"
"$binary" man | gzip -n -9 >"$package/tradernet-exporter.1.gz"
for shell in bash zsh fish; do "$binary" completions "$shell" >"$package/tradernet-exporter.$shell"; done

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
mkdir "$staging/$name"
cp "$binary" LICENSE README.md CHANGELOG.md "$staging/$name/"
cp -r deploy/systemd examples dashboards "$staging/$name/"
cp -r "$package" "$staging/$name/shell"
rm "$staging/$name"/dashboards/*.test.yaml "$staging/$name"/examples/*.rs
tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  -C "$staging" -c "$name" | gzip -n -9 >"$to/$name.tar.gz"

cargo cyclonedx --quiet --format json --target "$triple" --override-filename sbom
sed "s|file://$PWD|file:///build|g" sbom.json >"$to/$name.cdx.json"
rm sbom.json

cargo deb --quiet --no-build --no-strip --target "$triple" --output "$to/tradernet-exporter_$version-1_$architecture.deb"
(cd "$to" && sha256sum "$name.tar.gz" "$name.cdx.json" ./*_"$architecture".deb | sed 's, \./, ,')
