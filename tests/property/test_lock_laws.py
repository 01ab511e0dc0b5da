"""What holds of every lock that the real resolver makes, of small universes that nobody has thought of, on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hatchlock.errors import HatchlockError
from hatchlock.events import discard
from hatchlock.lock.model import Lock
from hatchlock.lock.store import dumps
from hatchlock.lock.store import loads as loads_lock
from hatchlock.manifest.load import loads
from hatchlock.net.http import Http
from hatchlock.net.patience import Patience
from hatchlock.paths import Home
from hatchlock.resolve.build import build_lock
from hatchlock.resolve.consistent import inconsistencies
from hatchlock.resolve.freshness import stale_reasons
from hatchlock.usecases.project import Project
from hatchlock.usecases.sources import Sources
from support.index import Index, Release, serving

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMIT = "2026-03-01T00:00:00Z"
NAMES = ["alpha", "beta", "gamma", "delta"]
VERSIONS = ["1.0", "1.5", "2.0", "2.1rc1"]
BOUNDS = ["", "", "", ">=1.5", "<2", "!=2.0", ">=1,<3", "~=1.0"]
MARKERS = ["", "", "", ' ; sys_platform == "darwin"', ' ; platform_machine == "x86_64"', ' ; python_version < "3.12"']
TAGS = ["py3-none-any", "py3-none-any", "py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-win_amd64"]
UPLOADS = ["2026-01-01T00:00:00Z", "2026-02-28T23:59:59Z", LIMIT, "2026-05-01T00:00:00Z"]
PLATFORMS = [["linux/amd64"], ["linux/amd64", "darwin/arm64"], ["linux/arm64", "darwin/arm64", "linux/amd64"]]
MACHINES = ["linux/amd64", "linux/arm64", "darwin/arm64", "freebsd/riscv64"]

_T = TypeVar("_T")
Table = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class World:
    """What an index has, and a project: the keys of each table, and of `[environments.X]` and `[servers.X]`."""

    releases: tuple[Release, ...]
    platforms: tuple[str, ...]
    environments: Mapping[str, Table]
    servers: Mapping[str, Table]
    exclude_newer: str = ""

    def manifest(self, url: str, shuffle: Random | None = None) -> str:
        """The project as text; shuffled: tables, keys and lists in another order."""
        project: Table = {"name": "trial", "platforms": self.platforms}
        tables: list[tuple[str, Table]] = [
            ("project", {**project, **({"exclude-newer": self.exclude_newer} if self.exclude_newer else {})}),
            ("indexes.pypi", {"url": url}),
            *((f"environments.{name}", table) for name, table in self.environments.items()),
            *((f"servers.{name}", table) for name, table in self.servers.items()),
        ]
        return "\n".join(f"[{name}]\n{_lines(table, shuffle)}" for name, table in _shuffled(tables, shuffle))


def _lines(table: Table, shuffle: Random | None) -> str:
    lines = (
        f"{key} = {json.dumps(value if isinstance(value, str) else _shuffled(value, shuffle))}\n"
        for key, value in _shuffled(list(table.items()), shuffle)
    )
    return "".join(lines)


def _shuffled(items: Sequence[_T], shuffle: Random | None) -> list[_T]:
    copied = list(items)
    if shuffle:
        shuffle.shuffle(copied)
    return copied


def requirements(names: Sequence[str]) -> st.SearchStrategy[str]:
    return st.builds(
        "{}{}{}{}".format,
        st.sampled_from(names),
        st.sampled_from(["", "", "[more]"]),
        st.sampled_from(BOUNDS),
        st.sampled_from(MARKERS),
    )


def limits() -> st.SearchStrategy[list[str]]:
    return st.lists(st.builds("pypi:{}{}".format, st.sampled_from(NAMES), st.sampled_from(BOUNDS[3:])), max_size=1)


@st.composite
def releases(draw: st.DrawFn) -> tuple[Release, ...]:
    found = []
    for name in NAMES:
        needs = requirements([other for other in NAMES if other != name])
        for version in draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=3, unique=True)):
            more = [
                f"{text}{' and' if ';' in text else ' ;'} extra == 'more'" for text in draw(st.lists(needs, max_size=1))
            ]
            release = Release(
                name=name,
                version=version,
                requires=[*draw(st.lists(needs, max_size=2)), *more],
                extras=["more"],
                tag=draw(st.sampled_from(TAGS)),
                uploaded=draw(st.sampled_from(UPLOADS)),
                scripts={name: f"{name}:main"},
            )
            found.append(release)
    return tuple(found)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    wanted = st.lists(requirements(NAMES).map("pypi:{}".format), min_size=1, max_size=3)
    tables = st.fixed_dictionaries(
        {"python": st.just("3.11"), "dependencies": wanted, "constraints": limits(), "overrides": limits()}
    )
    private = st.fixed_dictionaries(
        {"python": st.just("3.11"), "source": st.sampled_from(NAMES).map("pypi:{}".format), "with": wanted}
    )
    member = st.fixed_dictionaries(
        {"source": st.sampled_from(NAMES).map("pypi:{}".format), "environment": st.just("a")}
    )
    servers: Mapping[str, Table] = draw(st.fixed_dictionaries({}, optional={"own": private, "member": member}))
    return World(
        releases=draw(releases()),
        platforms=tuple(draw(st.sampled_from(PLATFORMS))),
        environments=draw(st.fixed_dictionaries({"a": tables}, optional={"b": tables})),
        servers={name: {**table, "runtime": "process"} for name, table in servers.items()},
        exclude_newer=draw(st.sampled_from(["", LIMIT])),
    )


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """One index for all worlds: a server takes longer to start than a lock to make."""
    with serving(separate_metadata=True) as served:
        yield served


def machine() -> TemporaryDirectory[str]:
    """A home directory; what was asked for ahead of need may still be written to its cache when it is deleted."""
    return TemporaryDirectory(ignore_cleanup_errors=True)


def lock(
    text: str,
    root: str,
    previous: Lock | None = None,
    *,
    host: str = MACHINES[0],
    offline: bool = False,
    upgrade: bool = False,
) -> Lock | str:
    """Lock a manifest on a machine whose store is in `root`; where that fails, return the error's sentence."""
    environ = {"HOME": root, "PATH": "/nonexistent"}
    project = Project(
        manifest=Path(root) / "hatchlock.toml",
        home=Home(root=Path(root) / "store", is_default=False),
        environ=environ,
        manifest_bytes=text.encode(),
        overlay_bytes=b"",
        lock_bytes=None,
    )
    manifest = loads(text, shown="hatchlock.toml").manifest
    with (
        Http(environ=environ, offline=offline, patience=Patience(repeats=0), threads=4) as http,
        Sources(project, manifest, offline=offline, refresh=False, emit=discard, http=http) as sources,
    ):
        try:
            return build_lock(
                manifest,
                previous,
                now=NOW,
                host_platform=host,
                upgrade=None if upgrade else frozenset(),
                answers=sources,
            )
        except HatchlockError as error:
            return f"{error.address}: {error}"


def _bytes(made: Lock | str) -> str:
    return made if isinstance(made, str) else dumps(made)


def does_not_depend_on_the_order_of_the_manifest(index: Index, world: World, shuffle: Random) -> None:
    index.releases[:] = world.releases
    with machine() as one, machine() as other:
        made = _bytes(lock(world.manifest(index.url), one))
        index.releases[:] = _shuffled(world.releases, shuffle)
        assert _bytes(lock(world.manifest(index.url, shuffle), other)) == made


def does_not_depend_on_the_machine(index: Index, world: World, host: str) -> None:
    index.releases[:] = world.releases
    with machine() as one, machine() as other:
        made = _bytes(lock(world.manifest(index.url), one))
        assert _bytes(lock(world.manifest(index.url), other, host=host)) == made


def is_right_and_stays(index: Index, world: World) -> None:
    index.releases[:] = world.releases
    text = world.manifest(index.url)
    with machine() as one, machine() as other:
        made = lock(text, one)
        if isinstance(made, str):
            return
        assert stale_reasons(loads(text, shown="").manifest, made) == ()
        assert inconsistencies(made) == ()
        if world.exclude_newer:
            uploads = {release.file_name: release.uploaded or "" for release in world.releases}
            assert all(uploads[file.name] < LIMIT for package in made.packages for file in package.files)
        read_back = loads_lock(dumps(made).encode())
        # with nothing in its cache, and nobody to ask
        assert _bytes(lock(text, other, read_back, host=MACHINES[-1], offline=True)) == dumps(made)
        # whatever would be newest is what it has: to resolve anew with its pins, or without, gives the same
        assert _bytes(lock(text, one, read_back, upgrade=True)) == dumps(made)


few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=400)


@few
@given(worlds(), st.randoms(use_true_random=False))
def test_a_lock_does_not_depend_on_the_order_of_the_manifest(index: Index, world: World, shuffle: Random) -> None:
    does_not_depend_on_the_order_of_the_manifest(index, world, shuffle)


@few
@given(worlds(), st.sampled_from(MACHINES[1:]))
def test_a_lock_for_declared_platforms_does_not_depend_on_the_machine(index: Index, world: World, host: str) -> None:
    does_not_depend_on_the_machine(index, world, host)


@few
@given(worlds())
def test_a_lock_is_right_and_locking_again_changes_nothing_and_asks_nobody(index: Index, world: World) -> None:
    is_right_and_stays(index, world)


@pytest.mark.full
@many
@given(worlds(), st.randoms(use_true_random=False), st.sampled_from(MACHINES[1:]))
def test_all_laws_hold_in_many_worlds(index: Index, world: World, shuffle: Random, host: str) -> None:
    does_not_depend_on_the_order_of_the_manifest(index, world, shuffle)
    does_not_depend_on_the_machine(index, world, host)
    is_right_and_stays(index, world)
