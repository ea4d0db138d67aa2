#!/usr/bin/env bash
# Publishes a release; run by .github/workflows/release.yml, which has built the files in dist/ and pushed the images.
#
#   release-publish.sh image IMAGE VERSION COMMIT   one tag for both architectures, signed; prints digest=sha256:…
#   release-publish.sh chart IMAGE VERSION          the chart with this image, pushed beside it
#   release-publish.sh files VERSION                checksums, signatures, and the release with its notes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Semantic Versioning: a hyphen marks a version before a release.
is_preview() { [[ $1 == *-* ]]; }

publish_image() {
  local image=$1 version=$2 commit=$3 digest tags=(--tag "$1:$2")
  is_preview "$version" || tags+=(--tag "$image:latest")
  docker buildx imagetools create "${tags[@]}" "$image:$commit-amd64" "$image:$commit-arm64" >&2
  digest=$(docker buildx imagetools inspect "$image:$version" --format '{{.Manifest.Digest}}')
  cosign sign --yes "$image@$digest" >&2
  echo "digest=$digest"
}

publish_chart() {
  local image=$1 version=$2 folder
  folder=$(mktemp -d)
  cp -r deploy/helm/tradernet-exporter "$folder/"
  sed -i "s|^  repository: .*|  repository: $image|" "$folder/tradernet-exporter/values.yaml"
  helm package "$folder/tradernet-exporter" --destination dist
  helm push "dist/tradernet-exporter-$version.tgz" "oci://${image%/*}/charts"
  rm -rf "$folder"
}

publish_files() {
  local version=$1 flags=()
  is_preview "$version" && flags+=(--prerelease)
  scripts/release-notes.sh "$version" >notes.md
  (
    cd dist
    rm -f SHA256SUMS SHA256SUMS.sigstore.json
    sha256sum -- * >SHA256SUMS
    cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS
  )
  gh release create "v$version" --verify-tag --title "$version" --notes-file notes.md "${flags[@]}" dist/*
}

case ${1:-}$# in
  image4 | chart3 | files2) "publish_$1" "${@:2}" ;;
  *) echo 'usage: release-publish.sh image IMAGE VERSION COMMIT | chart IMAGE VERSION | files VERSION' >&2; exit 2 ;;
esac
