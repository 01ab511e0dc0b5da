"""`lock`: manifest -> hatch.lock. Runs no third-party code, and asks the network only for what the lock does not hold yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.events import Sink, discard
from hatchlock.usecases.sources import Sources, open_http

if TYPE_CHECKING:
    from hatchlock.lock.diff import Change
    from hatchlock.lock.model import Lock
    from hatchlock.manifest.load import LoadedManifest
    from hatchlock.manifest.model import Manifest
    from hatchlock.manifest.problem import Caution
    from hatchlock.net.http import Http
    from hatchlock.resolve.basis import Upgrade
    from hatchlock.usecases.project import Project

__all__ = ["LockResult", "declared", "lock_project", "warnings_of", "write_lock"]


@dataclass(kw_only=True, eq=False)
class UnsoundLock(HatchlockError):
    """What was resolved would be refused by the next plan: that is our mistake, and it is not written."""

    code: ClassVar[str] = "unsound-lock"

    reasons: tuple[str, ...]

    def __str__(self) -> str:
        listed = "".join(f"\n  {reason}" for reason in self.reasons)
        return f"the lock that was made does not hold together, and was not written:{listed}"

    def _hint(self) -> str:
        return "this is a defect of hatchlock: please report it with the manifest. Another version or override may avoid it"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockResult:
    """What `lock` did.

    Attributes:
        lock: The lock.
        changes: How it differs from the one before.
        differs: Whether the file is another than it was, or would be.
        written: Whether the file changed.
        warnings: What is for nothing, is not done, or has changed besides, one sentence each.
        reasons: With `check`, why the lock that there was does not satisfy the manifest.
        cautions: What works in the manifest, and may surprise.
    """

    lock: Lock
    changes: tuple[Change, ...]
    differs: bool
    written: bool
    warnings: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()


def lock_project(
    project: Project,
    *,
    upgrade: Upgrade = frozenset(),
    offline: bool = False,
    refresh: bool = False,
    check: bool = False,
    images: bool = False,
    prefer: Sequence[Lock] = (),
    agree: Callable[[Lock], None] = lambda _: None,
    emit: Sink = discard,
) -> LockResult:
    """Resolve a project and write its lock, if it changed.

    Args:
        project: Whose.
        upgrade: Names that may move; None: all may.
        offline: Use what is cached, however old.
        refresh: Ask the index again, even within the TTL.
        check: Write nothing.
        images: Assemble every image, and record what it is. What was recorded before stays only where nothing changed.
        prefer: Further locks whose versions are preferred, after those of its own.
        agree: Looks at the lock before it is written, and raises what speaks against it: then nothing is.
        emit: Told about progress.

    Raises:
        ManyErrors: The manifest has mistakes.
        NotInLock: Something that may move is not in the lock.
        HatchlockError: What resolving raises: unknown package, conflict, unreachable index, …; what `record_outputs` raises.
        ProfileMissing, BadSeccompProfile, SeccompProfileUnusable: A file that `sandbox.seccomp` names is no profile.
        PermissionProblem: The lock cannot be written.
    """
    will_ask = project.lock_bytes is None or upgrade is None or bool(upgrade)
    http = _connections(project, offline=offline) if will_ask else None
    from hatchlock.lock.diff import diff_locks
    from hatchlock.lock.store import dumps
    from hatchlock.resolve.freshness import stale_reasons

    loaded = declared(project)
    notes: list[str] = []
    present = _present(project, upgrade, notes)
    previous = present.previous
    if upgrade:
        upgrade = _known_names(upgrade, previous)
    opened = Sources(
        project,
        loaded.manifest,
        http=http,
        offline=offline,
        refresh=refresh,
        upgrading=upgrade is None or bool(upgrade),
        emit=emit,
    )
    lock, missed = _resolved(loaded.manifest, present, opened, project=project, upgrade=upgrade, prefer=prefer)
    if images:
        from hatchlock.usecases.outputs import record_outputs

        recorded = record_outputs(project, loaded.manifest, lock, offline=offline, emit=emit)
        lock = recorded.lock
        notes += recorded.notes
    else:
        notes += _forgotten_outputs(present, lock)
    reasons = stale_reasons(loaded.manifest, previous) if check and previous and present.whole else ()
    text = dumps(lock)
    differs = text.encode() != project.lock_bytes
    if differs:
        _check_sound(loaded.manifest, lock)
    agree(lock)
    return LockResult(
        lock=lock,
        changes=diff_locks(previous, lock),
        differs=differs,
        written=differs and not check and write_lock(project, lock, text),
        warnings=(*notes, *_warnings(loaded.manifest, present, lock, missed)),
        reasons=tuple(map(str, reasons)),
        cautions=loaded.warnings,
    )


def _resolved(
    manifest: Manifest,
    present: _Present,
    opened: Sources,
    *,
    project: Project,
    upgrade: Upgrade,
    prefer: Sequence[Lock],
) -> tuple[Lock, Sequence[str]]:
    """Return the new lock, with what stands in files of the project and in the locks before, and what scripts it leaves out."""
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.build import build_lock
    from hatchlock.resolve.surfaces import with_surfaces
    from hatchlock.resources.image_target import with_image_keys
    from hatchlock.usecases.deb_scripts import script_warnings
    from hatchlock.usecases.profiles import with_profiles

    with opened as sources:
        lock = build_lock(
            manifest,
            present.previous,
            now=datetime.now(UTC),
            host_platform=host_platform(),
            upgrade=upgrade,
            answers=sources,
            others=(*present.locks[1:], *prefer),
            keep=present.whole,
        )
        missed = script_warnings(lock, present.previous, sources, cache=project.home.cache)
    lock = with_profiles(project, with_image_keys(manifest, lock, present.locks))
    return with_surfaces(lock, present.locks, manifest.handover), missed


def _forgotten_outputs(present: _Present, lock: Lock) -> Iterator[str]:
    """Say of which images a lock no longer says what they are."""
    from hatchlock.resources.image_target import lost_outputs

    if lost := sorted({name for before in present.locks for name in lost_outputs(before, lock)}):
        yield (
            f"the images of {', '.join(lost)} changed, and the lock no longer says what they are: "
            "`hatchlock lock --images` records it"
        )


def _check_sound(manifest: Manifest, lock: Lock) -> None:
    from hatchlock.resolve.consistent import inconsistencies
    from hatchlock.resolve.freshness import stale_reasons

    if unsound := stale_reasons(manifest, lock) or inconsistencies(lock):
        raise UnsoundLock(reasons=tuple(map(str, unsound)))


def write_lock(project: Project, lock: Lock, text: str) -> bool:
    """Write a lock, and into the audit log that it was written; return whether the file changed."""
    from hatchlock.digest import sha256_bytes
    from hatchlock.lock.store import write_text
    from hatchlock.usecases.audit_trail import note

    written = write_text(project.lock, text)
    if written:
        before = sha256_bytes(project.lock_bytes) if project.lock_bytes else ""
        note(project.home.root, "lock", project=lock.project, before=before, lock=sha256_bytes(text.encode()))
    return written


def _warnings(manifest: Manifest, present: _Present, lock: Lock, missed: Sequence[str]) -> Iterator[str]:
    """Yield what people should know of a lock: what in it is for nothing, is not done, or has changed besides."""
    from hatchlock.resolve.allowed import idle_permissions
    from hatchlock.resolve.entries import of_other_entries
    from hatchlock.resolve.serving import older_suites
    from hatchlock.resolve.surfaces import surface_warnings

    yield from of_other_entries(lock)
    yield from idle_permissions(manifest, lock)
    if present.previous:
        yield from older_suites(present.previous, lock)
    yield from missed
    yield from surface_warnings(lock, present.locks, manifest.handover)


def declared(project: Project) -> LoadedManifest:
    """Return what a project's lock is made from: its manifest, without its overlay.

    Raises:
        ManyErrors: One of the two has mistakes.
        HatchlockError: What `check_secret_places` raises.
    """
    from hatchlock.manifest.load import load_bytes
    from hatchlock.usecases.secrets import check_secret_places

    if project.overlay_bytes:  # its mistakes count; what it says is this machine's and stays out
        load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes)
    loaded = load_bytes(project.manifest, project.manifest_bytes, b"")
    check_secret_places(project)
    return loaded


@dataclass(frozen=True, kw_only=True, slots=True)
class _Present:
    """The locks that there are: one, both sides of a merge, or none; and whether it is one that holds together."""

    locks: tuple[Lock, ...]
    whole: bool

    @property
    def previous(self) -> Lock | None:
        return self.locks[0] if self.locks else None


def _present(project: Project, upgrade: Upgrade, notes: list[str]) -> _Present:
    from hatchlock.lock.conflict import conflict_sides
    from hatchlock.lock.problems import BadLock, BadPin
    from hatchlock.lock.store import loads_sides
    from hatchlock.resolve.consistent import inconsistencies

    if project.lock_bytes is None:
        return _Present(locks=(), whole=True)
    try:
        locks = loads_sides(project.lock_bytes, file=project.lock.name, warn=notes.append)
    except BadPin:
        raise  # made anew, the lock would have no pins, and `run` would let everything through
    except BadLock:
        if upgrade is not None:
            raise
        return _Present(locks=(), whole=True)
    if conflict_sides(project.lock_bytes) is not None:
        notes.append(f"{project.lock.name} had git conflict markers; the pins of both sides were preferred")
        return _Present(locks=locks, whole=False)
    reasons = [reason for lock in locks for reason in inconsistencies(lock)]
    if reasons:
        notes.append(f"{project.lock.name} did not hold together, as after a merge: {reasons[0]}; it was resolved anew")
    return _Present(locks=locks, whole=not reasons)


def _known_names(names: frozenset[str], lock: Lock | None) -> frozenset[str]:
    """Return the names as the lock has them: packages in their normal form, without kind; images as they are written."""
    from packaging.utils import canonicalize_name

    from hatchlock.address import Kind
    from hatchlock.usecases.inspect import NotInLock

    if lock is None:
        return frozenset()  # there is nothing to move: all of it is new
    packages, images = {item.name for item in lock.packages}, {item.reference for item in lock.images}
    found: set[str] = set()
    for name in names:
        kind, _, bare = name.partition(":")
        meant = {bare if bare and kind in set(Kind) else name}  # `mcp` is a package as well as a kind
        meant |= {str(canonicalize_name(item)) for item in meant if "/" not in item}
        fitting = meant & (packages | images)
        if not fitting:
            raise NotInLock(what="package or image", name=name, known=(*packages, *images))
        found |= fitting
    return frozenset(found)


def _connections(project: Project, *, offline: bool) -> Http:
    """Begin to load the trusted certificates: it takes as long as loading the manifest's schema, and goes on beside it."""
    http = open_http(project, offline=offline)
    http.warm_up()
    return http


def warnings_of(cautions: Iterable[Caution]) -> tuple[str, ...]:
    """Return a manifest's warnings as sentences with their places."""
    return tuple(f"{item.place}: {item}" + (f" ({item.hint})" if item.hint else "") for item in cautions)
