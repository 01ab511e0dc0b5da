"""What servers and networks do to us, over real sockets."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hatchlock.net import patience as patience_module
from hatchlock.net.http import Http, Offline, Refused, Unreachable
from hatchlock.net.patience import Patience, Retries
from hatchlock.store.blobs import Blobs, TooLong, WrongHash
from support.faulty import Faulty, answering, certificate, drip, flood, http_date, piece, reply, reset, silence
from support.ports import free_port
from support.runs import wait_for

USUAL = Patience(back_off=0.01, longest=2)
QUICK = replace(USUAL, read=0.3, window=0.3)
"""For servers that are too slow on purpose: others may be kept waiting by the machine."""
SOON = 20
"""Seconds: much less than what is not waited for takes, and enough for any machine."""
BODY = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(environ={}, patience=USUAL) as client:
        yield client


@pytest.fixture
def quick() -> Iterator[Http]:
    with Http(environ={}, patience=QUICK) as client:
        yield client


def downloaded(http: Http, url: str) -> bytes:
    pieces: list[bytes] = []
    assert http.download(url, pieces.append) == len(b"".join(pieces))
    return b"".join(pieces)


# bodies that break off


def test_an_answer_that_breaks_off_is_asked_for_again(http: Http) -> None:
    with answering(reply(body=b"half", length=8), reply(body=b"complete")) as server:
        assert http.get(server.url).data == b"complete"
    assert len(server.asked) == 2


def test_an_answer_is_not_kept_in_memory_without_end(http: Http) -> None:
    with answering(flood(1 << 33)) as server, pytest.raises(Unreachable, match="it sends more than 1000000 bytes"):
        http.get(server.url, at_most=1_000_000)
    assert server.flooded < 32 << 20
    packed = gzip.compress(bytes(8 << 20))
    with answering(reply(body=packed, Content_Encoding="gzip")) as server:
        assert len(http.get(server.url, at_most=8 << 20).data) == 8 << 20
        with pytest.raises(Unreachable, match="it sends more than"):
            http.get(server.url, at_most=(8 << 20) - 1)


def test_an_answer_that_always_breaks_off_is_an_error_with_the_numbers(http: Http) -> None:
    with answering(reply(body=b"half", length=8)) as server, pytest.raises(Unreachable) as caught:
        http.get(server.url)
    assert str(caught.value) == f"{server.url} cannot be reached: it broke off after 4 of 8 bytes"
    assert len(server.asked) == 1 + USUAL.repeats


def test_a_chunked_answer_without_its_end_is_asked_for_again(http: Http) -> None:
    def cut(_: object, connection: socket.socket, __: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    with answering(cut, reply(body=b"hello world")) as server:
        assert http.get(server.url).data == b"hello world"


def test_a_compressed_answer_that_is_broken_is_asked_for_again(http: Http) -> None:
    with answering(
        reply(body=b"no gzip", Content_Encoding="gzip"), reply(body=gzip.compress(BODY), Content_Encoding="gzip")
    ) as server:
        assert http.get(server.url).data == BODY


def test_a_download_that_breaks_off_goes_on_where_it_was(http: Http) -> None:
    with answering(piece(BODY, breaks_after=500_000), piece(BODY, breaks_after=100_000), piece(BODY)) as server:
        assert downloaded(http, server.url) == BODY
    assert [server.header(number, "range") for number in range(3)] == ["", "bytes=500000-", "bytes=600000-"]


def test_a_server_without_ranges_sends_it_all_again_and_no_byte_is_kept_twice(http: Http) -> None:
    with answering(piece(BODY, breaks_after=500_000), piece(BODY, ranges=False)) as server:
        assert downloaded(http, server.url) == BODY


def test_a_download_of_unknown_length_whose_end_was_lost_is_complete(http: Http) -> None:
    def cut(_: object, connection: socket.socket, __: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    with answering(cut, reply(416, Content_Range="bytes */5")) as server:
        assert downloaded(http, server.url) == b"hello"


def test_a_server_that_leaves_a_part_out_is_refused(http: Http) -> None:
    skips = reply(206, BODY[600_000:], Content_Range=f"bytes 600000-{len(BODY) - 1}/{len(BODY)}")
    with answering(piece(BODY, breaks_after=500_000), skips) as server, pytest.raises(Unreachable, match="leaves out"):
        downloaded(http, server.url)


def test_a_download_that_never_ends_well_is_an_error(http: Http) -> None:
    with answering(reply(body=b"half", length=8)) as server, pytest.raises(Unreachable, match="after 4 of 8 bytes"):
        downloaded(http, server.url)
    assert len(server.asked) == 1 + USUAL.repeats


# wrong bytes, wrong length


@pytest.mark.parametrize("length", [len(BODY), len(BODY) - 10])
def test_other_bytes_than_wanted_leave_nothing_in_the_store(http: Http, tmp_path: Path, length: int) -> None:
    blobs = Blobs(tmp_path / "blobs")
    changed = BODY[:-1] + b"!"
    with (
        answering(reply(body=changed, length=length)) as server,
        pytest.raises(WrongHash, match=f"thing from there has sha256 [0-9a-f]*, the lock wants {DIGEST}"),
        blobs.add(DIGEST, len(BODY), what="thing", where="there") as writer,
    ):
        http.download(server.url, writer.write)
    assert not [path for path in blobs.root.rglob("*") if path.is_file()]


def test_more_bytes_than_wanted_are_not_even_read(http: Http, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    with (
        answering(reply(body=BODY)) as server,
        pytest.raises(TooLong, match="longer than the 1000 bytes"),
        blobs.add(DIGEST, 1000, what="thing") as writer,
    ):
        http.download(server.url, writer.write)
    assert not [path for path in blobs.root.rglob("*") if path.is_file()]


def test_a_length_that_is_too_short_does_not_spoil_the_next_answer(http: Http) -> None:
    def both(_: object, connection: socket.socket, __: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdefHTTP/1.1 200 OK\r\n")
        time.sleep(0.05)

    with answering(both, reply(body=b"clean")) as server:
        assert http.get(server.url).data == b"abc"
        time.sleep(0.02)
        assert http.get(server.url).data == b"clean"


# redirects


def test_a_circle_of_redirects_is_named(http: Http) -> None:
    with (
        answering(
            reply(302, Location="/b?token=geheim"), reply(301, Location="/c"), reply(307, Location="/b?token=geheim")
        ) as server,
        pytest.raises(Unreachable) as caught,
    ):
        http.get(f"{server.url}a")
    root = server.url
    assert str(caught.value).endswith(f"it redirects in a circle: {root}b -> {root}c -> {root}b")
    assert "geheim" not in str(caught.value)
    assert server.paths == ["/a", "/b?token=geheim", "/c"]
    assert "whoever runs that server" in caught.value.hint


def test_redirects_without_end_end(http: Http) -> None:
    def onwards(server: Faulty, connection: socket.socket, head: str) -> None:
        number = int(re.findall(r"^GET /(\d+)", head)[0]) + 1
        reply(302, Location=f"/{number}")(server, connection, head)

    with answering(onwards) as server, pytest.raises(Unreachable, match="redirects more than 10 times, last to"):
        http.get(f"{server.url}0")
    assert len(server.asked) == 11


@pytest.mark.parametrize("target", ["ftp://example.com/x", "file:///etc/passwd", "http://[", "https://"])
def test_a_redirect_to_something_else_is_refused(http: Http, target: str) -> None:
    with answering(reply(302, Location=target)) as server, pytest.raises(Unreachable, match=r"no http\(s\) address"):
        http.get(server.url)


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    cert, context = certificate(tmp_path)
    with (
        answering(reply(302, Location="http://127.0.0.1:1/x"), tls=context) as server,
        Http(environ={"SSL_CERT_FILE": str(cert)}, patience=USUAL) as http,
        pytest.raises(Unreachable, match=r"from https to http://127\.0\.0\.1:1/x"),
    ):
        http.get(server.url)


def test_credentials_do_not_follow_a_redirect_to_another_host(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password geheim\n")
    (tmp_path / "netrc").chmod(0o600)
    with answering(reply(body=b"there")) as other, Http(environ={"NETRC": str(tmp_path / "netrc")}) as http:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        with answering(reply(302, Location=elsewhere)) as server:
            assert http.get(server.url).data == b"there"
            assert http.get(server.url, headers={"Authorization": "Bearer own"}).data == b"there"
    assert server.header(0, "authorization").startswith("Basic ")
    assert server.header(1, "authorization") == "Bearer own"
    assert [other.header(number, "authorization") for number in range(2)] == ["", ""]


# slow, and too busy


def test_a_server_that_says_nothing_is_given_up(quick: Http) -> None:
    began = time.monotonic()
    with answering(silence) as server:
        with pytest.raises(Unreachable, match="takes too long to answer"):
            quick.get(server.url)
        assert time.monotonic() - began < SOON
        assert wait_for(lambda: len(server.asked) == 1 + QUICK.repeats)


@pytest.mark.parametrize("decoded", [True, False])
def test_a_byte_now_and_then_is_not_waited_for_for_ever(decoded: bool) -> None:
    patience = replace(USUAL, window=0.3)
    began = time.monotonic()
    with (
        answering(drip(b"x" * 1000, pause=0.1)) as server,
        Http(environ={}, patience=patience) as http,
        pytest.raises(Unreachable) as caught,
    ):
        http.get(server.url) if decoded else downloaded(http, server.url)
    assert re.search(r"it sends too slowly \(\d+ bytes in \d+ s\)", str(caught.value))
    assert time.monotonic() - began < SOON
    assert len(server.asked) == 1


def test_a_slow_but_steady_server_is_waited_for() -> None:
    patience = Patience(window=0.1, slowest=0.01)  # also where nobody gets to run for a while
    with answering(drip(b"x" * 40, pause=0.01)) as server, Http(environ={}, patience=patience) as http:
        assert http.get(server.url).data == b"x" * 40


def test_retry_after_is_honoured(http: Http) -> None:
    began = time.monotonic()
    with answering(reply(429, Retry_After="1"), reply(body=b"now")) as server:
        assert http.get(server.url).data == b"now"
    assert 1 <= time.monotonic() - began < SOON


@pytest.mark.parametrize("wanted", ["600", "date"])
def test_a_server_that_wants_to_be_left_alone_for_long_is_an_error_with_the_time(http: Http, wanted: str) -> None:
    began = time.monotonic()
    asked = http_date(600) if wanted == "date" else wanted
    with answering(reply(429, Retry_After=asked)) as server, pytest.raises(Unreachable) as caught:
        http.get(server.url)
    assert re.search(r"HTTP 429 and wants to be left alone until \d\d:\d\d:\d\d UTC$", str(caught.value))
    assert re.match(r"run it again after \d\d:\d\d:\d\d UTC", caught.value.hint)
    assert time.monotonic() - began < SOON
    assert len(server.asked) == 1


def test_many_short_waits_are_bounded_too() -> None:
    retries = Retries(Patience(back_off=0.01, longest=0.25))
    busy = Unreachable(url="http://x/", why="busy", transient=True, retry_after=0.1)
    retries.wait(busy)
    retries.wait(busy)
    with pytest.raises(Unreachable, match="left alone"):
        retries.wait(busy)


def test_waits_grow_and_are_not_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(patience_module, "time", SimpleNamespace(sleep=pauses.append))

    def waits() -> list[float]:
        retries = Retries(Patience(back_off=2, repeats=3))
        pauses.clear()
        for _ in range(3):
            retries.wait(Unreachable(url="x", why="y", transient=True))
        return list(pauses)

    runs = [waits() for _ in range(3)]
    for first, second, third in runs:
        assert 1 <= first <= 2 <= second <= 4 <= third <= 8
    assert len({run[2] for run in runs}) > 1


@pytest.mark.parametrize("nonsense", ["soon", "-1", "1e9", "Thu, 99 Foo 2020 00:00:00 GMT", http_date(-100)])
def test_a_retry_after_that_says_nothing_is_no_obstacle(http: Http, nonsense: str) -> None:
    with answering(reply(503, Retry_After=nonsense), reply(body=b"now")) as server:
        assert http.get(server.url).data == b"now"


# connections


def test_a_reset_connection_is_tried_again(http: Http) -> None:
    with answering(reset, reply(body=b"now")) as server:
        assert http.get(server.url).data == b"now"


def test_a_connection_that_is_always_reset_is_named(http: Http) -> None:
    with answering(reset) as server, pytest.raises(Unreachable, match=r"reset by peer|Connection aborted|without"):
        http.get(server.url)
    assert len(server.asked) == 1 + USUAL.repeats


def test_something_that_is_no_http_is_an_error(http: Http) -> None:
    def babble(_: object, connection: socket.socket, __: str) -> None:
        connection.sendall(b"220 mail.example.com ESMTP\r\n")

    with answering(babble) as server, pytest.raises(Unreachable):
        http.get(server.url)


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://[bad/", "http:///x", "nothing", "http://u:geheim@[/"])
def test_what_is_no_address_is_said(http: Http, url: str) -> None:
    with pytest.raises(Unreachable, match=r"no http\(s\) address") as caught:
        http.get(url)
    assert "geheim" not in str(caught.value)


def test_a_proxy_that_does_not_answer_is_named() -> None:
    environ = {"HTTP_PROXY": f"http://anna:geheim@127.0.0.1:{free_port()}"}
    with Http(environ=environ, patience=USUAL) as http, pytest.raises(Unreachable) as caught:
        http.get("http://example.com/")
    assert "the proxy does not answer" in str(caught.value)
    assert "HTTPS_PROXY" in caught.value.hint
    assert "geheim" not in f"{caught.value} {caught.value.hint}"


def test_a_kind_of_proxy_that_is_not_known_is_named() -> None:
    with (
        Http(environ={"HTTP_PROXY": "socks5://127.0.0.1:1"}) as http,
        pytest.raises(Unreachable, match="not supported"),
    ):
        http.get("http://example.com/")


def test_offline_is_its_own_error(tmp_path: Path) -> None:
    with Http(environ={}, offline=True) as http, pytest.raises(Offline, match="--offline"):
        http.download("http://127.0.0.1:1/", lambda _: None)


# TLS


def test_a_certificate_that_nobody_trusts_is_refused_and_said(tmp_path: Path, http: Http) -> None:
    cert, context = certificate(tmp_path)
    with answering(reply(body=b"secret"), tls=context) as server:
        with pytest.raises(Unreachable, match=r"its certificate is not trusted \(self.signed certificate\)") as caught:
            http.get(server.url)
        with Http(environ={"NODE_EXTRA_CA_CERTS": str(cert)}) as trusting:
            assert trusting.get(server.url).data == b"secret"
    assert "SSL_CERT_FILE" in caught.value.hint
    assert len(server.asked) == 1


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    cert, context = certificate(tmp_path, host="example.com")
    with (
        answering(reply(body=b"secret"), tls=context) as server,
        Http(environ={"SSL_CERT_FILE": str(cert)}, patience=USUAL) as http,
        pytest.raises(Unreachable, match=r"not trusted \(IP address mismatch"),
    ):
        http.get(server.url)
    assert server.asked == []


def test_a_server_that_does_not_speak_tls_is_said(http: Http) -> None:
    with answering(reply(body=b"plain")) as server, pytest.raises(Unreachable, match="TLS fails") as caught:
        http.get(server.url.replace("http:", "https:"))
    assert "address is right" in caught.value.hint


# keyring


def keyring(directory: Path, script: str) -> dict[str, str]:
    """Return an environment whose `keyring` is this shell script; it writes each of its command lines to `asked`."""
    program = directory / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {directory}/asked\n{script}\n')
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(directory)}


def test_the_keyring_is_asked_after_401_with_the_login_of_the_address(tmp_path: Path) -> None:
    environ = keyring(tmp_path, '[ "$1 $3" = "get anna" ] && echo geheim')
    with answering(reply(401), reply(body=b"one"), reply(body=b"two")) as server, Http(environ=environ) as http:
        url = http.credentials.learn(server.url.replace("//", "//anna@"))
        assert http.get(url).data == b"one"
        assert http.get(url).data == b"two"
    assert [server.header(number, "authorization") for number in range(3)] == [
        "Basic YW5uYTo=",
        "Basic YW5uYTpnZWhlaW0=",
        "Basic YW5uYTpnZWhlaW0=",
    ]
    assert (tmp_path / "asked").read_text().splitlines() == [f"get {server.url} anna"]


def test_the_keyring_may_know_the_login_too(tmp_path: Path) -> None:
    environ = keyring(tmp_path, """echo '{"username": "anna", "password": "geheim"}'""")
    with answering(reply(401), reply(body=b"one")) as server, Http(environ=environ) as http:
        assert http.get(server.url).data == b"one"
    assert server.header(1, "authorization") == "Basic YW5uYTpnZWhlaW0="


@pytest.mark.parametrize("script", ["exit 1", "echo", "echo nonsense", "exec </dev/tty && cat"])
def test_a_keyring_that_knows_nothing_is_asked_once_and_cannot_prompt(tmp_path: Path, script: str) -> None:
    environ = keyring(tmp_path, script)
    with answering(reply(401)) as server, Http(environ=environ) as http:
        for _ in range(2):
            with pytest.raises(Refused, match="401") as caught:
                http.get(server.url).checked()
    assert "keyring" in caught.value.hint
    assert len((tmp_path / "asked").read_text().splitlines()) == 2, "for the address, and for the host"


def test_the_keyring_is_not_asked_when_netrc_has_something_or_all_is_well(tmp_path: Path) -> None:
    environ = keyring(tmp_path, "echo geheim")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login anna password falsch\n")
    (tmp_path / ".netrc").chmod(0o600)
    with answering(reply(401)) as server, Http(environ=environ) as http, pytest.raises(Refused):
        http.get(server.url).checked()
    with answering(reply(body=b"open")) as server, Http(environ=environ) as http:
        http.get(server.url)
    assert not (tmp_path / "asked").exists()
