"""`verify`: whether images and environments are what follows from the lock. Nothing is fetched, and nothing put right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hatchlock.errors import HatchlockError
from hatchlock.events import Event, Sink, discard
from hatchlock.files import read_optional
from hatchlock.usecases.inspect import NotInLock
from hatchlock.usecases.plan import Connection, read_target

if TYPE_CHECKING:
    from pathlib import Path

    from hatchlock.images.assemble import Composed
    from hatchlock.images.report import MadeImage, Report
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.image_spec import ImageSpec
    from hatchlock.resources.world import Target
    from hatchlock.usecases.project import Project

__all__ = ["Finding", "Verification", "verify_project"]

State = Literal["same", "different", "incomplete", "alone", "absent"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What became of one image or environment.

    Attributes:
        kind: "image" or "env".
        name: Of the environment; of an image as it is, of the server.
        platform: Its platform.
        state: "same"; "different"; "incomplete" (the store lacks what it is made from); "alone" (it was assembled, and there
            is nothing to compare it with); or "absent" (it is not on this machine, or not from the lock alone).
        compared: With what it was: "lock", "engine", "report"; "files" of an environment.
        differences: One clause each.
        reason: Why it is "incomplete" or "absent", as a clause.
        key: Its input key, or an environment's name in the store; "" if that is not known.
        files: Of an environment: how many files were compared, with wheels of the store or the installation's own hashes.
        image: The image as it was put together; None if it was not.
    """

    kind: Literal["image", "env"]
    name: str
    platform: str
    state: State
    compared: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    reason: str = ""
    key: str = ""
    files: int = 0
    image: MadeImage | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        report: The images that were put together, for other machines to compare theirs with.
        findings: Sorted by name, kind and platform.
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
    emit: Sink = discard,
) -> Verification:
    """Put images together again, and compare them with the lock's record, the engine's and a report; look at environments.

    Changes nothing but caches; a blob that turns out to be damaged leaves the store.

    Args:
        project: Whose lock.
        names: Servers and environments; all if none is named.
        platforms: Of the images; if none is named those of the report, else this machine's. Environments of the process
            runtime are looked at only where this machine's is among them.
        against: A report of another machine.
        emit: Told about progress.

    Raises:
        MissingLock, StaleLock, BadLock, NewerLock: There is no lock that satisfies the manifest.
        NotInLock: It has no such server, environment or platform.
        BadReport: The report cannot be read.
        HatchlockError: What assembling raises, at `image:NAME`.
        OSError: The disk is full, or the like.
    """
    from hatchlock import __version__
    from hatchlock.digest import sha256_bytes
    from hatchlock.images.report import Report
    from hatchlock.lock.model import ASSEMBLER
    from hatchlock.usecases.fetch import satisfied_lock

    manifest, lock = satisfied_lock(project)
    theirs = _read(against) if against else None
    wanted = _platforms(lock, platforms, theirs)
    chosen = _chosen(lock, names)
    work = _Verifier(project, manifest, lock, theirs=theirs)
    findings: list[Finding] = []
    for item in chosen.environments:
        if item.runtime == "process":
            findings += work.environment(item) if not platforms or _host() in platforms else ()
            continue
        for platform in wanted:
            emit(Event(name="verify.start", address=f"image:{item.name}", message=f"for {platform}"))
            findings.append(work.assembled(item, platform))
    for server, reference in chosen.images.items():
        for platform in wanted:
            emit(Event(name="verify.start", address=f"image:{server}", message=f"for {platform}"))
            findings.append(work.unchanged(server, reference, platform))
    findings += [_absent("image", name, wanted[0], reason) for name, reason in chosen.others.items()]
    findings += _only_theirs(theirs, findings, wanted, named=bool(names))
    findings.sort(key=lambda item: (item.name, item.kind, item.platform))
    report = Report(
        project=lock.project,
        lock=sha256_bytes(project.lock_bytes or b""),
        hatchlock=__version__,
        assembler=ASSEMBLER,
        images=tuple(item.image for item in findings if item.image),
    )
    return Verification(report=report, findings=tuple(findings), notes=(*work.notes, *_notes(report, theirs)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """What is looked at: environments, images as they are by server, and what cannot be looked at with the reasons."""

    environments: tuple[Environment, ...]
    images: Mapping[str, str]
    others: Mapping[str, str]


def _chosen(lock: Lock, names: Sequence[str]) -> _Chosen:
    servers = {server.name: server for server in lock.servers}
    declared = [item for item in lock.environments if not item.makes]
    known = (*servers, *(item.name for item in declared))
    for name in names:
        if name not in known:
            raise NotInLock(what="server or environment", name=name, known=known)
    named = [server for server in lock.servers if not names or server.name in names]
    used = {(server.environment, server.runtime) for server in named if names}
    others = {}
    for server in named:
        if lock.build(server.name):
            others[server.name] = "it is built from a Dockerfile, and so known after build"
        elif names and not server.environment and not server.image:
            others[server.name] = "it is a program of this machine, of which the lock says nothing"
    return _Chosen(
        environments=tuple(
            item for item in declared if not names or item.name in names or (item.name, item.runtime) in used
        ),
        images={server.name: server.image for server in named if server.image and server.name not in others},
        others=others,
    )


def _host() -> str:
    from hatchlock.engines.process import host_platform

    return host_platform()


def _platforms(lock: Lock, platforms: Sequence[str], theirs: Report | None) -> tuple[str, ...]:
    from hatchlock.resolve.wanted import container_platforms

    locked = container_platforms(lock.platforms)
    wanted = container_platforms(platforms) if platforms else ()
    for platform in wanted:
        if platform not in locked:
            raise NotInLock(what="platform", name=platform, known=locked)
    if not wanted and theirs:
        wanted = tuple(sorted({image.platform for image in theirs.images}.intersection(locked)))
    usual = container_platforms([_host()])
    return wanted or (usual if usual[0] in locked else locked[:1])


def _read(path: Path) -> Report:
    import json

    from hatchlock.images.report import BadReport, read_report

    data = read_optional(path)
    if data is None:
        raise BadReport(path=str(path), why="there is no such file")
    try:
        document = json.loads(data)
    except ValueError as error:
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


def _absent(kind: Literal["image", "env"], name: str, platform: str, reason: str, *, key: str = "") -> Finding:
    return Finding(kind=kind, name=name, platform=platform, state="absent", reason=reason, key=key)


class _Verifier:
    """One lock on one machine; the engine is asked once, and only if there is an image to ask about."""

    def __init__(self, project: Project, manifest: Manifest, lock: Lock, *, theirs: Report | None) -> None:
        self.notes: list[str] = []
        self._project = project
        self._manifest = manifest
        self._lock = lock
        self._theirs = {(item.name, item.platform): item for item in theirs.images} if theirs else None
        self._target: Target = read_target(project)
        self._connect = Connection(self._target)
        self._ids: Mapping[str, str] | None = None

    def environment(self, locked: Environment) -> Iterator[Finding]:
        """Yield what is to be said of an environment of the process runtime."""
        from hatchlock.resources.env_health import altered_files, altered_members, damages
        from hatchlock.store.blobs import Blobs, WrongHash
        from hatchlock.store.receipts import finished

        spec = next((item for item in self._target.environments if item.name == locked.name), None)
        if spec is None:
            about = {f"{kind}:{locked.name}" for kind in ("system", "env")}
            why = next((item.what for item in self._target.problems if str(item.address) in about), "nothing uses it")
            yield _absent("env", locked.name, _host(), why)
            return
        tree = self._project.home.envs / spec.key
        if not finished(tree):
            yield _absent("env", locked.name, _host(), "it was not built on this machine", key=spec.key)
            return
        files, altered = altered_files(tree)
        differences = [*damages(spec, tree)]
        members, others = 0, tuple[str, ...]()
        try:
            members, others = altered_members(spec, tree, Blobs(self._project.home.blobs))
        except WrongHash as error:
            differences.append(str(error))
        differences += (f"its file {path} is not what was installed" for path in sorted({*altered, *others}))
        yield Finding(
            kind="env",
            name=locked.name,
            platform=_host(),
            state="different" if differences else "same",
            compared=("files",),
            differences=tuple(differences),
            key=spec.key,
            files=max(files, members),
        )

    def assembled(self, locked: Environment, platform: str) -> Finding:
        """Return what is to be said of the image of an environment."""
        from hatchlock.resources.image_target import image_of
        from hatchlock.resources.unplaced import FileNotLocked, KeyNotLocked, ProgramNotOffered

        try:
            spec = image_of(self._manifest, self._lock, locked, platform, name=locked.name)
        except (FileNotLocked, ProgramNotOffered) as error:
            return _absent("image", locked.name, platform, str(error))
        if locked.keys.get(platform) != spec.key:
            differences = (str(KeyNotLocked(platform=platform)),)
            return Finding(
                kind="image",
                name=locked.name,
                platform=platform,
                state="different",
                compared=("lock",),
                differences=differences,
                key=spec.key,
            )
        return self._image(spec)

    def unchanged(self, server: str, reference: str, platform: str) -> Finding:
        """Return what is to be said of an image that a server is."""
        from hatchlock.resources.image_target import unchanged_image

        return self._image(unchanged_image(self._lock, reference, platform, name=server))

    def _image(self, spec: ImageSpec) -> Finding:
        from hatchlock.resources.env_builds import NotBuilt
        from hatchlock.resources.image_build import composed
        from hatchlock.store.blobs import WrongHash

        plain = Finding(kind="image", name=spec.server, platform=spec.platform, state="incomplete", key=spec.key)
        try:
            if lacking := self._lacking(spec):
                return replace(plain, reason=lacking)
            with composed(spec, home=self._project.home) as image:
                made = _made(spec, image)
                stack = image.diff_ids
        except NotBuilt as error:
            return replace(plain, state="absent", reason=f"it is known after build: {error}")
        except WrongHash as error:
            return replace(plain, state="different", compared=("lock",), differences=(str(error),))
        except HatchlockError as error:
            error.address = error.address or str(spec.address)
            raise
        found = {
            "lock": self._against_lock(spec, made),
            "engine": self._against_engine(spec, made, stack),
            "report": self._against_report(made),
        }
        compared = {where: tuple(clauses) for where, clauses in found.items() if clauses is not None}
        differences = tuple(clause for clauses in compared.values() for clause in clauses)
        return replace(
            plain,
            state="different" if differences else "same" if compared else "alone",
            compared=tuple(compared),
            differences=differences,
            image=made,
        )

    def _lacking(self, spec: ImageSpec) -> str:
        """Return what the store lacks of an image, as a clause; what it has is checked.

        Raises:
            WrongHash: A blob is damaged; it is removed.
        """
        from hatchlock.resources.build_facts import missing_inputs
        from hatchlock.store.blobs import Blobs

        environment = missing_inputs(spec.environment, self._project.home) if spec.environment else None
        needed = {item.digest: item for item in replace(spec, environment=environment).artefacts}
        blobs = Blobs(self._project.home.blobs)
        missing = [item.package for digest, item in needed.items() if not blobs.has(digest)]
        if missing:
            return f"the store lacks {len(missing)} of its {len(needed)} files, {missing[0]} among them"
        for digest in needed:
            blobs.verify(digest)
        return ""

    def _against_lock(self, spec: ImageSpec, made: MadeImage) -> Iterator[str] | None:
        from hatchlock.images.report import layer_differences

        if spec.environment is None:  # its digests are the lock's own
            return iter(())
        if not spec.outputs:
            return None
        config, *layers = spec.outputs
        return layer_differences(made, config, layers, where="in the lock")

    def _against_report(self, made: MadeImage) -> Iterator[str] | None:
        from hatchlock.images.report import image_differences

        if self._theirs is None:
            return None
        theirs = self._theirs.get((made.name, made.platform))
        return image_differences(made, theirs) if theirs else iter(["the report says nothing of it"])

    def _against_engine(self, spec: ImageSpec, made: MadeImage, stack: Sequence[str]) -> Iterator[str] | None:
        """Compare with each image of that key that the engine has; None if it has none."""
        here = [item for item in self._target.images if (item.key, item.platform) == (spec.key, spec.platform)]
        tags = [tag for item in here if (tag := item.tag(self._lock.project)) in self._images()]
        if not tags:
            return None
        return (clause for tag in tags for clause in self._engine_differences(tag, made, stack))

    def _engine_differences(self, tag: str, made: MadeImage, stack: Sequence[str]) -> Iterator[str]:
        from hatchlock.images.report import layer_differences

        engine = self._connect()
        there = engine.image_layers(tag)
        below = len(stack) - len(made.layers)
        if tuple(there[:below]) != tuple(stack[:below]):
            yield f"its base is another one in the engine, as {tag}"
            return
        config = self._images()[tag] if engine.names_by_config() else ""
        yield from layer_differences(made, config, there[below:], where=f"in the engine, as {tag},")

    def _images(self) -> Mapping[str, str]:
        """Return tag -> id of our images in the engine; none, and a note, if it cannot be asked."""
        if self._ids is None:
            self._ids = {}
            if self._target.engine:
                try:
                    self._ids = {tag: facts.id for tag, facts in self._connect().images().items()}
                except HatchlockError as error:
                    self.notes.append(f"what the engine has was not compared: {error}")
        return self._ids


def _made(spec: ImageSpec, image: Composed) -> MadeImage:
    from hatchlock.images.report import made_image

    own = image.above or image.below
    return made_image(
        image,
        name=spec.server,
        platform=spec.platform,
        key=spec.key,
        base=spec.reference,
        base_digest=spec.base.digest,
        sizes=[layer.path.stat().st_size if layer.path else 0 for layer in own],
    )
