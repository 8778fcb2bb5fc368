# The image of operator and worker. No shell and no wrapper between the container's start and the program, so that it gets
# its signals itself; nothing is written below /, so that the root file system can be read-only.
#
#   docker build --tag fluid-jobs .
#   docker run fluid-jobs worker --help        # or operator
#
# Your own processors: FROM this image, as USER 0 `pip --python /opt/fluid/bin/python install your-distribution` with the
# base's pip, and USER 65532:65532 again.
# BASE: any image with Python 3.11 or newer and its venv module; both stages must have the same.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/fluid
# Kubernetes takes a user's group from here: without an entry it would be root's.
RUN echo 'fluid:x:65532:65532:Fluid Jobs:/nonexistent:/bin/false' >> /etc/passwd && echo 'fluid:x:65532:' >> /etc/group
COPY requirements-build.lock requirements-image.lock ./
# The secret `pip` is a pip.conf, for whoever has an index of his own; it stays out of the image.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.lock && \
    /build/bin/pip --python /opt/fluid/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
      -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY queue queue
COPY operator operator
COPY processors processors
COPY cli cli
RUN /build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheel . && \
    /build/bin/pip --python /opt/fluid/bin/python install --no-index --no-deps /wheel/*.whl && \
    ln -s fluid-operator /opt/fluid/bin/operator && ln -s fluid-worker /opt/fluid/bin/worker
# What never runs here: commands that libraries bring, and `fluid`, whose own are not installed; the official client's
# classes per API group, as we send JSON ourselves; the bytecode of its models, which are hardly loaded; sources in C.
RUN cd /opt/fluid && rm -rf include lib/python*/site-packages/fluid_cli && \
    find bin -type f ! -name fluid-operator ! -name fluid-worker -exec rm {} + && \
    cd lib/python*/site-packages && \
    find kubernetes/client/api kubernetes/aio/client/api -name '*_api.py' -exec rm {} + && \
    find kubernetes -type d -name __pycache__ -path '*/client/*' -prune -exec rm -rf {} + && \
    find . -type f \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.c' -o -name '*.h' \) -exec rm {} +

FROM ${BASE}
ARG BASE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fluid-jobs" \
      org.opencontainers.image.description="Background jobs for Kubernetes as custom resources: operator and worker" \
      org.opencontainers.image.source="https://github.com/dotnetfactory/fluid-jobs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /opt/fluid /opt/fluid
ENV PATH=/opt/fluid/bin:$PATH HOME=/nonexistent PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
CMD ["operator"]
