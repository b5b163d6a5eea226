# The worker's image: one stage builds the environment, the other holds it and nothing else.

FROM python:3.11-slim AS build
WORKDIR /build
RUN python -m venv /opt/uploads
COPY requirements-service.lock ./
RUN /opt/uploads/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-service.lock
COPY pyproject.toml README.md ./
COPY service ./service
COPY migrations ./migrations
COPY requirements-build.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-build.lock \
 && /opt/build/bin/python -m hatchling build -t wheel -d /build/dist \
 && /opt/uploads/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps /build/dist/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin uploads
COPY --from=build /opt/uploads /opt/uploads
ENV PATH=/opt/uploads/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    UPLOADS_LOG__FORMAT=json
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health/live', timeout=2)"]
ENTRYPOINT ["uploads"]
CMD ["serve"]
