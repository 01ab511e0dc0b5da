"""What `verify` finds of one image or environment: what follows from the lock, beside what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from hatchlock.errors import HatchlockError
from hatchlock.usecases.plan import Connection, read_target

if TYPE_CHECKING:
    from hatchlock.images.assemble import Composed
    from hatchlock.images.report import MadeImage, Report
    from hatchlock.lock.model import Environment, Lock
    from hatchlock.manifest.model import Manifest
    from hatchlock.resources.image_spec import ImageSpec
    from hatchlock.resources.target import Target
    from hatchlock.usecases.project import Project

__all__ = ["Finding", "FindingKind", "Verifier", "absent"]

State = Literal["same", "different", "incomplete", "alone", "absent"]
FindingKind = Literal[
    "system", "env", "image", "network", "volume", "container", "server", "client", "launcher", "build"
]
"""Kinds of resources, in the order of plans; then the program that entries of applications start, and builds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What became of one image, environment or build; of any resource, where it was looked at deeply.

    Attributes:
        kind: Of what.
        name: Of the environment; of an image as it is, of the server; of a build what `logs --build` calls it.
        platform: Its platform; "" where it has none.
        state: "same"; "different"; "incomplete" (the store lacks what it is made from, or of an environment not everything can
            be compared); "alone" (it was assembled, and there
            is nothing to compare it with); or "absent" (it is not on this machine, or not from the lock alone).
        compared: With what it was: "lock", "engine", "report"; "files" of an environment; "build" of a build;
            "declaration" of everything else; "tools" of a server that was pinned.
        differences: One clause each.
        reason: Why it is "incomplete" or "absent", as a clause; of an environment that differs, what else cannot be compared.
        key: Its input key, or an environment's name in the store; "" if that is not known.
        files: Of an environment: how many files were compared, with what was written down when it was built.
        image: The image as it was put together; None if it was not.
        details: Field -> what it is, and what it should be.
        drift: Somebody else has changed it since it was applied.
        policy: What `apply` does about that.
    """

    kind: FindingKind
    name: str
    platform: str
    state: State
    compared: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    reason: str = ""
    key: str = ""
    files: int = 0
    image: MadeImage | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    drift: bool = False
    policy: Literal["correct", "warn", "ignore"] = "correct"


def absent(kind: Literal["image", "env"], name: str, platform: str, reason: str, *, key: str = "") -> Finding:
    """Return that something is not on this machine, or not from the lock alone."""
    return Finding(kind=kind, name=name, platform=platform, state="absent", reason=reason, key=key)


class Verifier:
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
        from hatchlock.engines.process import host_platform
        from hatchlock.resources.env_health import contents_of, damages
        from hatchlock.store.blobs import Blobs
        from hatchlock.store.receipts import finished

        here = host_platform()
        spec = next((item for item in self._target.environments if item.name == locked.name), None)
        if spec is None:
            about = {f"{kind}:{locked.name}" for kind in ("system", "env")}
            why = next((item.what for item in self._target.problems if str(item.address) in about), "nothing uses it")
            yield absent("env", locked.name, here, why)
            return
        tree = self._project.home.envs / spec.key
        if not finished(tree):
            yield absent("env", locked.name, here, "it was not built on this machine", key=spec.key)
            return
        contents = contents_of(spec, tree, Blobs(self._project.home.blobs))
        differences = (*damages(spec, tree), *contents.differences)
        yield Finding(
            kind="env",
            name=locked.name,
            platform=here,
            state="different" if differences else "incomplete" if contents.unknown else "same",
            compared=("files",),
            differences=differences,
            reason=contents.unknown,
            key=spec.key,
            files=contents.files,
        )

    def assembled(self, locked: Environment, platform: str) -> Finding:
        """Return what is to be said of the image of an environment."""
        from hatchlock.resources.image_target import image_of
        from hatchlock.resources.unplaced import FileNotLocked, KeyNotLocked, ProgramNotOffered

        try:
            spec = image_of(self._manifest, self._lock, locked, platform, name=locked.name)
        except (FileNotLocked, ProgramNotOffered) as error:
            return absent("image", locked.name, platform, str(error))
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
