"""What a server was last seen to offer, against what was pinned of it: for `status`, `verify`, `plan` and `probe`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hatchlock.surface import instructions_hash, set_hash, shown

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.launch import LaunchRecord
    from hatchlock.resources.target import Target
    from hatchlock.serve.probe import ProbedDefinition, ProbeResult
    from hatchlock.state.surfaces import Difference
    from hatchlock.surface import Pins
    from hatchlock.usecases.plan import Planned

__all__ = ["SurfaceStatus", "difference_from", "difference_words", "seen_surface", "stale_notes", "surface_drift"]

SurfaceState = Literal["matches", "differs", "stale", "unseen"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SurfaceStatus:
    """How a pinned server stands to its pins.

    Attributes:
        state: As it was last listed to a client or prober: "matches", "differs"; "differs" also when a session was refused
            for it since it was applied, whatever others were shown; "unseen" since it was applied; "stale" if it is made of
            something else than what was pinned.
        tools: How many tools are pinned.
        tools_sha256: Their set hash.
        prompts: How many prompts.
        prompts_sha256: Their set hash.
        instructions_sha256: The hash of its instructions; "" for none.
        seen: When that was seen first, RFC 3339, UTC; "" for never.
        differs: Sort of difference -> what: `tool NAME`, made harmless.
    """

    state: SurfaceState
    tools: int
    tools_sha256: str
    prompts: int
    prompts_sha256: str
    instructions_sha256: str
    seen: str
    differs: Mapping[str, tuple[str, ...]]


def seen_surface(state: Path, record: LaunchRecord | None, digest: str) -> SurfaceStatus | None:
    """Return how an applied server stands to its pins; None where nothing is pinned of it.

    Args:
        state: The project's directory in the store.
        record: The launch record that is active.
        digest: Its digest.
    """
    from hatchlock.state.counts import counts_path, read_counts
    from hatchlock.state.surfaces import read_surface, surface_path

    pins = record.surface.pins if record and record.surface else None
    if record is None or pins is None:
        return None
    seen = read_surface(surface_path(state, record.server), digest)
    refused = read_counts(counts_path(state, record.server), digest).refused
    # a second face is shown to some clients only: what others were shown does not take back that it was refused
    differs = seen.differed if seen and (refused or not seen.matches) else None
    told: SurfaceState = "stale" if pins.stale else "unseen" if seen is None else "differs" if differs else "matches"
    return SurfaceStatus(
        state=told,
        tools=len(pins.tools),
        tools_sha256=set_hash(pins.tools.items()),
        prompts=len(pins.prompts),
        prompts_sha256=set_hash(pins.prompts.items()),
        instructions_sha256=pins.instructions,
        seen=seen.at if seen else "",
        differs=difference_words(differs) if differs else {},
    )


def surface_drift(planned: Planned) -> Iterator[tuple[str, SurfaceStatus]]:
    """Yield the applied servers that were last seen to offer something else than was pinned of them."""
    active = planned.state.active()
    for spec in planned.target.servers:
        digest = active.get(spec.record.server, "")
        record = planned.state.record(digest) if digest and spec.record.surface else None
        found = seen_surface(planned.state.root, record, digest)
        if found and found.differs:
            yield spec.record.server, found


def stale_notes(target: Target) -> Iterator[tuple[str, str]]:
    """Yield the servers whose pins are of something else than what they are made of, and what there is to do."""
    for spec in target.servers:
        rules, name = spec.record.surface, spec.record.server
        if rules and rules.pins and rules.pins.stale:
            until = "`run` says so" if rules.changed == "warn" else "`run` refuses it"
            what = f"its pin is stale, as what it is made of has changed since: {until} until it is looked at again"
            yield name, f"{what} with `hatchlock pin {name}`"


def difference_from(pins: Pins, result: ProbeResult) -> Difference:
    """Return what of a probe is not as it was pinned."""
    from hatchlock.state.surfaces import Difference

    found = Difference()
    for word, pinned, listed in (("tool", pins.tools, result.tools), ("prompt", pins.prompts, result.prompts)):
        found |= _of_listing(word, pinned, listed, pins.varying)
    if instructions_hash(result.instructions) == pins.instructions:
        return found
    sort = "changed" if pins.instructions and result.instructions is not None else "added"
    return found | Difference(**{sort if result.instructions is not None else "removed": ("instructions",)})


def difference_words(difference: Difference) -> dict[str, tuple[str, ...]]:
    """Return a difference by its sorts, without empty ones, its names made harmless."""
    from dataclasses import fields

    sorts = {item.name: getattr(difference, item.name) for item in fields(difference)}
    return {name: tuple(map(shown, names)) for name, names in sorts.items() if names}


def _of_listing(
    word: str, pinned: Mapping[str, str], listed: Iterable[ProbedDefinition], varying: Collection[str]
) -> Difference:
    from hatchlock.state.surfaces import Difference

    items = tuple(listed)
    names = {item.name for item in items}
    return Difference(
        added=_named(word, (item.name for item in items if item.name not in pinned and item.sha256)),
        removed=_named(word, (name for name in pinned if name not in names and f"{word} {name}" not in varying)),
        changed=_named(
            word, (item.name for item in items if item.sha256 and pinned.get(item.name, item.sha256) != item.sha256)
        ),
        unhashable=_named(word, (item.name for item in items if not item.sha256)),
    )


def _named(word: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{word} {name}" for name in dict.fromkeys(names))
