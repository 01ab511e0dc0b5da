"""What of this machine a server's network depends on: certificates, proxies, and what a container's relay is made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import urlsplit

from hatchlock.engines.connect import engine_is_local
from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord, Relay
from hatchlock.net.credentials import without_userinfo
from hatchlock.net.trust import proxy_for
from hatchlock.resources.dockerfile_spec import DockerfileSpec
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.machine import Machine
from hatchlock.resources.server import ServerSpec
from hatchlock.security.network import CA_INSIDE, LOCALHOST, ca_environment, is_listed, published, ways

__all__ = ["ProxyUnusable", "RelayImageMissing", "with_network", "with_relay"]


@dataclass(kw_only=True, eq=False)
class RelayImageMissing(HatchlockError):
    """A container's network needs something that listens in it, and no image of the project can hold that.

    Attributes:
        why: What needs it, as a clause.
    """

    code: ClassVar[str] = "relay-image-missing"

    why: str = "its network is a list"

    def __str__(self) -> str:
        return f"{self.why}, which needs an image with Python or Node for the relay, and the project has none"

    def _hint(self) -> str:
        return 'declare one that no server has to use: [environments.relay] with python = "3.11" and base = "oci:docker.io/library/python:3.11-slim", then run `hatchlock lock`'


@dataclass(kw_only=True, eq=False)
class ProxyUnusable(HatchlockError):
    """A host of a list is to be reached through a proxy that cannot carry connections."""

    code: ClassVar[str] = "proxy-unusable"

    proxy: str
    way: str

    def __str__(self) -> str:
        return f"{self.way} is reached through {self.proxy}, and only http:// proxies can be used"

    def _hint(self) -> str:
        return "set HTTPS_PROXY to the http address of the proxy, or name the host in NO_PROXY"


def with_network(record: LaunchRecord, machine: Machine) -> LaunchRecord:
    """Return a record with the certificates and proxies that its network is to use here.

    Raises:
        ProxyUnusable: A proxy is of another kind.
    """
    if record.sandbox.network == ("none",):
        return record
    proxies = dict(_proxies(record, machine)) if is_listed(record.sandbox) else {}
    found = machine.certificates
    if not found.path:
        return replace(record, proxies=proxies)
    if record.runtime == "container" and not engine_is_local(str(machine.engine)):
        return replace(record, proxies=proxies)
    shown = record.runtime == "container" or not (machine.isolation or machine.system == "darwin")
    env = ca_environment(CA_INSIDE if shown else found.path, adds=found.adds)
    return replace(record, proxies=proxies, ca=found.path if shown else "", env={**env, **record.env})


def _proxies(record: LaunchRecord, machine: Machine) -> Iterator[tuple[str, str]]:
    for way in ways(record.sandbox):
        proxy = "" if way.name == LOCALHOST else proxy_for(f"https://{way}", machine.environ)
        if not proxy:
            continue
        shown = without_userinfo(proxy).rstrip("/")
        if urlsplit(proxy).scheme != "http":
            raise ProxyUnusable(proxy=shown, way=str(way))
        yield str(way), shown


def with_relay(spec: ServerSpec, images: Iterable[ImageSpec | DockerfileSpec], project: str) -> ServerSpec:
    """Return a server with what listens in its container's network, or leads into it: made of its own image if it can be.

    Args:
        spec: The server.
        images: All images of the project on this machine.
        project: Its name.

    Raises:
        RelayImageMissing: No image has an interpreter.
    """
    record = spec.record
    listed = is_listed(record.sandbox)
    if record.runtime != "container" or not (listed or published(record)):
        return spec
    ordered = sorted(images, key=lambda image: (image.address != spec.needs, image.server))
    for image in ordered:
        if relay := _relay(image, project):
            beside = image.address if image.address != spec.needs else None
            return replace(spec, record=replace(record, relay=relay), relay=beside)
    raise RelayImageMissing() if listed else RelayImageMissing(why="it listens in a network of its own")


def _relay(image: ImageSpec | DockerfileSpec, project: str) -> Relay | None:
    if not isinstance(image, ImageSpec):
        return None  # what a Dockerfile makes is not known before
    if image.base.python_path:
        return Relay(image=image.started_as(project), interpreter=image.base.python_path, language="python")
    if image.base.node:
        return Relay(image=image.started_as(project), interpreter="node", language="node")
    return None
