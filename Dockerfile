# This builds one image for each program: docker build --target publisher .   (or aggregator, standalone, eventctl)
# An engine older than version 23 needs DOCKER_BUILDKIT=1.
ARG RUST_IMAGE=rust:1.95-slim-trixie
# This must be the same Debian release as above, because the programs are linked with its C library.
ARG DEBIAN_IMAGE=debian:trixie-slim

# This stage leaves the manifests, and a stand-in for the sources of each crate. It runs at every change. As long as no
# manifest changes, it leaves the same files, and the next stage takes the dependencies from the cache. The manifest of the
# tests names their programs, so these must be there.
FROM ${DEBIAN_IMAGE} AS skeleton
WORKDIR /skeleton
COPY . .
RUN find . -type f ! -name 'Cargo.*' ! -path './tests/src/bin/*' -delete \
 && find . -type d -empty -delete \
 && for manifest in */Cargo.toml common/*/Cargo.toml; do \
        sources="${manifest%/*}/src" && mkdir -p "$sources" && touch "$sources/lib.rs" || exit; \
    done \
 && for program in publisher aggregator standalone eventctl; do \
        echo 'fn main() {}' >"$program/src/main.rs" || exit; \
    done

FROM ${RUST_IMAGE} AS build
WORKDIR /src
ENV CARGO_PROFILE_DIST_STRIP=symbols
# The tests and the benchmarks are not needed.
ENV PROGRAMS="-p publisher -p aggregator -p standalone -p eventctl"
COPY --from=skeleton /skeleton .
RUN cargo build --profile dist --locked $PROGRAMS
COPY . .
# The stand-ins were built after the sources were written, so cargo would think that they are newer.
RUN find . -name '*.rs' ! -path './target/*' -exec touch {} + \
 && cargo build --profile dist --locked $PROGRAMS

FROM ${DEBIAN_IMAGE} AS base
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The user is a number, so that Kubernetes sees that it is not root.
USER 65532:65532
# After SIGTERM, a program takes no new work and finishes what it has begun.
STOPSIGNAL SIGTERM

FROM base AS publisher
LABEL org.opencontainers.image.title="publisher" \
      org.opencontainers.image.description="Accepts events over HTTP and queues them in Redis"
COPY --from=build /src/target/dist/publisher /usr/local/bin/
# The program listens on every address only if API_KEYS_FILE is set or AUTH_DISABLED is true.
ENV BIND_ADDR=0.0.0.0:8080
EXPOSE 8080
# This asks whether the program is alive, not ready, because restarting it would not bring a missing Redis back.
HEALTHCHECK --interval=10s --timeout=10s --start-period=10s CMD ["publisher", "healthcheck"]
ENTRYPOINT ["publisher"]

FROM base AS aggregator
LABEL org.opencontainers.image.title="aggregator" \
      org.opencontainers.image.description="Stores each event exactly once in PostgreSQL, and answers questions about them"
COPY --from=build /src/target/dist/aggregator /usr/local/bin/
ENV BIND_ADDR=0.0.0.0:8081
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=10s --start-period=10s CMD ["aggregator", "healthcheck"]
ENTRYPOINT ["aggregator"]

FROM base AS standalone
LABEL org.opencontainers.image.title="event-aggregator" \
      org.opencontainers.image.description="Publisher and aggregator in one process, on SQLite"
COPY --from=build /src/target/dist/event-aggregator /usr/local/bin/
USER root
# A new volume gets the owner of this folder.
RUN install -d -o 65532 -g 65532 /data
USER 65532:65532
ENV BIND_ADDR=0.0.0.0:8080 DATABASE_URL=sqlite:///data/events.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=10s --start-period=10s CMD ["event-aggregator", "healthcheck"]
ENTRYPOINT ["event-aggregator"]

FROM base AS eventctl
LABEL org.opencontainers.image.title="eventctl" \
      org.opencontainers.image.description="The command line: publish, simulate, look, verify"
COPY --from=build /src/target/dist/eventctl /usr/local/bin/
ENTRYPOINT ["eventctl"]
