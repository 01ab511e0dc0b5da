"""Texts that go to strangers have neither secrets nor names, and what is neither stays as it is."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from hatchlock.security.secrets.anonymous import Anonymous, Identity

SECRET = "correct horse battery"
IDENTITY = Identity(homes=("/srv/people/jdoe42/", "/root"), users=("jdoe42", "root", ""), host="wombat.example.org")


@pytest.fixture
def anonymous() -> Anonymous:
    return Anonymous([SECRET], IDENTITY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"got {SECRET} there", "got *** there"),
        (json.dumps({"value": f"x{SECRET}y"}), '{"value": "x***y"}'),
        ("token ghp_abcdefghijklmnopqrstuvwxyz0123 used", "token *** used"),
        ("https://me:hunter22@index.example/simple", "***index.example/simple"),
        ("Authorization: Bearer abcdef.ghijkl-mnop", "Authorization: Bearer ***"),
        ('API_KEY = "q8w7e6r5t4z3u2"', 'API_KEY = "***"'),
        ("password=hunter22!x", "password=***"),
        ("run --password=hunter22x 2token=q8w7e6r5", "run --password=*** 2token=***"),
        ("got git+https://me:hunter22@host/x", "got ***host/x"),
        ('{"access_token": "x1y2z3x1y2z3"}', '{"access_token": "***"}'),
        ("/srv/people/jdoe42/acme/hatchlock.toml", "~/acme/hatchlock.toml"),
        ("/root/.cache and /rootless", "~/.cache and /rootless"),
        ("/home/somebody/x and /Users/else/y", "/home/USER/x and /Users/USER/y"),
        ('"user": "jdoe42", "host": "wombat"', '"user": "USER", "host": "HOST"'),
        ("at WOMBAT.example.org", "at HOST"),
    ],
)
def test_what_is_nobody_elses_business_goes(anonymous: Anonymous, text: str, expected: str) -> None:
    assert anonymous.text(text) == expected


@pytest.mark.parametrize(
    "word", ["a", "eyJ", "a.", "-", "a-", "a:", "Bearer ", '\\"', "a://", "eyJaaaaaaaaaa.", "/home/"]
)
def test_a_long_line_of_a_log_takes_no_longer_than_it_is(anonymous: Anonymous, word: str) -> None:
    """What looks at each place of it for its end takes minutes here."""
    text = word * (100_000 // len(word))
    began = time.process_time()
    anonymous.text(text)

    assert time.process_time() - began < 5


def test_encoded_secrets_go_too(anonymous: Anonymous) -> None:
    assert "***" in anonymous.text(base64.b64encode(f"user:{SECRET}".encode()).decode())
    assert anonymous.text("correct%20horse%20battery") == "***"


@pytest.mark.parametrize(
    "text",
    [
        'TOKEN = { secret = "env:MY_TOKEN" }',
        'API_KEY = { secret = "keyring:acme-token", format = "Bearer {}" }',
        "secrets = { TOKEN = 'file:~/token' }",
        "root read-only, user 10001:10001",
        "jdoe421 wombats",
        "token_endpoint: none",
        "key = " + "0a" * 32,
        "secret_key=sha256:" + "0a" * 32,
        "sha512-" + "A" * 86 + "==",
    ],
)
def test_what_is_neither_stays(anonymous: Anonymous, text: str) -> None:
    assert anonymous.text(text) == text


def test_a_lock_stays_what_it_is(anonymous: Anonymous) -> None:
    for path in sorted((Path(__file__).parents[2] / "fixtures" / "locks").rglob("*.lock")):
        text = path.read_text()
        assert anonymous.text(text) == text, path
