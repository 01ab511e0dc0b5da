"""Debian packages of the host, for environments of the process runtime: the one resource that changes the host, as root.

They belong to the host and not to us: packages are added and upgraded, and never removed or downgraded. What a plan shows
is all that may happen, so apt's own simulation is compared with it before anything is done.
"""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hatchlock.address import Address
from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Problem, Step

if TYPE_CHECKING:
    from hatchlock.engines.apt import Apt, AptChange
    from hatchlock.engines.debian_host import HostPackages
    from hatchlock.resources.system_spec import SystemSpec

__all__ = [
    "DifferentFile",
    "DpkgInterrupted",
    "HostIsNewer",
    "NotAsLocked",
    "NotRoot",
    "SystemResource",
    "UnexpectedTransaction",
]

_INCOMPLETE = "incomplete"
_NOTE = "this changes the machine for everybody on it; what the manifest no longer names is not removed from it"
_CONTAINER = 'run it in a container instead: runtime = "container", with a Debian base that has them'


@dataclass(kw_only=True, eq=False)
class HostIsNewer(HatchlockError):
    """The host has newer packages than the lock, and nothing is ever downgraded."""

    code: ClassVar[str] = "host-is-newer"

    packages: tuple[AptChange, ...]

    def __str__(self) -> str:
        shown = ", ".join(f"{item.name} {item.before} (locked: {item.after})" for item in self.packages)
        return f"this machine has newer packages, which are not downgraded: {shown}"

    def _hint(self) -> str:
        return f"run `hatchlock lock --upgrade {' '.join(item.name for item in self.packages)}`, or {_CONTAINER}"


@dataclass(kw_only=True, eq=False)
class NotRoot(HatchlockError):
    """The host's packages can be changed by root only."""

    code: ClassVar[str] = "not-root"

    command: str

    def __str__(self) -> str:
        return "the host's packages can be changed by root only; nothing was done to them"

    def _hint(self) -> str:
        return f"run `sudo {self.command}`, then `hatchlock apply` again, or {_CONTAINER}"


@dataclass(kw_only=True, eq=False)
class DpkgInterrupted(HatchlockError):
    """Packages of the host are half-way: dpkg was killed, or another one is at work right now."""

    code: ClassVar[str] = "dpkg-interrupted"

    packages: tuple[str, ...]

    def __str__(self) -> str:
        return f"the host has packages that are half-way: {', '.join(self.packages)}; nothing was done to them"

    def _hint(self) -> str:
        return "if another apt is at work, wait for it; else run `dpkg --configure -a` as root; then `hatchlock apply`"


@dataclass(kw_only=True, eq=False)
class UnexpectedTransaction(HatchlockError):
    """apt would do something else than the plan shows; nothing was done."""

    code: ClassVar[str] = "unexpected-transaction"

    extra: tuple[AptChange, ...]
    missing: tuple[AptChange, ...]

    def __str__(self) -> str:
        lines = [f"apt {change}, which the plan does not show" for change in self.extra]
        lines += [f"the plan {change}, which apt does not do" for change in self.missing]
        return "apt would do something else than planned; nothing was done:\n  " + "\n  ".join(lines)

    def _hint(self) -> str:
        return f"look at it with `apt-get install --simulate`, and mend the host by hand; or {_CONTAINER}"


@dataclass(kw_only=True, eq=False)
class DifferentFile(HatchlockError):
    """The host's archive has another file under a locked version; nothing was done."""

    code: ClassVar[str] = "different-file"

    packages: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"the host's archives have another file than the lock, under the same version: {', '.join(self.packages)}"
        )

    def _hint(self) -> str:
        return f"compare the archives of this machine with [indexes.debian]; or {_CONTAINER}"


@dataclass(kw_only=True, eq=False)
class NotAsLocked(HatchlockError):
    """apt ended without an error, and packages are not what was to be installed."""

    code: ClassVar[str] = "not-as-locked"

    found: Mapping[str, tuple[str, str]]

    def __str__(self) -> str:
        shown = ", ".join(f"{name} is {is_ or 'absent'}, not {wanted}" for name, (is_, wanted) in self.found.items())
        return f"after apt ended, {shown}"

    def _hint(self) -> str:
        return "something else changes the host's packages at the same time; run `hatchlock apply` again"


class SystemResource:
    """The host's packages for one project; see `resources.base.Resource`.

    Args:
        specs: What is needed; if nothing is, the host is never asked.
        home: The store.
        environ: Where PATH finds apt and dpkg.
        purpose: The command, for those who wait for its locks.
        lock_timeout: Seconds to wait for somebody else's lock.
        download: Whether apt may fetch; else only what is in its own cache is installed.
        emit: Told for whom it waits.
    """

    def __init__(
        self,
        specs: Iterable[SystemSpec],
        *,
        home: Home,
        environ: Mapping[str, str],
        purpose: str,
        lock_timeout: float,
        download: bool = True,
        emit: Sink = discard,
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._home = home
        self._environ = environ
        self._purpose = purpose
        self._lock_timeout = lock_timeout
        self._download = download
        self._emit = emit
        self._shown: dict[Address, tuple[AptChange, ...]] = {}
        self._installing = threading.Lock()
        self.problems: tuple[Problem, ...] = ()

    def desired(self) -> Iterable[Desired]:
        """Return the packages of every environment, with those that were asked for."""
        return [
            Desired(
                address=address,
                key=spec.key,
                facts={"packages": ", ".join(f"{item.name} {item.version}" for item in spec.named)},
                privilege="root",
                notes=(_NOTE,),
            )
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return what the host has of them, asking dpkg once. What cannot be brought about becomes a problem."""
        self._shown, problems = {}, []
        if not self._specs:
            return []
        try:
            packages = self._packages()
        except HatchlockError as error:
            self.problems = tuple(Problem.of(address, error) for address in self._specs)
            return []
        found = []
        for address, spec in self._specs.items():
            seen, self._shown[address] = _observed(spec, packages)
            found.append(seen)
            problems += [Problem.of(address, error) for error in _hindrances(self._shown[address])]
        self.problems = tuple(problems)
        return found

    def observe_one(self, address: Address) -> Observed | None:
        """Return what the host has now for one environment.

        Raises:
            ProcessFailed: dpkg does not answer.
        """
        return _observed(self._specs[address], self._packages())[0]

    def artefacts(self, address: Address) -> Sequence[Artefact]:  # noqa: ARG002
        """Return nothing: apt brings the files, which it checks by the same hashes."""
        return ()

    def apply(self, step: Step) -> None:
        """Let apt install what the plan shows, and nothing else.

        Raises:
            NotRoot: We are not root.
            LeaseHeld, AptBusy: Somebody else changes the host's packages, and did not end in time.
            DpkgInterrupted: dpkg was killed in the middle.
            NotOffered, DifferentFile: The host's archives have not what is locked.
            UnexpectedTransaction: apt would do more, or something else; nothing was done.
            ProcessFailed: apt failed.
            NotAsLocked: apt ended, and something else is there.
        """
        from hatchlock.engines.apt import Apt  # noqa: PLC0415
        from hatchlock.resources.env_build import after_orphans  # noqa: PLC0415
        from hatchlock.state.lease import lease  # noqa: PLC0415  `plan` only looks

        if os.geteuid() != 0:
            raise NotRoot(command=_command(self._shown.get(step.address, ())))
        spec = self._specs[step.address]
        path = self._home.root / "locks" / "dpkg.lock"
        # steps of this apply wait for each other, however long it takes
        with (
            self._installing,
            lease(
                path,
                what="the host's packages",
                purpose=self._purpose,
                timeout=self._lock_timeout,
                emit=self._emit,
            ),
            after_orphans(path.with_suffix(".apt")) as held,
        ):
            changes = self._allowed(step.address, spec)
            if changes:
                self._install(Apt(self._environ), spec, changes, held)

    def _allowed(self, address: Address, spec: SystemSpec) -> tuple[AptChange, ...]:
        """Return what there is to do now: no more than was shown, since another step may have done a part of it."""
        from hatchlock.resources.system_spec import changes_for  # noqa: PLC0415

        packages = self._packages()
        if packages.half_done:
            raise DpkgInterrupted(packages=packages.half_done)
        changes = changes_for(spec, packages.installed)
        if more := tuple(change for change in changes if change not in self._shown.get(address, ())):
            raise UnexpectedTransaction(extra=more, missing=())
        return changes

    def _install(self, apt: Apt, spec: SystemSpec, changes: tuple[AptChange, ...], held: int) -> None:
        from hatchlock.engines.apt import install_words  # noqa: PLC0415
        from hatchlock.resources.privileged import written_down  # noqa: PLC0415

        wanted = [(change.name, change.after) for change in changes]
        simulated = apt.simulate(wanted)
        if set(simulated) != set(changes):
            raise UnexpectedTransaction(
                extra=tuple(item for item in simulated if item not in changes),
                missing=tuple(item for item in changes if item not in simulated),
            )
        offered = apt.digests(wanted)
        hashes = {(item.name, item.version): item.sha256 for item in spec.packages}
        if other := tuple(name for name in wanted if offered.get(name, frozenset()) != {hashes[name]}):
            raise DifferentFile(packages=tuple(f"{name} {version}" for name, version in other))
        before = {change.name: change.before for change in changes}
        argv, store = install_words(wanted), self._home.root
        with written_down(store, spec.address, argv=argv, before=before, after=lambda: self._versions(before)):
            apt.install(wanted, lock_timeout=self._lock_timeout, download=self._download, held=held)
        versions = self._versions(before)
        if wrong := {name: (versions[name], version) for name, version in wanted if versions[name] != version}:
            raise NotAsLocked(found=wrong)

    def _versions(self, names: Iterable[str]) -> dict[str, str]:
        installed = self._packages().installed
        return {name: installed[name].version if name in installed else "" for name in names}

    def _packages(self) -> HostPackages:
        from hatchlock.engines.debian_host import host_packages  # noqa: PLC0415  few projects get here

        return host_packages(self._environ)


def _observed(spec: SystemSpec, packages: HostPackages) -> tuple[Observed, tuple[AptChange, ...]]:
    from hatchlock.resources.system_spec import changes_for  # noqa: PLC0415

    changes = changes_for(spec, packages.installed)
    if not changes:
        return Observed(address=spec.address, key=spec.key), ()
    before = {item.name: item.before or "not installed" for item in changes}
    named = ", ".join(f"{item.name} {before.get(item.name, item.version)}" for item in spec.named)
    seen = Observed(address=spec.address, key=_INCOMPLETE, facts={"packages": named}, remedy=dict(_remedy(changes)))
    return seen, changes


def _remedy(changes: Sequence[AptChange]) -> Iterator[tuple[str, str]]:
    if new := [f"{item.name} {item.after}" for item in changes if not item.before]:
        yield "installs", ", ".join(new)
    if moved := [f"{item.name} {item.before} -> {item.after}" for item in changes if item.before]:
        yield "upgrades", ", ".join(moved)
    yield "command", _command(changes)


def _command(changes: Iterable[AptChange]) -> str:
    from hatchlock.engines.apt import install_words  # noqa: PLC0415

    return shlex.join(install_words((item.name, item.after) for item in changes))


def _hindrances(changes: tuple[AptChange, ...]) -> Iterator[HatchlockError]:
    from hatchlock.resources.system_spec import downgrades  # noqa: PLC0415

    if older := downgrades(changes):
        yield HostIsNewer(packages=older)
