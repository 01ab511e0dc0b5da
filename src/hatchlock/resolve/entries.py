"""Entries of the MCP registry, and what they stand for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from hatchlock.address import BadSource, Kind, Source
from hatchlock.errors import HatchlockError
from hatchlock.launch import Runtime
from hatchlock.lock.model import Lock, Package
from hatchlock.manifest.model import Manifest, ServerSpec
from hatchlock.resolve.direct import is_direct
from hatchlock.sources.url import url_references

__all__ = [
    "UnsetVariables",
    "check_variables",
    "entries_of",
    "of_other_entries",
    "suits_runtime",
    "wanted_entries",
    "with_entries",
]

_PYTHON = re.compile(r"(?:==3\.\d+(?:\.\d+)?\.\*)?")


@dataclass(kw_only=True, eq=False)
class UnsetVariables(HatchlockError):
    """A server of the MCP registry needs variables that the manifest does not set."""

    code: ClassVar[str] = "unset-variables"

    entry: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.entry} needs {', '.join(self.names)}, and the manifest does not set {self._them}"

    @property
    def _them(self) -> str:
        return "it" if len(self.names) == 1 else "them"

    def _hint(self) -> str:
        name = self.names[0]
        return f'write env.{name} = {{ secret = "env:{name}" }}, or env.{name} = "…" if it is no secret'


def wanted_entries(manifest: Manifest) -> dict[str, Runtime]:
    """Return the entries that servers are, `mcp:NAME@VERSION`, and the runtime to choose for, sorted.

    One entry is one choice: where servers of both runtimes name it, it is what a process can be.
    """
    found: dict[str, Runtime] = {}
    for server in manifest.servers.values():
        if server.source is not None and server.source.kind is Kind.MCP:
            text = str(server.source)
            found[text] = "process" if "process" in {server.runtime, found.get(text)} else "container"
    return dict(sorted(found.items()))


def entries_of(lock: Lock) -> dict[str, Package]:
    """Return the entries that a lock has, by the source that names them.

    One that stands for what no entry can stand for, as somebody who edits a lock may write it, is as good as none.
    """
    return {package.source: package for package in lock.packages if package.kind is Kind.MCP and _is_possible(package)}


def _is_possible(entry: Package) -> bool:
    """An entry names packages of indexes, images, and bundles with their hash; no directory, and nobody else's address."""
    try:
        target, *others = map(Source.parse, entry.dependencies)
    except (BadSource, ValueError):
        return False
    plain = [item for item in (target, *others) if item.kind is Kind.PYPI and not is_direct(str(item))]
    return (
        len(plain) == len(others) + (target.kind is Kind.PYPI)
        and (target.kind in {Kind.PYPI, Kind.NPM, Kind.OCI} or _is_bundle(target))
        and _PYTHON.fullmatch(entry.requires_python) is not None
    )


def _is_bundle(target: Source) -> bool:
    try:
        return target.kind is Kind.URL and all(item.sha256 for item in url_references(target.spec).values())
    except BadSource:
        return False


def suits_runtime(entry: Package, runtime: Runtime) -> bool:
    """Return whether what an entry stands for can be had in a runtime: an image is no process."""
    return runtime == "container" or not _is_image(entry)


def with_entries(manifest: Manifest, entries: Mapping[str, Package]) -> Manifest:
    """Return a manifest whose servers are what the entries that they name stand for.

    An entry's own arguments come first, and the manifest's variables count more than an entry's. A server whose entry is
    not among `entries` stays as it is.
    """
    servers = {name: _server(server, entries) for name, server in manifest.servers.items()}
    return replace(manifest, servers=servers)


def check_variables(manifest: Manifest, entries: Iterable[Package]) -> None:
    """Refuse servers that lack what their entry needs.

    Raises:
        UnsetVariables: One does.
    """
    needs = {package.source: package.needs for package in entries}
    for name, server in manifest.servers.items():
        missing = tuple(
            item for item in needs.get(server.entry, ()) if item not in {*server.env_literals, *server.secrets}
        )
        if missing:
            raise UnsetVariables(address=f"server:{name}", entry=server.entry, names=missing)


def of_other_entries(lock: Lock) -> Iterator[str]:
    """Yield what people should see: an entry's image that says, by its label, that it is of another entry."""
    images = {image.reference: image for image in lock.images}
    for entry in entries_of(lock).values():
        image = images.get(entry.dependencies[0].removeprefix(f"{Kind.OCI}:"))
        said = {found.mcp_name for found in image.platforms.values()} - {"", entry.name} if image else set()
        for name in sorted(said):
            yield f"{entry.id} is the image {image.reference if image else ''}, which says that it is of {name}"


def _server(server: ServerSpec, entries: Mapping[str, Package]) -> ServerSpec:
    entry = entries.get(str(server.source)) if server.source else None
    if entry is None or server.source is None or server.source.kind is not Kind.MCP:
        return server
    target, *others = entry.dependencies
    private = server.private
    wants = entry.requires_python.removeprefix("==").removesuffix(".*")
    own = {name: value for name, value in entry.env.items() if name not in server.secrets}
    return replace(
        server,
        source=Source.parse(target),
        private=replace(
            private,
            python=private.python or wants,
            dependencies=(*private.dependencies, *map(Source.parse, others)),
        ),
        command=server.command or entry.command,
        args=(*entry.args, *server.args),
        env_literals={**own, **server.env_literals},
        transport=entry.transport or server.transport,
        entry=str(server.source),
    )


def _is_image(entry: Package) -> bool:
    return entry.dependencies[0].startswith(f"{Kind.OCI}:")
