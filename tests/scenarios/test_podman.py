"""Podman, which speaks Docker's API and is not Docker: it takes whole archives only, and names images its own way."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from hatchlock.engines import api
from hatchlock.engines.docker import Engine, ImageInUse
from hatchlock.engines.process import host_platform
from support.index import Index, serving
from support.project import TrialProject, server_release
from support.runs import BARE, Run

pytestmark = pytest.mark.engine

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.tiny]
source = "pypi:tiny-server"
base = "oci:{base}"
runtime = "container"

[indexes.pypi]
url = "{index}"

[registries."{registry}"]
plain-http = true
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(server_release(tmp_path_factory.mktemp("wheels"))) as served:
        yield served


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, podman: str, index: Index, registry: str, base_image: str
) -> TrialProject:
    """An applied and probed project of one container server."""
    name = f"podman-{secrets.token_hex(4)}"
    text = MANIFEST.format(name=name, platform=host_platform(), base=base_image, index=index.url, registry=registry)
    made = TrialProject(tmp_path_factory.mktemp("podman"), text, name=name, DOCKER_HOST=podman)
    made.ok("lock")
    made.ok("apply", "--yes")
    assert made.steps() == []
    return made


def test_an_assembled_image_runs_as_a_numeric_user_with_a_read_only_root(project: TrialProject, podman: str) -> None:
    with Run(command=project.launch_command("tiny"), env=BARE) as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        engine = api.Engine(podman)
        [container] = engine.list({"dev.hatchlock.project": project.name})
        facts = engine.inspect(container.id)
        assert facts["Config"]["User"] == "10001:10001"
        assert facts["HostConfig"]["ReadonlyRootfs"] is True
        assert "Read-only file system" in run.attempt("write", "/etc/somewhere")
        with Engine(podman) as connection:
            own = connection.images()
            assert container.image in {own[tag].id for tag in own}
        kept = project.ok("gc", "--dry-run", "--json").document
        assert (kept["deleted"], kept["kept"]) == ([], [])
        run.end()


def test_its_images_are_listed_under_our_names_and_it_gets_whole_archives(project: TrialProject, podman: str) -> None:
    with Engine(podman) as connection:
        assert connection.takes_thin_archives() is False
        assert connection.platform() == host_platform()
        tags = [tag for tag in connection.images() if tag.startswith(f"hatchlock/{project.name}/tiny:")]
        assert tags
        assert all(connection.image_layers(tag) for tag in tags)
    [found] = project.ok("status", "images", "--json").document["images"]
    assert (found["name"], found["source"], found["revision"]) == ("tiny", "pypi:tiny-server", "1.0")
    assert (found["tags"], found["generations"], found["active"]) == (tags, 1, True)


def test_what_it_has_is_compared_down_to_the_config(project: TrialProject) -> None:
    (found,) = project.ok("verify", "--json").document["findings"]
    assert (found["state"], found["compared"]) == ("same", ["engine"])


def test_one_name_of_an_image_goes_and_the_others_stay(project: TrialProject, podman: str) -> None:
    with Engine(podman) as connection:
        [tag, *_] = connection.images()
        theirs = f"somebody/else:{secrets.token_hex(4)}"
        ours = f"hatchlock/{project.name}/gone:{'0' * 64}"
        connection.tag(tag, theirs)
        connection.tag(tag, ours)
        done = project.ok("gc", "--yes", "--json").document
        assert [item["name"] for item in done["deleted"]] == [ours]
        assert connection.image_layers(tag) == connection.image_layers(theirs) != ()
        assert connection.image_layers(ours) == ()
        connection.untag(theirs)
    assert project.steps() == []


def test_an_image_that_a_container_is_made_of_keeps_its_last_name(podman: str, project: TrialProject) -> None:
    with Engine(podman) as connection, Run(command=project.launch_command("tiny"), env=BARE) as run:
        run.hello()
        [container] = api.Engine(podman).list({"dev.hatchlock.project": project.name})
        [tag] = [name for name, facts in connection.images().items() if facts.id == container.image]
        with pytest.raises(ImageInUse):
            connection.untag(tag)
        assert connection.image_layers(tag)
        run.end()
