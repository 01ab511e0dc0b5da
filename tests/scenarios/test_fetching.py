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
from support.faulty import answering, certificate, piece, reply, reset
from support.index import Index, Release, serving
from support.project import Done, TrialProject, server_release
from support.registry import free_port
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
def project(tmp_path: Path, index: Index) -> TrialProject:
    made = TrialProject(tmp_path, manifest(index.url))
    made.ok("lock")
    return made


def manifest(index: str, more: str = "", platforms: tuple[str, ...] = ()) -> str:
    names = ", ".join(f'"{name}"' for name in platforms or (host_platform(),))
    head = f'[project]\nname = "trial"\nplatforms = [{names}]\n\n[indexes.pypi]\nurl = "{index}"\n{more}\n'
    return head + TINY


def blob(project: TrialProject, release: Release) -> Path:
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


def test_after_fetch_apply_needs_no_network(project: TrialProject, alone: list[str], index: Index) -> None:
    refused = project.fails("apply", "--yes", "--no-probe", prefix=alone)
    assert "cannot be reached" in sentence(refused)
    done = project.ok("fetch")
    assert f"1 file for {host_platform()} in the store" in done.out
    assert project.environments() == []
    assert "nothing to fetch" in project.ok("fetch", "--offline", prefix=alone).out
    index.releases.clear()
    shutil.rmtree(project.store / "cache")
    project.ok("apply", "--yes", "--no-probe", "--offline", prefix=alone)
    assert project.run("plan", "--check", prefix=alone).status == 0
    assert project.tools("tiny")


def test_offline_what_is_not_there_is_said_before_anything_is_changed(project: TrialProject, alone: list[str]) -> None:
    for words in (["apply", "--yes", "--offline"], ["fetch", "--offline"]):
        done = project.fails(*words, prefix=alone)
        assert "--offline was asked for" in sentence(done)
        assert "without --offline" in done.err
    assert (project.environments(), project.active()) == ([], {})


def test_a_bundle_is_all_that_another_store_needs(
    project: TrialProject, tmp_path: Path, alone: list[str], tiny: Release
) -> None:
    bundle = tmp_path / "bundle.tar"
    project.ok("fetch", "--to", str(bundle))
    assert bundle.stat().st_mode & 0o777 == 0o600
    other = TrialProject(tmp_path / "other")
    for file in (project.manifest, project.lock):
        shutil.copy(file, other.directory)
    done = other.ok("fetch", "--from", str(bundle), "--offline", prefix=alone)
    assert f"1 file from {bundle}" in done.out
    assert blob(other, tiny).read_bytes() == tiny.data
    other.ok("apply", "--yes", "--no-probe", "--offline", prefix=alone)
    assert other.run("plan", "--check", prefix=alone).status == 0
    assert other.tools("tiny")


def test_a_bundle_holds_manifest_and_lock_and_nothing_of_the_machine(
    project: TrialProject, tmp_path: Path, tiny: Release
) -> None:
    (project.directory / "hatchlock.local.toml").write_text('[servers.tiny]\nargs = ["geheim"]\n')
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    project.ok("fetch", "--to", str(first))
    shutil.rmtree(project.store)
    document = project.ok("fetch", "--to", str(second), "--json").document
    assert first.read_bytes() == second.read_bytes()
    assert document["format_version"] == 1
    assert document["bundle"] == {"path": str(second), "bytes": second.stat().st_size}
    assert (document["platforms"], document["files"], document["fetched"]) == ([host_platform()], 1, 1)
    with tarfile.open(first) as archive:
        content = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    digest = hashlib.sha256(tiny.data).hexdigest()
    assert list(content) == ["hatchlock-bundle.json", "hatchlock.toml", "hatch.lock", f"blobs/sha256/{digest}"]
    assert content["hatch.lock"] == project.lock.read_bytes()
    assert json.loads(content["hatchlock-bundle.json"])["blobs"] == [{"digest": digest, "size": len(tiny.data)}]
    assert b"geheim" not in first.read_bytes()


def test_other_platforms_can_be_fetched_and_bundled(tmp_path: Path) -> None:
    releases = [
        Release(name="tiny-server", version="1.0", requires=["fast"], scripts={"tiny-server": "tiny_server:main"}),
        *(
            Release(name="fast", version="1.0", tag=f"cp311-cp311-{tag}")
            for tag in ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "macosx_11_0_arm64")
        ),
    ]
    platforms = ("darwin/arm64", "linux/amd64", "linux/arm64")
    with serving(*releases) as index:
        text = manifest(index.url, platforms=platforms) + 'python = "3.11"\n'
        project = TrialProject(tmp_path, text)
        project.ok("lock")
        document = project.ok("fetch", "--platform", "linux/arm64", "--json").document
        assert (document["platforms"], document["files"]) == (["linux/arm64"], 2)
        assert len(list(project.store.rglob("blobs/*/*/*"))) == 2
        document = project.ok("fetch", "--all-platforms", "--json").document
        assert (document["platforms"], document["files"], document["fetched"]) == (list(platforms), 4, 2)
        wrong = project.fails("fetch", "--platform", "plan9/mips", status=64)
    assert sentence(wrong) == "error: --platform plan9/mips: the lock is for darwin/arm64, linux/amd64, linux/arm64"


# bundles that are not right


@pytest.fixture
def bundle(project: TrialProject, tmp_path: Path) -> Path:
    path = tmp_path / "bundle.tar"
    project.ok("fetch", "--to", str(path))
    shutil.rmtree(project.store)
    return path


def refused(project: TrialProject, bundle: Path) -> str:
    done = project.fails("fetch", "--from", str(bundle), "--offline")
    assert not list(project.store.rglob("blobs/*/*/*"))
    assert project.half_done() == []
    return sentence(done).removeprefix("error: ").replace(str(bundle), "BUNDLE")


def test_a_bundle_of_another_lock_is_refused_with_names(project: TrialProject, index: Index, bundle: Path) -> None:
    server_release(project.root / "wheels", version="1.1")
    index.releases.append(server_release(project.root / "newer", version="1.1"))
    project.ok("lock", "--upgrade", "--refresh")
    said = refused(project, bundle)
    assert said.startswith(
        "BUNDLE is for another hatch.lock, of the project 'trial': here, ~ pypi:tiny-server 1.0 -> 1.1"
    )
    assert said.endswith("nothing was taken from it")


def test_a_changed_byte_in_a_bundle_is_found(project: TrialProject, bundle: Path, tiny: Release) -> None:
    data = bundle.read_bytes()
    place = data.index(tiny.data) + len(tiny.data) // 2
    bundle.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert "the lock wants" in refused(project, bundle)


@pytest.mark.parametrize("cut", [100, 1000, 3000, -2000])
def test_a_bundle_that_ends_too_early_is_refused(project: TrialProject, bundle: Path, cut: int) -> None:
    bundle.write_bytes(bundle.read_bytes()[:cut])
    said = refused(project, bundle)
    assert "BUNDLE" in said


@pytest.mark.parametrize(
    "name", ["blobs/sha256/../../evil", "/etc/evil", "blobs/sha256/" + "0" * 64, "hatchlock.local.toml"]
)
def test_nothing_is_taken_that_the_lock_does_not_name(
    project: TrialProject, bundle: Path, tmp_path: Path, name: str
) -> None:
    inner = tmp_path / "inner"
    inner.write_bytes(b"evil")
    with tarfile.open(bundle, "a") as archive:
        archive.add(inner, arcname=name, filter=lambda info: info.replace(name=name))
    done = project.fails("fetch", "--from", str(bundle), "--offline")
    assert f"it holds {name!r}, which the lock does not name" in sentence(done)
    assert {path.name for path in project.store.rglob("*") if path.is_file()} <= {
        "events.ndjson",
        *(item.name for item in project.store.rglob("blobs/*/*/*")),
    }
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"no archive" * 200, b"\0" * 2048])
def test_what_is_no_bundle_is_said(project: TrialProject, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    assert refused(project, path).startswith("BUNDLE is no bundle that can be used: ")
    path.unlink()
    assert "there is no such file" in refused(project, path)
    path.mkdir()
    assert "it is a directory" in refused(project, path)


def test_a_bundle_is_written_whole_or_not_at_all(project: TrialProject, tmp_path: Path) -> None:
    project.ok("fetch")
    place = tmp_path / "disk"
    place.mkdir()
    with small_disk(place, "4k"):
        done = project.fails("fetch", "--to", str(place / "bundle.tar"))
        assert "No space left on device" in sentence(done)
        assert list(place.iterdir()) == []
    assert project.fails("fetch", "--to", str(tmp_path / "none" / "bundle.tar"), status=64)


# an index that misbehaves


def test_a_mirror_that_serves_other_bytes_is_named_and_nothing_is_kept(
    tmp_path: Path, index: Index, tiny: Release
) -> None:
    dead = f"http://127.0.0.1:{free_port()}/simple/"
    project = TrialProject(tmp_path, manifest(dead, f'mirrors = ["{index.url}"]\n'))
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
    project: TrialProject, index: Index, tiny: Release
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


def test_a_full_disk_leaves_no_half_blob_and_with_space_again_fetch_goes_on(project: TrialProject) -> None:
    shutil.rmtree(project.store)
    project.store.mkdir()
    with small_disk(project.store, "16k") as disk:
        done = project.fails("fetch")
        assert "No space left on device" in sentence(done)
        assert project.half_done() == []
        disk.resize("10m")
        project.ok("fetch")
        assert project.half_done() == []


def test_an_untrusted_index_is_refused_and_a_named_authority_is_enough(tmp_path: Path, project: TrialProject) -> None:
    cert, context = certificate(tmp_path / "tls")
    page = {"meta": {"api-version": "1.1"}, "name": "tiny-server", "files": [], "versions": []}
    kind = "application/vnd.pypi.simple.v1+json"
    with answering(reply(body=json.dumps(page).encode(), Content_Type=kind), tls=context) as server:
        project.write(manifest(f"{server.url}simple/"))
        done = project.fails("lock", "--upgrade")
        assert "its certificate is not trusted" in sentence(done)
        assert "SSL_CERT_FILE" in done.err
        trusted = project.fails("lock", "--upgrade", env={"SSL_CERT_FILE": str(cert)})
        assert "certificate" not in sentence(trusted)


def test_an_index_that_wants_to_be_left_alone_is_left_alone(tmp_path: Path) -> None:
    with answering(reply(429, Retry_After="3600")) as server:
        project = TrialProject(tmp_path, manifest(f"{server.url}simple/"))
        done = project.fails("lock")
    assert "HTTP 429 and wants to be left alone until" in sentence(done)
    assert "run it again after" in done.err
    assert len(server.asked) == 1


def test_an_index_that_cannot_be_reached_is_answered_for_by_the_cache_and_that_is_said(
    project: TrialProject, index: Index
) -> None:
    project.lock.unlink()
    project.edit("[indexes.pypi]\n", '[indexes.pypi]\nttl = "0s"\n')
    index.failures.update({"/simple/tiny-server/": 99})
    pages = {path: path.read_bytes() for path in (project.store / "cache").glob("pages-*/*/*")}
    done = project.ok("lock")
    assert "note: pypi could not be asked: what the cache has about tiny-server is out of date" in done.err
    assert pages
    assert {path: path.read_bytes() for path in (project.store / "cache").glob("pages-*/*/*")} == pages
