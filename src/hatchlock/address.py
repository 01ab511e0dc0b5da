"""The words by which users name things: sources (`pypi:mcp-server-time>=2026.1`) and resources (`server:time`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = [
    "Address",
    "BadSource",
    "ImageReference",
    "Kind",
    "ResourceKind",
    "Source",
    "Transport",
    "is_place",
    "scoped",
]


_PLACES = (".", "~/", "/")


def is_place(text: str) -> bool:
    """Return whether the text behind a kind is a path of this machine, and not a name of some index or registry."""
    return text.startswith(_PLACES)


class Kind(StrEnum):
    """The kinds of source, DESIGN's closed list."""

    PYPI = "pypi"
    NPM = "npm"
    DEB = "deb"
    OCI = "oci"
    GIT = "git"
    PATH = "path"
    HATCH = "hatch"
    MCP = "mcp"
    CONDA = "conda"
    URL = "url"


class ResourceKind(StrEnum):
    """The kinds of thing in the world that we make and own, in the order in which plans list them."""

    SYSTEM = "system"
    ENV = "env"
    IMAGE = "image"
    NETWORK = "network"
    VOLUME = "volume"
    CONTAINER = "container"
    SERVER = "server"
    ENDPOINT = "endpoint"
    CLIENT = "client"


@dataclass(kw_only=True, eq=False)
class BadSource(HatchlockError):
    """A source string that is not `kind:spec`, or whose spec its kind does not understand."""

    code: ClassVar[str] = "bad-source"

    text: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.text!r} is not a source: {self.why}"

    def _hint(self) -> str:
        return self.advice or f"write kind:spec, with a kind of {', '.join(Kind)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where a thing comes from: `kind:spec`."""

    kind: Kind
    spec: str

    @classmethod
    def parse(cls, text: str) -> Source:
        """Split `kind:spec`; the spec itself is parsed by its kind's module.

        Raises:
            BadSource: There is no known kind before the first colon, or nothing behind it.
        """
        head, colon, spec = text.partition(":")
        if not colon:
            advice = f"write pypi:{text} if it is a Python package"
            if is_place(text):
                advice = f"write path:{text} if it is a project, oci:{text} if it is an OCI layout"
            if text.startswith("@"):  # a scope of npm's
                advice = f"write npm:{text}"
            raise BadSource(text=text, why="it names no kind", advice=advice)
        if head not in set(Kind):
            raise BadSource(text=text, why=f"there is no kind {head!r}")
        if not spec.strip():
            raise BadSource(text=text, why=f"nothing follows {head}:")
        return cls(kind=Kind(head), spec=spec.strip())

    def __str__(self) -> str:
        return f"{self.kind}:{self.spec}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Address:
    """A resource of a project: `env:time`, `server:time`, `client:cursor/time`."""

    kind: ResourceKind
    name: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read back what `str` gave.

        Raises:
            ValueError: `text` is not an address.
        """
        kind, _, name = text.partition(":")
        if not name:
            raise ValueError(text)
        return cls(kind=ResourceKind(kind), name=name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def server(self) -> str:
        """The server whose it is, by its name; "" for what several may use, and for what its name does not tell."""
        match self.kind:
            case ResourceKind.SERVER | ResourceKind.ENDPOINT:
                return self.name
            case ResourceKind.CLIENT:
                return self.name.rpartition("/")[2]
            case ResourceKind.VOLUME:
                return self.name.partition("/")[0]
            case _:
                return ""

    @property
    def client(self) -> str:
        """The application whose entry it is (`client:cursor/time`, `client:cursor@project/time`); "" for what is no entry."""
        return self.name.partition("/")[0].partition("@")[0] if self.kind is ResourceKind.CLIENT else ""

    @property
    def order(self) -> tuple[int, str]:
        """The key by which plans and reports sort."""
        return (list(ResourceKind).index(self.kind), self.name)


def scoped(client: str, scope: str, entry: str | None = None) -> str:
    """Return how an application's file is called where each of its scopes counts, `cursor@project`, or an entry in it.

    Args:
        client: The application's name in the catalogue.
        scope: Whose file it is.
        entry: The entry's name; then it is `cursor@project/time`.
    """
    file = f"{client}@{scope}"
    return file if entry is None else f"{file}/{entry}"


class Transport(StrEnum):
    """Where an image is, by the words of containers-transports(5)."""

    REGISTRY = "docker"
    ENGINE = "docker-daemon"
    LAYOUT = "oci"


_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>localhost(?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?|[A-Za-z0-9-]+:\d+|\[[0-9a-f:]+\](?::\d+)?)/)?"
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_ENGINE = f"{Transport.ENGINE}:"
_LAYOUT = re.compile(
    r"(?P<path>(?:\.{1,2}(?=[/:@]|\Z)|~?/)[^:@<>=!~,\s]*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReference:
    """An image's name: registry, repository, tag and digest, as in the OCI distribution specification, and where it is.

    Attributes:
        registry: `host[:port]`; "" means the engine's default registry. Of a layout "".
        repository: The path below it, without the `library/` that the default registry adds to short names. Of a layout its
            directory, as it is written: `./images/base`.
        tag: "" when the reference has none (then "latest" is meant, unless there is a digest; in a layout the only image).
        digest: `sha256:…` or "".
        transport: Where it is.
    """

    registry: str
    repository: str
    tag: str
    digest: str
    transport: Transport = Transport.REGISTRY

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Read a reference such as `registry.example.com/team/image:1.2@sha256:…`.

        `docker-daemon:NAME[:TAG]` is an image that the engine has. A path that starts with `.`, `~/` or `/` is a layout's
        directory: `./DIR[:TAG]`.

        Raises:
            BadSource: It is not a reference.
        """
        if is_place(text):
            return cls._layout(text)
        transport = Transport.ENGINE if text.startswith(_ENGINE) else Transport.REGISTRY
        match = _REFERENCE.fullmatch(text.removeprefix(_ENGINE))
        if match is None:
            inside = (
                "docker-daemon:NAME[:TAG]" if transport is Transport.ENGINE else "[host[:port]/]path[:tag][@sha256:…]"
            )
            raise BadSource(text=f"oci:{text}", why="that is no image reference", advice=f"write oci:{inside}")
        return cls(
            registry=match["registry"] or "",
            repository=match["repository"],
            tag=match["tag"] or "",
            digest=match["digest"] or "",
            transport=transport,
        )

    @classmethod
    def _layout(cls, text: str) -> ImageReference:
        match = _LAYOUT.fullmatch(text)
        if match is None:
            raise BadSource(
                text=f"oci:{text}",
                why="that is no directory of an OCI layout",
                advice="write oci:./DIRECTORY[:TAG][@sha256:…], the directory without spaces and any of : @ < > = ! ~ ,",
            )
        return cls(
            registry="",
            repository=match["path"],
            tag=match["tag"] or "",
            digest=match["digest"] or "",
            transport=Transport.LAYOUT,
        )

    @property
    def mutable(self) -> bool:
        """Whether the image behind the reference can change: it has no digest."""
        return not self.digest

    @property
    def reference(self) -> str:
        """What a registry is asked for: the digest, else the tag, else "latest"."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        text = _ENGINE if self.transport is Transport.ENGINE else ""
        text += f"{self.registry}/{self.repository}" if self.registry else self.repository
        text += f":{self.tag}" if self.tag else ""
        return text + (f"@{self.digest}" if self.digest else "")
