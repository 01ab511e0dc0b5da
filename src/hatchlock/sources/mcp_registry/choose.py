"""Which of the packages of a registry's entry is installed. Pure: equal entries give equal choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from hatchlock.address import BadSource, ImageReference, Kind
from hatchlock.errors import HatchlockError
from hatchlock.net.registry_places import is_loopback
from hatchlock.sources.mcp_registry.document import Package, Server, Transport
from hatchlock.sources.mcp_registry.entry import Entry
from hatchlock.sources.url import UrlReference, url_references

__all__ = ["ORDER", "Choice", "NothingToRun", "choose", "image_of"]

Runtime = Literal["process", "container"]

ORDER: dict[Runtime, tuple[str, ...]] = {
    "container": ("oci", "pypi", "npm", "mcpb"),
    "process": ("pypi", "npm", "mcpb"),
}
"""Which kind goes before which: what its publisher made for that runtime first, and what brings least of its own last."""

_NO_RUNNER = {"nuget": "nuget packages", "cargo": "crates", "go": "Go modules"}
_REMOTES = ("streamable-http", "sse")
_PYPI = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_NPM = re.compile(r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+!_-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_SYSTEMS = {
    "linux": r"linux",
    "darwin": r"darwin|macos|mac|osx|apple",
    "windows": r"windows|win|win32|win64",
}
_PROCESSORS = {"amd64": r"amd64|x64|x86_64|x86-64", "arm64": r"arm64|aarch64"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What is installed for an entry.

    Attributes:
        requirement: What is required, as a manifest would say it: `pypi:serena-agent==1.7.0`,
            `npm:@scope/name@0.6.3`, `oci:ghcr.io/x/y:1.2.0`, `url:https://…/x.mcpb#sha256=…&name=…`; "" for a remote.
        kind: "pypi", "npm", "oci", "mcpb" or "remote".
        index: Which of `packages`, or of `remotes`; of bundles for several platforms the first one.
        remote: Where it runs; None for a package.
        base_url: The registry that the entry says has the package; "" if it does not say. It is not asked: packages come
            from the index that the manifest, or this machine, has for their kind.
        why: As a clause: why this one.
        refused: (kind, why) of those that were passed over because they cannot be used, in the entry's order.
    """

    requirement: str
    kind: str
    index: int
    remote: Transport | None = None
    base_url: str = ""
    why: str
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(kw_only=True, eq=False)
class NothingToRun(HatchlockError):
    """None of an entry's packages can be used, and it runs nowhere already."""

    code: ClassVar[str] = "nothing-to-run"

    entry: str
    runtime: str
    refused: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        if not self.refused:
            return f"{self.entry} has neither a package nor a remote"
        reasons = "; ".join(f"{kind}: {why}" for kind, why in self.refused)
        return f"{self.entry} has nothing that can run here: {reasons}"

    def _hint(self) -> str:
        if self.runtime == "process" and any(kind == "oci" for kind, _ in self.refused):
            return 'give the server runtime = "container"'
        return "choose another version of it, another server, or install it yourself and name it as a command"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Refused:
    why: str


def choose(entry: Entry, *, platforms: Sequence[str], runtime: Runtime, local: bool = False) -> Choice:
    """Return which package, or which remote, of an entry is used.

    Packages go before remotes, since they can be pinned. Among packages those that speak stdio go before others; then the
    kinds go in the order of `ORDER`; then the entry's own order counts. Of remotes, streamable-http goes before sse.

    Args:
        entry: From the registry.
        platforms: What is locked for: `linux/amd64`.
        runtime: Where the server is to run.
        local: Whether the registry is on this machine: only then may an entry lead to addresses of this machine, of which
            nobody elsewhere has anything to say.

    Raises:
        NothingToRun: There is none.
    """
    server = entry.server
    usable: list[tuple[tuple[int, int, int], Choice]] = []
    refused: list[tuple[str, str]] = []
    for index, package in enumerate(server.packages):
        found = _requirement(server, index, platforms, runtime)
        if isinstance(found, str) and not local and _leads_here(found):
            found = _Refused(why="it is at an address of this machine")
        if isinstance(found, _Refused):
            refused.append((package.registry_type, found.why))
            continue
        rank = (package.transport.type != "stdio", ORDER[runtime].index(package.registry_type), index)
        usable.append((rank, _package(package, index, found)))
    if usable:
        (_, chosen), *others = sorted(usable, key=lambda item: item[0])
        return _with_reasons(chosen, [choice for _, choice in others], refused, runtime)
    remotes = [(index, item) for index, item in enumerate(server.remotes) if item.type in _REMOTES and item.url]
    if not remotes:
        raise NothingToRun(entry=str(entry), runtime=runtime, refused=tuple(refused))
    index, remote = min(remotes, key=lambda item: (_REMOTES.index(item[1].type), item[0]))
    why = "no package of it can run here" if refused else "it has no package"
    return Choice(requirement="", kind="remote", index=index, remote=remote, why=why, refused=tuple(refused))


def _leads_here(requirement: str) -> bool:
    kind, _, spec = requirement.partition(":")
    if kind == Kind.URL:
        return any(is_loopback(urlsplit(item.url).netloc) for item in url_references(spec).values())
    return kind == Kind.OCI and is_loopback(ImageReference.parse(spec).registry)


def _package(package: Package, index: int, requirement: str) -> Choice:
    return Choice(
        requirement=requirement,
        kind=package.registry_type,
        index=index,
        base_url="" if package.registry_type in {"oci", "mcpb"} else package.registry_base_url,
        why="",
    )


def _with_reasons(chosen: Choice, others: list[Choice], refused: list[tuple[str, str]], runtime: Runtime) -> Choice:
    kinds = dict.fromkeys(choice.kind for choice in others if choice.kind != chosen.kind)
    why = f"{chosen.kind} goes before {', '.join(kinds)} for the {runtime} runtime" if kinds else "the only one of use"
    if others and not kinds:
        why = f"the first of its {chosen.kind} packages"
    return replace(chosen, why=why, refused=tuple(refused))


def _requirement(server: Server, index: int, platforms: Sequence[str], runtime: Runtime) -> str | _Refused:
    package = server.packages[index]
    kind = package.registry_type
    if kind in _NO_RUNNER:
        return _Refused(why=f"hatchlock cannot run {_NO_RUNNER[kind]}")
    if kind not in ORDER["container"]:
        return _Refused(why="hatchlock does not know this kind of package")
    if kind not in ORDER[runtime]:
        return _Refused(why="an image needs the container runtime")
    if kind == "mcpb":
        return _bundles(server, index, platforms)
    return _REQUIREMENTS[kind](package)


def _pypi(package: Package) -> str | _Refused:
    if _PYPI.fullmatch(package.identifier) is None:
        return _Refused(why=f"{package.identifier!r} is no name of a Python package")
    return _pinned(package, f"pypi:{package.identifier}==")


def _npm(package: Package) -> str | _Refused:
    if _NPM.fullmatch(package.identifier) is None:
        return _Refused(why=f"{package.identifier!r} is no name of an npm package")
    return _pinned(package, f"npm:{package.identifier}@")


def _pinned(package: Package, before: str) -> str | _Refused:
    if not package.version or package.version == "latest":
        return _Refused(why="it names no version")
    if _VERSION.fullmatch(package.version) is None:
        return _Refused(why=f"{package.version!r} is no exact version")
    return f"{before}{package.version}"


def _oci(package: Package) -> str | _Refused:
    image = image_of(package)
    return f"oci:{image}" if image else _Refused(why=f"{package.identifier!r} is no image reference")


def image_of(package: Package) -> str:
    """Return the reference of a package's image, or "" if it has none that can be read.

    Entries before 2025-10-11 have the registry, the repository and the version in three places; they are joined.
    """
    reference = package.identifier.strip()
    try:
        parsed = ImageReference.parse(reference)
        host = package.registry_base_url.partition("://")[2].partition("/")[0]
        if host and not parsed.registry:
            reference = f"{host}/{reference}"
        if package.version and not parsed.tag and not parsed.digest:
            reference += f"{'@' if package.version.startswith('sha256:') else ':'}{package.version}"
        return str(ImageReference.parse(reference))
    except BadSource:
        return ""


_REQUIREMENTS: dict[str, Callable[[Package], str | _Refused]] = {"pypi": _pypi, "npm": _npm, "oci": _oci}


def _bundles(server: Server, index: int, platforms: Sequence[str]) -> str | _Refused:
    """One bundle for all platforms, or, of those that name their platform, the first that fits each."""
    own = _bundle(server, server.packages[index])
    if isinstance(own, _Refused):
        return own
    if all(_fits(own, platform) for platform in platforms):
        return f"url:{own}"
    read = [_bundle(server, package) for package in server.packages if package.registry_type == "mcpb"]
    bundles = [bundle for bundle in read if isinstance(bundle, UrlReference)]
    fitting = {platform: [item for item in bundles if _fits(item, platform)] for platform in sorted(platforms)}
    missing = [platform for platform, found in fitting.items() if not found]
    if missing:
        return _Refused(why=f"no bundle is for {', '.join(missing)}")
    return "url:" + " ".join(f"{platform}={found[0]}" for platform, found in fitting.items())


def _bundle(server: Server, package: Package) -> UrlReference | _Refused:
    if not package.file_sha256:
        return _Refused(why="its bundle has no fileSha256, and nothing else says what it has to be")
    if _SHA256.fullmatch(package.file_sha256) is None:
        return _Refused(why=f"{package.file_sha256!r} is no sha256")
    try:
        return UrlReference.parse(f"{package.identifier}#sha256={package.file_sha256}&name={_program(server)}")
    except BadSource as error:
        return _Refused(why=error.why)


def _program(server: Server) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", server.name.rpartition("/")[2].lower())[:64].strip("._-")
    return name or "bundle"


def _fits(bundle: UrlReference, platform: str) -> bool:
    """Whether a bundle is for a platform, as far as its file's name says so; what the server is called says nothing."""
    text = bundle.file_name.lower().replace(bundle.name, "")
    system, _, processor = platform.partition("/")
    return _agrees(text, _SYSTEMS, system) and _agrees(text, _PROCESSORS, processor)


def _agrees(text: str, known: dict[str, str], wanted: str) -> bool:
    named = {word for word, pattern in known.items() if re.search(rf"(?<![a-z0-9])(?:{pattern})(?![a-z0-9])", text)}
    return not named or wanted in named
