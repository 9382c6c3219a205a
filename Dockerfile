# pipectl alone, small and without root: docker build -t pipectl .
# The compiler is the oldest that Cargo.toml promises; the base image has what librdkafka is built with (g++, make, OpenSSL, zlib).
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY sql sql
COPY .env.example ./
# The crates and what was compiled stay in the builder's cache between two builds, so the binary is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin pipectl && cp target/release/pipectl /usr/local/bin/pipectl

FROM debian:bookworm-20260824-slim
# The authorities behind https:// and sslmode=verify-full, and the OpenSSL of Kafka's client.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pipectl
COPY --from=build /usr/local/bin/pipectl /usr/local/bin/pipectl
RUN pipectl --version
WORKDIR /etc/pipectl
USER 10001
EXPOSE 8080
# For `sync`: whether readers can rely on ClickHouse now, by the rule of /readyz. It needs no curl in the image.
HEALTHCHECK --interval=15s --timeout=10s --start-period=10m --retries=4 CMD ["pipectl", "status", "--ready"]
ENTRYPOINT ["pipectl"]
CMD ["--help"]
