"""Layers and archives are tar files that others read, with bytes that depend on their content alone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.digest import sha256_bytes
from hatchlock.images.archive import ArchiveLayer, archive_chunks
from hatchlock.images.layer import UnfitPath, user_entries, write_layer
from hatchlock.images.layers_read import BadLayer
from hatchlock.realise.tree import Entry
from support.compressed import SKIPPED, zstd

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=90).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.")
)
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)


def layer(entries: list[Entry]) -> bytes:
    out = io.BytesIO()
    write_layer(entries, out)
    return out.getvalue()


@given(path=PATHS, target=PATHS, data=st.binary(max_size=2000), mode=st.sampled_from([0o644, 0o755, 0o4755]))
def test_any_entry_is_read_back_by_another_implementation(path: str, target: str, data: bytes, mode: int) -> None:
    written = layer(
        [Entry(path=f"f/{path}", content=data, mode=mode), Entry(path=f"l/{path}", kind="symlink", target=target)]
    )
    with tarfile.open(fileobj=io.BytesIO(written), encoding="utf-8", errors="strict") as archive:
        file, link = archive.getmember(f"f/{path}"), archive.getmember(f"l/{path}")
        stream = archive.extractfile(file)
        assert stream is not None
        assert stream.read() == data
        assert (file.mode, file.uid, file.gid, file.mtime, file.uname) == (mode, 0, 0, 0, "")
        assert link.linkname == target
        assert archive.getmember("f").isdir()


def test_the_bytes_do_not_depend_on_order_umask_or_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [Entry(path=f"d/{name}", content=name.encode()) for name in "cab"]
    first = layer(entries)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    old = os.umask(0o077)
    try:
        assert layer(entries[::-1]) == first
    finally:
        os.umask(old)
        monkeypatch.undo()
        time.tzset()


def test_the_bytes_of_rule_1_never_change() -> None:
    entries = [
        Entry(path="opt/x/" + "long" * 40, content=b"data", mode=0o755),
        Entry(path="opt/ü", kind="symlink", target="x"),
    ]
    digest = write_layer(entries, io.BytesIO())
    assert digest == "sha256:783d863cbfa1f35243afb5c85722444f44e86b4d0fc14ca058e2d73500fc4eeb"


def test_the_diff_id_is_the_digest_of_what_was_written() -> None:
    out = io.BytesIO()
    assert write_layer([Entry(path="x", content=b"1")], out) == f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"


@pytest.mark.parametrize("path", ["/etc/x", "a/../b", "a//b", "a/.wh.b", "."])
def test_a_path_that_could_hide_or_escape_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be a path"):
        layer([Entry(path=path)])


def test_the_user_of_the_sandbox_gets_one_line_beside_those_of_the_base() -> None:
    entries = {entry.path: entry for entry in user_entries({"etc/passwd": b"root:x:0:0::/root:/bin/sh"})}
    assert entries["etc/passwd"].content == (
        b"root:x:0:0::/root:/bin/sh\nhatchlock:x:10001:10001:hatchlock:/home/hatchlock:/usr/sbin/nologin\n"
    )
    assert entries["etc/group"].content == b"root:x:0:\nhatchlock:x:10001:\n"
    assert entries["home/hatchlock"].kind == "directory"


def test_a_base_that_knows_the_number_already_keeps_its_line() -> None:
    passwd = b"app:x:10001:10001::/app:/bin/sh\n"
    assert user_entries({"etc/passwd": passwd})[0].content == passwd


def test_an_archive_holds_manifest_config_and_the_layers_that_were_given(tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(b"x" * 700)
    layers = [
        ArchiveLayer(diff_id="sha256:" + "a" * 64, path=None),
        ArchiveLayer(diff_id="sha256:" + "b" * 64, path=tmp_path / "layer"),
    ]
    out = io.BytesIO(b"".join(archive_chunks(config=b'{"x":1}', layers=layers, tag="hatchlock/p/s:key")))
    with tarfile.open(fileobj=out) as archive:
        files = {member.name: archive.extractfile(member) for member in archive}
        content = {name: stream.read() for name, stream in files.items() if stream}
    config_name = sha256_bytes(b'{"x":1}') + ".json"
    assert set(content) == {"manifest.json", config_name, "b" * 64 + ".tar"}
    assert content["b" * 64 + ".tar"] == b"x" * 700
    assert json.loads(content["manifest.json"]) == [
        {"Config": config_name, "RepoTags": ["hatchlock/p/s:key"], "Layers": ["a" * 64 + ".tar", "b" * 64 + ".tar"]}
    ]


def test_a_layer_in_zstd_goes_out_plain(tmp_path: Path) -> None:
    plain = os.urandom(700) + bytes(3 << 20)
    for number, packed in enumerate([zstd(plain), SKIPPED + zstd(plain[:500]) + zstd(plain[500:])]):
        path = tmp_path / str(number)
        path.write_bytes(packed)
        layer = ArchiveLayer(diff_id=f"sha256:{'a' * 64}", path=path)
        made = b"".join(archive_chunks(config=b"{}", layers=[layer], tag="a:1"))
        with tarfile.open(fileobj=io.BytesIO(made)) as archive:
            member = archive.extractfile("a" * 64 + ".tar")
            assert member is not None
            assert member.read() == plain
        for damaged in (packed[:-3], packed + b"else"):
            path.write_bytes(damaged)
            with pytest.raises(BadLayer, match=f"layer {number} cannot be read"):
                list(archive_chunks(config=b"{}", layers=[layer], tag="a:1"))


@pytest.mark.parametrize("path", ["etc/passwd\0.txt", "caf\udce9", "x/.wh.etc"])
def test_a_name_that_no_layer_can_hold_is_refused_in_words(path: str) -> None:
    """A NUL would end the name for who reads it, under another one than was looked at."""
    for entry in (Entry(path=path), Entry(path="x", kind="symlink", target=path)):
        if entry.target != "x/.wh.etc":
            with pytest.raises(UnfitPath, match="cannot be a path of a layer"):
                write_layer([entry], io.BytesIO())
