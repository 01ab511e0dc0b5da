"""Drift of what an engine has, one kind after the other, on Docker and on Podman: injected for real, told, put right."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import docker
import pytest

from hatchlock.engines.api import EngineError
from hatchlock.resources.network import network_address
from hatchlock.security.container import bridge_name
from support.cats import CatProject
from support.drifting import different, is_silent, one_step, put_right
from support.engine_images import image_tags, untag_all
from support.engine_project import EngineProject
from support.links_image import OPEN, links_image

pytestmark = pytest.mark.engine

IMAGE, VOLUME = "image:echo", f"volume:echo{OPEN}"


@contextlib.contextmanager
def copied(original: EngineProject, directory: Path) -> Iterator[EngineProject]:
    """Yield a project of its own with the same server, which keeps something and may reach every host."""
    name, address = f"drift-{secrets.token_hex(4)}", original.project.env["DOCKER_HOST"]
    text = original.project.manifest.read_text().replace(original.project.name, name)
    text = text.replace("stop-grace = 0.3", f'stop-grace = 0.3\nnetwork = "internet"\nwritable = ["{OPEN}"]')
    made = replace(original, project=CatProject(directory, text, name=name, DOCKER_HOST=address))
    made.project.ok("lock")
    made.project.ok("apply", "--yes", "--no-probe")
    yield made
    for container in made.containers():
        made.engine.remove(container.id)
    for path in (f"/volumes/{quote(volume_name(made))}", f"/networks/{bridge_name(name)}"):
        with contextlib.suppress(EngineError):
            made.engine.ask("DELETE", path)
    untag_all(address, name)


@pytest.fixture(scope="module")
def docker_drift(docker_project: EngineProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProject]:
    with copied(docker_project, tmp_path_factory.mktemp("drift")) as made:
        yield made


@pytest.fixture(scope="module")
def podman_drift(podman_project: EngineProject, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProject]:
    with copied(podman_project, tmp_path_factory.mktemp("drift")) as made:
        yield made


@pytest.fixture(params=["docker", pytest.param("podman", marks=pytest.mark.full)])
def found(request: pytest.FixtureRequest) -> EngineProject:
    made: EngineProject = request.getfixturevalue(f"{request.param}_drift")
    return made


@pytest.fixture
def sdk(found: EngineProject) -> Iterator[docker.APIClient]:
    with contextlib.closing(docker.APIClient(base_url=found.project.env["DOCKER_HOST"])) as client:
        yield client


def volume_name(found: EngineProject) -> str:
    volumes = found.engine.ask("GET", "/volumes")["Volumes"] or []
    (name,) = (item["Name"] for item in volumes if item["Name"].startswith(f"hatchlock-{found.project.name}-"))
    return str(name)


def tag_of(found: EngineProject) -> str:
    (tag,) = image_tags(found.project.env["DOCKER_HOST"], found.project.name)
    return tag


def named(found: EngineProject, tag: str) -> str:
    """Return a tag as this engine knows it."""
    return f"localhost/{tag}" if found.kind == "podman" else tag


def test_what_was_just_applied_is_silent_and_so_are_its_sessions(found: EngineProject) -> None:
    is_silent(found.project)
    with found.run() as run:
        run.hello()
        is_silent(found.project)
        run.end()
    is_silent(found.project)


def test_an_image_without_its_tag(found: EngineProject, sdk: docker.APIClient) -> None:
    sdk.remove_image(named(found, tag_of(found)))
    one_step(found.project, IMAGE, action="create", cause="gone since it was applied", server="echo")
    put_right(found.project)


def test_a_tag_that_names_another_image(found: EngineProject, sdk: docker.APIClient) -> None:
    repository, _, tag = named(found, tag_of(found)).rpartition(":")
    before = sdk.inspect_image(f"{repository}:{tag}")["Id"].removeprefix("sha256:")
    with links_image(found.project.env["DOCKER_HOST"], "LABEL other=1") as other:
        sdk.tag(other, repository, tag=tag, force=True)
        after = sdk.inspect_image(other)["Id"].removeprefix("sha256:")
        details = one_step(found.project, IMAGE, cause="content changed since it was applied", server="echo")
        assert details == {"content": f"image {after[:12]} -> image {before[:12]}"}
        put_right(found.project)
    assert sdk.inspect_image(f"{repository}:{tag}")["Id"].removeprefix("sha256:") == before


def test_a_volume_that_is_gone(found: EngineProject) -> None:
    found.engine.ask("DELETE", f"/volumes/{volume_name(found)}")
    one_step(found.project, VOLUME, action="create", cause="gone since it was applied", server="echo")
    put_right(found.project)


def test_a_volume_of_the_same_name_is_somebody_elses(found: EngineProject) -> None:
    name = volume_name(found)
    found.engine.ask("DELETE", f"/volumes/{name}")
    found.engine.ask("POST", "/volumes/create", {"Name": name})
    assert found.project.plan()["steps"] == []
    assert set(different(found.project)) == {VOLUME}
    found.engine.ask("DELETE", f"/volumes/{name}")
    put_right(found.project)


def test_a_session_whose_limits_were_changed(found: EngineProject) -> None:
    if found.kind == "podman":
        pytest.skip("it changes no limits through this API")
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        found.engine.ask("POST", f"/containers/{container.id}/update", {"PidsLimit": 999})
        address = f"container:{container.name}"
        details = one_step(found.project, address, cause="pids changed by hand", server="echo")
        assert details == {"pids": "999 -> 128"}
        put_right(found.project)
        run.end()


def test_a_session_that_was_stopped_by_hand_is_nobodys_fault(found: EngineProject) -> None:
    with found.run() as run:
        run.hello()
        (container,) = found.containers()
        found.engine.stop(container.id, grace=0)
        is_silent(found.project)
    is_silent(found.project)


def test_a_stranger_in_the_projects_network(found: EngineProject) -> None:
    address = str(network_address(found.project.name))
    with found.run() as run:
        run.hello()
        image = named(found, tag_of(found))
        name = f"stranger-{secrets.token_hex(4)}"
        limits = [{"Name": limit, "Soft": 512, "Hard": 512} for limit in ("nofile", "nproc")]
        host = {"NetworkMode": bridge_name(found.project.name), "Binds": ["/usr:/usr:ro"], "Ulimits": limits}
        joined = found.engine.create(name, {"Image": image, "Entrypoint": ["/usr/bin/sleep", "60"], "HostConfig": host})
        try:
            found.engine.start(joined)
            details = one_step(found.project, address, cause="strangers changed by hand", server="echo")
            assert details == {"strangers": f"{name} -> none"}
            put_right(found.project)
        finally:
            found.engine.remove(joined)
        run.end()


def test_a_network_that_was_made_otherwise(found: EngineProject) -> None:
    if found.kind == "podman":
        pytest.skip("it does not tell with which options it made a network")
    name = bridge_name(found.project.name)
    found.engine.ask("DELETE", f"/networks/{name}")
    label = {"dev.hatchlock.project": found.project.name}
    found.engine.ask("POST", "/networks/create", {"Name": name, "Driver": "bridge", "Labels": label})
    option = "com.docker.network.bridge.enable_icc"
    details = one_step(found.project, f"network:{name}", cause=f"{option} changed by hand", server="echo")
    assert details == {option: "none -> false"}
    put_right(found.project)
    assert found.engine.ask("GET", f"/networks/{name}")["Options"][option] == "false"


def test_a_network_of_the_same_name_is_somebody_elses(found: EngineProject) -> None:
    name = bridge_name(found.project.name)
    found.engine.ask("DELETE", f"/networks/{name}")
    found.engine.ask("POST", "/networks/create", {"Name": name})
    assert list(different(found.project)) == [f"network:{name}"]
    assert "docker network rm" in found.project.fails("plan").err
    found.engine.ask("DELETE", f"/networks/{name}")
    is_silent(found.project)
