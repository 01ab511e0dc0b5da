"""Where people tell of a mistake: of each package of a lock, and of hatchlock itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from hatchlock.address import Kind
from hatchlock.net.exchange import bare_address

if TYPE_CHECKING:
    from hatchlock.lock.model import Lock, Package

__all__ = ["ReportAddress", "addresses_of", "own_address"]

_SHORT = {"github:": "https://github.com/", "gitlab:": "https://gitlab.com/", "bitbucket:": "https://bitbucket.org/"}
_FORGE = re.compile(
    r"https?://(?P<host>github\.com|gitlab\.com|codeberg\.org|bitbucket\.org)/(?P<owner>[^/]+)/(?P<name>[^/#?]+)"
)
_ISSUES = {"gitlab.com": "/-/issues"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportAddress:
    """Where to tell of a mistake in something.

    Attributes:
        what: A package's id, an image's reference, or the address of a remote server.
        address: An address, or whom it names as its authors; "" where nobody says.
        servers: The servers of which it is the package itself; empty for what these bring along.
    """

    what: str
    address: str
    servers: tuple[str, ...] = ()


def addresses_of(lock: Lock) -> tuple[ReportAddress, ...]:
    """Return where to tell of mistakes in each package, image and remote server of a lock: those of servers first, by name."""
    mains = dict(_mains(lock))
    found = [
        *(
            ReportAddress(what=item.id, address=_address(item), servers=mains.get(item.id, ()))
            for item in lock.packages
        ),
        *(
            ReportAddress(
                what=image.reference,
                address=next((_issues(item.repository) for item in image.platforms.values() if item.repository), ""),
                servers=tuple(server.name for server in lock.servers if server.image == image.reference),
            )
            for image in lock.images
        ),
        *(
            ReportAddress(what=bare_address(server.url), address="whoever runs it", servers=(server.name,))
            for server in lock.servers
            if server.url
        ),
    ]
    return tuple(sorted(found, key=lambda item: (not item.servers, item.what)))


def own_address() -> str:
    """Return where to tell of a mistake in hatchlock, as its own package says; "" if that does not."""
    try:
        urls = metadata.metadata("hatchlock").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    named = {name.strip().lower(): url.strip() for name, _, url in (item.partition(",") for item in urls)}
    return next(
        (named[name] for name in ("issues", "bug tracker", "repository", "source", "homepage") if name in named), ""
    )


def _mains(lock: Lock) -> Iterator[tuple[str, tuple[str, ...]]]:
    from hatchlock.address import Source
    from hatchlock.resolve.command import main_package

    found: dict[str, list[str]] = {}
    for server in lock.servers:
        if server.source and server.environment:
            environment = lock.environment(server.environment, server.runtime)
            package = main_package(Source.parse(server.source), environment, lock)
            if package:
                found.setdefault(package.id, []).append(server.name)
    yield from ((name, tuple(servers)) for name, servers in found.items())


def _address(package: Package) -> str:
    if package.repository:
        return _issues(package.repository)
    match package.kind:
        case Kind.DEB:
            beside = "its archive's bug tracker"
        case Kind.GIT:
            beside = _issues(package.location)
        case Kind.URL:
            beside = package.location
        case Kind.PATH:
            beside = ""
        case _:
            beside = f"its page in the index {package.index or package.kind}"
    return ", ".join(filter(None, (package.authors or package.publisher, beside)))


def _issues(repository: str) -> str:
    """Return the page of issues of a repository on a forge that has one at a known place; else the repository itself."""
    text = repository.removeprefix("git+")
    for short, long in _SHORT.items():
        text = text.replace(short, long, 1) if text.startswith(short) else text
    text = re.sub(
        r"^(?:git|ssh)://(?:git@)?|^git@([\w.-]+):", lambda match: f"https://{f'{match[1]}/' if match[1] else ''}", text
    )
    match = _FORGE.match(text)
    if match is None:
        return text
    name = match["name"].removesuffix(".git")
    return f"https://{match['host']}/{match['owner']}/{name}{_ISSUES.get(match['host'], '/issues')}"
