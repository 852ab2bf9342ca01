"""What looks like a secret that is not encrypted, and what does not?"""

from __future__ import annotations

import pytest

from handful.secrets.plain import looks

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def found(text: str, *, as_yaml: bool) -> list[int]:
    """Return the lines that look like secrets."""
    return [number for number, _ in looks(text, as_yaml=as_yaml)]


@pytest.mark.parametrize("line", [
    "PASSWORD: hunter2-x9k2-LLq8", "PGPASSWORD: hunter2", "DB_PASSWORD: qmzxkwhvptrnbsdlfjgcyeuiaoqmzxkw", "url: postgres://shop:s3cret@db/shop",
    "cache: redis://:pw@cache:6379", "x: AKIAIOSFODNN7EXAMPLE", "t: ghp_" + "a1B2" * 9, "APP_KEY: base64:rT0yD7Pq3mHk5Vx8sWc1Zb4Nf6Jg9La2Qe5Ru8Ti0oY=",
    f"ENCRYPTION_KEY: {HEX}", f"SIGNING_SALT: {HEX}", f"FOO: {HEX}", "MASTER_KEY: 0123456789abcdef0123456789abcdef", "JWT_KEY: qmzxkwhvptrnbsdlfjgcyeuiaoqmzxkw",
    "command: [serve, '--token=9f8a7b6c5d4e3f2a']", "ANYTHING: rT0yD7Pq3mHk5Vx8sWc1Zb4Nf6Jg9La2Qe5Ru8Ti0oY",
])
def test_what_looks_like_a_secret(line: str) -> None:
    """Known shapes, names that promise one, and randomness, in handful.yml."""
    assert found(f"fine: here\napps: {{}}\nenv:\n  {line}\n", as_yaml=True) == [4]


@pytest.mark.parametrize("line", ["ENV API_KEY=9f8a7b6c5d4e3f2a", "ARG NPM_TOKEN=ab12cd34ef56gh78", "ENV DB_PASSWORD hunter22", "RUN PGPASSWORD=hunter22 psql", "-----BEGIN RSA PRIVATE KEY-----"])
def test_what_looks_like_one_in_a_dockerfile(line: str) -> None:
    """In all the ways of writing it."""
    assert found(f"FROM debian\n{line}\n", as_yaml=False) == [2]


@pytest.mark.parametrize("line", [
    "token: {secret: HCLOUD_TOKEN_2}", "SECRET_FILE: /run/secrets/some-file-1", "KEY: $OTHER_KEY_NAME_1", "image: registry.example.com/shop:1.2.3",
    "url: https://example.com/a?b=c", "secrets: [DATABASE_URL, STRIPE_KEY_22]", "build: {secrets: [NPM_TOKEN_2]}",
    "secrets: [{secret: S3_ACCESS_KEY_1, env: ACCESS}, {secret: OAUTH2_CLIENT_SECRET, file: /run/secrets/oauth2-client}]", "PASSWORD_MIN_LENGTH: 12000",
    f"image: nginx@sha256:{HEX}", "CLIENT_ID: 2f1e4c52-6c3a-4d7e-9b1a-1f0c8a1d2e3f", "AUTH_MODE: oauth2-proxy", "CACHE_KEY: user-profile-v2",
    "SECRET_NAME: my-service-2", f"HASH: {HEX}  # not a secret", "LOG_LEVEL: debug", "hosts: [a.example.com, b.example.com]", "MOTTO: correct horse battery staple",
])
def test_what_does_not(line: str) -> None:
    """Words, references, paths, names of secrets, and what somebody has said is none."""
    assert found(f"env:\n  {line}\n", as_yaml=True) == []


def test_what_is_no_yaml_is_looked_at_all_the_same() -> None:
    """For known shapes."""
    assert found("a: [\nx: AKIAIOSFODNN7EXAMPLE\n", as_yaml=True) == [2]
