from __future__ import annotations

import importlib.util
import marshal
import os
import py_compile
from pathlib import Path

import pytest

from hatchlock.engines import compiling
from hatchlock.engines.bytecode_run import BytecodeFailed, read_said
from hatchlock.realise.tree import chunks


def source(directory: Path, text: bytes = b"A = 1\n") -> str:
    path = directory / "module.py"
    path.write_bytes(text)
    return str(path)


def cached(path: str) -> Path:
    return Path(importlib.util.cache_from_source(path))


def test_bytecode_that_fits_by_time_is_good_until_the_file_changes(tmp_path: Path) -> None:
    path = source(tmp_path)
    assert not compiling._has_bytecode(path)
    py_compile.compile(path, invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert compiling._has_bytecode(path)
    os.utime(path, (0, 0))
    assert not compiling._has_bytecode(path)


def test_unchecked_bytecode_is_good_and_that_of_another_interpreter_or_a_checked_or_cut_one_is_not(
    tmp_path: Path,
) -> None:
    path = source(tmp_path)
    py_compile.compile(path, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert compiling._has_bytecode(path)
    good = cached(path).read_bytes()
    for bad in (b"abcd" + good[4:], good[:4], good[:4] + b"\3" + good[5:]):
        cached(path).write_bytes(bad)
        assert not compiling._has_bytecode(path)


def test_a_member_is_what_py_compile_writes(tmp_path: Path) -> None:
    path = source(tmp_path, b"'''doc'''\ndef call(x: int) -> int:\n    return x\n")
    py_compile.compile(path, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    wanted = cached(path).read_bytes()
    line, _, data = compiling._member("7", path, path).partition(b"\n")
    assert line.decode() == f"7 {len(data)} {cached(path)}".replace(" /", " ")
    assert data[:16] == wanted[:16]
    assert marshal.loads(data[16:]) == marshal.loads(wanted[16:])


@pytest.mark.parametrize("text", [b"no python", b"\xff\xfe", b"a\0b", b"x = " + b"(" * 5000, b"# coding: none-such\n"])
def test_what_does_not_compile_is_left_out(tmp_path: Path, text: bytes) -> None:
    path = source(tmp_path, text)
    assert compiling._member("0", path, path) == b""


@pytest.mark.parametrize("name", ["a\nb.py", os.fsdecode(b"a\xff.py")])
def test_what_has_a_name_that_cannot_be_said_is_left_out(tmp_path: Path, name: str) -> None:
    path = source(tmp_path)
    assert compiling._member("0", path, f"/{name}") == b""


def test_files_are_found_where_they_are_imported_and_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_is_public", lambda directory, **_: not directory.endswith("secret"))
    real = tmp_path / "real"
    for name in ("package", "secret", "test"):
        (real / name).mkdir(parents=True)
        source(real / name)
    (tmp_path / "link").symlink_to("real")
    found = list(compiling._sources(str(tmp_path / "link"), ("test",)))
    assert found == [(f"{tmp_path}/link/package/module.py", f"{real}/package/module.py")]
    assert list(compiling._sources(str(tmp_path / "none"), ())) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="directories must be root's")
def test_a_directory_that_the_layer_would_change_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert compiling._is_public(str(tmp_path), upwards=False)
    assert compiling._is_public("/usr", upwards=True)
    for mode in (0o700, 0o1777, 0o2755):
        tmp_path.chmod(mode)
        assert not compiling._is_public(str(tmp_path), upwards=False)
    tmp_path.chmod(0o755)
    (tmp_path / "inner").mkdir(mode=0o755)
    (tmp_path / "inner").chmod(0o755)
    tmp_path.chmod(0o711)
    assert not compiling._is_public(str(tmp_path / "inner"), upwards=True)
    tmp_path.chmod(0o755)
    os.chown(tmp_path, 1000, 0)
    assert not compiling._is_public(str(tmp_path), upwards=False)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "library"
    (directory / "site-packages").mkdir(parents=True)
    source(directory)
    source(directory / "site-packages")
    monkeypatch.setattr(os, "__file__", str(directory / "os.py"))
    monkeypatch.setattr(compiling, "_is_public", lambda *_, **__: True)
    return directory


def test_the_library_is_asked_for_by_a_word_of_its_own(library: Path) -> None:
    own = f"{library}/module.py"
    assert list(compiling._asked("3:library")) == [("3", own, own)]
    assert [path for _, path, _ in compiling._asked(f"4:{library}")] == [own, f"{library}/site-packages/module.py"]


def said(directory: Path, *pieces: bytes, end: bytes = b"end\n") -> Path:
    path = directory / "said"
    path.write_bytes(b"".join(pieces) + end)
    return path


def member(name: str, size: int = 3, part: int = 0) -> bytes:
    return f"{part} {size} {name}\n".encode() + bytes(size)


def test_what_is_said_becomes_entries(tmp_path: Path) -> None:
    path = said(tmp_path, member("b/__pycache__/b.pyc"), b"1 4 opt/lib/__pycache__/a.cpython-311.pyc\nend\n")
    (first, _), (second, entry) = read_said(path, "demo")
    assert (first, second) == (0, 1)
    assert (entry.path, entry.kind, entry.mode) == ("opt/lib/__pycache__/a.cpython-311.pyc", "file", 0o644)
    assert b"".join(chunks(entry)) == b"end\n"


@pytest.mark.parametrize(
    "name",
    [
        "opt/hatchlock/lib/a.py",
        "opt/hatchlock/bin/python",
        "a/__pycache__/a.so",
        "a/../b/__pycache__/a.pyc",
        "./a/__pycache__/a.pyc",
        "/a/__pycache__/a.pyc",
        "a//__pycache__/a.pyc",
        "a/.wh.b/__pycache__/a.pyc",
        "a/__pycache__/.wh.a.pyc",
        "__pycache__/a.pyc",
        "a/__pycache__/a\0.pyc",
    ],
)
def test_anything_but_bytecode_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BytecodeFailed, match="is no file of bytecode"):
        list(read_said(said(tmp_path, member(name)), "demo"))


GOOD = member("a/__pycache__/a.pyc")


@pytest.mark.parametrize(
    ("pieces", "end", "why"),
    [
        ([GOOD[:-1]], b"", "broke off in the middle of 'a/__pycache__/a.pyc'"),
        ([GOOD], b"", "announces no bytecode"),
        ([GOOD], b"end", "announces no bytecode"),
        ([GOOD, b"-1 -1 a/__pycache__/a.pyc\n"], b"", "announces no bytecode"),
        ([b"0 3 " + b"a" * 20_000 + b"\n"], b"", "announces no bytecode"),
        ([b"0 0 a\xff/__pycache__/a.pyc\n"], b"", "is no file of bytecode"),
        ([b"0 9999999999 a/__pycache__/a.pyc\n"], b"end\n", "broke off"),
        ([GOOD], b"end\nmore", "goes on after its end"),
    ],
)
def test_what_is_cut_or_makes_no_sense_is_refused(tmp_path: Path, pieces: list[bytes], end: bytes, why: str) -> None:
    with pytest.raises(BytecodeFailed, match=why):
        list(read_said(said(tmp_path, *pieces, end=end), "demo"))
