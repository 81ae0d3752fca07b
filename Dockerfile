# syntax=docker/dockerfile:1
# Builds Binnacle and nothing else: the image needs a Postgres with pgvector beside it, as in docker-compose.yml.

FROM node:22-bookworm-slim AS console
WORKDIR /console
COPY console/package.json console/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY console .
RUN npm run build

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=console /console/dist console/dist
# The queries were checked when .sqlx was written, so no database is needed here.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin binnacle && cp target/release/binnacle /usr/local/bin/binnacle

# The same Debian as above, so that the C library fits.
FROM debian:bookworm-slim
# The certificates are for TLS to a remote Postgres. Old ones are of no use, so their version is not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home binnacle
COPY --from=build /usr/local/bin/binnacle /usr/local/bin/binnacle
USER 10001
EXPOSE 8080
ENTRYPOINT ["binnacle"]
CMD ["serve"]
