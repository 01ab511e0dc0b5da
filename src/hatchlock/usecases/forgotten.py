"""What the manifest gives up: it is left as it is, told of once, and remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hatchlock.manifest.handover import Handover, covers
from hatchlock.usecases.standing import Note

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.resources.base import Desired, Observed
    from hatchlock.state.project import ProjectState

__all__ = ["GivenUp", "given_up"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenUp:
    """What a project gives up.

    Attributes:
        words: By the addresses that say so, a server's for all that is its own; sorted.
        before: Those of them that were remembered.
        found: What of it there is.
    """

    words: tuple[Address, ...] = ()
    before: tuple[Address, ...] = ()
    found: frozenset[Address] = frozenset()

    @property
    def is_news(self) -> bool:
        """Whether there is something to remember."""
        return self.words != self.before

    @property
    def notes(self) -> Iterator[Note]:
        """What is told, until it is remembered."""
        for word in self.words:
            if word not in self.before and any(covers(word, address) for address in self.found):
                yield Note(address=str(word), what="is forgotten: it stays as it is, and is not hatchlock's any more")

    def remember(self, state: ProjectState) -> None:
        """Keep it for when the manifest does not say so any more. The caller holds the project's lease."""
        from hatchlock.state.forgotten import write_forgotten

        if self.is_news:
            write_forgotten(state.root, self.words)


def given_up(
    state: ProjectState, handover: Handover, desired: Iterable[Desired], observed: Iterable[Observed]
) -> GivenUp:
    """Return what a project gives up: what its manifest forgets, and what it has forgotten and does not declare again.

    Raises:
        BadState: What was remembered cannot be read.
    """
    from hatchlock.state.forgotten import read_forgotten

    before = read_forgotten(state.root)
    if not (before or handover.forgotten):
        return GivenUp()
    declared = {item.address for item in desired}
    words = {
        word
        for word in (*before, *handover.forgotten)
        if word not in declared and not any(covers(word, address) for address in declared)
    }
    found = {item.address for item in observed if any(covers(word, item.address) for word in words)}
    return GivenUp(words=tuple(sorted(words)), before=before, found=frozenset(found))
