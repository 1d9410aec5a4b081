# One node, or the command line: `docker run --network … kvstore get …`.
FROM python:3.11-slim

# Where pip needs a mirror or other certificates: --build-arg PIP_INDEX_URL=… and the like. Build
# arguments can be read from the image's history: no passwords.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_CERT
ARG PIP_TRUSTED_HOST

RUN useradd --uid 10001 --home-dir /var/lib/kvstore --create-home kvstore \
    && python -m venv /opt/kvstore
ENV PATH=/opt/kvstore/bin:$PATH PYTHONUNBUFFERED=1

COPY pyproject.toml README.md LICENSE /src/
COPY cluster /src/cluster
COPY kvstore /src/kvstore
RUN pip install --no-cache-dir /src && rm -r /src

USER kvstore
RUN mkdir /var/lib/kvstore/data
VOLUME /var/lib/kvstore/data
ENV KVSTORE_DATA_DIR=/var/lib/kvstore/data KVSTORE_LISTEN=0.0.0.0:7001
EXPOSE 7001

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["kvstore", "health", "127.0.0.1:7001"]
# SIGTERM makes a node hand its leaderships over before it ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["kvstore"]
CMD ["serve"]
