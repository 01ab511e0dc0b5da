"""`verify`: whether images and environments are what follows from the lock. Nothing is fetched, and nothing put right.

With `--rebuild` also whether builds give the same once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hatchlock.events import Event, Sink, discard
from hatchlock.files import read_optional
from hatchlock.usecases.inspect import NotInLock, image_platforms
from hatchlock.usecases.verify_each import Finding, Verifier, absent

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.images.report import Report
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.usecases.project import Project

__all__ = ["Finding", "Verification", "verify_project"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        report: The images that were put together, for other machines to compare theirs with.
        findings: Sorted by name, kind and platform; of everything by kind, name and platform.
        notes: What else should be known, one sentence each.
    """

    report: Report
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether anything is different."""
        return any(item.state == "different" for item in self.findings)

    @property
    def is_complete(self) -> bool:
        """Whether everything that can be put together was."""
        return all(item.state != "incomplete" for item in self.findings)


def verify_project(
    project: Project,
    names: Sequence[str] = (),
    *,
    platforms: Sequence[str] = (),
    against: Path | None = None,
    rebuild: bool = False,
    deep: bool = False,
    emit: Sink = discard,
) -> Verification:
    """Put images together again, and compare them with the lock's record, the engine's and a report; look at environments.

    Changes nothing but caches, and with `rebuild` what the store says of builds; a blob that turns out to be damaged leaves
    the store.

    Args:
        project: Whose lock.
        names: Servers and environments; all if none is named.
        platforms: Of the images; if none is named those of the report, else this machine's. Environments of the process
            runtime are looked at only where this machine's is among them.
        against: A report of another machine.
        rebuild: Build again what was built for this machine, and compare.
        deep: Look at everything else too that the project has on this machine; the findings are sorted by address then.
        emit: Told about progress.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        NotInLock: It has no such server, environment or platform.
        BadReport: The report cannot be read.
        HatchlockError: What assembling raises, at `image:NAME`; what building raises (`usecases.rebuild.rebuild`).
        OSError: The disk is full, or the like.
    """
    from hatchlock import __version__
    from hatchlock.digest import sha256_bytes
    from hatchlock.engines.process import host_platform
    from hatchlock.images.report import Report
    from hatchlock.lock.model import ASSEMBLER
    from hatchlock.usecases.locked import satisfied_lock

    manifest, lock = satisfied_lock(project)
    theirs = _read(against) if against else None
    wanted = _platforms(lock, platforms, theirs)
    chosen = _chosen(lock, names)
    work = Verifier(project, manifest, lock, theirs=theirs)
    findings: list[Finding] = []
    for item in chosen.environments:
        if item.runtime == "process":
            findings += work.environment(item) if not platforms or host_platform() in platforms else ()
            continue
        for platform in wanted:
            emit(Event(name="verify.start", address=f"image:{item.name}", message=f"for {platform}"))
            findings.append(work.assembled(item, platform))
    for server, reference in chosen.images.items():
        for platform in wanted:
            emit(Event(name="verify.start", address=f"image:{server}", message=f"for {platform}"))
            findings.append(work.unchanged(server, reference, platform))
    if rebuild:
        findings += _rebuilt(project, chosen, emit)
    others = {name: reason for name, reason in chosen.others.items() if not (rebuild and name in chosen.dockerfiles)}
    findings += [absent("image", name, wanted[0], reason) for name, reason in others.items()]
    findings += _only_theirs(theirs, findings, wanted, named=bool(names))
    findings.sort(key=lambda item: (item.name, item.kind, item.platform))
    if deep:
        from hatchlock.usecases.verify_deep import deepened

        findings = list(deepened(project, findings, names))
    report = Report(
        project=lock.project,
        lock=sha256_bytes(project.lock_bytes or b""),
        hatchlock=__version__,
        assembler=ASSEMBLER,
        images=tuple(item.image for item in findings if item.image),
    )
    return Verification(
        report=report, findings=tuple(findings), notes=(*work.notes, *_notes(report, theirs), *_stale_pins(lock, names))
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """What is looked at.

    Attributes:
        environments: Put together, or compared with what was installed.
        images: Images as they are, by server.
        others: Servers that cannot be looked at, with the reasons.
        dockerfiles: Those of them that are built from Dockerfiles.
    """

    environments: tuple[Environment, ...]
    images: Mapping[str, str]
    others: Mapping[str, str]
    dockerfiles: frozenset[str]


def _stale_pins(lock: Lock, names: Sequence[str]) -> Iterator[str]:
    from hatchlock.engines.process import host_platform
    from hatchlock.lock.artefact import is_stale

    here = host_platform()
    for surface in lock.surfaces:
        if is_stale(lock, surface.server, here) and (not names or surface.server in names):
            yield (
                f"the pin of server:{surface.server} is stale, as what it is made of has changed since;"
                f" `hatchlock pin {surface.server}` looks at it again"
            )


def _rebuilt(project: Project, chosen: _Chosen, emit: Sink) -> Iterator[Finding]:
    from hatchlock.engines.process import host_platform
    from hatchlock.resolve.wanted import container_platforms
    from hatchlock.usecases.plan import read_target
    from hatchlock.usecases.rebuild import rebuild

    found = rebuild(
        project,
        read_target(project),
        environments={item.name for item in chosen.environments},
        servers=chosen.dockerfiles,
        emit=emit,
    )
    (container,) = container_platforms([host_platform()])
    for item in found:
        plain = Finding(
            kind="build",
            name=item.name,
            platform=container if item.is_contained else host_platform(),
            state="incomplete" if item.is_lacking else "absent",
            reason=item.absent,
            key=item.key,
        )
        if item.difference:
            plain = replace(plain, state="different", differences=(item.difference,))
        elif not item.absent:
            plain = replace(plain, state="same")
        yield plain if item.absent else replace(plain, compared=("build",))


def _chosen(lock: Lock, names: Sequence[str]) -> _Chosen:
    servers = {server.name: server for server in lock.servers}
    declared = [item for item in lock.environments if not item.makes]
    known = (*servers, *(item.name for item in declared))
    for name in names:
        if name not in known:
            raise NotInLock(what="server or environment", name=name, known=known)
    named = [server for server in lock.servers if not names or server.name in names]
    used = {(server.environment, server.runtime) for server in named if names}
    images = {server.name: server.image for server in named if server.image}
    others, dockerfiles = {}, set()
    for server in named:
        if build := lock.build(server.name):
            if build.image:
                images[server.name] = build.image
                continue
            dockerfiles.add(server.name)
            others[server.name] = "it is built from a Dockerfile, and so known after build"
        elif names and not server.environment and not server.image:
            others[server.name] = "it is a program of this machine, of which the lock says nothing"
    return _Chosen(
        environments=tuple(
            item for item in declared if not names or item.name in names or (item.name, item.runtime) in used
        ),
        images=images,
        others=others,
        dockerfiles=frozenset(dockerfiles),
    )


def _platforms(lock: Lock, platforms: Sequence[str], theirs: Report | None) -> tuple[str, ...]:
    from hatchlock.resolve.wanted import container_platforms

    if theirs and not platforms:
        locked = container_platforms(lock.platforms)
        platforms = sorted({image.platform for image in theirs.images}.intersection(locked))
    return image_platforms(lock, platforms)


def _read(path: Path) -> Report:
    import json

    from hatchlock.images.report import BadReport, read_report

    try:
        data = read_optional(path)
    except IsADirectoryError as error:
        raise BadReport(path=str(path), why="it is a directory") from error
    if data is None:
        raise BadReport(path=str(path), why="there is no such file")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadReport(path=str(path), why=f"it is no JSON: {error}") from error
    return read_report(document, path=str(path))


def _notes(ours: Report, theirs: Report | None) -> Iterator[str]:
    if theirs is None:
        return
    if ours.lock != theirs.lock:
        yield f"the report is of another lock, sha256:{theirs.lock}; this one is sha256:{ours.lock}"
    if ours.assembler != theirs.assembler:
        yield f"the report is by version {theirs.assembler} of the assembler's rules; this is version {ours.assembler}"


def _only_theirs(
    theirs: Report | None, findings: Sequence[Finding], platforms: Sequence[str], *, named: bool
) -> list[Finding]:
    """Return what a report has and the lock does not; nobody asks for that who names what is to be looked at."""
    known = {(item.name, item.platform) for item in findings}
    return [
        Finding(
            kind="image",
            name=image.name,
            platform=image.platform,
            state="different",
            compared=("report",),
            differences=("it is in the report, and not in the lock",),
            key=image.key,
        )
        for image in (theirs.images if theirs and not named else ())
        if (image.name, image.platform) not in known and image.platform in platforms
    ]
