# A static binary on an empty image.
#
#   docker build --build-arg TRADERNET_EXPORTER_REVISION="$(git rev-parse --short=12 HEAD)" -t tradernet-exporter .
#   docker run --rm -p 127.0.0.1:10460:10460 tradernet-exporter demo
#
# With buildah or podman add `--format docker`: the OCI format has no HEALTHCHECK.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# Adds the list of dependencies to the binary, for scanners of images. Before the flag, which it cannot be built with.
RUN cargo install --locked cargo-auditable@0.7.7

# Linked statically with glibc, not musl. Since 2.34 glibc resolves names from /etc/hosts and DNS without loading a
# library, also in an empty root; musl's allocator is five times slower when two threads format labels.
# `--target` restricts the flag to the binary: the compiler loads procedural macros dynamically.
# Packed relative relocations take 0.3 MiB less, and need glibc 2.36.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
RUN rustc -vV | sed -n 's/^host: //p' >/target-triple

# The dependencies are a layer of their own, which only Cargo.toml and Cargo.lock invalidate.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/integration tests/e2e benches \
    && echo 'fn main() {}' | tee build.rs src/main.rs tests/integration/main.rs >tests/e2e/main.rs \
    && sed -n '/^\[\[bench\]\]/,/^name/s/^name = "\(.*\)"/benches\/\1.rs/p' Cargo.toml | xargs -n 1 cp src/main.rs \
    && touch src/lib.rs \
    && cargo auditable build --locked --release --target "$(cat /target-triple)"

COPY build.rs askama.toml ./
COPY src src
ARG TRADERNET_EXPORTER_REVISION=""
# Cargo compares modification times, and the sources may be older than the stub files that were just built.
RUN find build.rs src -name '*.rs' -exec touch {} + \
    && TRADERNET_EXPORTER_REVISION="$TRADERNET_EXPORTER_REVISION" \
       cargo auditable build --locked --release --target "$(cat /target-triple)" \
    && mkdir -p /image/etc/ssl/certs \
    && cp "target/$(cat /target-triple)/release/tradernet-exporter" /image/ \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/

FROM scratch
COPY LICENSE /LICENSE
COPY --from=build /image /
# Numeric, so that an orchestrator can verify that it is not root; the image has no /etc/passwd.
USER 65532:65532
# The default, loopback, is not reachable from outside the container.
ENV WEB_LISTEN_ADDRESS=[::]:10460
EXPOSE 10460
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/tradernet-exporter", "healthcheck"]
ENTRYPOINT ["/tradernet-exporter"]
# After the binary, which contains the revision too: some builders reuse a cached label although its argument changed.
ARG TRADERNET_EXPORTER_REVISION=""
LABEL org.opencontainers.image.title="tradernet-exporter" \
      org.opencontainers.image.source="https://github.com/tradernet-exporter/tradernet-exporter" \
      org.opencontainers.image.description="Prometheus exporter for the open security sessions of Tradernet accounts" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="$TRADERNET_EXPORTER_REVISION"
