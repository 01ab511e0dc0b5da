"""A plan: the steps between what is and what should be, as a value. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hatchlock.address import Address, ResourceKind
from hatchlock.resources.base import Action, Problem, Step
from hatchlock.resources.package_counts import PackageCounts, counted

__all__ = ["NOT_DECLARED", "Drifted", "Plan", "because_of_drift"]

NOT_DECLARED = "not declared any more"
"""The cause of a step that removes something, where nothing else is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drifted:
    """A resource that somebody else has changed, and that stays as it is because its declaration says so.

    Attributes:
        address: Which.
        what: In words, what is different.
    """

    address: Address
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The steps, each after those it depends on, ties broken by address.

    Attributes:
        steps: In an order in which they could be done one by one.
        problems: What could not be planned, by address.
        unchanged: How many resources are as they should be.
        existing: How many resources of the project exist.
        drifted: What was changed by somebody else and stays so (`drift = "warn"`), by address.
        only: The words by which steps were selected; empty when the plan is whole.
        held: The generation that the project was rolled back to and stays at until the next `apply`; 0 for none.
        packages: Where the packages of the lock come from, and what they take.
    """

    steps: tuple[Step, ...] = ()
    problems: tuple[Problem, ...] = ()
    unchanged: int = 0
    existing: int = 0
    drifted: tuple[Drifted, ...] = ()
    only: tuple[str, ...] = ()
    held: int = 0
    packages: PackageCounts = field(default_factory=PackageCounts)

    def count(self, action: Action) -> int:
        """Return how many steps do this."""
        return sum(step.action is action for step in self.steps)

    @property
    def losses(self) -> tuple[Step, ...]:
        """The destructive steps."""
        return tuple(step for step in self.steps if step.loss)

    @property
    def privileged(self) -> tuple[Step, ...]:
        """The steps that change the host as root."""
        return tuple(step for step in self.steps if step.privilege == "root")

    @property
    def is_mass_removal(self) -> bool:
        """Whether more than half of what exists would be deleted."""
        removed = [step for step in self.steps if step.action is Action.DELETE]
        return sum(step.address.kind is not ResourceKind.CONTAINER for step in removed) * 2 > self.existing

    @property
    def consents(self) -> tuple[str, ...]:
        """The options by which whoever applies it agrees to more than its steps."""
        needed = {
            "--allow-destructive": bool(self.losses),
            "--allow-privileged": bool(self.privileged),
            "--allow-mass-removal": self.is_mass_removal,
        }
        return tuple(option for option, is_needed in needed.items() if is_needed)

    def __str__(self) -> str:
        """Return the plan as people and tests read it: a line per step, indented lines for what belongs to it."""
        lines = [line for step in self.steps for line in _step_lines(step)]
        lines += [f"! {problem.address}  {problem.what}" for problem in self.problems]
        lines += [f"! {item.address}  {item.what}; left as it is" for item in self.drifted]
        standing = [self.summary, *filter(None, (self._partial, self._hold))]
        if not lines:
            return "\n".join(standing)
        return "\n".join([*lines, "", *standing, *filter(None, (self._privileges, str(self.packages)))])

    @property
    def _partial(self) -> str:
        return f"Partial: only {', '.join(self.only)}, and what that needs" if self.only else ""

    @property
    def _hold(self) -> str:
        return (
            f"Held at generation {self.held} since a rollback; the next apply goes on from there" if self.held else ""
        )

    @property
    def _privileges(self) -> str:
        counts = Counter(step.privilege for step in self.steps)
        return f"Steps: {counted(counts)}" if counts.keys() - {"none"} else ""

    @property
    def summary(self) -> str:
        """One line: counts, or that there is nothing to do."""
        if not self.steps:
            if not (self.unchanged or self.problems or self.drifted or self.only):
                return "Nothing to do: nothing is declared"
            kind = "No steps" if self.problems else "Nothing to do"
            what = "1 resource is" if self.unchanged == 1 else f"{self.unchanged} resources are"
            return f"{kind}: {what} as declared{self.blocked}"
        usual = [action for action in Action if action is not Action.REPLACE or self.count(action)]
        counts = ", ".join(f"{self.count(action)} to {action}" for action in usual)
        return f"Plan: {counts}, {self.unchanged} unchanged{self.blocked}{because_of_drift(self.steps)}"

    @property
    def blocked(self) -> str:
        """The end of such a line: how many resources cannot be planned; "" if all can."""
        return f", {len(self.problems)} cannot be planned" if self.problems else ""


def because_of_drift(steps: Iterable[Step]) -> str:
    """Return the end of a line that counts steps: how many put right what somebody else has changed; "" for none."""
    count = sum(step.drift for step in steps)
    return f", {count} because of drift" if count else ""


def _step_lines(step: Step) -> list[str]:
    labels = [*(["drift"] if step.drift else []), *([step.privilege] if step.privilege != "none" else [])]
    lines = [" ".join([f"{step.action.sign} {step.address}  {step.cause}", *(f"[{label}]" for label in labels)])]
    lines += [f"    {name}: {value}" for name, value in step.details.items()]
    lines += [f"    ! {note}" for note in step.notes]
    if step.loss:
        lines.append(f"    ! destructive: {step.loss}")
    # an argument, say, may have line ends, and must not look like a line of ours
    return [line.replace("\n", "\\n") for line in lines]
