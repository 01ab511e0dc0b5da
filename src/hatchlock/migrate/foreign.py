"""Entries that other managers of servers have written, and our own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.address import BadSource, ImageReference
from hatchlock.clients.shape import Start
from hatchlock.manifest.takeover import CannotTakeOver, name_from, server_from_source
from hatchlock.migrate.described import Described
from hatchlock.migrate.image_use import ImageUse, Mount
from hatchlock.migrate.options import Options, program_name
from hatchlock.migrate.values import at_home

__all__ = ["OfFinch", "finch_target", "hatch_package", "refuse_ours"]

_METADATA = "hatch_metadata.json"
_FINCH = Options(
    program="finch-mcp run",
    flags=frozenset({"-V", "--verbose", "--direct", "-f", "--force", "--host-network", "--forward-registry"}),
    values=frozenset({"-e", "--env", "-v", "--volume"}),
    lost={
        "--forward-registry": "declare the index in [indexes.npm] or [indexes.pypi]",
    },
)
_REPOSITORY = re.compile(r"https?://|git@|ssh://|(?:.*[/.])?(?:github|gitlab)\.com/|.*bitbucket\.org/|.*\.git(?:#.*)?$")
_BUILT_BY_FINCH = re.compile(r"mcp-[a-z0-9._-]+:[0-9a-f]{8}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OfFinch:
    """What `finch-mcp run` was to run.

    Attributes:
        target: A command line, an image, or a directory or repository.
        env: Its variables.
        lost: What cannot be carried over, as clauses.
        mounts: What it sees of this machine.
        network: "host", or "" for the default.
    """

    target: Start | ImageUse | Described
    env: Mapping[str, str]
    lost: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    network: str = ""


def refuse_ours(start: Start) -> None:
    """Refuse an entry that hatchlock has written.

    Raises:
        CannotTakeOver: It is one.
    """
    if program_name(start.command) == "hatchlock" and start.args[:1] == ("run",):
        raise CannotTakeOver(what="it is an entry of hatchlock's own", advice="nothing is to be done about it")


def hatch_package(start: Start) -> Described | None:
    """Return the Hatch package whose server an entry of Hatch starts; None if it is no such entry."""
    if not re.fullmatch(r"python[\d.]*", program_name(start.command)) or not start.args:
        return None
    script = Path(at_home(start.args[0]))
    is_hatchs = "/.hatch/envs/" in str(script)
    if not script.is_absolute() or not (is_hatchs or (script.parent / _METADATA).is_file()):
        return None
    is_there = (script.parent / _METADATA).is_file()
    source = f"hatch:{script.parent}" if is_there else f"hatch:{script.parent.name}"
    name, fields = server_from_source(source)
    return Described(name=name, fields=fields, args=start.args[1:], is_project=is_there)


def finch_target(start: Start) -> OfFinch | None:
    """Return what an entry of finch-mcp runs; None if it is no such entry.

    Raises:
        CannotTakeOver: It has an option that finch-mcp has not, names nothing to run, or names an image that finch-mcp has built:
            no registry has that, and it does not say what is in it.
    """
    if program_name(start.command) != "finch-mcp":
        return None
    outer = _FINCH.split(start.args)
    if outer.rest[0] != "run":
        raise CannotTakeOver(what=f"`finch-mcp {outer.rest[0]}` runs no server")
    inner = _FINCH.split(outer.rest[1:])
    pairs = (*outer.pairs, *inner.pairs)
    target, *args = inner.rest
    env = {
        name: value if equals else f"${{{name}}}"
        for option, text in pairs
        if option in {"-e", "--env"}
        for name, equals, value in [text.partition("=")]
    }
    options = {option for option, _ in pairs}
    return OfFinch(
        target=_meant(target, args, is_direct="--direct" in options),
        env=env,
        lost=tuple(dict.fromkeys((*outer.lost, *inner.lost))),
        mounts=tuple(Mount.parse(text) for option, text in pairs if option in {"-v", "--volume"}),
        network="host" if "--host-network" in options else "",
    )


def _meant(target: str, args: Sequence[str], *, is_direct: bool) -> Start | ImageUse | Described:
    if not args and re.search(r"\s", target):
        command, *args = shlex.split(target)
        return Start(command=command, args=tuple(args))
    if _BUILT_BY_FINCH.fullmatch(target):
        raise CannotTakeOver(
            what=f"`finch-mcp run` names {target!r}, which finch-mcp has built on this machine of something else",
            advice="add what it was built from: `hatchlock add -- uvx PACKAGE`, `hatchlock add path:./DIRECTORY`, …",
        )
    path = Path(at_home(target))
    if is_direct:
        return ImageUse(image=target, args=tuple(args))
    if _REPOSITORY.match(target):
        return Described(name=name_from(_last(target)), fields={"source": f"git:{_git(target)}"}, args=tuple(args))
    if path.is_dir() or target.startswith((".", "/", "~")):
        return Described(
            name=name_from(path.name), fields={"source": f"path:{path}"}, args=tuple(args), is_project=True
        )
    if "/" in target or re.fullmatch(r"[a-z0-9._-]+:(?!\d+$)[\w.-]+", target):
        return ImageUse(image=_checked(target), args=tuple(args))
    return Start(command=target, args=tuple(args))


def _checked(image: str) -> str:
    try:
        ImageReference.parse(image)
    except BadSource as error:
        raise CannotTakeOver(what=f"`finch-mcp run` names {image!r}, which is nothing that is known") from error
    return image


def _git(target: str) -> str:
    address, _, ref = target.partition("#")
    if not re.match(r"\w+://|git@", address):
        address = f"https://{address}"
    return f"{address}@{ref}" if ref else address


def _last(target: str) -> str:
    return target.partition("#")[0].rstrip("/").rpartition("/")[2].removesuffix(".git")
