"""`gc` in an engine: images, containers and networks of a project that nobody uses."""

from __future__ import annotations

from collections.abc import Container as Among
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from hatchlock.paths import store_mark
from hatchlock.usecases.garbage import Item, Kept

if TYPE_CHECKING:
    from hatchlock.engines.api import Container
    from hatchlock.engines.docker import ImageFacts
    from hatchlock.state.project import ProjectState
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.uses import Uses

__all__ = ["EngineGarbage"]


class EngineGarbage:
    """A project's images and containers in the engine, as they were when it was made; none when no engine answers.

    Args:
        project: Whose.
        name: Its name.
        used: What somebody uses.
        own: Names of images that are the project's; None for all that have its name.

    Raises:
        EngineFailed, EngineError, EngineUnreachable: The engine was found, and does not say what it has.
    """

    def __init__(self, project: Project, name: str, used: Uses, *, own: Among[str] | None = None) -> None:
        from hatchlock.engines.locate import EngineNotFound, find_engine

        self._name = name
        self._store = store_mark(project.home.root)
        self._used = used
        self._expects = bool(used.images or own)
        self._tags: Mapping[str, ImageFacts] = {}
        self._containers: list[Container] = []
        self._missing = ""
        try:
            self._address = find_engine(project.environ)
        except EngineNotFound as error:
            self._missing = str(error)
            return
        from hatchlock.engines import api, docker
        from hatchlock.images.key import IMAGE_PREFIX

        begin = f"{IMAGE_PREFIX}/{name}/"
        with docker.Engine(self._address) as engine:
            found = engine.images().items()
        self._tags = {tag: facts for tag, facts in found if tag.startswith(begin) and (own is None or tag in own)}
        self._containers = api.Engine(self._address).list({})

    def leftovers(self) -> Iterator[Item]:
        """Yield the containers that sessions have left which were killed."""
        for container in self._containers:
            if self._is_leftover(container):
                yield Item(kind="container", name=container.name)

    def networks(self, state: ProjectState) -> Iterator[Item]:
        """Yield the networks that no active server needs."""
        from hatchlock.usecases.gc_networks import unused_networks

        if not self._missing:
            for name in unused_networks(state, self._name, self._address):
                yield Item(kind="network", name=name)

    def all_networks(self) -> Iterator[Item]:
        """Yield the networks of the project, whoever needs them."""
        from hatchlock.usecases.gc_networks import networks_of

        if not self._missing:
            for name in networks_of(self._name, self._address):
                yield Item(kind="network", name=name)

    def unused(self) -> Iterator[Item]:
        """Yield the images that nobody uses and no container is made of."""
        going = {tag: facts.id for tag, facts in self._unused() if not self._users(facts)}
        sizes = self._freed(going) if going else {}
        for tag in going:
            yield Item(kind="image", name=tag, size=sizes.get(tag, 0))

    def kept(self) -> Iterator[Kept]:
        """Yield what stays although no project needs it."""
        if self._missing and self._expects:
            yield Kept(name="images", why=self._missing)
        for tag, facts in self._unused():
            if users := self._users(facts):
                yield Kept(name=tag, why=f"the container {', '.join(users)} uses it")

    def delete(self, item: Item) -> str:
        """Delete a container, a network or an image's name; return why it had to stay, or "" when it is gone."""
        from hatchlock.engines import api, docker
        from hatchlock.usecases.gc_networks import remove_network

        if item.kind == "container":
            api.Engine(self._address).remove(item.name)
            return ""
        if item.kind == "network":
            return remove_network(self._address, item.name)
        with docker.Engine(self._address) as engine:
            try:
                engine.untag(item.name)
            except docker.ImageInUse as error:
                return error.why
        return ""

    def _freed(self, going: Mapping[str, str]) -> dict[str, int]:
        """Return what each name frees with the image that it is the last name of."""
        from hatchlock.engines import api
        from hatchlock.engines.layers import freed_by, layer_sizes, stacks_of_all

        engine = api.Engine(self._address)
        stacks = {stack.id: stack for stack in stacks_of_all(engine)}
        names: dict[str, list[str]] = {}
        for tag, image in going.items():
            names.setdefault(image, []).append(tag)
        gone = {tags[-1]: image for image, tags in names.items() if image in stacks and stacks[image].tags <= len(tags)}
        last = [tag for tag in going if tag in gone]
        layers = [stacks[gone[tag]].layers for tag in last]
        sizes = [layer_sizes(engine, gone[tag], len(stack)) for tag, stack in zip(last, layers, strict=True)]
        staying = (stack.layers for stack in stacks.values() if stack.id not in gone.values())
        return dict(zip(last, freed_by(list(zip(layers, sizes, strict=True)), staying), strict=True))

    def _unused(self) -> Iterable[tuple[str, ImageFacts]]:
        return [(tag, facts) for tag, facts in self._tags.items() if tag not in self._used.images]

    def _users(self, facts: ImageFacts) -> list[str]:
        """Names of the containers that are made of an image and stay."""
        own = [item for item in self._containers if item.image == facts.id and not self._is_leftover(item)]
        return sorted(item.name for item in own)

    def _is_leftover(self, container: Container) -> bool:
        from hatchlock.security.container import LABEL
        from hatchlock.serve.container import is_leftover, is_of_store

        is_own = container.labels.get(f"{LABEL}.project") == self._name and is_of_store(container, self._store)
        return is_own and is_leftover(container)
