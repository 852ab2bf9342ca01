# The agent: handful's own Python, on an image that has one, or on the distribution's.
ARG BASE
FROM ${BASE}
RUN command -v python3 >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends python3 python3-orjson python3-zstandard && rm -rf /var/lib/apt/lists/* /var/cache/apt/*; }
WORKDIR /usr/lib/handful-agent
COPY handful handful
RUN python3 -m compileall -q handful
ENTRYPOINT ["python3", "-m", "handful.agent"]
