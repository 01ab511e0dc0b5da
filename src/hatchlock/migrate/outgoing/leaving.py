"""What other tools are given of a lock: each server as an image by digest, or as a command line that pins what it can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from packaging.requirements import Requirement

from hatchlock.address import BadSource, ImageReference, Kind, Source, Transport
from hatchlock.errors import HatchlockError, UsageError
from hatchlock.lock.model import Environment, Lock, Package, Server
from hatchlock.manifest.model import Manifest, ServerSpec
from hatchlock.migrate.outgoing.commands import docker_run, docker_run_notes, npx, uvx
from hatchlock.migrate.outgoing.model import Addressed, Contained, Note, Outgoing, Served, Started, Withheld
from hatchlock.migrate.outgoing.setting import Setting
from hatchlock.resolve.command import main_package
from hatchlock.resolve.declared_by_lock import declared_by
from hatchlock.resolve.direct import is_direct
from hatchlock.resolve.requirements import declared
from hatchlock.resources.placing import Placed

__all__ = ["Leaving", "images_of"]

_PLACES = {
    Kind.PATH: "it comes from a directory of this project",
    Kind.HATCH: "it is a Hatch package, which no other tool starts",
    Kind.URL: "it comes from an address, and nothing of npx or uvx checks what is there",
    Kind.MCP: "it is an MCP bundle, which no command line starts",
}


def images_of(words: tuple[str, ...]) -> Mapping[str, str]:
    """Return server or environment -> image, of `--image NAME=HOST/REPOSITORY@sha256:…`.

    Raises:
        UsageError: One of them is none, or names an image without digest.
    """
    found = {}
    for text in words:
        name, _, written = text.partition("=")
        try:
            reference = ImageReference.parse(written.removeprefix("oci:"))
        except BadSource:
            reference = None
        if reference is None or not reference.digest or reference.transport is not Transport.REGISTRY:
            raise UsageError(
                what=f"--image {text}: that is no image with a digest",
                advice="write NAME=HOST/REPOSITORY@sha256:…, as `hatchlock export NAME --to docker://HOST/REPOSITORY` prints it",
            )
        found[name] = str(replace(reference, tag=""))
    return found


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """Turns servers of a project's lock into what other tools are given.

    Attributes:
        manifest: The project's manifest, without this machine's overlay.
        lock: What satisfies it.
        images: Server or environment -> where its image was pushed to, by digest.
        setting: Where the export is made.
        platform: Of containers: which of the lock's is looked at for what an image starts by itself.
        placed: How a server is started inside of its image, on a machine that nobody looks at; it raises what is wrong with it.
    """

    manifest: Manifest
    lock: Lock
    images: Mapping[str, str]
    setting: Setting
    platform: str
    placed: Callable[[str], Placed]

    def served(self, name: str) -> Served | Withheld:
        """Return a server as an image, or by its address; or why it is neither."""
        launch = self.lock.server(name)
        if launch.url:
            return self._addressed(launch)
        if launch.runtime != "container":
            why = "it runs as a process in the lock, and here only containers are started"
            return Withheld(server=name, why=why, hint='give it runtime = "container", and lock')
        image = self._image(launch)
        if isinstance(image, Withheld):
            return image
        try:
            placed = self.placed(name)
        except HatchlockError as error:
            return Withheld(server=name, why=str(error), hint=error.hint)
        return self._contained(launch, placed, image)

    def pinned(self, name: str) -> Outgoing | Withheld:
        """Return a server as a command line that needs no hatchlock, or by its address; or why it is neither."""
        launch = self.lock.server(name)
        if launch.url:
            return self._addressed(launch)
        if launch.runtime == "container" and not isinstance(self._image(launch), Withheld):
            served = self.served(name)
            return docker_run(served, self.setting) if isinstance(served, Contained) else served
        if launch.image or self.lock.build(name):
            found = self._image(launch)
            return found if isinstance(found, Withheld) else self._no_command(launch)
        if not launch.environment:
            return self._started(launch, (*launch.command, *launch.args))
        return self._of_package(launch)

    def notes(self, name: str, *, pinned: bool) -> Iterator[Note]:
        """Yield what people should know of a server that is exported, besides what the format says."""
        launch, rules = self.lock.server(name), self.manifest.servers[name].tools
        if (rules.allow or rules.deny) and (pinned or self._tools(name) is None):
            yield Note(server=name, what="all of its tools pass there: its rules are not carried over")
        if not pinned or launch.url:
            return
        if launch.runtime == "container" and not isinstance(self._image(launch), Withheld):
            served = self.served(name)
            if isinstance(served, Contained):
                yield from docker_run_notes(served)
        elif not launch.environment:
            yield Note(server=name, what="nothing of it is pinned: it is a program of the machine")
        else:
            yield from self._notes_of_package(launch)

    @cached_property
    def _declared(self) -> Manifest:
        return declared_by(self.lock, self.manifest)

    def _addressed(self, launch: Server) -> Addressed:
        return Addressed(
            name=launch.name,
            description=self.manifest.servers[launch.name].description,
            url=launch.url,
            transport="sse" if launch.transport == "sse" else "http",
            headers=launch.headers,
            secrets=launch.header_secrets,
            tools=self._tools(launch.name),
        )

    def _image(self, launch: Server) -> str | Withheld:
        build = self.lock.build(launch.name)
        locked = launch.image or (build.image if build else "")
        if given := self.images.get(launch.name) or (self.images.get(launch.environment) if not locked else None):
            return given
        if locked:
            reference = ImageReference.parse(locked)
            if reference.transport is Transport.REGISTRY:
                return str(replace(reference, tag="", digest=self.lock.image(locked).digest))
        return Withheld(
            server=launch.name,
            why="its image is in no registry",
            hint=f"run `hatchlock export {launch.name} --to docker://HOST/REPOSITORY`, and name what that prints: "
            f"--image {launch.name}=HOST/REPOSITORY@sha256:…",
        )

    def _contained(self, launch: Server, placed: Placed, image: str) -> Contained:
        record, endpoint = placed.server.record, placed.server.record.endpoint
        is_ours = bool(launch.environment)
        own = launch.args if not launch.command else None
        return Contained(
            name=launch.name,
            description=self.manifest.servers[launch.name].description,
            image=image,
            argv=record.argv,
            # what hatchlock puts together starts nothing by itself
            after_own=record.argv if is_ours else own,
            cwd=record.cwd,
            env=launch.env,
            secrets=launch.secrets,
            sandbox=launch.sandbox,
            volumes=self.lock.image(launch.image).platforms[self.platform].volumes if launch.image else (),
            port=endpoint.port if endpoint else 0,
            host_port=endpoint.host_port if endpoint else 0,
            path=endpoint.path if endpoint else "",
            tools=self._tools(launch.name),
        )

    def _tools(self, name: str) -> tuple[str, ...] | None:
        """Return the names of the tools that pass; None for all, or where they are not known."""
        rules, surface = self.manifest.servers[name].tools, self.lock.surface(name)
        if not rules.allow and not rules.deny:
            return None
        if surface:
            return tuple(item.name for item in surface.tools if rules.permits(item.name))
        is_plain = not rules.deny and not any("*" in pattern for pattern in rules.allow)
        return rules.allow if is_plain else None

    def _no_command(self, launch: Server) -> Withheld:
        return Withheld(server=launch.name, why="an engine starts it, and it runs as a process in the lock")

    def _started(self, launch: Server, words: tuple[str, ...]) -> Started:
        return Started(name=launch.name, words=words, env=launch.env, secrets=launch.secrets, cwd=launch.cwd)

    def _environment(self, launch: Server) -> Environment:
        return self.lock.environment(launch.environment, launch.runtime)

    def _package(self, launch: Server) -> tuple[ServerSpec, Package | None]:
        spec = self._declared.servers[launch.name]
        source = spec.source
        return spec, main_package(source, self._environment(launch), self.lock) if source else None

    def _of_package(self, launch: Server) -> Started | Withheld:
        spec, package = self._package(launch)
        if package is None or package.kind in _PLACES:
            kind = package.kind if package else Kind.PATH
            return Withheld(server=launch.name, why=_PLACES[kind], hint=self._pushed(launch))
        if not launch.command or launch.command[0] not in package.scripts:
            why = "what starts it is none of its package's own commands, and npx and uvx start nothing else"
            return Withheld(server=launch.name, why=why, hint=self._pushed(launch))
        command, args = launch.command[0], (*launch.command[1:], *launch.args)
        if package.kind is Kind.NPM or package.ecosystem == "node":
            own = package.name.rpartition("/")[2]
            is_found = len(package.scripts) == 1 or command == own
            return self._started(launch, npx(_npm_spec(package), "" if is_found else command, args))
        words = uvx(
            _python_spec(package, spec.source),
            command,
            args,
            python=self._environment(launch).python,
            also=tuple(f"{item.name}=={item.version}" for item in self._beside(launch, package)),
        )
        return self._started(launch, words)

    def _pushed(self, launch: Server) -> str:
        if launch.runtime != "container":
            return "with hatchlock it starts there too: leave out --without-hatchlock"
        found = self._image(launch)
        return found.hint if isinstance(found, Withheld) else ""

    def _beside(self, launch: Server, package: Package) -> Iterator[Package]:
        """Yield the packages of Python that the manifest asks for besides the server's own."""
        here = [self.lock.by_id[item] for item in sorted(self._environment(launch).everywhere)]
        by_name = {item.name: item for item in here if item.kind is Kind.PYPI}
        for text in self._environment(launch).requirements:
            if text.startswith(f"{Kind.PYPI}:") and not is_direct(text):
                found = by_name.get(declared(text).name)
                if found and found.id != package.id:
                    yield found

    def _notes_of_package(self, launch: Server) -> Iterator[Note]:
        _, package = self._package(launch)
        if package is None:
            return
        environment = self._environment(launch)
        named = {package.id, *(item.id for item in self._beside(launch, package))}
        others = [self.lock.by_id[item] for item in sorted(environment.everywhere - named)]
        below = [item for item in others if item.kind in {Kind.PYPI, Kind.NPM, Kind.GIT}]
        if below:
            others_of = f"the {len(below)} packages" if len(below) > 1 else "the package"
            what = f"{package.name} {package.version} is pinned, and nothing of {others_of} below it"
            yield Note(server=launch.name, what=what)
        asked = sorted({text.partition(":")[0] for text in environment.requirements} - {"pypi", "npm", "git", "mcp"})
        if asked:
            yield Note(
                server=launch.name,
                what=f"what it needs of {', '.join(f'{kind}:' for kind in asked)} is not brought along",
            )
        if package.index not in {"", str(package.kind)} or str(package.kind) in self.manifest.indexes:
            yield Note(
                server=launch.name,
                what="it comes from an index of this project: whoever starts it has to have that set up",
            )
        yield Note(server=launch.name, what="it runs without any sandbox there")


def _npm_spec(package: Package) -> str:
    return (
        f"git+{package.location}#{package.commit}" if package.kind is Kind.GIT else f"{package.name}@{package.version}"
    )


def _python_spec(package: Package, source: Source | None) -> str:
    if package.kind is Kind.GIT:
        below = f"#subdirectory={package.subdirectory}" if package.subdirectory else ""
        return f"git+{package.location}@{package.commit}{below}"
    extras = Requirement(source.spec).extras if source and source.kind is Kind.PYPI else set()
    chosen = f"[{','.join(sorted(extras))}]" if extras else ""
    return f"{package.name}{chosen}=={package.version}"
