# One image recipe for every program:
#   docker build --build-arg SERVICE=identity .
# SERVICE is identity, tenancy, licensing, exchange, backup, notification,
# gateway or kontor-prepare. RUNTIME=with-postgresql-client adds pg_dump and
# pg_restore of the company clusters' version.
ARG RUNTIME=plain

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
ARG SERVICE
ENV GOWORK=off CGO_ENABLED=0 GOTOOLCHAIN=local
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    case "$SERVICE" in \
      gateway) module=gateway ;; \
      kontor-prepare) module=deploy/local ;; \
      *) module=services/$SERVICE ;; \
    esac && \
    go -C "$module" build -trimpath -ldflags="-s -w" -o /out/kontor "./cmd/$SERVICE"

FROM debian:bookworm-slim AS plain
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates tzdata && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --uid 65532 --user-group --no-create-home --shell /usr/sbin/nologin kontor && \
    install -d -o kontor -g kontor -m 700 /data /keys /tmp/kontor
COPY --chmod=755 deploy/docker/ready /usr/local/bin/ready

FROM plain AS with-postgresql-client
RUN apt-get update && \
    apt-get install -y --no-install-recommends postgresql-client-15 && \
    rm -rf /var/lib/apt/lists/*

FROM ${RUNTIME}
COPY --from=build /out/kontor /usr/local/bin/kontor
USER 65532:65532
ENV TMPDIR=/tmp/kontor
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/kontor"]
