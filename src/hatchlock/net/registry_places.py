"""Which registries an image may come from, and what each calls it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hatchlock.address import ImageReference

__all__ = ["Place", "Places", "is_loopback", "normal_reference"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an image may come from.

    Attributes:
        host: `host[:port]`.
        repository: What it calls the image there, without tag.
        url: Its base address, as in the OCI distribution specification: `https://HOST/v2/REPOSITORY`.
        private: Whether nobody on the way can read what is said to it: https, or loopback.
    """

    host: str
    repository: str
    url: str
    private: bool


class Places:
    """The registries, their mirrors, and how each is spoken to.

    Args:
        default_host: The registry of references without one.
        plain_http: Hosts (`host[:port]`) to which http is spoken; loopback always is.
        mirrors: Registry -> mirrors that are asked before it, in order: `host[:port][/path]`, where the path goes before
            an image's own.
    """

    def __init__(self, *, default_host: str, plain_http: frozenset[str], mirrors: Mapping[str, Sequence[str]]) -> None:
        self._default_host = default_host
        self._plain_http = frozenset(self._host(name) for name in plain_http)
        self._mirrors = {self._host(name): tuple(found) for name, found in mirrors.items()}

    def own(self, reference: ImageReference) -> Place:
        """Return the registry that the reference names."""
        host = self._host(reference.registry)
        return self._place(host, _long(reference.repository, official=host == self._default_host))

    def mirrors(self, reference: ImageReference) -> tuple[Place, ...]:
        """Return the mirrors of that registry, in order."""
        own = self.own(reference)
        found = []
        for mirror in self._mirrors.get(own.host, ()):
            host, _, path = mirror.partition("/")
            found.append(self._place(host, f"{path}/{own.repository}" if path else own.repository))
        return tuple(found)

    def _place(self, host: str, repository: str) -> Place:
        local = is_loopback(host)
        scheme = "http" if local or host in self._plain_http else "https"
        return Place(
            host=host,
            repository=repository,
            url=f"{scheme}://{host}/v2/{repository}",
            private=local or scheme == "https",
        )

    def _host(self, name: str) -> str:
        return self._default_host if name in ("", _short(self._default_host)) else name


def normal_reference(reference: ImageReference, *, default_host: str) -> ImageReference:
    """Return the one spelling of an image's name: `nginx` is `library/nginx` of the default registry. Tags stay.

    Args:
        reference: Any spelling.
        default_host: The registry of references without one.
    """
    short = _short(default_host)
    official = reference.registry in ("", short, default_host)
    return replace(
        reference,
        registry=short if official else reference.registry.lower(),
        repository=_long(reference.repository, official=official),
    )


def is_loopback(host: str) -> bool:
    """Return whether `host[:port]` is this machine itself, whatever its network looks like."""
    name = host.removeprefix("[").partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _short(default_host: str) -> str:
    return default_host.removeprefix("index.")


def _long(repository: str, *, official: bool) -> str:
    return f"library/{repository}" if official and "/" not in repository else repository
