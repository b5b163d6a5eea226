# The worker's image. The last stage is the default: what runs in production, without the demo.
# The target `trial` has the demo and what it needs:
#   docker build --target trial -t carbon-uploads:trial . && docker run --rm carbon-uploads:trial

FROM python:3.11-slim AS tools
WORKDIR /build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/build && python -m venv /opt/uploads
COPY requirements-build.lock requirements-service.lock ./
RUN /opt/build/bin/pip install --require-hashes -r requirements-build.lock \
 && /opt/uploads/bin/pip install --require-hashes -r requirements-service.lock

FROM tools AS build
COPY pyproject.toml README.md LICENSE ./
COPY migrations ./migrations
COPY service ./service
RUN rm -r service/demo \
 && /opt/build/bin/python -m hatchling build -t wheel -d dist \
 && /opt/uploads/bin/pip install --no-deps dist/*.whl

# Every file is downloaded by its hash; of these files, only what the demo needs is installed.
FROM tools AS build-trial
COPY requirements.lock ./
RUN /opt/uploads/bin/pip download --require-hashes --only-binary :all: -r requirements.lock -d wheels
COPY pyproject.toml README.md LICENSE ./
COPY migrations ./migrations
COPY service ./service
RUN /opt/build/bin/python -m hatchling build -t wheel -d wheels \
 && /opt/uploads/bin/pip install --no-index --find-links wheels 'carbon-uploads[demo]'

FROM python:3.11-slim AS runtime
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin uploads
ENV PATH=/opt/uploads/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    UPLOADS_LOG__FORMAT=json
USER 10001
EXPOSE 8080
ENTRYPOINT ["uploads"]

FROM runtime AS trial
COPY --from=build-trial /opt/uploads /opt/uploads
CMD ["demo"]

FROM runtime
COPY --from=build /opt/uploads /opt/uploads
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health/live', timeout=2)"]
CMD ["serve"]
