"""How an entry of an application's file stands to what is declared. Pure; who looks at files and stores gives the facts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ENTRY_STATES",
    "EntryState",
    "Owner",
    "Standing",
    "declared_standing",
    "replaced_standing",
    "undeclared_standing",
]

EntryState = Literal["in-sync", "changed", "drifted", "missing", "foreign", "other-project", "orphaned"]
ENTRY_STATES: tuple[EntryState, ...] = (
    "in-sync",
    "changed",
    "drifted",
    "missing",
    "foreign",
    "other-project",
    "orphaned",
)
"""Every state, in the order in which they are told."""

Owner = Literal["this project", "another project", "nobody"]
"""Whose an entry is by its mark; "nobody" for one that was not written by us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How an entry stands.

    Attributes:
        state: "in-sync"; "changed" (what is declared is another thing by now, or what it starts is not there, and `apply` brings it
            there); "drifted" (edited since it was applied); "missing" (declared, and not there); "foreign" (not written by us); "other-project" (ours,
            and another project's); "orphaned" (ours, and what it starts is gone).
        detail: What is to be said of it, as a clause; "" for nothing.
    """

    state: EntryState
    detail: str = ""


def declared_standing(
    found: str | None,
    wanted: str,
    *,
    owner: Owner,
    left: Collection[str],
    is_imported: bool = False,
    starts_something: bool = True,
) -> Standing:
    """Return how an entry stands that the manifest declares.

    Args:
        found: The digest of what is there; None for nothing.
        wanted: The digest of what should be there.
        owner: Whose what is there is.
        left: Digests of what the last apply may have left.
        is_imported: Whether `import` has read what is there.
        starts_something: Whether an apply has made the server that it names.
    """
    if found is None:
        return Standing(state="missing", detail="`apply` writes it")
    if owner != "this project":
        state: EntryState = "foreign" if owner == "nobody" else "other-project"
        if is_imported:
            return Standing(state=state, detail="it was imported: `apply` puts this project's into its place")
        return Standing(state=state, detail="it stands where this project's should be, and is left alone")
    if found == wanted and starts_something:
        return Standing(state="in-sync")
    return _not_in_sync(is_as_wanted=found == wanted, is_as_left=found in left)


def _not_in_sync(*, is_as_wanted: bool, is_as_left: bool) -> Standing:
    if is_as_wanted:
        return Standing(state="changed", detail="the server that it starts is not applied; `apply` does that")
    if is_as_left:
        return Standing(state="changed", detail="`apply` brings it to what is declared")
    return Standing(state="drifted", detail="edited since it was applied; `apply --allow-destructive` undoes that")


def replaced_standing(*, owner: Owner, by: str) -> Standing:
    """Return how an entry stands that `import` has read, and that another one takes the place of.

    Args:
        owner: Whose it is.
        by: The name of the server that it has become.
    """
    detail = f"it was imported: `apply` puts this project's {by} into its place"
    return Standing(state="foreign" if owner == "nobody" else "other-project", detail=detail)


def undeclared_standing(
    *, owner: Owner, gone: str, moved_to: str = "", is_held_back: bool = False, is_given_up: bool = False
) -> Standing:
    """Return how an entry stands that the manifest does not declare.

    Args:
        owner: Whose it is.
        gone: What of what it starts is gone, as a clause; "" for nothing.
        moved_to: The name that it is to get, which its server has by now; "" if it gets none.
        is_held_back: Whether somebody else's entry has that name.
        is_given_up: Whether this project has forgotten it.
    """
    if owner == "nobody":
        return Standing(state="foreign")
    if is_given_up:
        return Standing(state="foreign", detail="this project has given it up")
    if moved_to and owner == "this project":
        until = ", as soon as nothing else is called so" if is_held_back else ""
        return Standing(state="changed", detail=f"`apply` renames it to {moved_to}{until}")
    if gone:
        return Standing(state="orphaned", detail=gone)
    if owner == "this project":
        return Standing(state="changed", detail="not declared any more; `apply` removes it")
    return Standing(state="other-project")
