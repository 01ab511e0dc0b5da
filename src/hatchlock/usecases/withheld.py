"""What `tools = { allow, deny }` keeps from a server's clients, for `plan`, `status` and `probe`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hatchlock.errors import RefusedError

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.resources.target import Target

__all__ = ["WithheldTool", "check_offered", "idle_notes", "idle_sentences"]


@dataclass(kw_only=True, eq=False)
class WithheldTool(RefusedError):
    """A tool was to be called by hand that no client of the server may call.

    Attributes:
        tool: Its name.
        by: Which of the two keeps it from them.
        offered: The names that are offered, as far as they are known.
    """

    code: ClassVar[str] = "withheld-tool"

    tool: str
    by: Literal["", "allow", "deny"]
    offered: tuple[str, ...] = ()

    def _hint(self) -> str:
        from hatchlock.manifest.problem import did_you_mean

        verb = "is in" if self.by == "deny" else "is not in"
        otherwise = f"it {verb} the manifest's tools.{self.by}; a change there counts after `hatchlock apply`"
        return did_you_mean(self.tool, self.offered, otherwise)


def check_offered(record: LaunchRecord, tool: str) -> None:
    """Refuse a tool that is kept from the clients of a server: whoever calls it by hand sees what they get.

    Raises:
        WithheldTool: It is.
    """
    rules = record.surface
    if rules is None or not (by := rules.withheld_by(tool)):
        return
    pinned = rules.pins.tools if rules.pins else ()
    raise WithheldTool(
        address=f"server:{record.server}",
        what=f"a tool {tool!r} is offered to nobody: tools.{by}",
        tool=tool,
        by=by,
        offered=tuple(filter(rules.permits, pinned)) if by == "allow" else (),
    )


def idle_notes(target: Target) -> Iterator[tuple[str, str]]:
    """Yield the servers whose rules name tools that they do not have, as far as their pins tell, and what there is to do."""
    for spec in target.servers:
        rules, name = spec.record.surface, spec.record.server
        if rules and rules.pins and not rules.pins.stale:
            pinned, otherwise = rules.pins.tools, f"`hatchlock probe {name}` lists its tools"
            for what in idle_sentences(rules.unmatched(pinned), pinned, what="pinned tool", otherwise=otherwise):
                yield name, what


def idle_sentences(
    unmatched: Iterable[tuple[str, str]], tools: Collection[str], *, what: str = "tool", otherwise: str = ""
) -> Iterator[str]:
    """Yield, for people, which names and patterns of a server's rules are for nothing, and what may have been meant.

    Args:
        unmatched: As `SurfaceRules.unmatched` gives them.
        tools: The names of its tools.
        what: What these are.
        otherwise: What helps where no name is like it; "" for nothing.
    """
    from hatchlock.manifest.problem import did_you_mean

    for key, text in unmatched:
        meant = did_you_mean(text, tools, otherwise)
        yield f"tools.{key}: {text!r} matches no {what}" + (f"; {meant}" if meant else "")
