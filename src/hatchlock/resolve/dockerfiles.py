"""Images that are built from the user's own Dockerfiles: what the lock says of them, and whether that still holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from hatchlock.digest import key_of
from hatchlock.errors import HatchlockError, ManyErrors
from hatchlock.lock.images import Image
from hatchlock.lock.model import Build, Lock
from hatchlock.manifest.model import Manifest, ServerSpec
from hatchlock.place import Place
from hatchlock.resolve.basis import Basis
from hatchlock.resolve.reason import Reason
from hatchlock.sources.dockerfile.context import ReadContext
from hatchlock.sources.dockerfile.problems import NotPinned, StartUnclear
from hatchlock.sources.dockerfile.read import Dockerfile, Start, read_dockerfile

__all__ = [
    "OtherContext",
    "build_key",
    "build_reasons",
    "build_starts",
    "locked_build",
    "locked_builds",
    "read_builds",
    "wrong_builds",
]

_SHOWN_DIGITS = 12
_RULE = 1
"""Raised when the same inputs are built in another way."""
_ENTRYPOINT, _COMMAND = "entrypoint", "command"


@dataclass(kw_only=True, eq=False)
class OtherContext(HatchlockError):
    """An image that is to be taken instead of building a Dockerfile was built from something else.

    Attributes:
        server: Whose.
        image: Its reference.
        context: The directory.
        key: What goes into the build now.
        said: What its label says; "" if it has none.
    """

    code: ClassVar[str] = "other-context"

    server: str
    image: str
    context: str
    key: str
    said: str

    def __str__(self) -> str:
        now = f"{self.context} as it is now is {self.key[:_SHOWN_DIGITS]}"
        if not self.said:
            return f"the image {self.image} does not say what it was built from; {now}"
        return f"the image {self.image} was built from the input {self.said[:_SHOWN_DIGITS]}, and {now}"

    def _hint(self) -> str:
        return (
            "take `image` out, run `hatchlock lock` and `hatchlock apply`, then "
            f"`hatchlock export {self.server} --to docker://HOST/REPOSITORY`, and write the digest that it prints"
        )


def read_builds(basis: Basis) -> tuple[Build, ...]:
    """Return what the lock says of every server's Dockerfile, but for the keys: no registry has to answer for that.

    Args:
        basis: The manifest, and whoever reads directories.

    Raises:
        BadDockerfile, NotPinned, StartUnclear: See `locked_build`.
        HatchlockError: What reading raises.
    """
    builds: list[Build] = []
    for name, server in sorted(basis.manifest.servers.items()):
        if server.build is None:
            continue
        try:
            build = locked_build(server, basis.answers.read_context(name, server.build), newest=_newest(basis))
        except HatchlockError as error:
            error.address = error.address or ("" if error.place else f"server:{name}")
            raise
        builds.append(build)
    return tuple(builds)


def locked_builds(
    basis: Basis, read: Iterable[Build], image: Callable[[str, str], Image]
) -> tuple[tuple[Build, ...], dict[str, Image]]:
    """Return the builds with their keys, and the images that they name, by reference.

    Args:
        basis: The manifest, and whoever asks registries.
        read: From `read_builds`.
        image: Returns the image of a reference, for the address that wants it.

    Raises:
        StartUnclear: Nobody says what is started.
        OtherContext: The image that is to be taken instead was built from something else.
        HatchlockError: What looking up raises.
    """
    builds: list[Build] = []
    images: dict[str, Image] = {}
    for build in read:
        address = f"server:{build.server}"
        images |= {reference: image(reference, address) for reference in build.images}
        builds.append(_with_keys(build, images, basis.containers))
        if build.image:
            images[build.image] = image(build.image, address)
            _check_image(builds[-1], images[build.image], address)
        starts = build_starts(build, images, basis.containers[0])
        if not basis.manifest.servers[build.server].command and not any(starts):
            raise StartUnclear(address=address, why="neither its Dockerfile nor the image below says any command")
    return tuple(builds), images


def _newest(basis: Basis) -> Callable[[str], str]:
    def ask(reference: str) -> str:
        try:
            return basis.answers.look_up_image(reference, (), facts=False).digest
        except HatchlockError:  # it is only for a hint
            return ""

    return ask


def locked_build(server: ServerSpec, read: ReadContext, *, newest: Callable[[str], str]) -> Build:
    """Return what the lock says of a server's Dockerfile, but for its keys.

    Args:
        server: One with `build`.
        read: Its directory.
        newest: Returns the digest that a registry has for an image now, "" if it cannot be had.

    Raises:
        BadDockerfile, NotPinned: What is wrong with it; ManyErrors, if that is more.
        StartUnclear: Neither it nor the manifest says in words what is started.
    """
    spec = server.build
    assert spec is not None  # noqa: S101  the caller looked
    dockerfile = read_dockerfile(read.text, file=read.shown, args=spec.args, target=spec.target)
    _check(dockerfile, newest)
    base, entrypoint, command = dockerfile.starts()
    if not server.command:
        _check_start("ENTRYPOINT", entrypoint, read.shown)
        if not server.args:
            _check_start("CMD", command, read.shown)
    inherits = [name for name, start in ((_COMMAND, command), (_ENTRYPOINT, entrypoint)) if start is None and base]
    return Build(
        server=server.name,
        context=spec.context,
        dockerfile=spec.dockerfile,
        target=spec.target,
        args=spec.args,
        files=(read.file,),
        images=tuple(sorted(dockerfile.images)),
        base=base if inherits else "",
        entrypoint=entrypoint.words if entrypoint else (),
        command=command.words if command else (),
        inherits=tuple(inherits),
        image=spec.image,
    )


def _check(dockerfile: Dockerfile, newest: Callable[[str], str]) -> None:
    problems = dockerfile.problems
    known: dict[str, str] = {}
    for problem in problems:
        if isinstance(problem, NotPinned):
            if problem.image not in known:
                known[problem.image] = newest(problem.image)
            problem.digest = known[problem.image]
    if len(problems) > 1:
        raise ManyErrors(errors=problems)
    if problems:
        raise problems[0]


def _check_start(what: str, start: Start | None, shown: str) -> None:
    if start and start.is_shell:
        place = Place(file=shown, line=start.line)
        raise StartUnclear(place=place, why=f"its {what} is text for a shell, and no list")


def _check_image(build: Build, image: Image, address: str) -> None:
    """By its label, which whoever made it could write: what it is is decided by who wrote its digest into the manifest."""
    for platform, key in build.keys.items():
        said = image.platforms[platform].key
        if said != key:
            raise OtherContext(
                address=address, server=build.server, image=build.image, context=build.context, key=key, said=said
            )


def _with_keys(build: Build, images: Mapping[str, Image], platforms: Iterable[str]) -> Build:
    return replace(build, keys={platform: build_key(build, images, platform) for platform in platforms})


def build_key(build: Build, images: Mapping[str, Image], platform: str) -> str:
    """Return the input key (64 hex digits) of the image on a platform: of everything that decides on what is built."""
    parts = [
        platform,
        build.dockerfile,
        build.target,
        *(file.sha256 for file in build.files),
        *(f"{name}={value}" for name, value in sorted(build.args.items())),
        *(f"{name} {images[name].platforms[platform].digest}" for name in build.images),
    ]
    return key_of(f"dockerfile:{_RULE}", parts)


def build_starts(build: Build, images: Mapping[str, Image], platform: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the entrypoint and the command of the built image on a platform, both empty if nobody says any.

    Args:
        build: From the lock.
        images: The lock's, by reference.
        platform: Of a container.
    """
    base = images[build.base].platforms[platform] if build.base else None
    entrypoint = base.entrypoint if base and _ENTRYPOINT in build.inherits else build.entrypoint
    command = base.command if base and _COMMAND in build.inherits else build.command
    return entrypoint, command


def build_reasons(manifest: Manifest, lock: Lock) -> Iterator[Reason]:
    """Yield why the lock's builds are not the manifest's. What is in the directories is compared where they are."""
    for server in manifest.servers.values():
        spec, build = server.build, lock.build(server.name)
        address = f"server:{server.name}"
        if spec is None and build is not None:
            yield Reason(address=address, what="is not built from a Dockerfile any more")
        elif spec is not None and build is None:
            yield Reason(address=address, what=f"is built from {spec.context}, which is not in the lock")
        elif spec is not None and build is not None:
            for name in ("context", "dockerfile", "target", "args", "image"):
                if getattr(spec, name) != getattr(build, name):
                    yield Reason(address=address, what=f"build.{name} changed since it was locked")
            no_start = not build.entrypoint and not build.command and not build.inherits
            if no_start and not server.command:
                yield Reason(address=address, what="has no command any more, and its Dockerfile says none in words")
    for build in lock.builds:
        if build.server not in manifest.servers:
            yield Reason(address=f"server:{build.server}", what="is in the lock and not declared any more")


def wrong_builds(lock: Lock) -> Iterator[Reason]:
    """Yield what no lock says that `lock` wrote."""
    images = {image.reference: image for image in lock.images}
    servers = {server.name for server in lock.servers}
    for build in lock.builds:
        address = f"server:{build.server}"
        if build.server not in servers:
            yield Reason(address=address, what="is built, and is no server of the lock")
        missing = sorted({*build.images, build.base, build.image} - {"", *images})
        for reference in missing:
            yield Reason(address=address, what=f"is built from the image {reference}, which is not in the lock")
        if len(build.files) != 1:
            yield Reason(address=address, what="is built from something else than one directory")
        if missing:
            continue
        for platform, key in build.keys.items():
            has_all = all(platform in images[name].platforms for name in build.images)
            if has_all and key != build_key(build, images, platform):
                yield Reason(address=address, what=f"has a key for {platform} that does not follow from what is in it")
            found = images[build.image].platforms.get(platform) if build.image else None
            if build.image and (found is None or found.key != key):
                yield Reason(
                    address=address, what=f"takes the image {build.image}, which was built from something else"
                )
