# The name server, from the distribution's package.
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends dnsmasq-base && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
