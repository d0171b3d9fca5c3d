# The server's image: one binary on Debian, as a user without rights, without the sandbox. Configured by the environment (.env.example).
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --no-default-features --bin vitrine && cp target/dist/vitrine /vitrine

FROM debian:bookworm-slim
# TLS to the providers needs the certificates; local times (America/Sao_Paulo) need the zones.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata && rm -rf /var/lib/apt/lists/*
COPY --from=build /vitrine /usr/local/bin/vitrine
USER 10001:10001
WORKDIR /tmp
EXPOSE 4444
# 30 s to drain, as `docker stop --time 35` should allow.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["vitrine", "health"]
CMD ["vitrine", "serve"]
