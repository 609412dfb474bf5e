# The cloud's image: the locked dependencies without the development tools, one user who owns nothing, no shell needed.
# Built by docker-compose.yml. It has not been built or run where it was written: there was no engine (docs/operations.md).
FROM python:3.11-slim-bookworm AS dependencies
WORKDIR /build
COPY pyproject.toml requirements.lock ./
RUN python -m venv /opt/venv \
 && sed -n '/^uv==/,/# via/p' requirements.lock > uv.lock \
 && python -m venv uv && uv/bin/pip install --no-cache-dir --require-hashes -r uv.lock
# The lock file holds the development tools too. uv keeps every pin and hash of a file it writes anew: what is left is
# the same lock without them, and `comm` refuses a line that was not in the one that is committed.
RUN cp requirements.lock runtime.lock \
 && uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
      --quiet pyproject.toml -o runtime.lock \
 && grep -v '^ *#' requirements.lock | sort > locked && grep -v '^ *#' runtime.lock | sort > kept \
 && test -z "$(comm -13 locked kept)" \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r runtime.lock

FROM python:3.11-slim-bookworm
# 1883 is the group of Mosquitto's image: what is written into the set-group-id folders, the broker may read.
RUN groupadd --gid 10001 roomlink && groupadd --gid 1883 mosquitto \
 && useradd --uid 10001 --gid roomlink --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin roomlink \
 && install -d -o roomlink -g roomlink -m 0700 /var/lib/roomlink \
 && install -d -o roomlink -g roomlink -m 0755 /var/lib/roomlink/authority \
 && install -d -o roomlink -g mosquitto -m 2750 /var/lib/roomlink-broker /var/lib/roomlink-certificates
COPY --from=dependencies /opt/venv /opt/venv
WORKDIR /opt/roomlink
COPY firmware_specs firmware_specs
COPY broker_config broker_config
COPY cloud cloud
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8080
CMD ["python", "-m", "cloud", "serve"]
