"""A server whose interpreter is one of uv's own builds: an archive that the tests make, on a loopback mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.digest import sha256_bytes
from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from support.cats import CatProject
from support.index import Release, serving
from support.pythons import FULL, MINOR, make_python_archive
from support.runs import Run
from support.static_files import serving_files
from support.unavailable import need_isolation
from support.wheels import make_wheel

HERE = host_platform()
TARGETS = {
    "linux/amd64": ("linux", "x86_64", "gnu", "x86_64-unknown-linux-gnu"),
    "linux/arm64": ("linux", "aarch64", "gnu", "aarch64-unknown-linux-gnu"),
    "darwin/amd64": ("macos", "x86_64", "none", "x86_64-apple-darwin"),
    "darwin/arm64": ("macos", "aarch64", "none", "aarch64-apple-darwin"),
}
APPLY = ("apply", "--yes", "--no-probe")
MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server"
runtime = "process"
python = "managed:{version}"

[indexes.pypi]
url = "{index}"
"""

# of the standard library it needs no more than that archive has
SERVER = b"""
import json
import sys


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            about = {"name": sys.base_prefix, "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": about}
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    need_isolation()
    return make_python_archive(tmp_path_factory.mktemp("python") / "python.tar.gz").read_bytes()


def offer(mirror: Path, address: str, data: bytes, tag: str) -> None:
    """Publish an archive, and make it the only one in the list of downloads."""
    system, processor, libc, triple = TARGETS[HERE]
    name = f"cpython-{FULL}+{tag}-{triple}-install_only.tar.gz"
    (mirror / tag).mkdir(exist_ok=True)
    (mirror / tag / name).write_bytes(data)
    major, minor, patch = map(int, FULL.split("."))
    entry = {
        "name": "cpython",
        "arch": {"family": processor, "variant": None},
        "os": system,
        "libc": libc,
        "major": major,
        "minor": minor,
        "patch": patch,
        "prerelease": "",
        "url": f"{address}/{tag}/{name}",
        "sha256": sha256_bytes(data),
        "variant": None,
        "build": tag,
    }
    (mirror / "downloads.json").write_text(json.dumps({f"cpython-{FULL}": entry}))


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    directory = tmp_path / "mirror"
    directory.mkdir()
    with serving_files(directory) as address:
        yield directory, address


@pytest.fixture
def project(tmp_path: Path, mirror: tuple[Path, str], archive: bytes) -> Iterator[CatProject]:
    """A project that wants the interpreter on the mirror, locked."""
    directory, address = mirror
    offer(directory, address, archive, "20260101")
    scripts = "[console_scripts]\ntiny-server = tiny_server:main\n"
    wheel = make_wheel(tmp_path, name="tiny_server", files={"tiny_server.py": SERVER}, entry_points=scripts)
    with serving(Release(name="tiny-server", version="1.0", body=wheel.read_bytes())) as index:
        text = MANIFEST.format(platform=HERE, version=MINOR, index=index.url)
        made = CatProject(tmp_path, text, UV_PYTHON_DOWNLOADS_JSON_URL=str(directory / "downloads.json"))
        made.ok("lock")
        yield made


def test_it_is_locked_by_its_hash_unpacked_into_the_store_and_runs_the_server(
    project: CatProject, archive: bytes
) -> None:
    managed = read_lock(project.lock).environment("tiny", "process").managed
    assert {platform: file.sha256 for platform, file in managed.items()} == {HERE: sha256_bytes(archive)}
    assert managed[HERE].name.startswith(f"cpython-{FULL}+20260101-")
    project.ok("apply", "--yes")
    (interpreter,) = (project.store / "pythons").glob(f"*/bin/python{MINOR}")
    (name,) = project.environments()
    assert (project.store / "envs" / name / "bin" / "python").resolve() == interpreter
    with Run(command=project.launch_command("tiny")) as run:
        assert run.hello()["serverInfo"]["name"] == str(interpreter.parents[1])
        assert run.end()[0] == 0
    assert project.steps() == []
    project.ok("lock", "--check")


def test_another_archive_stops_before_any_change(project: CatProject, mirror: tuple[Path, str]) -> None:
    (path,) = (mirror[0] / "20260101").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = project.fails(*APPLY)
    assert path.name in done.err
    assert "sha256" in done.err
    assert (project.environments(), project.active(), list(project.store.glob("pythons/*"))) == ([], {}, [])


def test_a_newer_build_is_taken_only_when_it_may_move(
    project: CatProject, mirror: tuple[Path, str], archive: bytes
) -> None:
    before = project.lock.read_bytes()
    offer(*mirror, archive + b"\0", "20260202")
    project.ok("lock")
    project.edit("[servers.tiny]", '[servers.tiny]\nwith = ["pypi:tiny-server<9"]')
    project.ok("lock")
    assert b"20260101" in project.lock.read_bytes()
    assert before != project.lock.read_bytes()
    project.ok("fetch")
    project.ok("lock", "--upgrade")
    assert b"20260202" in project.lock.read_bytes()


def test_the_machines_own_python_instead_is_another_lock(project: CatProject) -> None:
    project.edit(f"managed:{MINOR}", MINOR)
    done = project.fails("plan")
    assert "env:tiny: wants this machine's own Python" in done.err
    project.ok("lock")
    assert read_lock(project.lock).environment("tiny", "process").managed == {}
