"""Images in the engine that its own builder makes from users' Dockerfiles, out of the store's files alone.

What comes out is known only afterwards, so it is remembered for each input: who builds the same once more, and gets another
result, is told that the build is not reproducible.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Address
from hatchlock.digest import canonical_json
from hatchlock.files import atomic_write, private_directory, read_optional
from hatchlock.paths import Home
from hatchlock.resources.base import Artefact, Desired, Observed, Step
from hatchlock.resources.build_facts import records_of
from hatchlock.resources.dockerfile_spec import DockerfileSpec

if TYPE_CHECKING:
    from hatchlock.engines.docker import Engine
    from hatchlock.sources.dockerfile.read import Dockerfile
    from hatchlock.store.blobs import Blobs

__all__ = ["DockerfileResource"]

_FORMAT = 1
_SHOWN_DIGITS = 12
_KNOWN_AFTER = "known after build"
_DIFFERED = "not reproducible: the same input gave two different images"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    """What was built from an input.

    Attributes:
        image: The engine's id of the last result.
        layers: Its diff ids, lowest first.
        rebuilt: "" if it was built once; "equal" if each further build gave the same, else "differs".
    """

    image: str
    layers: tuple[str, ...]
    rebuilt: str = ""


class DockerfileResource:
    """The images of one project that are built from Dockerfiles; see `resources.base.Resource`.

    Args:
        specs: What should be.
        project: The project's name.
        home: The store.
        logs: Where what builds write is kept.
        connect: Gives the engine; called only when there is something to ask it.
    """

    def __init__(
        self,
        specs: Iterable[DockerfileSpec],
        *,
        project: str,
        home: Home,
        logs: Path,
        connect: Callable[[], Engine],
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._project = project
        self._home = home
        self._logs = logs
        self._connect = connect

    def desired(self) -> Iterable[Desired]:
        """Return every image, named by its input key, with what the store remembers of earlier builds."""
        return [self._desired(spec) for spec in self._specs.values()]

    def _desired(self, spec: DockerfileSpec) -> Desired:
        known = self._result(spec.key)
        facts = {
            "dockerfile": f"{spec.context.rstrip('/')}/{spec.dockerfile}",
            **({"target": spec.target} if spec.target else {}),
            **({"from": ", ".join(_short(item.reference) for item in spec.images)} if spec.images else {}),
            "result": _KNOWN_AFTER,
            "key": spec.key[:_SHOWN_DIGITS],
        }
        notes = (_DIFFERED,) if known and known.rebuilt == "differs" else ()
        return Desired(address=spec.address, key=spec.key, facts=facts, privilege="engine", notes=notes)

    def observe(self) -> Iterable[Observed]:
        """Return those that the engine has. One request, however many there are."""
        if not self._specs:
            return []
        tags = self._connect().images()
        return [
            Observed(address=spec.address, key=spec.key)
            for spec in self._specs.values()
            if spec.tag(self._project) in tags
        ]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the image if the engine has it."""
        spec = self._specs[address]
        found = spec.tag(self._project) in self._connect().images()
        return Observed(address=address, key=spec.key) if found else None

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return the directory that it is built from, and the images that its Dockerfile names."""
        return self._specs[address].artefacts

    def apply(self, step: Step) -> None:
        """Build the image, without network, and give it its tag.

        Raises:
            ImageBuildFailed: An instruction failed.
            BuilderTooOld: The engine's builder does not know what the Dockerfile uses.
            BadDockerfile: What was locked is not what the lock says, or a base brings instructions of its own along.
            NotLoaded, EngineError, EngineFailed: The engine refuses an image, or broke off.
            WrongHash: A blob of the store is damaged; it is removed.
        """
        from hatchlock.store.blobs import Blobs  # noqa: PLC0415  `plan` does not get here

        spec = self._specs[step.address]
        blobs = Blobs(self._home.blobs)
        for artefact in spec.artefacts:
            blobs.verify(artefact.digest)
        dockerfile = _dockerfile(spec, blobs)
        engine = self._connect()
        with self._named_images(spec, engine, blobs) as names:
            image = self._build(spec, dockerfile, names, engine, blobs)
            engine.tag(image, spec.tag(self._project))
        self._remember(spec.key, image, engine.image_layers(image))

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
        self, spec: DockerfileSpec, dockerfile: Dockerfile, names: Mapping[str, str], engine: Engine, blobs: Blobs
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

    def _result(self, key: str) -> _Result | None:
        data = read_optional(self._record(key))
        if data is None:
            return None
        document = json.loads(data)
        return _Result(image=document["image"], layers=tuple(document["layers"]), rebuilt=document["rebuilt"])

    def _remember(self, key: str, image: str, layers: tuple[str, ...]) -> None:
        known = self._result(key)
        is_same = known is None or (known.layers == layers and known.rebuilt != "differs")
        rebuilt = "" if known is None else "equal" if is_same else "differs"
        document = {"format": _FORMAT, "image": image, "layers": layers, "rebuilt": rebuilt}
        path = self._record(key)
        private_directory(path.parent)
        atomic_write(path, canonical_json(document), mode=0o600)

    def _record(self, key: str) -> Path:
        return records_of(self._home) / f"{key}.json"


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
        config = json.loads(blobs.path(item.image.config.removeprefix("sha256:")).read_bytes())
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
