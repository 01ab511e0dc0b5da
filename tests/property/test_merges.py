"""Two locks that come of one base, merged by git: a conflict whose sides can be read, or a lock that is right, or reported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.lock.model import Environment, File, Lock, Package, Server
from hatchlock.lock.store import BadLock, dumps, loads, loads_sides
from hatchlock.resolve.consistent import inconsistencies
from support.merges import merge_file

NAMES = [f"p{number}" for number in range(8)]
VERSIONS = ["3", "2", "1"]
PLATFORMS = ("darwin/arm64", "linux/amd64")
Pins = dict[str, str]


requirement = cache(Requirement)


@cache
def needs(name: str, version: str) -> tuple[str, ...]:
    """What a package declares: always the same, of packages with a higher number, so without circles."""
    later = NAMES[NAMES.index(name) + 1 :]
    seed = sha256_bytes(f"{name} {version}".encode())
    texts = []
    for place, other in enumerate(later):
        dice = int(seed[place * 4 : place * 4 + 4], 16)
        if dice % 3 == 0:
            bound = ["", ">=2", "<3", "==1", "!=2"][dice // 3 % 5]
            marker = ["", "", "", ' ; sys_platform == "darwin"'][dice // 15 % 4]
            texts.append(f"pypi:{other}{bound}{marker}")
    return tuple(texts)


@cache
def on(platform: str, text: str) -> bool:
    marker = requirement(text.removeprefix("pypi:")).marker
    return marker is None or marker.evaluate({"sys_platform": platform.partition("/")[0]})


@cache
def allows(wanted: Requirement, version: str) -> bool:
    return version in wanted.specifier


def closure(requirements: tuple[str, ...], pins: Mapping[str, str], platform: str) -> Pins | None:
    """What the requirements lead to with these versions; None if they contradict a requirement."""
    found: Pins = {}
    waiting = list(requirements)
    while waiting:
        text = waiting.pop()
        if not on(platform, text):
            continue
        wanted = requirement(text.removeprefix("pypi:"))
        version = pins.get(wanted.name)
        if version is None or not allows(wanted, version):
            return None
        if wanted.name not in found:
            found[wanted.name] = version
            waiting += needs(wanted.name, version)
    return found


@cache
def package(name: str, version: str) -> Package:
    file = File(name=f"{name}-{version}-py3-none-any.whl", sha256=sha256_bytes(f"{name}{version}".encode()), size=7)
    return Package(
        kind=Kind.PYPI, name=name, version=version, index="pypi", files=(file,), dependencies=needs(name, version)
    )


def lock_of(wanted: Mapping[str, tuple[tuple[str, ...], Pins]]) -> Lock:
    """The lock of environments, each with its requirements and versions."""
    environments: list[Environment] = []
    used: dict[str, Package] = {}
    for name, (requirements, pins) in sorted(wanted.items()):
        found = {platform: closure(requirements, pins, platform) or {} for platform in PLATFORMS}
        ids = {
            platform: {f"pypi:{item}@{version}" for item, version in pins.items()} for platform, pins in found.items()
        }
        common = set.intersection(*ids.values())
        environments.append(
            Environment(
                name=name,
                private=True,
                runtime="process",
                python="3.11",
                requirements=tuple(sorted(requirements)),
                packages=tuple(sorted(common)),
                platform_packages={
                    platform: tuple(sorted(names - common)) for platform, names in ids.items() if names - common
                },
            )
        )
        for each in found.values():
            used |= {f"{item}@{version}": package(item, version) for item, version in each.items()}
    return Lock(
        project="p",
        platforms=PLATFORMS,
        packages=tuple(sorted(used.values(), key=lambda item: item.id)),
        environments=tuple(environments),
        servers=tuple(
            Server(name=name, source=requirements[0], runtime="process", environment=name)
            for name, (requirements, _) in sorted(wanted.items())
        ),
    )


def is_right(lock: Lock) -> bool:
    """Whether every environment is exactly what its requirements lead to: the same question, asked in another way."""
    known = {item.id for item in lock.packages}
    used = {name for item in lock.environments for name in item.everywhere}
    names = sorted((item.name, item.environment) for item in lock.servers)
    if known != used or len(known) != len(lock.packages):
        return False
    if names != sorted((item.name, item.name) for item in lock.environments) or len(set(names)) != len(names):
        return False
    for environment in lock.environments:
        for platform in PLATFORMS:
            ids = environment.on(platform)
            pins = {name: version for name, _, version in (text[5:].partition("@") for text in ids)}
            if len(pins) != len(ids) or closure(environment.requirements, pins, platform) != pins:
                return False
    return True


PINS = st.fixed_dictionaries({name: st.sampled_from(VERSIONS) for name in NAMES})


@st.composite
def environments(draw: st.DrawFn, before: tuple[tuple[str, ...], Pins] | None = None) -> tuple[tuple[str, ...], Pins]:
    """Draw requirements and versions that satisfy them; made from earlier ones, most stays as it was."""
    if before is None:
        names = draw(st.lists(st.sampled_from(NAMES[:5]), min_size=1, max_size=2, unique=True))
        pins = draw(PINS)
    else:
        names = [text.removeprefix("pypi:") for text in before[0]]
        if draw(st.booleans()):
            names = draw(st.lists(st.sampled_from(NAMES[:5]), min_size=1, max_size=3, unique=True))
        moved = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VERSIONS), max_size=3))
        pins = {**before[1], **moved}
    requirements = tuple(f"pypi:{name}" for name in sorted(names))
    repaired = _repaired(requirements, pins)
    assume(repaired is not None)
    assert repaired is not None
    return requirements, repaired


def _repaired(requirements: tuple[str, ...], pins: Pins) -> Pins | None:
    """Move as few versions as needed, from the first name to the last: what a package needs comes behind it."""

    def fits(pins: Pins) -> bool:
        return all(closure(requirements, pins, platform) is not None for platform in PLATFORMS)

    if fits(pins):
        return pins
    for name in reversed(NAMES):
        for version in VERSIONS:
            if fits({**pins, name: version}):
                return {**pins, name: version}
    return next((dict.fromkeys(NAMES, version) for version in VERSIONS if fits(dict.fromkeys(NAMES, version))), None)


@st.composite
def projects(draw: st.DrawFn, before: Mapping[str, tuple[tuple[str, ...], Pins]]) -> Lock:
    """Draw what one side makes of a project: environments come, go and move."""
    after = {name: draw(environments(wanted)) for name, wanted in before.items() if draw(st.integers(0, 5))}
    if draw(st.booleans()):
        after[draw(st.sampled_from(["a", "d", "z"]))] = draw(environments())
    return lock_of(after)


@st.composite
def merges(draw: st.DrawFn) -> tuple[Lock, Lock, Lock]:
    before = {name: draw(environments()) for name in draw(st.sampled_from([["b"], ["b", "c"], ["b", "c", "y"]]))}
    return lock_of(before), draw(projects(before)), draw(projects(before))


@settings(max_examples=40, deadline=None)
@given(merges(), st.sampled_from(["--no-diff3", "--diff3", "--zdiff3"]))
def test_a_merge_is_in_conflict_or_right_or_reported(locks: tuple[Lock, Lock, Lock], style: str) -> None:
    for lock in locks:
        assert is_right(lock)
        assert inconsistencies(lock) == ()
    with TemporaryDirectory() as scratch:
        base, ours, theirs = (dumps(lock).encode() for lock in locks)
        merged, in_conflict = merge_file(Path(scratch), base, ours, theirs, style)
    if in_conflict:
        warnings: list[str] = []
        sides = loads_sides(merged, warn=warnings.append)
        assert len(sides) + len(warnings) == 2
        for side in sides:
            have = {package.id for package in side.packages}
            assert all(item.everywhere <= have for item in side.environments)
        return
    try:
        result = loads(merged)
    except BadLock:
        return  # two blocks grew into one: that is reported as well
    assert is_right(result) == (inconsistencies(result) == ())


@settings(max_examples=40, deadline=None)
@given(merges(), st.data())
def test_a_lock_put_together_from_two_is_right_or_reported(locks: tuple[Lock, Lock, Lock], data: st.DataObject) -> None:
    """Worse than git: each block and each list is taken from one side, the other, or both."""
    _, ours, theirs = locks
    union = {item.id: item for item in (*ours.packages, *theirs.packages)}
    packages = tuple(union[name] for name in sorted(union) if data.draw(st.integers(0, 9)))
    sides = {item.name: item for item in theirs.environments} | {
        item.name: item for item in ours.environments if data.draw(st.booleans())
    }
    mixed = Lock(
        project="p",
        platforms=PLATFORMS,
        packages=packages,
        environments=tuple(sides[name] for name in sorted(sides)),
        servers=data.draw(st.sampled_from([ours.servers, theirs.servers])),
    )
    assert is_right(mixed) == (inconsistencies(mixed) == ())
