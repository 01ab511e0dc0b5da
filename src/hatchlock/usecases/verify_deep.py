"""`verify --deep`: everything that a project has on this machine, beside what follows from its lock. Reads only.

Images and environments are compared by their content, as `verify` does it; for everything else the plan's own comparison is
told, whatever it says about drift. What tools a server offers is not asked: it is as clients and probers last saw it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from hatchlock.usecases.launcher import launcher_problem
from hatchlock.usecases.plan import Planned, make_plan
from hatchlock.usecases.verify_each import Finding, FindingKind

if TYPE_CHECKING:
    from hatchlock.address import Address
    from hatchlock.paths import Home
    from hatchlock.resources.base import Step
    from hatchlock.resources.drift import Policies
    from hatchlock.usecases.project import Project

__all__ = ["deepened"]


def deepened(project: Project, findings: Sequence[Finding], names: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return what was found of images and environments, and what there is to say of everything else, by address.

    Args:
        project: Which.
        findings: What comparing contents gave.
        names: Servers and environments; all if none is named.

    Raises:
        HatchlockError: What planning raises.
    """
    from hatchlock.resources.drift import Policies
    from hatchlock.usecases.drift import every_difference

    planned = make_plan(project, purpose="verify")
    policies = Policies(planned.target, planned.world)
    is_wanted = _wanted(planned, names)
    steps = {address: step for address, step in every_difference(planned).items() if is_wanted(address)}
    found = {f"{item.kind}:{item.name} {item.platform}": item for item in map(_with_drift(policies), findings)}
    contents = {str(item.address) for item in planned.target.environments}
    contents |= {str(item.address) for item in planned.target.images}
    for finding in (
        *_compared(planned, steps, policies, is_wanted),
        *_offered(planned, is_wanted),
        *(_others(project.home, planned) if not names else ()),
    ):
        address = f"{finding.kind}:{finding.name}"
        known = [key for key, item in found.items() if key.split(" ")[0] == address and item.kind == finding.kind]
        if finding.state == "same" and (known or address in contents):
            continue  # it was looked at more closely
        if known:
            other = found[known[0]]
            found[known[0]] = replace(
                finding,
                platform=other.platform,
                differences=(*finding.differences, *other.differences),
                details={**finding.details, **other.details},
            )
        else:
            found[address] = finding
    return tuple(sorted(found.values(), key=_order))


def _with_drift(policies: Policies) -> Callable[[Finding], Finding]:
    """Whoever has changed the files of an environment, it was not its declaration, which would have another key."""
    from hatchlock.address import Address, ResourceKind

    def mark(finding: Finding) -> Finding:
        if finding.kind != "env" or finding.state != "different":
            return finding
        address = Address(kind=ResourceKind.ENV, name=finding.name)
        return replace(finding, drift=True, policy=policies.of(address))

    return mark


def _compared(
    planned: Planned, steps: dict[Address, Step], policies: Policies, is_wanted: Callable[[Address], bool]
) -> Iterator[Finding]:
    from hatchlock.resources.base import Action

    problems = {problem.address: problem.what for problem in planned.plan.problems}
    whole = {item.address: item.always for item in planned.desired}  # those facts are shown though they are the same
    for address in filter(is_wanted, whole.keys() | steps.keys() | problems.keys()):
        step = steps.get(address)
        plain = Finding(kind=_kind(address), name=address.name, platform="", state="same", compared=("declaration",))
        if address in problems:
            yield replace(plain, state="different", differences=(problems[address],))
        elif step is None:
            yield plain
        else:
            shown = step.details if step.action is Action.UPDATE else {}
            details = {name: value for name, value in shown.items() if name not in whole.get(address, ())}
            yield replace(
                plain,
                state="different",
                differences=(step.cause,),
                details=details,
                drift=step.drift,
                policy=policies.of(address),
            )


def _offered(planned: Planned, is_wanted: Callable[[Address], bool]) -> Iterator[Finding]:
    """Yield the servers that do not offer what was pinned of them; no policy leaves that as it is."""
    from hatchlock.address import Address, ResourceKind
    from hatchlock.usecases.surfaces import surface_drift

    for name, found in surface_drift(planned):
        if is_wanted(Address(kind=ResourceKind.SERVER, name=name)):
            yield Finding(
                kind="server",
                name=name,
                platform="",
                state="different",
                compared=("declaration", "tools"),
                differences=(
                    f"offers something else than was pinned; see `hatchlock logs {name}` and `hatchlock pin --check {name}`",
                ),
                details={sort: ", ".join(items) for sort, items in found.differs.items()},
                drift=True,
            )


def _others(home: Home, planned: Planned) -> Iterator[Finding]:
    for address, what in planned.world.containers.unknown.items():
        plain = Finding(kind=_kind(address), name=address.name, platform="", state="different", drift=True)
        yield replace(plain, compared=("declaration",), differences=(what,))
    if planned.target.entries:
        wrong = launcher_problem(home)
        plain = Finding(kind="launcher", name="hatchlock", platform="", state="same", compared=("declaration",))
        yield replace(plain, state="different", differences=(wrong,), drift=True) if wrong else plain


def _wanted(planned: Planned, names: Sequence[str]) -> Callable[[Address], bool]:
    """Return who says yes to what belongs to some servers and environments."""
    from hatchlock.address import ResourceKind

    if not names:
        return lambda _: True
    servers = [spec for spec in planned.target.servers if spec.record.server in names]
    needed = {address for spec in servers for address in spec.depends_on}

    def is_wanted(address: Address) -> bool:
        if address in needed or planned.world.containers.server(address) in names:
            return True
        own = address.server if address.kind is ResourceKind.CLIENT else address.name
        return own in names

    return is_wanted


def _kind(address: Address) -> FindingKind:
    return next(kind for kind in get_args(FindingKind) if kind == address.kind.value)


def _order(item: Finding) -> tuple[int, str, str]:
    return get_args(FindingKind).index(item.kind), item.name, item.platform
