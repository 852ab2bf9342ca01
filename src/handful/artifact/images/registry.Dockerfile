# The registry that machines fetch images from, from the distribution's package, where the official image cannot be had.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends docker-registry && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
