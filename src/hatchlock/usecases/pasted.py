"""`add` of what people paste, and of command lines: servers with references in the place of every secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.place import Place

if TYPE_CHECKING:
    from hatchlock.migrate.merging import Merged
    from hatchlock.migrate.model import Left, Reading

__all__ = ["TakenOver", "from_text", "from_words", "is_pasted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TakenOver:
    """What `add` writes.

    Attributes:
        servers: Name -> the keys of `[servers.NAME]`.
        notes: What is to be said of them, each with its server: what is not as it was, and which secrets are to be set.
    """

    servers: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def is_pasted(text: str) -> bool:
    """Return whether what stands where a source may stand is JSON, a link or a command line instead."""
    from hatchlock.migrate.pasted import is_pasted as looks_pasted

    return looks_pasted(text)


def from_text(text: str, *, name: str = "", manifest: str = "", project: str = "") -> TakenOver:
    """Return the servers of what was pasted.

    Args:
        text: See `migrate.pasted`.
        name: What an entry is called that does not say it itself.
        manifest: The manifest's text: names of secrets that it has are not given again.
        project: The project's name: for whom the secrets are to be set; "" for everybody.

    Raises:
        ManyErrors: Some of it can be no server of a manifest: each with its line and why.
        Unreadable: It is of no form that is known.
        CannotTakeOver: It is a command line with something that is not known.
    """
    from hatchlock.migrate.pasted import pasted

    return _taken_over(pasted(text, name=name), manifest, project)


def from_words(words: Sequence[str], *, name: str = "", manifest: str = "", project: str = "") -> TakenOver:
    """Return the servers of a command line that was typed here, likewise.

    Raises:
        ManyErrors, Unreadable, CannotTakeOver: As `from_text`.
    """
    from hatchlock.migrate.pasted import pasted_words

    return _taken_over(pasted_words(words, name=name, directory=str(Path.cwd())), manifest, project)


def _taken_over(reading: Reading, manifest: str, project: str) -> TakenOver:
    from hatchlock.migrate.merging import Found, Origin, merged
    from hatchlock.migrate.secret_names import named_secrets

    if reading.left:
        raise ManyErrors(errors=tuple(_refused(reading, item) for item in reading.left))
    origins = [Origin(file=reading.file, line=server.line, entry=server.found_as) for server in reading.servers]
    servers = merged(
        Found(server=server, origin=origin) for server, origin in zip(reading.servers, origins, strict=True)
    )
    names = named_secrets(servers, is_free=lambda name, _: f'"keyring:{name}"' not in manifest)
    return TakenOver(
        servers={
            server.name: server.as_fields(
                {secret: f"keyring:{name}" for (owner, secret), name in names.items() if owner == server.name}
            )
            for server in servers
        },
        notes=tuple(_notes(servers, sorted(set(names.values())), project=project)),
    )


def _refused(reading: Reading, left: Left) -> HatchlockError:
    from hatchlock.manifest.takeover import CannotTakeOver

    what, _, advice = left.what.partition("; ")
    place = Place(file=reading.file, line=left.line) if left.line else None
    return CannotTakeOver(place=place, what=what, advice=advice)


def _notes(servers: Sequence[Merged], secrets: Sequence[str], *, project: str) -> Iterable[str]:
    for server in servers:
        lost = (left.what.removeprefix(f"{server.origins[0].entry}: ") for _, left in server.left)
        yield from (f"server:{server.name}: not carried over: {what}" for what in lost)
        yield from (f"server:{server.name}: {note}" for note in server.notes)
    own = f" --project {project}" if project else ""
    yield from (f"next: hatchlock secret set {name}{own}" for name in secrets)
