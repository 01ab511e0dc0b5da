from __future__ import annotations

import importlib.util
import io
import marshal
import os
import py_compile
import tarfile
from pathlib import Path

import pytest

from hatchlock.engines import bytecode, compiling
from hatchlock.engines.bytecode import BytecodeFailed


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
    with tarfile.open(fileobj=io.BytesIO(compiling._member(path, path) + bytes(1024))) as archive:
        (member,) = archive.getmembers()
        stream = archive.extractfile(member)
        assert stream
        data = stream.read()
    assert f"/{member.name}" == str(cached(path))
    assert data[:16] == wanted[:16]
    assert marshal.loads(data[16:]) == marshal.loads(wanted[16:])


@pytest.mark.parametrize("text", [b"no python", b"\xff\xfe", b"a\0b", b"x = " + b"(" * 5000, b"# coding: none-such\n"])
def test_what_does_not_compile_is_left_out(tmp_path: Path, text: bytes) -> None:
    path = source(tmp_path, text)
    assert compiling._member(path, path) == b""


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


def archive(directory: Path, *members: tarfile.TarInfo) -> Path:
    path = directory / "said"
    with tarfile.open(path, "w") as out:
        for member in members:
            out.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info


def test_what_is_said_becomes_entries(tmp_path: Path) -> None:
    said = archive(tmp_path, member("opt/hatchlock/lib/__pycache__/a.cpython-311.pyc"))
    (entry,) = bytecode._entries(said, tmp_path, "demo")
    assert (entry.path, entry.kind, entry.mode) == ("opt/hatchlock/lib/__pycache__/a.cpython-311.pyc", "file", 0o644)


@pytest.mark.parametrize(
    "bad",
    [
        member("opt/hatchlock/lib/a.py"),
        member("opt/hatchlock/bin/python"),
        member("a/__pycache__/a.so"),
        member("a/../b/__pycache__/a.pyc"),
        member("./a/__pycache__/a.pyc"),
        member("/a/__pycache__/a.pyc"),
        member("a//__pycache__/a.pyc"),
        member("a/.wh.b/__pycache__/a.pyc"),
        member("a/__pycache__/.wh.a.pyc"),
        member("a/__pycache__/a.pyc", tarfile.SYMTYPE, 0),
        member("a/__pycache__/a.pyc", tarfile.LNKTYPE, 0),
        member("a/__pycache__/a.pyc", tarfile.DIRTYPE, 0),
    ],
)
def test_anything_but_bytecode_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(BytecodeFailed, match="is no file of bytecode"):
        list(bytecode._entries(archive(tmp_path, bad), tmp_path, "demo"))


@pytest.mark.parametrize("cut", [100, 700])
def test_a_cut_archive_is_refused(tmp_path: Path, cut: int) -> None:
    said = archive(tmp_path, member("a/__pycache__/a.pyc", size=2000))
    said.write_bytes(said.read_bytes()[:cut])
    with pytest.raises(BytecodeFailed, match="what it says is no archive"):
        list(bytecode._entries(said, tmp_path, "demo"))
