"""`fetch`, bundles, and doing without a network: a namespace without routes, an index that misbehaves, a full disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.cats import CatProject
from support.faulty import answering, certificate, piece, reply, reset
from support.index import Index, Release, serving
from support.ports import free_port
from support.project import Done, server_release
from support.small_disk import small_disk
from support.unavailable import unavailable

TINY = '[servers.tiny]\nsource = "pypi:tiny-server"\nruntime = "process"\nisolation = "best-effort"\n'


@pytest.fixture
def tiny(tmp_path: Path) -> Release:
    return server_release(tmp_path / "wheels")


@pytest.fixture
def index(tiny: Release) -> Iterator[Index]:
    with serving(tiny, separate_metadata=True) as served:
        yield served


@pytest.fixture
def project(tmp_path: Path, index: Index) -> CatProject:
    made = CatProject(tmp_path, manifest(index.url))
    made.ok("lock")
    return made


def manifest(index: str, more: str = "", platforms: tuple[str, ...] = ()) -> str:
    names = ", ".join(f'"{name}"' for name in platforms or (host_platform(),))
    head = f'[project]\nname = "trial"\nplatforms = [{names}]\n\n[indexes.pypi]\nurl = "{index}"\n{more}\n'
    return head + TINY


def blob(project: CatProject, release: Release) -> Path:
    digest = hashlib.sha256(release.data).hexdigest()
    return project.store / "blobs" / "sha256" / digest[:2] / digest


@pytest.fixture
def alone() -> list[str]:
    """A prefix that takes every way out of this machine, loopback too."""
    prefix = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        unavailable("no network namespace can be made here")
    return prefix


def sentence(done: Done) -> str:
    return done.err.partition("\n\nhint: ")[0]


# fetch and apply without a network


def cut_off(project: CatProject, alone: list[str], *words: str) -> Done:
    """Run a command that has to succeed without a network."""
    done = project.real(*words, prefix=alone)
    assert done.status == 0, done.said
    return done


def test_after_fetch_apply_needs_no_network(project: CatProject, alone: list[str], tiny: Release) -> None:
    done = project.real("apply", "--yes", "--offline", prefix=alone)
    assert "--offline was asked for" in sentence(done)
    assert "without --offline" in done.err
    assert (done.status, project.environments(), project.active()) == (1, [], {})
    assert f"1 file for {host_platform()} in the store" in project.ok("fetch").out
    assert project.environments() == []
    shutil.rmtree(project.store / "cache")
    project.ok("cache", "gc", "--older-than", "0h")  # nothing is applied yet that would speak for it
    cut_off(project, alone, "apply", "--yes", "--no-probe", "--offline")
    assert len(project.environments()) == 1
    assert blob(project, tiny).read_bytes() == tiny.data
    assert project.tools("tiny")


def test_a_bundle_is_all_that_another_store_needs(
    project: CatProject, tmp_path: Path, alone: list[str], tiny: Release
) -> None:
    bundle = tmp_path / "bundle.tar"
    project.ok("fetch", "--to", str(bundle))
    other = CatProject(tmp_path / "other")
    for file in (project.manifest, project.lock):
        shutil.copy(file, other.directory)
    done = cut_off(other, alone, "fetch", "--from", str(bundle), "--offline")
    assert f"1 file from {bundle}" in done.out
    assert blob(other, tiny).read_bytes() == tiny.data
    cut_off(other, alone, "apply", "--yes", "--no-probe", "--offline")
    assert other.tools("tiny")


def test_what_is_not_there_is_fetched_besides_the_bundle(project: CatProject, tmp_path: Path, tiny: Release) -> None:
    bundle = tmp_path / "bundle.tar"
    project.ok("fetch", "--to", str(bundle))
    document = project.ok("fetch", "--from", str(bundle), "--json").document
    assert document["imported"] == {"files": 0, "bytes": 0, "builds": 0}
    shutil.rmtree(project.store / "blobs")
    document = project.ok("fetch", "--from", str(bundle), "--json").document
    assert document["imported"] == {"files": 1, "bytes": len(tiny.data), "builds": 0}
    assert (document["fetched"], document["bundle"]) == (0, None)


def test_a_bundle_holds_manifest_and_lock_and_nothing_of_the_machine(
    project: CatProject, tmp_path: Path, tiny: Release
) -> None:
    (project.directory / "hatchlock.local.toml").write_text('[servers.tiny.env]\nX = { secret = "env:GEHEIM" }\n')
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    project.ok("fetch", "--to", str(first))
    shutil.rmtree(project.store)
    document = project.ok("fetch", "--to", str(second), "--json").document
    assert first.read_bytes() == second.read_bytes()
    assert document["format_version"] == 1
    assert document["bundle"] == {"path": str(second), "bytes": second.stat().st_size, "builds": 0}
    assert (document["platforms"], document["files"], document["fetched"]) == ([host_platform()], 1, 1)
    with tarfile.open(first) as archive:
        content = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    digest = hashlib.sha256(tiny.data).hexdigest()
    assert list(content) == ["hatchlock-bundle.json", "hatchlock.toml", "hatch.lock", f"blobs/sha256/{digest}"]
    assert content["hatch.lock"] == project.lock.read_bytes()
    assert json.loads(content["hatchlock-bundle.json"])["blobs"] == [{"digest": digest, "size": len(tiny.data)}]
    assert b"GEHEIM" not in first.read_bytes()


def test_other_platforms_can_be_fetched_and_bundled(tmp_path: Path) -> None:
    releases = [
        Release(name="tiny-server", version="1.0", requires=["fast"], scripts={"tiny-server": "tiny_server:main"}),
        *(
            Release(name="fast", version="1.0", tag=f"cp311-cp311-{tag}", padding=number)
            for number, tag in enumerate(("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "macosx_11_0_arm64"))
        ),
    ]
    platforms = ("darwin/arm64", "linux/amd64", "linux/arm64")
    with serving(*releases) as index:
        text = manifest(index.url, platforms=platforms) + 'python = "3.11"\n'
        project = CatProject(tmp_path, text)
        project.ok("lock")
        document = project.ok("fetch", "--platform", "linux/arm64", "--json").document
        assert (document["platforms"], document["files"]) == (["linux/arm64"], 2)
        assert len(list(project.store.rglob("blobs/*/*/*"))) == 2
        document = project.ok("fetch", "--all-platforms", "--json").document
        assert (document["platforms"], document["files"], document["fetched"]) == (list(platforms), 4, 2)
        wrong = project.fails("fetch", "--platform", "plan9/mips", status=64)
    assert sentence(wrong) == "error: --platform plan9/mips: the lock is for darwin/arm64, linux/amd64, linux/arm64"


def test_a_bundle_of_another_lock_is_refused_with_names(project: CatProject, index: Index, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.tar"
    project.ok("fetch", "--to", str(bundle))
    index.releases.append(server_release(tmp_path / "newer", version="1.1"))
    project.ok("lock", "--upgrade", "--refresh")
    shutil.rmtree(project.store)
    done = project.fails("fetch", "--from", str(bundle), "--offline")
    assert f"{bundle} is for another hatch.lock, of the project 'trial': here, " in sentence(done)
    assert "pypi:tiny-server 1.0 -> 1.1" in sentence(done)
    assert sentence(done).endswith("nothing was taken from it")
    assert not list(project.store.rglob("blobs/*/*/*"))


def test_a_bundle_is_written_whole_or_not_at_all(project: CatProject, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    with small_disk(place, "4k"):
        done = project.fails("fetch", "--to", str(place / "bundle.tar"))
        assert "No space left on device" in sentence(done)
        assert list(place.iterdir()) == []
    project.fails("fetch", "--to", str(tmp_path / "none" / "bundle.tar"), status=64)
    for directory in (str(place), ".", "/"):
        refused = project.fails("fetch", "--to", directory, status=64)
        assert f"--to {directory}: it is a directory" in sentence(refused)


def test_a_bundle_does_not_take_the_place_of_a_device(project: CatProject, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = project.fails("fetch", "--to", str(pipe))
    assert sentence(done) == f"error: {pipe}: it is no file that can be replaced"
    assert pipe.is_fifo()


# an index that misbehaves


def test_a_mirror_that_serves_other_bytes_is_named_and_nothing_is_kept(
    tmp_path: Path, index: Index, tiny: Release
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/simple/"
    project = CatProject(tmp_path, manifest(dead, f'mirrors = ["{index.url}"]\n'))
    project.ok("lock")
    index.raw_pages["tiny-server"] = json.dumps(index.page("tiny-server")).encode()
    tiny.body = tiny.data[:-1] + b"!"
    done = project.fails("apply", "--yes", "--no-probe")
    assert "has sha256" in sentence(done)
    assert "the lock wants" in sentence(done)
    assert index.url.removesuffix("simple/") in sentence(done)
    assert (project.environments(), project.active()) == ([], {})
    assert not list(project.store.rglob("blobs/*/*/*"))


def test_a_connection_that_breaks_in_the_middle_of_a_wheel_goes_on(
    project: CatProject, index: Index, tiny: Release
) -> None:
    half = len(tiny.data) // 2
    with answering(piece(tiny.data, breaks_after=half), reset, piece(tiny.data)) as server:
        page = index.page("tiny-server")
        assert page is not None
        page["files"][0]["url"] = f"{server.url}{tiny.file_name}"
        index.raw_pages["tiny-server"] = json.dumps(page).encode()
        shutil.rmtree(project.store)
        project.ok("fetch")
    assert [server.header(number, "range") for number in range(3)] == ["", f"bytes={half}-", f"bytes={half}-"]
    assert blob(project, tiny).read_bytes() == tiny.data


def test_a_full_disk_leaves_no_half_blob_and_with_space_again_fetch_goes_on(project: CatProject) -> None:
    shutil.rmtree(project.store)
    project.store.mkdir()
    with small_disk(project.store, "4k") as disk:
        done = project.fails("fetch")
        assert "No space left on device" in sentence(done)
        assert project.half_done() == []
        disk.resize("10m")
        project.ok("fetch")
        assert project.half_done() == []


def test_an_untrusted_index_is_refused_and_a_named_authority_is_enough(tmp_path: Path, project: CatProject) -> None:
    cert, context = certificate(tmp_path / "tls")
    page = {"meta": {"api-version": "1.1"}, "name": "tiny-server", "files": [], "versions": []}
    kind = "application/vnd.pypi.simple.v1+json"
    with answering(reply(body=json.dumps(page).encode(), Content_Type=kind), tls=context) as server:
        project.write(manifest(f"{server.url}simple/"))
        done = project.fails("lock", "--upgrade")
        assert "its certificate is not trusted" in sentence(done)
        assert "SSL_CERT_FILE" in done.err
        project.env["SSL_CERT_FILE"] = str(cert)
        trusted = project.fails("lock", "--upgrade")
        assert "certificate" not in sentence(trusted)


def test_an_index_that_wants_to_be_left_alone_is_left_alone(tmp_path: Path) -> None:
    with answering(reply(429, Retry_After="3600")) as server:
        project = CatProject(tmp_path, manifest(f"{server.url}simple/"))
        done = project.fails("lock")
    assert "HTTP 429 and wants to be left alone until" in sentence(done)
    assert "run it again after" in done.err
    assert len(server.asked) == 1


def test_an_index_that_cannot_be_reached_is_answered_for_by_the_cache_and_that_is_said(
    project: CatProject, index: Index
) -> None:
    project.lock.unlink()
    project.edit("[indexes.pypi]\n", '[indexes.pypi]\nttl = "0s"\n')
    index.failures.update({"/simple/tiny-server/": 99})
    pages = {path: path.read_bytes() for path in (project.store / "cache").glob("pages-*/*/*")}
    done = project.ok("lock")
    assert "note: pypi: it could not be asked: what the cache has about tiny-server is out of date" in done.err
    not_asked = project.ok("lock", "--upgrade", "--offline").err
    assert "note: pypi: it was not asked: what the cache has about tiny-server is out of date" in not_asked
    assert pages
    assert {path: path.read_bytes() for path in (project.store / "cache").glob("pages-*/*/*")} == pages


@pytest.mark.parametrize("name", ["mcp", "pypi:mcp"])
def test_a_package_that_is_called_as_a_kind_is_upgraded_by_its_name(tmp_path: Path, name: str) -> None:
    releases = [
        Release(name="tiny-server", version="1.0", requires=["mcp"], scripts={"tiny-server": "tiny_server:main"}),
        Release(name="mcp", version="1.0"),
    ]
    with serving(*releases) as index:
        project = CatProject(tmp_path, manifest(index.url))
        project.ok("lock")
        index.releases.append(Release(name="mcp", version="1.1"))
        done = project.ok("lock", "--upgrade", name, "--refresh")
    assert "~ pypi:mcp 1.0 -> 1.1" in done.out + done.err
