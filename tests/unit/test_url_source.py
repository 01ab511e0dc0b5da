"""`url:` sources: what an address says, and bytes that are those of the lock or none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.address import BadSource
from hatchlock.events import Event
from hatchlock.lock.model import File
from hatchlock.net.http import Http, Refused, Unreachable
from hatchlock.realise import programs
from hatchlock.realise.commands import is_command_name
from hatchlock.sources import url as module
from hatchlock.sources.url import UrlReference, UrlSource, url_references
from hatchlock.store.blobs import Blobs, TooLong, WrongHash
from support.faulty import Faulty, answering, piece, reply

HEX = "ab" * 32
DATA = b"\x7fELF a program"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("v0.22.0/github-mcp-server_Linux_x86_64.tar.gz", "github-mcp-server"),
        ("v0.22.0/github-mcp-server_Darwin_arm64.tar.gz", "github-mcp-server"),
        ("v0.22.0/github-mcp-server_Windows_i386.zip", "github-mcp-server"),
        ("tool-1.2.3-linux-amd64", "tool"),
        ("tool-v1.2.3-rc.1-linux-amd64.tar.xz", "tool"),
        ("tool_1.2.3_linux_amd64.zip", "tool"),
        ("Tool-aarch64-apple-darwin.tar.gz", "tool"),
        ("tool-x86_64-unknown-linux-musl.tgz", "tool"),
        ("tool-armv7-unknown-linux-gnueabihf.tgz", "tool"),
        ("tool.linux-x64.2025.11.25", "tool"),
        ("tool-universal2.exe", "tool"),
        ("tool.pyz", "tool"),
        ("mcp-linux-tools-1.0.tar.gz", "mcp-linux-tools"),
        ("mcp-server-s3", "mcp-server-s3"),
        ("toolbox/archive/refs/tags/v1.2.3.tar.gz", "toolbox"),
        ("owner/toolbox/releases/download/v1.2.3/linux-amd64.zip", "toolbox"),
    ],
)
def test_the_programs_name_is_what_is_left_of_the_files(address: str, name: str) -> None:
    assert UrlReference.parse(f"https://example.com/{address}#sha256={HEX}").name == name


def test_a_name_may_be_given() -> None:
    reference = UrlReference.parse(f"https://example.com/v1.0#sha256={HEX.upper()}&name=my-tool")
    assert (reference.name, reference.file_name, reference.sha256) == ("my-tool", "v1.0", HEX)
    assert str(reference) == f"https://example.com/v1.0#sha256={HEX}&name=my-tool"
    assert UrlReference.parse(str(reference)) == reference


REFUSED = {
    "": "no https address",
    "tool.zip": "no https address",
    "ftp://example.com/tool": "no https address",
    "file:///etc/passwd": "no https address",
    "https:///tool": "no https address",
    "http://example.com/tool": "can be read and changed",
    "https://example.com:port/tool": "no number as port",
    "https://example.com/": "no program's name",
    "https://example.com/v1.0.zip": "no program's name",
    "https://example.com/a%2Bb": "no program's name",
    "https://example.com/download?file=tool": "no program's name",
    "https://example.com/a b": "writes as %",
    "https://example.com/ä": "writes as %",
    "https://example.com/a%2Fb": "no file's name",
    "https://example.com/a%00b": "no file's name",
    "https://example.com/..": "no file's name",
    "https://example.com/tool#sha256=abc": "is no sha256",
    f"https://example.com/tool#sha256={HEX}&sha256={HEX}": "unknown or twice",
    "https://example.com/tool#md5=abc": "'md5' is unknown",
    "https://example.com/tool#tool": "'tool' is unknown",
    "https://example.com/tool#name=../x": "cannot be the name",
    "https://example.com/tool#name=": "cannot be the name",
    "https://example.com/tool#name=Tool": "cannot be the name",
}


@pytest.mark.parametrize("spec", sorted(REFUSED))
def test_what_is_refused_with_advice(spec: str) -> None:
    with pytest.raises(BadSource) as caught:
        UrlReference.parse(spec)
    assert REFUSED[spec] in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "https://me:token-4711@example.com/tool",
        "https://token-4711@example.com/tool",
        "https://me:to/token-4711@example.com/tool",
        "https://example.com/tool?access_token=token-4711",
        "https://example.com/tool?v=1&X-Amz-Signature=token-4711",
        "https://example.com/tool?sig=token-4711",
        "http://me:token-4711@example.com/tool#name=..",
    ],
)
def test_credentials_are_refused_and_not_shown(address: str) -> None:
    with pytest.raises(BadSource) as caught:
        UrlReference.parse(f"{address}#sha256={HEX}" if "#" not in address else address)
    assert "token-4711" not in f"{caught.value} {caught.value.hint}"


def test_an_address_for_each_platform() -> None:
    spec = (
        f"linux/amd64=https://example.com/tool-linux-amd64.tar.gz#sha256={HEX} "
        f"darwin/arm64=https://example.com/tool-darwin-arm64.zip#sha256={DIGEST}"
    )
    found = url_references(spec)
    assert list(found) == ["darwin/arm64", "linux/amd64"]
    assert found["linux/amd64"].sha256 == HEX
    assert {item.name for item in found.values()} == {"tool"}
    assert list(url_references("https://example.com/tool?platform=linux/amd64=x")) == [""]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("linux/amd64=https://example.com/tool https://example.com/tool", "has no platform"),
        ("linux/amd64=https://example.com/tool linux/amd64=https://example.com/tool", "one that another has"),
        ("linux/amd64=https://example.com/a darwin/arm64=https://example.com/b", "different names: a, b"),
        ("linux/amd64=https://example.com/a darwin/arm64=https://example.com/a.zip", "some the program itself"),
        ("linux/amd64=https://me:token-4711@example.com/a", "user name or password"),
    ],
)
def test_platforms_that_do_not_go_together_are_refused(spec: str, why: str) -> None:
    with pytest.raises(BadSource, match=why) as caught:
        url_references(spec)
    assert "token-4711" not in str(caught.value)


def test_archives_are_those_that_are_unpacked() -> None:
    assert module._ARCHIVES == programs._ARCHIVES
    assert UrlReference.parse("https://example.com/Tool.TAR.GZ").is_archive
    assert not UrlReference.parse("https://example.com/tool").is_archive


@given(parts=st.lists(st.text("abZ019-_.+%2F", min_size=1, max_size=12), min_size=1, max_size=4))
def test_any_address_has_a_usable_name_or_is_refused(parts: list[str]) -> None:
    try:
        reference = UrlReference.parse("https://example.com/" + "/".join(parts))
    except BadSource:
        return
    assert is_command_name(reference.name)
    assert reference.name == reference.name.lower()
    assert "/" not in reference.file_name
    assert UrlReference.parse(str(reference)) == reference


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def source(environ: dict[str, str], events: list[Event]) -> Iterator[UrlSource]:
    with Http(environ=environ) as http:
        yield UrlSource(http=http, emit=events.append)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def at(server: Faulty, tail: str = "") -> UrlReference:
    return UrlReference.parse(f"{server.url}tool-linux{tail}")


def test_with_its_hash_nobody_is_asked_until_it_is_fetched(
    source: UrlSource, blobs: Blobs, events: list[Event]
) -> None:
    with answering(reply(200, DATA)) as server:
        reference = at(server, f"#sha256={DIGEST}")
        file = source.locate(reference, "linux/amd64")
        assert file == File(name="tool-linux", sha256=DIGEST, platform="linux/amd64")
        assert (server.asked, events) == ([], [])
        for _ in range(2):
            source.fetch(reference, file, blobs)
        assert len(server.asked) == 1
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_without_it_the_server_is_believed_once_with_a_note(source: UrlSource, events: list[Event]) -> None:
    with answering(reply(200, DATA)) as server:
        file = source.locate(at(server), "")
    assert file == File(name="tool-linux", sha256=DIGEST, size=len(DATA))
    (note,) = [event for event in events if event.name == "resolve.note"]
    assert f"append #sha256={DIGEST}" in note.message


def test_other_bytes_are_refused_and_not_kept(source: UrlSource, blobs: Blobs) -> None:
    file = File(name="tool", sha256=DIGEST)
    with answering(reply(200, b"something else")) as server:
        with pytest.raises(WrongHash, match=rf"tool from {server.url}tool-linux has sha256"):
            source.fetch(at(server), file, blobs)
        with pytest.raises(TooLong):
            source.fetch(at(server), File(name="tool", sha256=DIGEST, size=5), blobs)
    assert [path for path in blobs.root.rglob("*") if path.is_file()] == []


def test_a_broken_download_goes_on_where_it_was(source: UrlSource, blobs: Blobs) -> None:
    data = bytes(range(256)) * 400
    digest = hashlib.sha256(data).hexdigest()
    with answering(piece(data, breaks_after=50_000), piece(data)) as server:
        source.fetch(at(server), File(name="tool", sha256=digest, size=len(data)), blobs)
    assert blobs.path(digest).read_bytes() == data


def test_what_the_server_does_not_give_is_told(source: UrlSource, blobs: Blobs) -> None:
    with answering(reply(404, b"")) as server, pytest.raises(Unreachable, match="404"):
        source.fetch(at(server), File(name="tool", sha256=DIGEST), blobs)
    with answering(reply(401, b"")) as server, pytest.raises(Refused) as caught:
        source.locate(at(server), "")
    assert "netrc" in caught.value.hint


def test_a_login_of_netrc_is_used(source: UrlSource, blobs: Blobs, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password token-4711\n")
    netrc.chmod(0o600)
    with answering(reply(200, DATA)) as server:
        source.fetch(at(server), File(name="tool", sha256=DIGEST), blobs)
    login = base64.b64encode(b"me:token-4711").decode()
    assert f"Authorization: Basic {login}" in server.asked[0]


def test_offline_only_what_is_there_can_be_had(environ: dict[str, str], source: UrlSource, blobs: Blobs) -> None:
    with answering(reply(200, DATA)) as server, Http(environ=environ, offline=True) as http:
        reference = at(server, f"#sha256={DIGEST}")
        file = source.locate(reference, "")
        alone = UrlSource(http=http)
        assert alone.locate(reference, "") == file
        with pytest.raises(Unreachable, match="--offline"):
            alone.fetch(reference, file, blobs)
        with pytest.raises(Unreachable, match="--offline"):
            alone.locate(at(server), "")
        source.fetch(reference, file, blobs)
        alone.fetch(reference, file, blobs)
