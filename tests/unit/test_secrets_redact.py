"""Values disappear from texts, in whatever form and wherever the text is cut."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import threading
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from hatchlock.security.secrets.redact import Redactor, forms, redact, redact_document
from hatchlock.serve.talk import LogFile, Talk

SECRET = 'p"a/s+s wörd\\42&'


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        json.dumps({"key": SECRET}),
        json.dumps({"key": SECRET}, ensure_ascii=False),
        json.dumps(json.dumps({"key": SECRET})),
        repr({"key": SECRET}),
        f"https://host/?key={quote(SECRET)}",
        f"https://host/?key={quote(SECRET, safe='')}",
        f"https://host/?key={quote_plus(SECRET)}",
        *(base64.b64encode(b"u" * length + SECRET.encode() + b":x").decode() for length in range(4)),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_value_is_hidden_in_every_form(text: str) -> None:
    shown = redact(text, forms([SECRET]))
    assert "***" in shown
    for part in ("wörd", "s+s", "s%20w", "s%2Bs", base64.b64encode(SECRET.encode()).decode()[4:12]):
        assert part not in shown
    assert Redactor(forms([SECRET])).whole(text.encode()).decode() == shown


def test_each_line_of_a_long_value_is_hidden_and_nothing_that_is_too_short() -> None:
    assert {"line one", "line two", "line one\nline two"} <= set(forms(["line one\nline two"]))
    assert forms(["no"]) == ()
    assert redact("no, yes", forms(["no"])) == "no, yes"


def test_longer_values_are_hidden_first() -> None:
    assert redact("x=secret-long y=secret", ["secret", "secret-long", ""]) == "x=*** y=***"


def test_documents_are_redacted_in_keys_and_values() -> None:
    document = {"secret": [1, True, None, "a secret"], "b": {"c": 1.5}}
    assert redact_document(document, ["secret"]) == {"***": [1, True, None, "a ***"], "b": {"c": 1.5}}


@pytest.mark.parametrize("many", [False, True], ids=["few", "thousands"])
def test_wherever_a_stream_is_cut_the_result_is_the_same(many: bool) -> None:
    hidden = ("abab", "ababab", "bac", "xyz", *(f"other-{number}" for number in range(1000 * many)))
    chance = random.Random(7)
    for _ in range(2000):
        text = bytes(chance.choice(b"abcxyz") for _ in range(chance.randrange(40)))
        redactor = Redactor(hidden)
        shown = b""
        at = 0
        while at < len(text):
            step = chance.randrange(1, 8)
            shown += redactor.feed(text[at : at + step])
            at += step
        assert shown + redactor.last() == redactor.whole(text)
        assert redactor.whole(text) == re.sub(rb"ababab|abab|bac|xyz", b"***", text)


def test_a_secret_of_thousands_of_lines_does_not_slow_anything_down() -> None:
    lines = [f"{number:04}-{'k' * 40}" for number in range(5000)]
    began = time.process_time()
    redactor = Redactor(forms(["\n".join(lines)]))
    said = b"".join(b"%d: something that a server says\n" % number for number in range(3000))
    assert redactor.whole(said) == said
    assert redactor.whole(f"> {lines[4321]} <".encode()) == b"> *** <"
    redactor.feed(b"x" * (1 << 16) + lines[7][:20].encode())
    assert redactor.last(lines[7][20:].encode()) == b"***"
    assert time.process_time() - began < 5  # 0.2 s, and minutes if each line were looked for by itself


def test_a_value_at_the_seam_of_a_line_that_is_too_long_is_hidden(tmp_path: Path) -> None:
    out, into = os.pipe()
    log = LogFile(tmp_path / "log" / "x.log", 1 << 20)
    talk = Talk(server="x", stderr=into, log=log, hidden=forms(["planted-secret"]))
    drained: list[bytes] = []
    reader = threading.Thread(target=lambda: drained.extend(iter(lambda: os.read(out, 1 << 16), b"")))
    reader.start()
    for start in range(14):
        # pieces of 64 KiB: the seam goes through the value at every place
        for piece in (b"x" * ((1 << 16) - start) + b"planted-secret"[: start + 1], b"planted-secret"[start + 1 :]):
            talk.heard(piece)
    talk.finish()
    talk.heard(b"y" * (1 << 16) + b"planted-sec")
    talk.heard(b"ret")
    assert "planted-secret" not in "".join(talk.last_words())
    os.close(into)
    reader.join()
    os.close(out)
    said = b"".join(drained).replace(b"\n", b"")
    assert b"planted-secret" not in said
    assert said.count(b"***") == 15
    assert b"planted-secret" not in (tmp_path / "log" / "x.log").read_bytes().replace(b"\n", b"")
    log.close()


def test_a_value_of_a_megabyte_in_one_line_is_ready_at_once_and_hidden_in_a_stream() -> None:
    value = "".join(chr(33 + (number * 7919) % 90) for number in range(1 << 20))
    began = time.process_time()
    redactor = Redactor(forms([value, "short-secret"]))
    assert redactor.text(f"a{value}b short-secret {value[:-1]}") == f"a***b *** {value[:-1]}"
    said = f"x{value}y{value[:1000]}".encode()
    pieces = [redactor.feed(said[start : start + (1 << 16)]) for start in range(0, len(said), 1 << 16)]
    assert b"".join((*pieces, redactor.last())) == b"x***y" + value[:1000].encode()
    assert time.process_time() - began < 6  # 0.7 s, and half a minute if a pattern were made of it
