"""Results of builds on another machine: from a bundle, from a registry, or built again and compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from hatchlock.lock.store import read_lock
from support.dockerfiles import PLAIN, RANDOM, built_project, forget, tags, write
from support.index import serving
from support.project import TrialProject
from support.sdists import source_release
from support.unavailable import need_isolation

PACKAGE = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[indexes.pypi]
url = "URL"

[environments.web]
python = "3.11"
dependencies = ["pypi:crafted"]
allow-build = ["crafted"]
"""
DIFFERING = """
def module():
    import uuid
    return f"def main():\\n    print({str(uuid.uuid4())!r})\\n"
"""
CONTAINED = f"""\
[project]
name = "PROJECT"
platforms = ["{host_platform()}"]

[indexes.pypi]
url = "URL"

[environments.web]
python = "3.11"
base = "oci:BASE"
dependencies = ["pypi:crafted"]
allow-build = ["crafted"]

[servers.cat]
source = "pypi:crafted"
environment = "web"
runtime = "container"
command = ["crafted"]
"""
LIMITS = "/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
NOT_REPRODUCIBLE = "not reproducible: the same input gave two different images"


@pytest.fixture
def project(tmp_path: Path) -> TrialProject:
    need_isolation()
    return TrialProject(tmp_path)


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    """Return the address of an engine; of Docker's kind unless a test says otherwise."""
    return str(request.getfixturevalue(getattr(request, "param", "engine")))


@pytest.fixture
def boxed(tmp_path: Path, address: str) -> Iterator[TrialProject]:
    for made in built_project(tmp_path):
        made.env["DOCKER_HOST"] = address
        yield made


def elsewhere(project: TrialProject, root: Path) -> TrialProject:
    """Return a copy of a project on a machine with another store."""
    copy = TrialProject(root, project.manifest.read_text(), name=project.name)
    shutil.copytree(project.directory, copy.directory, dirs_exist_ok=True)
    if "DOCKER_HOST" in project.env:
        copy.env["DOCKER_HOST"] = project.env["DOCKER_HOST"]
    return copy


def built(project: TrialProject, module: str = "") -> TrialProject:
    with serving(source_release(module=module)) as index:
        project.write(PACKAGE.replace("URL", index.url))
        project.ok("lock")
        project.ok("apply", "--yes")
    return project


def record(project: TrialProject) -> dict[str, Any]:
    (path,) = (project.store / "builds").glob("*.json")
    return dict(json.loads(path.read_bytes()))


def image_step(project: TrialProject) -> dict[str, Any]:
    (step,) = [step for step in project.plan()["steps"] if step["address"] == "image:web"]
    return dict(step)


def test_a_bundle_has_what_packages_became_and_nothing_is_built_there(project: TrialProject, tmp_path: Path) -> None:
    said = built(project, DIFFERING).ok("exec", "env:web", "--", "crafted").out
    assert "what 1 build gave" in project.ok("fetch", "--to", "all.bundle").out
    other = elsewhere(project, tmp_path / "other")
    assert other.ok("fetch", "--from", "all.bundle", "--offline", "--json").document["imported"]["builds"] == 1
    (step,) = other.plan()["steps"]
    assert step["details"]["builds"] == "crafted 1.0 (built elsewhere)"
    other.ok("apply", "--yes", "--offline")
    assert other.ok("exec", "env:web", "--", "crafted").out == said
    assert not (other.store / "projects" / "trial" / "builds" / "web.crafted.log").exists()
    # whoever has a result keeps it, and learns that there is another one
    third = elsewhere(project, tmp_path / "third")
    third.ok("fetch", "--from", "all.bundle", "--offline")
    for path in (third.store / "builds").glob("*.json"):
        path.unlink()
    third.ok("apply", "--yes", "--offline")
    mine = record(third)
    third.ok("fetch", "--from", "all.bundle", "--offline")
    assert record(third) == {**mine, "rebuilt": "differs"}
    assert mine["sha256"] != record(project)["sha256"]


def test_a_bundle_gives_no_result_of_what_the_lock_does_not_build(project: TrialProject, tmp_path: Path) -> None:
    built(project).ok("fetch", "--to", "all.bundle")
    bundle = project.directory / "all.bundle"
    (key,) = (path.stem.encode() for path in (project.store / "builds").glob("*.json"))
    for number, (old, new) in enumerate([(key, b"0" * 64), (b'"pypi:crafted@1.0"', b'"pypi:drafted@1.0"')]):
        head, _, tail = bundle.read_bytes().partition(b"[project]")  # what is said of results comes before the manifest
        assert old in head
        other = elsewhere(project, tmp_path / str(number))
        (other.directory / "all.bundle").write_bytes(head.replace(old, new) + b"[project]" + tail)
        taken = other.ok("fetch", "--from", "all.bundle", "--offline", "--json").document["imported"]
        assert taken["builds"] == 0
        assert list((other.store / "builds").glob("*")) == []
        assert record(project)["sha256"] not in [path.name for path in (other.store / "blobs").rglob("*")]


def test_what_is_built_again_is_compared_and_the_first_result_stays(project: TrialProject) -> None:
    built(project)
    assert "= build:web.crafted" in project.ok("verify", "web", "--rebuild").out
    first = record(project)
    assert first["rebuilt"] == "equal"
    for path in (project.store / "blobs").rglob(first["archive"]):
        path.unlink()
    assert "the store lacks 1 of its" in project.fails("verify", "--rebuild").out
    assert record(project) == first


def test_what_gives_something_else_is_not_reproducible_from_then_on(project: TrialProject) -> None:
    first = record(built(project, DIFFERING))
    found = project.run("verify", "web", "--rebuild", "--json")
    assert found.status == 2, found.said
    (build,) = [item for item in found.document["findings"] if item["kind"] == "build"]
    assert (build["name"], build["state"], build["compared"]) == ("web.crafted", "different", ["build"])
    assert "it is not reproducible" in build["differences"][0]
    assert record(project) == {**first, "rebuilt": "differs"}
    for path in (project.store / "envs").glob("*/.hatchlock-receipt.json"):
        path.unlink()
    (step,) = project.plan()["steps"]
    assert step["details"]["builds"] == "crafted 1.0 (not reproducible)"
    assert step["details"]["result"] == "built before"
    project.ok("apply", "--yes", "--offline")
    assert record(project)["sha256"] == first["sha256"]


@pytest.mark.engine
@pytest.mark.parametrize("address", ["engine", pytest.param("podman", marks=pytest.mark.full)], indirect=True)
def test_a_bundle_has_the_image_that_a_dockerfile_became(boxed: TrialProject, busybox: str, tmp_path: Path) -> None:
    write(boxed, RANDOM.format(base=busybox))
    boxed.ok("lock")
    assert "gave" not in boxed.ok("fetch", "--to", "sources.bundle").out
    boxed.ok("apply", "--yes", "--no-probe")
    made = boxed.ok("exec", "web", "--", "cat", "/made").out
    assert "what 1 build gave" in boxed.ok("fetch", "--to", "all.bundle").out
    forget(boxed)
    assert image_step(boxed)["details"]["result"] == "built before"
    boxed.ok("apply", "--yes", "--no-probe", "--offline")
    assert boxed.ok("exec", "web", "--", "cat", "/made").out == made
    forget(boxed)

    other = elsewhere(boxed, tmp_path / "other")
    other.ok("fetch", "--from", "all.bundle", "--offline")
    assert image_step(other)["details"]["result"] == "built elsewhere"
    other.ok("apply", "--yes", "--no-probe", "--offline")
    assert other.ok("exec", "web", "--", "cat", "/made").out == made
    other.fails("logs", "--build", "web")
    other.ok("cache", "gc", "--older-than", "0s")
    forget(other)
    assert image_step(other)["details"]["result"] == "built elsewhere"
    shutil.rmtree(other.store)
    other.ok("apply", "--yes", "--no-probe", "--offline", "--from", "all.bundle")
    assert other.ok("exec", "web", "--", "cat", "/made").out == made


@pytest.mark.engine
def test_an_image_without_result_in_the_engine_is_told_and_the_bundle_has_what_it_is_built_from(
    boxed: TrialProject, busybox: str
) -> None:
    write(boxed, PLAIN.format(base=busybox))
    boxed.ok("lock")
    assert "neither the store nor the engine has it" in boxed.fails("export", "web", "--to", "oci:out").err
    boxed.ok("apply", "--yes", "--no-probe")
    forget(boxed)
    said = boxed.ok("fetch", "--to", "all.bundle")
    assert "note: what was built of server:web is left out" in said.err
    assert "gave" not in said.out


@pytest.mark.engine
def test_another_machine_takes_it_from_a_registry_as_long_as_it_is_of_this_context(
    boxed: TrialProject, busybox: str, registry: str, tmp_path: Path
) -> None:
    write(boxed, RANDOM.format(base=busybox))
    boxed.ok("lock")
    boxed.ok("apply", "--yes", "--no-probe")
    made = boxed.ok("exec", "web", "--", "cat", "/made").out
    (key,) = read_lock(boxed.lock).builds[0].keys.values()
    reference = boxed.ok("export", "web", "--to", f"docker://{registry}/built/web:1").out.strip()
    assert boxed.ok("export", "web", "--to", "oci:out", "--json").document["digest"] in reference
    layout = boxed.directory / "out" / "blobs" / "sha256"
    manifest = json.loads((layout / reference.rpartition(":")[2]).read_bytes())
    assert manifest["annotations"]["dev.hatchlock.key"] == key
    assert len(manifest["layers"]) == 2
    shutil.rmtree(boxed.directory / "out")
    forget(boxed)

    other = elsewhere(boxed, tmp_path / "other")
    other.edit('"./docker"', f'{{ context = "./docker", image = "oci:{reference}" }}')
    assert "build.image changed since it was locked" in other.fails("plan").err
    other.ok("lock")
    other.ok("lock", "--check")
    assert read_lock(other.lock).builds[0].image == reference
    assert image_step(other)["details"]["image"] == reference
    other.ok("apply", "--yes", "--no-probe")
    assert other.ok("exec", "web", "--", "cat", "/made").out == made
    assert other.steps() == []
    assert list((other.store / "builds").glob("*")) == []
    assert f"image:web {container()}" in other.ok("verify", "web").out
    # neither the context nor its bases are needed any more
    assert other.ok("fetch", "--to", "all.bundle", "--json").document["files"] == 3
    forget(other)

    (other.directory / "docker" / "note").write_text("a new file")
    assert "./docker changed since it was locked" in other.fails("plan").err
    for words in (["lock"], ["lock", "--check"]):
        said = other.fails(*words).err
        assert f"the image {reference} was built from the input {key[:12]}" in said
        assert "hatchlock export web --to docker://HOST/REPOSITORY" in said
    other.edit(reference, busybox)
    assert "does not say what it was built from" in other.fails("lock").err
    other.edit(f"oci:{busybox}", "oci:127.0.0.1:1/web:1")
    assert "is no image by its digest" in other.fails("lock").err


@pytest.mark.engine
def test_an_image_with_packages_that_were_built_goes_elsewhere_with_and_without_hatchlock(
    boxed: TrialProject, base_image: str, tmp_path: Path
) -> None:
    with serving(source_release(module=DIFFERING)) as index:
        boxed.write(CONTAINED.replace("PROJECT", boxed.name).replace("URL", index.url).replace("BASE", base_image))
        boxed.ok("lock")
        assert "pypi:crafted@1.0 comes as source" in boxed.fails("export", "web", "--to", "oci:out").err
    boxed.ok("apply", "--yes", "--no-probe", "--offline")
    said = boxed.ok("exec", "cat", "--", "crafted").out
    exported = boxed.ok("export", "web", "--to", "oci:out", "--offline").out
    assert "what 1 build gave" in boxed.ok("fetch", "--to", "all.bundle", "--offline").out
    assert "! build:web.crafted" in boxed.run("verify", "web", "--rebuild").out
    shutil.rmtree(boxed.directory / "out")
    other = elsewhere(boxed, tmp_path / "other")
    other.ok("fetch", "--from", "all.bundle", "--offline")
    assert (
        other.ok("export", "web", "--to", "oci:out", "--offline", env={"DOCKER_HOST": "unix:///nowhere"}).out
        == exported
    )
    forget(boxed)
    other.ok("apply", "--yes", "--no-probe", "--offline")
    assert other.ok("exec", "cat", "--", "crafted").out == said


def container() -> str:
    return host_platform().replace("darwin", "linux")


@pytest.mark.engine
@pytest.mark.parametrize("address", ["engine", pytest.param("podman", marks=pytest.mark.full)], indirect=True)
def test_a_dockerfile_is_built_again_and_compared(boxed: TrialProject, busybox: str) -> None:
    write(boxed, f'FROM {busybox}\nCOPY note /note\nCMD ["cat", "/note"]\n', note="n")
    boxed.ok("lock")
    assert "this store has no result of it" in boxed.ok("verify", "--rebuild").out
    boxed.ok("apply", "--yes", "--no-probe")
    before = tags(boxed)
    assert "= build:web" in boxed.ok("verify", "web", "--rebuild").out
    assert record(boxed)["rebuilt"] == "equal"
    write(boxed, RANDOM.format(base=busybox).replace("RUN ", f"RUN cat {LIMITS} > /limit; "))
    boxed.ok("lock")
    boxed.ok("apply", "--yes", "--no-probe")
    assert boxed.ok("exec", "web", "--", "cat", "/limit").out == "4294967296\n"
    here, images = tags(boxed), everything(boxed)
    done = boxed.run("verify", "web", "--rebuild")
    assert (done.status, len(here)) == (2, len(before) + 1), done.said
    assert "something else from layer 2 of 2 on: it is not reproducible" in done.out
    assert (tags(boxed), everything(boxed)) == (here, images), "nothing is left of it"
    forget(boxed)
    assert image_step(boxed)["notes"] == [NOT_REPRODUCIBLE]


def everything(project: TrialProject) -> set[str]:
    """Return the ids of all images of the engine."""
    with Engine(project.env["DOCKER_HOST"]) as connection:
        return {item["Id"] for item in connection._api.images(all=True)}
