"""Interpreters that uv manages: chosen by uv, pinned by us, unpacked from a loopback mirror."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from hatchlock.digest import digest_file, sha256_bytes
from hatchlock.lock.model import File
from hatchlock.net.http import Http, Unreachable
from hatchlock.process import ProcessFailed
from hatchlock.realise.interpreter import install_interpreter
from hatchlock.realise.unpack import BadArchive
from hatchlock.realise.uv_program import uv_program
from hatchlock.sources.base import BadAnswer
from hatchlock.sources.python import managed
from hatchlock.sources.python.managed import NoManagedPython, archive_url, find_archives
from hatchlock.store.receipts import finished
from support.archives import Item, make_tar
from support.pythons import FULL, MINOR, make_python_archive
from support.static_files import serving_files

PLATFORMS = ("linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64")
SYSTEMS = {
    "linux/amd64": ("linux", "x86_64", "gnu", "x86_64-unknown-linux-gnu"),
    "linux/arm64": ("linux", "aarch64", "gnu", "aarch64-unknown-linux-gnu"),
    "darwin/amd64": ("macos", "x86_64", "none", "x86_64-apple-darwin"),
    "darwin/arm64": ("macos", "aarch64", "none", "aarch64-apple-darwin"),
}
TAG = "20260101"


@pytest.fixture(scope="session")
def python_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_python_archive(tmp_path_factory.mktemp("python") / "python.tar.gz")


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "mirror").mkdir()
    with serving_files(tmp_path / "mirror") as address:
        yield address


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "NO_PROXY": "127.0.0.1"}


def file_name(platform: str, version: str = FULL, tag: str = TAG) -> str:
    return f"cpython-{version}+{tag}-{SYSTEMS[platform][3]}-install_only.tar.gz"


def entry(base: str, platform: str, *, version: str = FULL, sha256: str | None = None, **more: Any) -> dict[str, Any]:
    """One interpreter of a downloads document, as uv's own document has them."""
    major, minor, patch = version.split(".")
    system, processor, libc, _ = SYSTEMS[platform]
    return {
        "name": "cpython",
        "arch": {"family": processor, "variant": None},
        "os": system,
        "libc": libc,
        "major": int(major),
        "minor": int(minor),
        "patch": int(patch),
        "prerelease": "",
        "url": f"{base}/{TAG}/{quote(file_name(platform, version))}",
        "sha256": sha256,
        "variant": None,
        "build": TAG,
        **more,
    }


def document(path: Path, *entries: dict[str, Any]) -> str:
    """Write a downloads document; returns its path."""
    keyed = {f"cpython-{number}-{item['os']}": item for number, item in enumerate(entries)}
    path.write_text(json.dumps(keyed))
    return str(path)


def publish(tmp_path: Path, files: Mapping[str, bytes], *, tag: str = TAG, sums: str | None = None) -> None:
    directory = tmp_path / "mirror" / tag
    directory.mkdir(exist_ok=True)
    for name, data in files.items():
        (directory / name).write_bytes(data)
    lines = [f"{sha256_bytes(data)}  {name}\n" for name, data in files.items()]
    (directory / "SHA256SUMS").write_text("".join(lines) if sums is None else sums)


def test_the_newest_of_a_version_is_found_for_each_platform_on_the_users_mirror(
    tmp_path: Path, mirror: str, environ: dict[str, str]
) -> None:
    environ["UV_PYTHON_INSTALL_MIRROR"] = mirror
    options = ["--all-platforms", "--all-arches", "--all-versions", "--only-downloads", "--output-format", "json"]
    offered = json.loads(
        subprocess.run(
            [uv_program(), "python", "list", "--no-config", "3.11", *options],
            env=environ,
            capture_output=True,
            check=True,
        ).stdout
    )
    for tag in {item["url"].rsplit("/", 2)[1] for item in offered}:
        names = [unquote(item["url"].rpartition("/")[2]) for item in offered if f"/{tag}/" in item["url"]]
        publish(tmp_path, {name: name.encode() for name in names}, tag=tag)
    newest = max(item["version_parts"]["patch"] for item in offered if item["version"].replace(".", "").isdigit())
    with Http(environ=environ) as http:
        found = find_archives("3.11", PLATFORMS, http=http, environ=environ)
        assert set(found) == set(PLATFORMS)
        for platform, archive in found.items():
            name = archive.file.name
            assert archive.version == f"3.11.{newest}"
            assert name.startswith(f"cpython-3.11.{newest}+")
            assert f"-{SYSTEMS[platform][3]}-install_only" in name
            assert "freethreaded" not in name
            assert archive.file == File(name=name, sha256=sha256_bytes(name.encode()), platform=platform)
            assert archive.url.startswith(f"{mirror}/20")
            assert archive_url(name, http=http, environ=environ) == archive.url
        exact = find_archives("3.11.9", ["linux/amd64"], http=http, environ=environ)
    assert exact["linux/amd64"].version == "3.11.9"


def test_the_users_own_document_decides_what_there_is(tmp_path: Path, mirror: str, environ: dict[str, str]) -> None:
    known = "ab" * 32
    names = [file_name("linux/amd64", "3.11.9"), file_name("linux/arm64", "3.11.9")]
    publish(tmp_path, {name: name.encode() for name in names})
    document(
        tmp_path / "mirror" / "downloads.json",
        entry(mirror, "linux/amd64", version="3.11.9"),
        entry(mirror, "linux/amd64", version="3.11.10", sha256=known),
        entry(mirror, "linux/amd64", version="3.11.11", prerelease="rc1"),
        entry(mirror, "linux/amd64", version="3.12.1"),
        entry(mirror, "linux/arm64", version="3.11.9", sha256=known),
    )
    places = [f"{mirror}/downloads.json", str(tmp_path / "mirror" / "downloads.json")]
    for place in (*places, f"file://{places[1]}"):
        environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = place
        with Http(environ=environ) as http:
            found = find_archives("3.11", ["linux/amd64", "linux/arm64"], http=http, environ=environ)
            assert {item.version for item in found.values()} == {"3.11.10", "3.11.9"}
            assert {item.file.sha256 for item in found.values()} == {known}
            other = find_archives("3.11.9", ["linux/amd64"], http=http, environ=environ)
            assert other["linux/amd64"].file.sha256 == sha256_bytes(names[0].encode())
            with pytest.raises(NoManagedPython, match=r"CPython 3\.11 for darwin/arm64") as caught:
                find_archives("3.11", ["linux/amd64", "darwin/arm64"], http=http, environ=environ)
            for cut in ("3.1", "3.11.1"):
                with pytest.raises(NoManagedPython):
                    find_archives(cut, ["linux/amd64"], http=http, environ=environ)
    assert "uv python list" in caught.value.hint


def test_a_locked_build_that_uv_no_longer_lists_is_beside_the_others(
    tmp_path: Path, mirror: str, environ: dict[str, str]
) -> None:
    environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = document(tmp_path / "d.json", entry(mirror, "linux/amd64"))
    older = file_name("linux/arm64", "3.11.2", "20240101")
    with Http(environ=environ, offline=True) as http:
        assert archive_url(older, http=http, environ=environ) == f"{mirror}/20240101/{quote(older)}"
        with pytest.raises(BadAnswer, match=r"where python\.zip is"):
            archive_url("python.zip", http=http, environ=environ)


@pytest.mark.parametrize(
    ("sums", "problem"),
    [("", "no list of SHA-256 sums"), ("<html>", "no list"), (f"{'0' * 64}  other.tar.gz\n", "no sum for cpython-")],
)
def test_an_archive_without_a_sum_is_not_locked(
    tmp_path: Path, mirror: str, environ: dict[str, str], sums: str, problem: str
) -> None:
    secret = mirror.replace("//", "//user:secret@")
    environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = document(tmp_path / "d.json", entry(secret, "linux/amd64"))
    publish(tmp_path, {}, sums=sums)
    with Http(environ=environ) as http, pytest.raises(BadAnswer, match=problem) as caught:
        find_archives(MINOR, ["linux/amd64"], http=http, environ=environ)
    assert "secret" not in str(caught.value)


def test_a_mirror_without_sums_and_no_network_are_said(tmp_path: Path, mirror: str, environ: dict[str, str]) -> None:
    environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = document(tmp_path / "d.json", entry(mirror, "linux/amd64"))
    for offline, problem in ((False, "404"), (True, "--offline")):
        with Http(environ=environ, offline=offline) as http, pytest.raises(Unreachable, match=problem):
            find_archives(MINOR, ["linux/amd64"], http=http, environ=environ)


def test_a_uv_that_answers_something_else_is_said(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "uv"
    program.touch(mode=0o755)
    monkeypatch.setattr(managed, "uv_program", lambda: str(program))
    for answer in ("no json", '[{"key": 1}]', "[1]", '{"a": 1}'):
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
        with Http(environ=environ) as http, pytest.raises(BadAnswer, match="uv python list"):
            find_archives(MINOR, ["linux/amd64"], http=http, environ=environ)


def test_a_document_that_is_none_is_said(tmp_path: Path, environ: dict[str, str]) -> None:
    environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = str(tmp_path / "missing.json")
    with Http(environ=environ) as http, pytest.raises(ProcessFailed, match=r"missing\.json"):
        find_archives(MINOR, ["linux/amd64"], http=http, environ=environ)


@pytest.mark.skipif(sys.platform != "linux", reason="the copy would need its libraries' names changed")
def test_an_interpreter_from_a_mirror_is_unpacked_once_and_works(
    tmp_path: Path, mirror: str, environ: dict[str, str], python_archive: Path
) -> None:
    platform = "linux/arm64" if os.uname().machine == "aarch64" else "linux/amd64"
    publish(tmp_path, {file_name(platform): python_archive.read_bytes()})
    environ["UV_PYTHON_DOWNLOADS_JSON_URL"] = document(tmp_path / "d.json", entry(mirror, platform))
    with Http(environ=environ) as http:
        archive = find_archives(MINOR, [platform], http=http, environ=environ)[platform]
        blob = tmp_path / "blob"
        with blob.open("wb") as stream:
            http.download(archive.url, stream.write)
    assert digest_file(blob) == archive.file.sha256
    tree = tmp_path / "pythons" / "key"
    program = install_interpreter(blob, tree, name=archive.file.name)
    assert program == tree / "bin" / f"python{MINOR}"
    assert finished(tree)
    question = "import json, ssl, sys; print(json.dumps([sys.prefix, json.__file__, json.__cached__]))"
    asked = subprocess.run([program, "-c", question], env={}, capture_output=True, text=True, check=True)
    prefix, file, cached = json.loads(asked.stdout)
    assert (prefix, file) == (str(tree), f"{tree}/lib/python{MINOR}/json/__init__.py")
    assert Path(cached).is_file(), "it was compiled"
    venv = [uv_program(), "venv", "--quiet", "--offline", "--no-config", "--no-cache", "--python", str(program)]
    subprocess.run([*venv, tmp_path / "venv"], env=environ, check=True)
    used = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-c", "import sys; print(sys.base_prefix)"],
        env={},
        capture_output=True,
        text=True,
        check=True,
    )
    assert used.stdout == f"{tree}\n"
    blob.unlink()
    assert install_interpreter(blob, tree) == program, "the second time nothing is read"


def test_an_archive_without_an_interpreter_leaves_nothing(tmp_path: Path) -> None:
    tree = tmp_path / "pythons" / "key"
    for items in ([Item("python/README")], [Item("python/bin/python3.11", kind="symlink", target="python3.12")]):
        blob = make_tar(tmp_path / "blob", items)
        with pytest.raises(BadArchive, match=r"cpython\.tar\.gz cannot be unpacked: it has no interpreter"):
            install_interpreter(blob, tree, name="cpython.tar.gz")
        assert not tree.exists()


def test_an_interpreter_that_does_not_run_here_leaves_nothing(tmp_path: Path) -> None:
    blob = make_tar(tmp_path / "blob", [Item("python/bin/python3.11", b"\x7fELF of another machine", mode=0o755)])
    with pytest.raises(ProcessFailed, match=r"python3\.11 could not be started"):
        install_interpreter(blob, tmp_path / "pythons" / "key")
    assert not (tmp_path / "pythons" / "key").exists()
