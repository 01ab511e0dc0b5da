"""Several addresses that serve the same: the first one that answers is taken."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from hatchlock.net.credentials import without_userinfo
from hatchlock.net.failures import Offline, Unreachable

__all__ = ["NoneReachable", "first_answer"]

_T = TypeVar("_T")


@dataclass(kw_only=True, eq=False)
class NoneReachable(Unreachable):
    """Neither an address nor any mirror of it answers.

    Attributes:
        tried: What came of each, in the order in which they were asked; the other fields are those of the first.
    """

    code: ClassVar[str] = "unreachable"

    tried: tuple[Unreachable, ...]

    def __str__(self) -> str:
        return "; ".join(str(error) for error in self.tried)


def first_answer(
    bases: Sequence[str], ask: Callable[[str], _T], *, dead: MutableMapping[str, Unreachable] | None = None
) -> _T:
    """Ask addresses in order until one answers, and return what it says.

    Only an address that cannot be reached is passed over. Whatever another says counts, also "there is no such thing": its
    mirror serves the same. Who asks for bytes checks them against the one digest that is wanted, whoever served them.

    Args:
        bases: The addresses, at least one.
        ask: Asks one of them.
        dead: Addresses that gave no answer at all in this run, which are not asked again; those found now are added. May be
            shared by threads.

    Raises:
        Unreachable: The only address cannot be reached.
        NoneReachable: None of them can; it names each, and why.
        Offline: Nobody may be asked.
    """
    tried: list[Unreachable] = []
    known = {} if dead is None else dead
    for base in bases:
        if base in known:
            tried.append(replace(known[base]))
            continue
        try:
            return ask(base)
        except Offline:
            raise
        except Unreachable as error:
            tried.append(error)
            if not error.answered:
                known[base] = replace(error, url=without_userinfo(base))
    if len(tried) == 1:
        raise tried[0]
    first = tried[0]
    raise NoneReachable(url=first.url, why=first.why, advice=first.advice, tried=tuple(tried)) from first
