"""Images in the engine that its own builder makes from users' Dockerfiles, out of the store's files alone.

What comes out is known only afterwards, so it is remembered for each input: who builds the same once more, and gets another
result, is told that the build is not reproducible. A result that lies in the store is loaded, and nothing is built.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Address
from hatchlock.digest import hex_of
from hatchlock.files import private_directory
from hatchlock.paths import Home
from hatchlock.realise.builds.image_record import ImageRecord, ImageRecords
from hatchlock.resources.base import KNOWN_AFTER, Action, Artefact, Desired, Observed, Step
from hatchlock.resources.build_facts import records_of
from hatchlock.resources.dockerfile_result import kept_result, known_result, result_image, shared_artefacts
from hatchlock.resources.dockerfile_spec import DockerfileSpec
from hatchlock.resources.image_tags import ImageTags

if TYPE_CHECKING:
    from hatchlock.engines.docker import Engine
    from hatchlock.engines.tagged import ImageFacts
    from hatchlock.sources.dockerfile.read import Dockerfile
    from hatchlock.store.blobs import Blobs

__all__ = ["DockerfileResource"]

_SHOWN_DIGITS = 12
_KEPT = "built before"
_ELSEWHERE = "built elsewhere"
_DIFFERED = "not reproducible: the same input gave two different images"


class DockerfileResource:
    """The images of one project that are built from Dockerfiles; see `resources.base.Resource`.

    Args:
        specs: What should be.
        project: The project's name.
        home: The store.
        logs: Where what builds write is kept.
        connect: Gives the engine; called only when there is something to ask it.
        tags: What its tags have named.
        listed: Gives the images that the engine has, by tag, if there is a quicker way than to connect.
    """

    def __init__(
        self,
        specs: Iterable[DockerfileSpec],
        *,
        project: str,
        home: Home,
        logs: Path,
        connect: Callable[[], Engine],
        tags: ImageTags | None = None,
        listed: Callable[[], Mapping[str, ImageFacts]] | None = None,
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._project = project
        self._home = home
        self._logs = logs
        self._connect = connect
        self._tags = tags or ImageTags({})
        self._listed = listed or (lambda: connect().images())
        self._changed: dict[Address, tuple[str, str]] = {}

    def desired(self) -> Iterable[Desired]:
        """Return every image, named by its input key, with what the store remembers of earlier builds."""
        return [self._desired(spec) for spec in self._specs.values()]

    def _desired(self, spec: DockerfileSpec) -> Desired:
        known = known_result(spec, self._home)
        notes = () if known is None or known.is_reproducible else (_DIFFERED,)
        facts = self._facts(spec, before=True)
        return Desired(address=spec.address, key=spec.key, facts=facts, privilege="engine", notes=notes)

    def _facts(self, spec: DockerfileSpec, *, before: bool) -> Mapping[str, str]:
        """Return what people see of an image; what its tag has named and names now only where that is not the same."""
        changed = self._changed.get(spec.address)
        return {
            "dockerfile": f"{spec.context.rstrip('/')}/{spec.dockerfile}",
            **({"target": spec.target} if spec.target else {}),
            **({"from": ", ".join(_short(item.reference) for item in spec.images)} if spec.images else {}),
            "result": self._told(spec),
            "key": spec.key[:_SHOWN_DIGITS],
            **({} if changed is None else {"content": changed[0] if before else changed[1]}),
        }

    def _told(self, spec: DockerfileSpec) -> str:
        kept = kept_result(spec, self._home)
        return KNOWN_AFTER if kept is None else _ELSEWHERE if kept.elsewhere else _KEPT

    def observe(self) -> Iterable[Observed]:
        """Return those that the engine has. One request, however many there are."""
        if not self._specs:
            return []
        tags = self._listed()
        return [seen for spec in self._specs.values() if (seen := self._seen(spec, tags))]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the image if the engine has it."""
        return self._seen(self._specs[address], self._listed())

    def _seen(self, spec: DockerfileSpec, images: Mapping[str, ImageFacts]) -> Observed | None:
        tag = spec.tag(self._project)
        self._changed.pop(spec.address, None)
        if tag not in images:
            return None
        # one that somebody else has built may say nothing of itself
        changed = self._tags.changed([tag], images, key=spec.key, is_labelled=False)
        if changed is None:
            return Observed(address=spec.address, key=spec.key)
        self._changed[spec.address] = changed
        return Observed(address=spec.address, key=changed[1], facts=self._facts(spec, before=False))

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return the directory that it is built from, and the images that its Dockerfile names; of a result what it lacks."""
        spec = self._specs[address]
        kept = kept_result(spec, self._home)
        return shared_artefacts(spec, kept) if kept else spec.artefacts

    def apply(self, step: Step) -> None:
        """Load what was built before, else build the image, without network; and give it its tag.

        Raises:
            ImageInUse: It is to be made anew, and a container uses it.
            ImageBuildFailed: An instruction failed.
            BuilderTooOld: The engine's builder does not know what the Dockerfile uses.
            BadDockerfile: What was locked is not what the lock says, or a base brings instructions of its own along.
            NotLoaded, EngineError, EngineFailed: The engine refuses an image, or broke off.
            OtherPlatform: The engine does not run what was built before.
            WrongHash: A blob of the store is damaged; it is removed.
        """
        from hatchlock.store.blobs import Blobs  # noqa: PLC0415  `plan` does not get here

        spec = self._specs[step.address]
        engine = self._connect()
        self._tags.renewed(spec.tag(self._project))
        is_anew = step.action is Action.REPLACE
        if is_anew:
            engine.untag(spec.tag(self._project))
        if kept := kept_result(spec, self._home):
            self._load(spec, kept, engine, Blobs(self._home.blobs))
            return
        with self._built(spec, engine, is_anew=is_anew) as image:
            engine.tag(image, spec.tag(self._project))
            record = ImageRecord(context=spec.snapshot.digest, layers=engine.image_layers(image))
        ImageRecords(records_of(self._home)).note(spec.key, record)

    def rebuild(self, address: Address) -> tuple[str, ...]:
        """Build an image that was built before once more, note whether that gave the same, and return its layers.

        The one before stays; of the new one nothing does.

        Raises:
            HatchlockError: As `apply`.
        """
        spec, engine = self._specs[address], self._connect()
        with self._built(spec, engine, is_anew=True) as image:
            layers = engine.image_layers(image)
            if image not in {facts.id for facts in engine.images().values()}:
                engine.untag(image)
        made = ImageRecord(context=spec.snapshot.digest, layers=layers)
        ImageRecords(records_of(self._home)).compare(spec.key, made)
        return layers

    def _load(self, spec: DockerfileSpec, kept: ImageRecord, engine: Engine, blobs: Blobs) -> None:
        from hatchlock.images.assemble import load  # noqa: PLC0415

        for artefact in shared_artefacts(spec, kept):
            blobs.verify(artefact.digest)
        engine.check_platform(spec.platform)
        load(result_image(spec, kept, blobs), engine=engine, tag=spec.tag(self._project))

    @contextmanager
    def _built(self, spec: DockerfileSpec, engine: Engine, *, is_anew: bool = False) -> Iterator[str]:
        """Build the image, and yield the engine's id of it."""
        from hatchlock.store.blobs import Blobs  # noqa: PLC0415

        blobs = Blobs(self._home.blobs)
        for artefact in spec.artefacts:
            blobs.verify(artefact.digest)
        dockerfile = _dockerfile(spec, blobs)
        with self._named_images(spec, engine, blobs) as names:
            yield self._build(spec, dockerfile, names, engine, blobs, is_anew=is_anew)

    @contextmanager
    def _named_images(self, spec: DockerfileSpec, engine: Engine, blobs: Blobs) -> Iterator[dict[str, str]]:
        """Load the images that the Dockerfile names, and yield the engine's ids of them by reference.

        An id cannot be looked up in a registry, so an engine that loses one of them fails instead of fetching another.
        """
        from hatchlock.images.assemble import as_it_is, load  # noqa: PLC0415

        tags = {item.reference: spec.image_tag(self._project, item) for item in spec.images}
        try:
            for item in spec.images:
                load(as_it_is(item.image, blobs), engine=engine, tag=tags[item.reference])
            present = engine.images()
            yield {reference: present[tag].id for reference, tag in tags.items()}
        finally:
            for tag in sorted(set(tags.values())):
                engine.untag(tag)

    def _build(
        self,
        spec: DockerfileSpec,
        dockerfile: Dockerfile,
        names: Mapping[str, str],
        engine: Engine,
        blobs: Blobs,
        *,
        is_anew: bool,
    ) -> str:
        from hatchlock.engines import api  # noqa: PLC0415
        from hatchlock.engines.builder import (  # noqa: PLC0415
            BuildWish,
            ImageBuildFailed,
            build_image,
        )
        from hatchlock.images.config import KEY_LABEL  # noqa: PLC0415
        from hatchlock.sources.dockerfile.context import engine_context  # noqa: PLC0415
        from hatchlock.sources.dockerfile.rewrite import for_engine  # noqa: PLC0415

        shown = _shown(spec)
        buildah = str(engine.info().get("BuildahVersion") or "")
        text = for_engine(dockerfile, names)
        lines = text.split("\n")
        wish = BuildWish(
            dockerfile=spec.dockerfile,
            shown=shown,
            steps=[(item.line, lines[item.line - 1]) for item in dockerfile.instructions],
            mounts=dockerfile.mounts,
            documents=dockerfile.documents,
            target=spec.target.lower(),
            args=spec.args,
            labels={KEY_LABEL: spec.key},
            is_anew=is_anew,
        )
        archive = engine_context(blobs.path(spec.snapshot.digest), dockerfile=spec.dockerfile, text=text)
        with (
            tempfile.TemporaryFile(dir=private_directory(self._home.cache)) as context,
            _log(private_directory(self._logs) / f"{spec.server}.log") as write,
        ):
            context.writelines(archive)
            try:
                return build_image(api.Engine(engine.url), wish, context, buildah=buildah, log=write)
            except ImageBuildFailed as error:
                error.name = spec.server
                raise


def _dockerfile(spec: DockerfileSpec, blobs: Blobs) -> Dockerfile:
    """Read the Dockerfile once more: the lock may be of somebody else, and the engine gets nothing that was not checked."""
    from hatchlock.sources.dockerfile.context import dockerfile_in  # noqa: PLC0415
    from hatchlock.sources.dockerfile.problems import BadDockerfile  # noqa: PLC0415
    from hatchlock.sources.dockerfile.read import read_dockerfile  # noqa: PLC0415

    text = dockerfile_in(blobs.path(spec.snapshot.digest), spec.dockerfile)
    dockerfile = read_dockerfile(text, file=_shown(spec), args=spec.args, target=spec.target)
    if dockerfile.problems:
        raise dockerfile.problems[0]
    if set(dockerfile.images) != {item.reference for item in spec.images}:
        raise BadDockerfile(what="it names other images than the lock says", advice="run `hatchlock lock`")
    for item in spec.images:
        config = json.loads(blobs.path(hex_of(item.image.config)).read_bytes())
        if (config.get("config") or {}).get("OnBuild"):
            what = f"the image {item.reference} brings instructions along (ONBUILD) that nobody has checked"
            raise BadDockerfile(what=what, advice="name an image without them")
    return dockerfile


def _shown(spec: DockerfileSpec) -> str:
    return os.path.normpath(f"{spec.context}/{spec.dockerfile}")


def _short(reference: str) -> str:
    return re.sub(r"(?<=@sha256:)([0-9a-f]{12})[0-9a-f]+", r"\1", reference)


@contextmanager
def _log(path: Path) -> Iterator[Callable[[str], object]]:
    """Write lines to a log, from its beginning; nobody else may read it, like all of the state."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1) as file:
        yield lambda line: file.write(f"{line}\n")
