"""`remove` needs nothing of what stays: neither an index, nor a registry, nor that it can be locked at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from hatchlock.lock.store import loads
from hatchlock.resolve.consistent import inconsistencies
from support.fake_registry import fake_registry
from support.index import serving
from support.layers import make_layer
from support.project import TrialProject, server_release

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[indexes.pypi]
url = "{index}"

[defaults]
runtime = "process"

[servers.tiny]
source = "pypi:tiny-server"

[servers.other]
source = "pypi:other-server"
"""
NOWHERE = "127.0.0.1:1"
"""A registry that nobody serves."""
CURSOR = f"""
[servers.cursor]
source = "npm:time-mcp@^1"
runtime = "container"
base = "oci:{NOWHERE}/node:22-slim"
"""
DK = f"""
[servers.dk]
source = "oci:{NOWHERE}/team/dk:1"
runtime = "container"
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    with serving(server_release(tmp_path), server_release(tmp_path, name="other-server")) as served:
        yield served.url


@pytest.fixture
def project(tmp_path: Path, index: str) -> TrialProject:
    return TrialProject(tmp_path, MANIFEST.format(platform=host_platform(), index=index))


def test_a_server_goes_though_another_one_cannot_be_locked(project: TrialProject) -> None:
    project.ok("lock")
    before = project.manifest.read_text(), project.lock.read_bytes()
    project.write(before[0] + CURSOR + DK)
    assert "cannot be fetched" in project.fails("lock").err
    done = project.ok("remove", "dk")
    assert project.manifest.read_text() == before[0] + CURSOR
    assert project.lock.read_bytes() == before[1]
    assert done.out == "hatchlock.toml: - server:dk\nhatch.lock unchanged: 2 servers, 2 packages\n"
    assert f"warning: env:cursor: image {NOWHERE}/node:22-slim cannot be fetched" in done.err
    assert "env:cursor: is not in the lock for the container runtime" in done.err
    assert "warning: what stays could not be locked, and is in the lock as it was: " in done.err
    project.ok("remove", "cursor")
    assert project.manifest.read_text() == before[0]
    assert project.ok("lock", "--check").out.endswith("hatch.lock unchanged: 2 servers, 2 packages\n")


def test_what_is_locked_of_it_goes_from_the_lock_too(project: TrialProject) -> None:
    project.ok("lock")
    project.write(project.manifest.read_text() + CURSOR)
    document = project.ok("remove", "tiny", "--json").document
    assert [item["what"] for item in document["changes"]] == ["environment:tiny", "pypi:tiny-server", "server:tiny"]
    assert document["written"]
    assert document["reasons"] == [
        "env:cursor: is not in the lock for the container runtime",
        f"env:cursor: needs the image {NOWHERE}/node:22-slim, which is not in the lock",
    ]
    assert "env:cursor: image " in document["warnings"][1]
    left = loads(project.lock.read_bytes())
    assert [item.name for item in left.servers] == ["other"]
    assert inconsistencies(left) == ()
    project.ok("remove", "cursor")
    assert project.steps() == ["create env:other", "create server:other"]


def test_without_a_lock_it_goes_from_the_manifest(project: TrialProject) -> None:
    before = project.manifest.read_text()
    project.write(before + CURSOR + DK)
    done = project.ok("remove", "dk")
    assert project.manifest.read_text() == before + CURSOR
    assert not project.lock.exists()
    assert done.out == "hatchlock.toml: - server:dk\n"
    assert "warning: env:cursor: image " in done.err
    assert "there is no hatch.lock" in done.err


def test_a_mistake_in_what_stays_is_still_one(project: TrialProject) -> None:
    project.ok("lock")
    project.write(project.manifest.read_text() + '\n[servers.dk]\nsource = "gem:dk"\n')
    before = project.manifest.read_bytes(), project.lock.read_bytes()
    assert "gem" in project.fails("remove", "tiny").err
    assert (project.manifest.read_bytes(), project.lock.read_bytes()) == before


def test_a_lock_that_cannot_be_read_is_not_cut(project: TrialProject) -> None:
    project.ok("lock")
    project.write(project.manifest.read_text() + CURSOR)
    project.lock.write_text(project.lock.read_text() + "\n[[")
    before = project.manifest.read_bytes(), project.lock.read_bytes()
    project.fails("remove", "tiny")
    assert (project.manifest.read_bytes(), project.lock.read_bytes()) == before


def test_what_stays_is_asked_of_nobody(tmp_path: Path) -> None:
    with (
        serving(server_release(tmp_path), server_release(tmp_path, name="other-server")) as index,
        fake_registry() as registry,
    ):
        registry.image("team/shop", "1", layers=[make_layer({"x": b""})], platform=host_platform(), Cmd=["/x"])
        shop = f'\n[servers.shop]\nsource = "oci:{registry.address}/team/shop:1"\nruntime = "container"\n'
        project = TrialProject(tmp_path, MANIFEST.format(platform=host_platform(), index=index.url) + shop)
        project.ok("lock")
        asked = len(registry.asked), len(index.asked)
        shutil.rmtree(project.store)
        done = project.ok("remove", "tiny")
        assert (len(registry.asked), len(index.asked)) == asked
    shutil.rmtree(project.store)
    assert "could not be locked" not in done.err
    project.ok("remove", "other", "--offline")
    left = loads(project.lock.read_bytes())
    assert [item.name for item in left.servers] == ["shop"]
    assert not left.packages
    assert project.ok("lock", "--check").out.endswith("hatch.lock unchanged: 1 server, 0 packages\n")


def test_what_servers_share_stays_whole_where_nobody_can_be_asked_what_of_it_goes(tmp_path: Path) -> None:
    shared = '\n[environments.shared]\npython = "3.11"\n'
    with serving(server_release(tmp_path), server_release(tmp_path, name="other-server")) as index:
        text = MANIFEST.format(platform=host_platform(), index=index.url) + shared
        project = TrialProject(tmp_path, text.replace('-server"\n', '-server"\nenvironment = "shared"\n'))
        project.ok("lock")
        packages = loads(project.lock.read_bytes()).packages
    done = project.ok("remove", "tiny", "--offline", env={"HATCHLOCK_HOME": str(tmp_path / "another")})
    assert "env:shared: does not require tiny-server any more" in done.err
    assert "warning: what stays could not be locked, and is in the lock as it was: `hatchlock lock` tries" in done.err
    left = loads(project.lock.read_bytes())
    assert ([item.name for item in left.servers], left.packages) == (["other"], packages)
    assert "run `hatchlock lock`" in project.fails("plan").err
