#!/usr/bin/env bash
# Checks of a release that take long: reproducible builds, the Debian package in a fresh Debian, the image, the system calls;
# limits of the system, instructions of a scrape and a poll, two simulated hours of chaos, fuzzing.
# Needs root on Debian 12, and installs debootstrap, buildah, bubblewrap, strace, lintian, openssl,
# python3, systemd (for systemd-analyze; not started), valgrind and the tools of release-build.sh.
#
# KEEP=FOLDER  work there and keep the result; a temporary folder otherwise
# ONLY=NAMES   reproducible, package, image, syscalls, limits, instructions, soak, fuzz: only these; package, image and syscalls need the
#              result of reproducible
# FUZZ_SECONDS for each of the six targets, 600 by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ "$(id -u)" -eq 0 ] || { echo 'release-checks: needs root' >&2; exit 1; }

if [ -n "${KEEP:-}" ]; then
  mkdir -p "$KEEP"
  work=$(cd "$KEEP" && pwd)
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
source=$PWD
passed=0
failures=()

# check NAME: runs the function of this name in a shell of its own.
check() {
  case " ${ONLY:-reproducible package image syscalls limits instructions soak fuzz} " in *" $1 "*) ;; *) return 0 ;; esac
  local status=0
  printf '\n== %s\n' "$1"
  # A function that is part of a condition would go on after an error.
  set +e
  (set -e; "$1")
  status=$?
  set -e
  if [ "$status" -eq 0 ]; then passed=$((passed + 1)); else failures+=("$1"); fi
}

install_tools() {
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
    debootstrap buildah bubblewrap strace lintian openssl python3 systemd >/dev/null
  local tool
  for tool in auditable cyclonedx deb; do
    command -v "cargo-$tool" >/dev/null || { scripts/release-build.sh --install-tools; break; }
  done
}

# Builds twice, from folders of different names, and compares.
reproducible() {
  local folder
  for folder in first second-build; do
    rm -rf "${work:?}/$folder"
    git clone --quiet "$source" "$work/$folder"
    env -u CARGO_TARGET_DIR "$work/$folder/scripts/release-build.sh" "$work/$folder/dist"
    rm -rf "$work/$folder/target"
  done
  local file
  for file in "$work"/first/dist/*; do
    cmp "$file" "$work/second-build/dist/${file##*/}"
  done
}

# debian FOLDER: a fresh Debian.
debian() {
  rm -rf "$1"
  debootstrap --variant=minbase bookworm "$1" >"$work/debootstrap.log"
}

# inside FOLDER COMMAND…: with the folder as root, and a network of its own.
inside() {
  local root=$1
  shift
  bwrap --bind "$root" / --dev /dev --proc /proc --unshare-net --unshare-pid --die-with-parent "$@"
}

package() {
  local root=$work/debian deb
  deb=$(echo "$work"/first/dist/*.deb)
  # A static binary is intended, and the changelog is not in Debian's format.
  lintian --fail-on error --suppress-tags statically-linked-binary,no-changelog "$deb"
  debian "$root"
  cp "$deb" "$root/exporter.deb"
  chroot "$root" apt-get -qq install --yes --no-install-recommends /exporter.deb
  chroot "$root" getent passwd tradernet-exporter
  chroot "$root" stat -c '%a %G' /etc/tradernet-exporter/secrets | grep -x '750 tradernet-exporter'
  ls "$root"/usr/share/man/man1/tradernet-exporter.1*
  # Its exit code is 1.
  { chroot "$root" systemctl is-enabled tradernet-exporter || true; } | grep -x disabled
  # shellcheck disable=SC2016 # expanded inside
  inside "$root" sh -ec '
    setpriv --reuid tradernet-exporter --regid tradernet-exporter --clear-groups tradernet-exporter demo 2>/log &
    for _ in $(seq 100); do tradernet-exporter healthcheck 2>/dev/null && exit 0; sleep 0.1; done
    cat /log; exit 1'
  chroot "$root" apt-get -qq remove --yes tradernet-exporter
  [ ! -e "$root/usr/bin/tradernet-exporter" ] && [ -d "$root/etc/tradernet-exporter" ]
  chroot "$root" apt-get -qq purge --yes tradernet-exporter
  find "$root/etc" "$root/usr" "$root/lib/systemd" "$root/var/lib/systemd" -name '*tradernet*' -print | tee "$work/left"
  [ ! -s "$work/left" ]
  # By hand, from the archive, as the unit's head says.
  chroot "$root" userdel tradernet-exporter
  tar -xzf "$work"/first/dist/*.tar.gz -C "$root/root" --strip-components 1
  chroot "$root" sh -exc "cd /root; $(sed -n 's/^#   install /install /p' "$root/root/systemd/tradernet-exporter.service")"
  chroot "$root" stat -c '%a %G' /etc/tradernet-exporter/environment | grep -x '640 tradernet-exporter'
  inside "$root" systemd-analyze verify /etc/systemd/system/tradernet-exporter.service
}

buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

# The base image of the Dockerfile from this machine's toolchain and a fresh Debian, since it is not pulled.
base_image() {
  local root=$work/base name container
  name=$(sed -n 's/^FROM \(rust:.*\) AS build$/\1/p' Dockerfile)
  debian "$root"
  chroot "$root" apt-get -qq install --yes --no-install-recommends gcc libc6-dev ca-certificates >/dev/null
  # A network may have a CA of its own.
  cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
  mkdir -p "$root/usr/local/rust"
  cp -a "$(rustc --print sysroot)"/{bin,lib} "$root/usr/local/rust/"
  ln -s ../rust/bin/cargo ../rust/bin/rustc "$root/usr/local/bin/"
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$root" /
  buildah config --env PATH=/root/.cargo/bin:/usr/local/bin:/usr/bin:/bin "$container"
  buildah commit --quiet --rm "$container" "docker.io/library/$name"
  rm -rf "$root"
}

image() {
  local container root=$work/image
  base_image
  buildah bud --quiet --isolation chroot --format docker --pull-never --tag exporter .
  container=$(buildah from exporter)
  rm -rf "$root"
  cp -a "$(buildah mount "$container")" "$root"
  buildah inspect --type image exporter >"$work/image.json"
  # What a container's runtime adds to an empty root.
  mkdir "$root"/{dev,proc,secrets} && touch "$root/etc/hosts"
  du -sb --apparent-size "$root" | awk '{ printf "size of the image: %.1f MiB\n", $1 / 1048576 }'
  python3 tests/deploy/image_checks.py "$root" "$work/image.json"
}

# Every system call of the demo, from start to end, is among those that the unit allows.
syscalls() {
  local binary=$work/demo allowed=$work/allowed used=$work/used
  tar -xzf "$work"/first/dist/*.tar.gz -C "$work" --strip-components 1 --wildcards '*/tradernet-exporter'
  mv "$work/tradernet-exporter" "$binary"
  timeout --signal TERM 20 strace -f -qq -o "$work/strace" "$binary" demo --web.listen-address 127.0.0.1:0 2>/dev/null || [ $? -eq 124 ]
  sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' "$work/strace" | sort -u >"$used"
  systemd_set() { systemd-analyze syscall-filter "$1" | sed -nE 's/^    ([a-z_0-9@-]+)$/\1/p'; }
  expand() {
    local name
    systemd_set "$1" | while read -r name; do
      case $name in @*) expand "$name" ;; *) echo "$name" ;; esac
    done
  }
  expand @system-service | sort -u >"$allowed"
  { expand @privileged; expand @resources; } | sort -u | comm -23 "$allowed" - >"$allowed.rest"
  comm -23 "$used" "$allowed.rest" | tee "$work/refused"
  [ ! -s "$work/refused" ]
}

# The demo without descriptors, with little memory, and killed.
limits() {
  cargo build --locked
  EXPORTER=${CARGO_TARGET_DIR:-target}/debug/tradernet-exporter python3 scripts/check-limits.py
}

# A scrape and a poll take no more instructions than stated in scripts/benchmark.py.
instructions() {
  command -v valgrind >/dev/null || { apt-get -qq update && apt-get -qq install --yes --no-install-recommends valgrind >/dev/null; }
  cargo build --locked --release
  scripts/benchmark.py --instructions "${CARGO_TARGET_DIR:-target}/release/tradernet-exporter"
}

# 200 accounts over all transports.
soak() { cargo test --locked --features soak --test integration -- --nocapture two_hours_of_chaos; }

# Needs a nightly toolchain.
fuzz() {
  cargo fuzz --version || cargo install --quiet --locked cargo-fuzz@0.13.2
  cargo +nightly --version || rustup toolchain install nightly --profile minimal
  scripts/fuzz.sh "${FUZZ_SECONDS:-600}"
}

case ${ONLY:-package} in *reproducible* | *package* | *image* | *syscalls*) install_tools ;; esac
check reproducible
check package
check image
check syscalls
check limits
check instructions
check soak
check fuzz

printf '\n== result\n'
for failure in "${failures[@]}"; do printf 'failed: %s\n' "$failure"; done
echo "$passed passed, ${#failures[@]} failed"
[ ${#failures[@]} -eq 0 ]
