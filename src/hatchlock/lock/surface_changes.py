"""How what was pinned of servers differs between two locks: each tool, each prompt, the instructions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hatchlock.lock.model import Lock
from hatchlock.lock.other_differences import FieldChange
from hatchlock.lock.surfaces import Surface
from hatchlock.surface import shown

__all__ = ["changes_of", "counted", "surface_changes"]

_NONE = Surface(server="", artefact="")


def surface_changes(before: Lock, after: Lock) -> Iterator[FieldChange]:
    """Yield how the pins differ. Texts and names are a stranger's."""
    old, new = ({item.server: item for item in lock.surfaces} for lock in (before, after))
    for server in old.keys() | new.keys():
        yield from changes_of(server, old.get(server), new.get(server))


def changes_of(server: str, before: Surface | None, after: Surface | None) -> Iterator[FieldChange]:
    """Yield how what was pinned of one server differs: whether it is pinned at all, definitions, conditions."""
    what = f"server:{server}"
    if before == after:
        return
    if before is None or after is None:
        told = counted(before or after or _NONE)
        sign, words = ("+", ("", told)) if before is None else ("-", (told, ""))
        yield FieldChange(sign=sign, what=what, field="pins", before=words[0], after=words[1])
    old, new = before or _NONE, after or _NONE
    is_first = before is None or after is None
    for kind in ("tool", "prompt"):
        texts = [{item.name: item.text for item in getattr(surface, f"{kind}s")} for surface in (old, new)]
        yield from _definitions(what, kind, texts[0], texts[1], is_first=is_first)
    if old.instructions_sha256 != new.instructions_sha256:
        sign = ("+" if after else "-") if is_first else "!"
        yield FieldChange(sign=sign, what=what, field="instructions", before=old.instructions, after=new.instructions)
    if not is_first:
        yield from _conditions(what, old, new)


def counted(surface: Surface) -> str:
    """Return how much is pinned: `3 tools, 1 prompt, instructions`."""
    parts = [
        f"{len(found)} {word}{'' if len(found) == 1 else 's'}"
        for word, found in (("tool", surface.tools), ("prompt", surface.prompts))
        if found or word == "tool"
    ]
    return ", ".join([*parts, *(["instructions"] if surface.instructions_sha256 else [])])


def _definitions(
    what: str, kind: str, old: Mapping[str, str], new: Mapping[str, str], *, is_first: bool
) -> Iterator[FieldChange]:
    for name in old.keys() | new.keys():
        before, after = old.get(name, ""), new.get(name, "")
        if before == after:
            continue
        # what came to be different in a server that somebody has looked at is what pins are for
        sign = "+" if is_first and after else "-" if not after else "!"
        yield FieldChange(sign=sign, what=what, field=f"{kind} {name}", before=before, after=after)


def _conditions(what: str, old: Surface, new: Surface) -> Iterator[FieldChange]:
    if old.artefact != new.artefact:
        yield FieldChange(sign="~", what=what, field="pinned artefact", before=old.artefact, after=new.artefact)
    for platform in sorted(old.artefacts.keys() | new.artefacts.keys()):
        texts = [item.artefacts.get(platform, "") for item in (old, new)]
        if texts[0] != texts[1]:
            field = f"pinned artefact on {platform}"
            yield FieldChange(sign="~", what=what, field=field, before=texts[0], after=texts[1])
    if old.protocol != new.protocol:
        yield FieldChange(sign="~", what=what, field="pinned with protocol", before=old.protocol, after=new.protocol)
    if old.secrets != new.secrets:
        texts = [", ".join(item.secrets) for item in (old, new)]
        yield FieldChange(sign="~", what=what, field="pinned with secrets", before=texts[0], after=texts[1])
    if old.varying != new.varying:
        texts = [", ".join(map(shown, item.varying)) for item in (old, new)]
        yield FieldChange(sign="!", what=what, field="not for every application", before=texts[0], after=texts[1])
