"""From what people type, a source, to a server of the manifest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from packaging.requirements import InvalidRequirement, Requirement

from hatchlock.address import BadSource, ImageReference, Kind, Source, is_place
from hatchlock.errors import HatchlockError
from hatchlock.manifest.suspicion import secret_arguments

__all__ = ["CannotTakeOver", "name_from", "server_from_source"]

Server = tuple[str, dict[str, Any]]
"""A server's name and its keys, as in the manifest."""


@dataclass(kw_only=True, eq=False)
class CannotTakeOver(HatchlockError):
    """A command line, or a part of it, that has no counterpart in the manifest."""

    code: ClassVar[str] = "cannot-take-over"

    what: str
    advice: str = "write the server into the manifest by hand, and then run `hatchlock lock`"

    def __str__(self) -> str:
        return self.what

    def _hint(self) -> str:
        return self.advice


def name_from(text: str) -> str:
    """Return a name as a manifest allows it, close to `text`, and without the usual `mcp-server-`: "server" at worst."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    short = re.sub(r"^(mcp-)?(server-)?(mcp-)?|(-mcp)?(-server)?(-mcp)?$", "", name)
    return (short or name)[:64].strip("-") or "server"


def _without_secrets(words: list[str]) -> str:
    """Return a command line as it can be said again."""
    suspects = set(secret_arguments(words))
    return " ".join(
        "…" if index in suspects else re.sub(r"(\w+=).+", r"\1…", word, flags=re.DOTALL)
        for index, word in enumerate(words)
    )


def server_from_source(text: str) -> Server:
    """Return the server that a source alone describes.

    Args:
        text: `kind:spec`, an image reference with a registry or path: `ghcr.io/team/server:1.2`, or the address of a remote
            server.

    Raises:
        BadSource: It is none of these, or no server.
    """
    head = text.partition(":")[0]
    if head in {"http", "https"}:
        return name_from(_own_part(text)), {"url": text}
    if head not in set(Kind) and re.match(r"[\w.@-]+\s+\S", text):
        why = "it looks like a command line, which stands behind `--`"
        shown = _without_secrets(text.split())
        raise BadSource(text=shown, why=why, advice=f"hatchlock add -- {shown}")
    if head not in set(Kind) and "/" in text and "://" not in text and not is_place(text) and not text.startswith("@"):
        text = f"oci:{text}"
    source = Source.parse(text)
    if source.kind is Kind.PYPI:
        requirement = _requirement(source.spec)
        return name_from(requirement.name), {"source": f"pypi:{source.spec}"}
    if source.kind is Kind.OCI:
        image = ImageReference.parse(source.spec)
        return name_from(image.repository.rpartition("/")[2]), {"source": str(source)}
    if source.kind is Kind.MCP:
        return name_from(source.spec.partition("@")[0].rpartition("/")[2]), {"source": str(source)}
    if source.kind in {Kind.DEB, Kind.CONDA}:
        raise BadSource(
            text=text,
            why=f"{source.kind}: is a part of an environment, not a server",
            advice=f'list it beside a server: with = ["{source}"]',
        )
    return name_from(_own_name(source)), {"source": str(source)}


def _own_part(url: str) -> str:
    """Return the part of an address's host that tells it from others: `tracker` of `https://mcp.tracker.example.com/mcp`."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
    words = [word for word in host.split(".")[:-1] if word not in {"www", "mcp", "api"}] or [host]
    return words[0] if not host.replace(".", "").isdigit() else "server"


def _own_name(source: Source) -> str:
    """Return the last word of what is named: of a package without scope and range, of a path or address its last part."""
    if source.kind is Kind.NPM:
        name = source.spec.removeprefix("@").partition("@")[0]
        return re.sub(r"/(mcp|server)$", "", name).rpartition("/")[2] if "/" in name else name
    path = re.split(r"[#?]", source.spec)[0]
    if source.kind is Kind.HATCH:
        path = re.split(r"[\s<>=!]|~=", path)[0].replace(":", "/")
    if source.kind is Kind.GIT:
        head, _, last = path.rpartition("/")
        path = f"{head}/{last.partition('@')[0]}".removesuffix(".git")
    last = path.rstrip("/").rpartition("/")[2]
    return re.sub(r"(\.tar)?\.(gz|xz|bz2|zip|tgz)$", "", last) or "server"


def _requirement(spec: str) -> Requirement:
    try:
        requirement = Requirement(spec)
    except InvalidRequirement as error:
        why = str(error).splitlines()[0]
        raise BadSource(text=f"pypi:{spec}", why=why, advice="write pypi:NAME[EXTRA]>=1.2,<2") from error
    return requirement
