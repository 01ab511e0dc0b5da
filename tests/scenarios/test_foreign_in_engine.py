"""Things of somebody else's in an engine that look like ours stay, id for id, whatever a project does beside them."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from hatchlock.engines.volumes import list_volumes
from hatchlock.process import owner, owner_is_gone
from hatchlock.reconcile.diff import diff
from hatchlock.resources.base import Desired, Observed
from hatchlock.resources.network import ForeignNetwork, NetworkResource, network_address
from hatchlock.security.container import bridge_name
from hatchlock.usecases.gc_networks import networks_of
from support.engine_images import untag_all
from support.links import links_record
from support.links_image import links_image
from support.project import TrialProject

pytestmark = pytest.mark.engine

_MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.cat]
command = "/bin/cat"
runtime = "process"
isolation = "best-effort"
"""
_SERVER = """
[servers.echo]
source = "oci:docker-daemon:{image}"
command = {command}

[servers.echo.sandbox]
mounts = [{mounts}]
writable = ["/data"]
reason = "the image is empty"
"""
_LABEL = "dev.hatchlock"


class Foreign:
    """Volumes, networks, containers and names of images that are nearly a project's own."""

    def __init__(self, engine: Engine, project: str, image: str) -> None:
        self._engine = engine
        own = {f"{_LABEL}.project": project, f"{_LABEL}.server": "echo", f"{_LABEL}.path": "/data"}
        session = own | {f"{_LABEL}.session": "1", f"{_LABEL}.owner": gone()}
        labelled: tuple[dict[str, str], ...] = (
            {},
            own | {f"{_LABEL}.project": f"{project}-2"},
            own | {f"{_LABEL}.store": "0123456789ab"},
            session | {f"{_LABEL}.store": "0123456789ab"},
        )
        self.containers = [
            engine.create(f"{self._name(project)}", {"Image": image, "Entrypoint": ["/none"], "Labels": labels})
            for labels in labelled
        ]
        self.volumes = [self._made("volumes", f"{self._name(project)}", labels) for labels in labelled]
        self.networks = [self._made("networks", f"{self._name(project)}", labels) for labels in labelled[:2]]
        self.tags = [f"hatchlock/{project}-2/echo:{'0' * 12}", f"theirs/{project}:1"]
        for tag in self.tags:
            name, _, version = tag.rpartition(":")
            engine.ask("POST", f"/images/{image}/tag?repo={name}&tag={version}")

    def _name(self, project: str) -> str:
        return f"hatchlock-{project}-echo-{secrets.token_hex(6)}"

    def _made(self, kind: str, name: str, labels: dict[str, str]) -> str:
        self._engine.ask("POST", f"/{kind}/create", {"Name": name, "Labels": labels})
        return name

    def seen(self) -> Any:
        """Return what the engine says of all of them."""
        ask = self._engine.ask
        return [
            *(ask("GET", f"/containers/{name}/json") for name in self.containers),
            *(ask("GET", f"/volumes/{name}") for name in self.volumes),
            *(ask("GET", f"/networks/{name}") for name in self.networks),
            *(ask("GET", f"/images/{tag}/json")["Id"] for tag in self.tags),
        ]

    def remove(self) -> None:
        for container in self.containers:
            self._engine.remove(container)
        for kind, names in (("volumes", self.volumes), ("networks", self.networks), ("images", self.tags)):
            for name in names:
                self._engine.ask("DELETE", f"/{kind}/{name}")


def gone() -> str:
    """Return the name of a process that provably does not run any more."""
    boot, namespace, *_ = owner(os.getpid()).split(" ")
    return f"{boot} {namespace} {1 << 22} 1"


@pytest.fixture(params=["engine", pytest.param("podman", marks=pytest.mark.full)])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def test_what_looks_like_ours_stays_through_apply_removal_gc_and_destroy(address: str, tmp_path: Path) -> None:
    name, engine = f"trial-{secrets.token_hex(4)}", Engine(address)
    with links_image(address) as image:
        record = links_record(address, image, name)
        mounts = ", ".join(
            f"{{ source = {json.dumps(item.source)}, target = {json.dumps(item.target)} }}"
            for item in record.sandbox.mounts
        )
        alone = _MANIFEST.format(name=name, platform=host_platform())
        both = alone + _SERVER.format(image=image, command=json.dumps(record.argv), mounts=mounts)
        project = TrialProject(tmp_path, both, name=name, DOCKER_HOST=address)
        foreign = Foreign(engine, name, image)
        try:
            assert owner_is_gone(gone())
            before = foreign.seen()
            project.ok("lock")
            project.ok("apply", "--yes", "--no-probe")
            own = [volume.name for volume in list_volumes(engine, {f"{_LABEL}.project": name})]
            assert len(set(own) - set(foreign.volumes)) == 1
            assert project.plan()["steps"] == []
            shutil.rmtree(project.store / "projects")  # a lost state: volume and image are known by their marks
            assert project.steps() == ["create server:cat", "create server:echo"]
            project.ok("apply", "--yes", "--no-probe")
            project.write(alone)
            project.ok("lock")
            project.ok("apply", "--yes", "--no-probe", "--allow-destructive", "--allow-mass-removal")
            project.ok("gc", "--yes", "--keep", "1")
            assert foreign.seen() == before
            project.ok("destroy", "--yes")
            assert foreign.seen() == before
            left = {volume.name for volume in list_volumes(engine, {f"{_LABEL}.project": name})}
            assert left <= set(foreign.volumes)
        finally:
            foreign.remove()
            untag_all(address, name)


@pytest.fixture(params=["engine", "podman"])
def client(request: pytest.FixtureRequest) -> Engine:
    return Engine(request.getfixturevalue(request.param))


def test_a_network_of_our_name_that_is_somebody_elses_is_left_alone(client: Engine) -> None:
    project = f"trial-{secrets.token_hex(4)}"
    path = f"/networks/{bridge_name(project)}"
    theirs = {"Name": bridge_name(project), "Driver": "bridge"}
    ours = NetworkResource(project=project, engine=client.address)
    seen = Observed(address=network_address(project), key="changed", drifted=True)
    (step,) = diff([Desired(address=seen.address, key="as it was")], [seen]).steps
    client.ask("POST", "/networks/create", theirs)
    try:
        assert (list(ours.observe()), list(ours.desired())) == ([], [])
        assert [(problem.address, problem.code) for problem in ours.problems] == [(seen.address, "foreign-network")]
        with pytest.raises(ForeignNetwork, match=bridge_name(project)):
            ours.apply(step)
        assert list(networks_of(project, client.address)) == []
        assert client.ask("GET", path)["Name"] == bridge_name(project)
    finally:
        client.ask("DELETE", path)
