"""A plan as markdown, for a pull request: what happens and what is lost at once, everything else on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hatchlock.cli.lock_views import change_lines
from hatchlock.cli.markdown import block, code

if TYPE_CHECKING:
    from hatchlock.reconcile.plan import Plan
    from hatchlock.resources.base import Step
    from hatchlock.usecases.standing import Note
    from hatchlock.usecases.version_moves import VersionMoves

__all__ = ["plan_markdown"]


def plan_markdown(
    plan: Plan, *, moves: VersionMoves, notes: Iterable[Note] = (), about: str = "", verbose: bool = False
) -> str:
    """Return a plan as GitHub-flavoured markdown.

    Args:
        plan: The plan.
        moves: Which versions it changes.
        notes: What people should know besides.
        about: What it is a plan for; "" for this machine.
        verbose: Whether each of these has its line, however many come or go.
    """
    lines = [f"**{plan.summary}**", ""]
    lines += [about, ""] if about else []
    lines += [f"Only {', '.join(map(code, plan.only))}, and what that needs", ""] if plan.only else []
    lines += [f"Held at generation {plan.held} since a rollback", ""] if plan.held else []
    items = [*_items(plan), *(f"* `!` {code(note.address)} {code(note.what)}" for note in notes)]
    lines += [*items, ""] if items else []
    if moves.changes:
        shown = (f"* {code(line)}" for line in change_lines(moves.changes, verbose=verbose))
        lines += [f"Since {code(moves.since)}:", "", *shown, ""]
    if plan.steps:
        lines += ["<details><summary>Details</summary>", "", block(str(plan)), "", "</details>"]
    return "\n".join(lines).rstrip()


def _items(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        yield from _step(step)
    for problem in plan.problems:
        yield f"* `!` {code(str(problem.address))} **cannot be planned**: {code(problem.what)}"
        if problem.hint:
            yield f"  * hint: {code(problem.hint)}"
    for item in plan.drifted:
        yield f"* `!` {code(str(item.address))} {code(item.what)}, left as it is"


def _step(step: Step) -> Iterator[str]:
    labels = [*(["drift"] if step.drift else []), *([step.privilege] if step.privilege != "none" else [])]
    words = [f"* `{step.action.sign}`", code(str(step.address)), code(step.cause), *(f"[{label}]" for label in labels)]
    yield " ".join(filter(None, words))
    for note in step.notes:
        yield f"  * **note**: {code(note)}"
    if step.loss:
        yield f"  * **destructive**: {code(step.loss)}"
