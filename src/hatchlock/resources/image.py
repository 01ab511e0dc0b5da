"""Images in the engine: assembled from the store's blobs, or loaded as they are, under a tag that says what is in them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.address import Address
from hatchlock.events import Sink, discard
from hatchlock.files import atomic_write, clear_unfinished, private_directory
from hatchlock.paths import Home
from hatchlock.resources.base import Action, Artefact, Desired, Observed, Step
from hatchlock.resources.build_facts import is_unbuilt, missing_inputs, told_of_builds
from hatchlock.resources.image_spec import ImageSpec, image_artefacts
from hatchlock.resources.image_tags import ImageTags

if TYPE_CHECKING:
    from hatchlock.engines.docker import Engine
    from hatchlock.engines.tagged import ImageFacts
    from hatchlock.images.assemble import Composed

__all__ = ["ImageResource"]

_SHOWN_DIGITS = 12


class ImageResource:
    """The images of one project; see `resources.base.Resource`.

    Args:
        specs: What should be.
        project: The project's name.
        home: The store.
        logs: Where what builds of packages say is kept.
        lock_digest: SHA-256 of the lock that they follow from, for statements about them.
        connect: Gives the engine; called only when there is something to ask it.
        tags: What its tags have named.
        listed: Gives the images that the engine has, by tag, if there is a quicker way than to connect.
        emit: Told how much of an image the engine has taken.
    """

    def __init__(
        self,
        specs: Iterable[ImageSpec],
        *,
        project: str,
        home: Home,
        logs: Path,
        lock_digest: str,
        connect: Callable[[], Engine],
        tags: ImageTags | None = None,
        listed: Callable[[], Mapping[str, ImageFacts]] | None = None,
        emit: Sink = discard,
    ) -> None:
        self._specs = {spec.address: spec for spec in specs}
        self._project = project
        self._home = home
        self._logs = logs
        self._lock_digest = lock_digest
        self._connect = connect
        self._tags = tags or ImageTags({})
        self._listed = listed or (lambda: connect().images())
        self._emit = emit
        self._changed: dict[Address, tuple[str, str]] = {}
        self._known_stacks: list[tuple[str, ...]] | None = None

    def desired(self) -> Iterable[Desired]:
        """Return every image, named by its input key."""
        return [
            Desired(address=address, key=spec.key, facts=self._facts(spec, before=True), privilege="engine")
            for address, spec in self._specs.items()
        ]

    def observe(self) -> Iterable[Observed]:
        """Return those that the engine has. One request, however many there are."""
        if not self._specs:
            return []
        tags = self._listed()
        return [seen for spec in self._specs.values() if (seen := self._seen(spec, tags))]

    def observe_one(self, address: Address) -> Observed | None:
        """Return the image if the engine has it."""
        return self._seen(self._specs[address], self._listed())

    def artefacts(self, address: Address) -> Sequence[Artefact]:
        """Return what is added, but for what was built already, and the config and layers of the locked image."""
        spec = self._specs[address]
        environment = missing_inputs(spec.environment, self._home) if spec.environment else None
        return replace(spec, environment=environment).artefacts

    def apply(self, step: Step) -> None:
        """Assemble the image, or take it as it is, and load it under its tag.

        Raises:
            ImageInUse: It is to be made anew, and a container uses it.
            OtherPlatform: The engine does not run what it is for.
            NotLoaded, EngineFull, EngineStopped: The engine does not take it.
            OtherOutputs: It is another one than the lock says.
            BytecodeFailed: The base's interpreter makes no bytecode.
            BuildFailed, BadBuildResult: A package of it cannot be built.
            HatchlockError: What `image_build.composed` raises.
        """
        from hatchlock.images.assemble import load  # noqa: PLC0415  `plan` does not get here
        from hatchlock.resources.image_build import check_outputs, composed  # noqa: PLC0415
        from hatchlock.resources.image_loading import TellingLoader  # noqa: PLC0415
        from hatchlock.store.blobs import Blobs  # noqa: PLC0415

        spec = self._specs[step.address]
        blobs = Blobs(self._home.blobs)
        for artefact in image_artefacts(spec.reference, spec.base):
            blobs.verify(artefact.digest)
        engine = self._connect()
        engine.check_platform(spec.platform)
        if step.action is Action.REPLACE:
            self._take_away(spec, engine)
        if spec.environment and is_unbuilt(spec.environment, self._home):
            from hatchlock.resources.image_builds import build_missing  # noqa: PLC0415  few images have any

            build_missing(spec, project=self._project, engine=engine, home=self._home, logs=self._logs)
        stacks = self._stacks(engine)
        with contextlib.ExitStack() as stack:
            image = stack.enter_context(composed(spec, home=self._home, has=lambda ids: _is_among(ids, stacks)))
            check_outputs(spec, image)
            if spec.is_assembled:  # before the image: where that is there, a plan has nothing to do any more
                self._describe(spec, image)

            def whole() -> Composed:
                return stack.enter_context(composed(spec, home=self._home))

            tag = spec.tag(self._project)
            self._tags.renewed(tag, spec.started_as(self._project))
            load(
                image, engine=TellingLoader(engine=engine, address=step.address, emit=self._emit), tag=tag, whole=whole
            )
            stacks.append(image.diff_ids)
            if not (spec.environment and spec.is_compiled):
                return
            from hatchlock.engines.bytecode import add_bytecode  # noqa: PLC0415
            from hatchlock.resources.image_bytecode import bytecode_parts  # noqa: PLC0415

            with_bytecode = add_bytecode(
                engine,
                image,
                pinned=tag,
                tag=spec.started_as(self._project),
                python=spec.environment.python,
                parts=bytecode_parts(spec, image),
                home=self._home,
                has=lambda ids: _is_among(ids, stacks),
                whole=whole,
            )
            stacks.append(with_bytecode)

    def _take_away(self, spec: ImageSpec, engine: Engine) -> None:
        """Take the image away, so that its layers are written and sent once more as far as no other image has them."""
        for tag in dict.fromkeys((spec.started_as(self._project), spec.tag(self._project))):
            engine.untag(tag)
        self._known_stacks = None

    def _describe(self, spec: ImageSpec, image: Composed) -> None:
        """Write beside an image what it is made from."""
        from hatchlock.resources.provenance import provenance  # noqa: PLC0415

        statement = provenance(spec, project=self._project, lock_digest=self._lock_digest, image=image)
        clear_unfinished(private_directory(self._home.images))
        atomic_write(self._home.statement(spec.key), statement)

    def _stacks(self, engine: Engine) -> list[tuple[str, ...]]:
        """Return the layers of every image of ours; asked once, and kept up."""
        if self._known_stacks is None:
            self._known_stacks = list(engine.stacks())
        return self._known_stacks

    def _seen(self, spec: ImageSpec, images: Mapping[str, ImageFacts]) -> Observed | None:
        tags = dict.fromkeys([spec.tag(self._project), spec.started_as(self._project)])
        self._changed.pop(spec.address, None)
        if any(tag not in images for tag in tags):
            return None
        changed = self._tags.changed(tags, images, key=spec.key, is_labelled=spec.is_assembled)
        if changed is None:
            return Observed(address=spec.address, key=spec.key)
        self._changed[spec.address] = changed
        return Observed(address=spec.address, key=changed[1], facts=self._facts(spec, before=False))

    def _facts(self, spec: ImageSpec, *, before: bool) -> Mapping[str, str]:
        """Return what people see of an image; what its tag has named and names now only where that is not the same."""
        facts = _facts(spec, self._home)
        changed = self._changed.get(spec.address)
        return facts if changed is None else {**facts, "content": changed[0] if before else changed[1]}


def _facts(spec: ImageSpec, home: Home) -> Mapping[str, str]:
    if not spec.is_assembled:
        return {"image": spec.reference, "digest": spec.base.digest}
    return {
        "base": f"{spec.reference}@{spec.base.digest[: len('sha256:') + _SHOWN_DIGITS]}",
        **({"Debian packages": str(len(spec.debs))} if spec.debs else {}),
        **({**spec.environment.facts, **told_of_builds(spec.environment, home)} if spec.environment else {}),
        "key": spec.key[:_SHOWN_DIGITS],
    }


def _is_among(ids: Sequence[str], stacks: Iterable[Sequence[str]]) -> bool:
    return any(tuple(stack[: len(ids)]) == tuple(ids) for stack in stacks)
