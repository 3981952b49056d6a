# The worker: starts the flow runs that a Prefect server hands out. Build it with the version to show in its deployments:
#   docker build --target worker --build-arg VERSION="$(git describe --always --dirty)" --tag retail-sales .
# --build-arg SPARK=1 adds the packages of engine spark.
# PYTHON_DIGEST, like @sha256:<64 digits>, pins the base image to one build of its version.
ARG PYTHON_DIGEST=
FROM python:3.11.17-slim-bookworm${PYTHON_DIGEST} AS worker

ENV PYTHONUNBUFFERED=1 \
    PREFECT_EXPERIMENTAL_EVENTS=true \
    PREFECT_EXPERIMENTAL_WARN=false \
    RETAIL_SALES_HOME=/app \
    PREFECT_WORKER_WEBSERVER_HOST=127.0.0.1 \
    PREFECT_WORKER_WEBSERVER_PORT=8080 \
    PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1

RUN useradd --create-home --uid 1000 etl
WORKDIR /app

COPY requirements.txt ./
COPY requirements-spark.txt ./
ARG SPARK=
RUN python -m pip install --disable-pip-version-check uv==0.13.9 \
    && uv pip sync --compile-bytecode --python "$(command -v python)" requirements.txt ${SPARK:+requirements-spark.txt}

COPY prefect.yaml ./
COPY blocks/ blocks/
COPY deployments/ deployments/
COPY docs/runbook.md docs/runbook.md
COPY expectations/ expectations/
COPY flows/ flows/
COPY sql/ sql/
COPY tasks/ tasks/

ARG VERSION=not-from-git
ENV RETAIL_SALES_VERSION=${VERSION}

# The pages of runs, which the checkout's owner alone could write there.
ENV RETAIL_SALES_REPORTS=/home/etl/reports

USER 1000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "deployments.health"]
ENTRYPOINT ["python", "-m", "deployments.worker", "--with-healthcheck"]

# One flow run, for pools in which each run has a container: the pool gives the command, which an entry point would swallow.
FROM worker AS run

HEALTHCHECK NONE
ENTRYPOINT []

# The local stack for trials: four PostgreSQL, S3, a Snowflake stand-in, a mail sink. Never for production.
FROM worker AS stack

USER root
COPY requirements-dev.txt ./
RUN python -m pip install --disable-pip-version-check uv==0.13.9 \
    && uv pip sync --python "$(command -v python)" requirements-dev.txt
COPY local/ local/
RUN mkdir /stack && chown 1000 /stack

USER 1000
ENV RETAIL_SALES_LOCAL_DIR=/stack
HEALTHCHECK --interval=10s --timeout=10s --start-period=300s --retries=3 CMD ["python", "-m", "local", "status"]
ENTRYPOINT ["python", "-m", "local", "serve"]
