"""The layers of an image: which there are, what is in each, and the image put together from verified files."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from hatchlock.digest import hex_of, key_of
from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.images.assemble import Composed, Concern, as_it_is, compose
from hatchlock.images.below import read_below
from hatchlock.images.layer import user_entries
from hatchlock.lock.model import ASSEMBLER
from hatchlock.net.cache import Cache
from hatchlock.paths import Home
from hatchlock.realise.base_tree import BaseTree
from hatchlock.realise.debs.layer import WANTED_OF_BASE, DebFile, deb_tree
from hatchlock.realise.tree import ROOT, Entry, entries_below
from hatchlock.realise.unpack import public_directory
from hatchlock.realise.wheels import wheel_tree
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_builds import kept_environment
from hatchlock.resources.env_layout import checked, lay_out_applications, lay_out_modules, minor_version
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.store.blobs import Blobs

__all__ = ["OtherOutputs", "PlaceTaken", "check_outputs", "composed"]

_LAYERS = "layers-1"
_WANTED = re.compile(f"etc/(passwd|group)|{WANTED_OF_BASE.pattern}")
_PLACE = ROOT.lstrip("/")


@dataclass(kw_only=True, eq=False)
class PlaceTaken(HatchlockError):
    """A base has something of its own where an image's environment goes."""

    code: ClassVar[str] = "place-taken"

    base: str
    path: str

    def __str__(self) -> str:
        return f"the base {self.base} has {self.path} already, where the environment goes"

    def _hint(self) -> str:
        return "choose the base that this one was made from"


@dataclass(kw_only=True, eq=False)
class OtherOutputs(HatchlockError):
    """An image was assembled, and is not the one that the lock says it must be."""

    code: ClassVar[str] = "other-outputs"

    image: str
    locked: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"the image {self.image} that was assembled here is {self.found[0]}, and the lock says {self.locked[0]}; "
            "nothing was loaded"
        )

    def _hint(self) -> str:
        return "if somebody edited the lock, `hatchlock lock --images` puts it right; else please report it"


def check_outputs(spec: ImageSpec, image: Composed) -> None:
    """Make sure that an image is the one that the lock says, if it says that.

    Raises:
        OtherOutputs: It is another one.
    """
    found = (image.config_digest, *image.layers)
    if spec.outputs and spec.outputs != found:
        raise OtherOutputs(image=spec.server, locked=spec.outputs, found=found)


@contextmanager
def composed(
    spec: ImageSpec, *, home: Home, has: Callable[[Sequence[str]], bool] = lambda _: False
) -> Iterator[Composed]:
    """Put an image together from the store's files; its layers are on disk until the block ends.

    Args:
        spec: The image; for any platform.
        home: The store.
        has: See `images.assemble.compose`.

    Raises:
        NotBuilt: A package of it comes as source, and was not built yet.
        PlaceTaken, BaseOverwritten: A layer would overwrite files of the base.
        WrongHash: A blob of the store is damaged; it is removed.
        HatchlockError: What laying packages out raises.
        OSError: A file is not in the store, or the disk is full.
    """
    blobs = Blobs(home.blobs)
    if spec.environment is None:
        yield as_it_is(spec.base, blobs)
        return
    environment = kept_environment(spec.environment, home=home)
    with tempfile.TemporaryDirectory(dir=private_directory(home.cache), prefix="work-image-") as scratch:
        directory = Path(scratch)
        layers = _Layers(spec, environment, blobs=blobs, below=_below(spec, blobs, home), scratch=directory)
        yield compose(
            layers.concerns(),
            base=spec.base,
            blobs=blobs,
            key=spec.key,
            scratch=directory,
            known=_Known(home),
            has=has,
        )


def _below(spec: ImageSpec, blobs: Blobs, home: Home) -> BaseTree:
    layers = [blobs.path(hex_of(layer.digest)) for layer in spec.base.layers]
    tree = read_below(layers, _WANTED, cache=home.cache / "bases", key=" ".join(_bytes_of(spec)))
    place = tree.resolve(_PLACE)
    if place in tree.paths or any(path.startswith(f"{place}/") for path in tree.paths):
        raise PlaceTaken(base=spec.reference, path=f"/{place}")
    return tree


def _bytes_of(spec: ImageSpec) -> list[str]:
    """Name what of a base is read, and checked: not the manifest or the diff ids that a lock says it has."""
    return [layer.digest for layer in spec.base.layers]


class _Known:
    """Diff ids of layers, in the cache."""

    def __init__(self, home: Home) -> None:
        self._cache = Cache(home.cache / _LAYERS)

    def diff_id(self, key: str) -> str:
        kept = self._cache.load(key)
        return kept.body.decode() if kept else ""

    def remember(self, key: str, diff_id: str) -> None:
        self._cache.save(key, diff_id.encode())


class _Layers:
    """The trees of one image, made as far as they are asked for."""

    def __init__(self, spec: ImageSpec, env: EnvSpec, *, blobs: Blobs, below: BaseTree, scratch: Path) -> None:
        self._spec = spec
        self._env = env
        self._blobs = blobs
        self._below = below
        self._place = below.resolve(_PLACE)
        self._scratch = scratch
        self._tree = scratch / "tree"

    def concerns(self) -> list[Concern]:
        """Return one concern for each layer, lowest first; the lowest makes the sandbox's user known as well."""
        (name, key, make), *others = self._parts() or [("user", (), tuple)]
        lowest = _concern(name, [*_bytes_of(self._spec), *key], lambda: [*make(), *self._users()])
        return [lowest, *(_concern(*item) for item in others)]

    def _parts(self) -> list[tuple[str, Sequence[str], Callable[[], Iterable[Entry]]]]:
        """Return the name of each layer, what decides on its bytes, and what makes its tree."""
        env = self._env
        place = [self._place, self._spec.platform]
        debs = [f"{item.name} {item.digest}" for item in self._spec.debs]
        conda = [env.conda.root] if env.conda else []
        wheels = [f"{item.name} {item.digest}" for item in env.wheels]
        python = [env.python, minor_version(env), *wheels] if env.python else []
        parts: list[tuple[str, Sequence[str], Callable[[], Iterable[Entry]]]] = []
        if debs:
            parts.append(("system", [*_bytes_of(self._spec), *debs], self._system))
        if conda:
            parts.append(("conda", [*place, *conda], self._conda))
        if python:
            parts.append(("python", [*place, *python], lambda: self._python))
        if env.modules:
            modules = [
                f"{module.path} {module.artefact.digest} {sorted(module.commands.items())}"
                + (f" {module.changes.digest}" if module.changes else "")
                for module in env.modules
            ]
            parts.append(("npm", [*place, *modules], lambda: self._modules))
        if env.projects or env.programs or conda or any(module.offered for module in env.modules):
            node = env.node.path if env.node else ""
            parts.append(("application", [*place, *python, *conda, node, *env.laid_out()], self._applications))
        return parts

    def _users(self) -> Iterable[Entry]:
        for entry in user_entries(self._below.files):
            yield Entry(path=self._below.resolve(entry.path), kind=entry.kind, mode=entry.mode, content=entry.content)

    def _system(self) -> Iterable[Entry]:
        files = [_deb(item, checked(item, self._blobs)) for item in self._spec.debs]
        scratch = self._scratch / "debs"
        scratch.mkdir()
        return deb_tree(files, base=self._below, scratch=scratch)

    def _conda(self) -> Iterable[Entry]:
        assert self._env.conda is not None  # noqa: S101  else there is no such layer
        entries = entries_below(self._conda_directory, at=self._below.resolve(self._env.conda.root.lstrip("/")))
        # theirs fits the times that their files had, and all files of a layer have the same
        return [entry for entry in entries if "/__pycache__/" not in entry.path]

    @cached_property
    def _conda_directory(self) -> Path:
        from hatchlock.realise.conda import install_conda  # noqa: PLC0415  an extra, which few environments need

        conda = self._env.conda
        assert conda is not None  # noqa: S101  the caller looked
        files = [(item.name, checked(item, self._blobs)) for item in conda.artefacts]
        prefix, scratch = self._scratch / "conda", self._scratch / "conda-scratch"
        scratch.mkdir()
        install_conda(files, prefix, platform=conda.platform, scratch=scratch, at=conda.root)
        return prefix

    @cached_property
    def _python(self) -> tuple[Entry, ...]:
        return wheel_tree(
            [(wheel.name, checked(wheel, self._blobs)) for wheel in self._env.wheels],
            python=minor_version(self._env),
            python_path=self._env.python,
            symlinks=self._below.top_links,
        )

    @cached_property
    def _modules(self) -> tuple[Entry, ...]:
        public_directory(self._tree)
        lay_out_modules(self._env, self._tree, self._blobs)
        return entries_below(self._tree, at=self._place)

    def _applications(self) -> Iterable[Entry]:
        """What laying out changes: commands of an archive may not have the name of one that is there already."""
        _ = self._modules
        self._put_commands()
        before = _states(self._tree)
        conda = self._conda_directory if self._env.conda else None
        lay_out_applications(self._env, self._tree, self._blobs, at=ROOT, conda=conda, system="linux")
        after = _states(self._tree)
        changed = {path for path, state in after.items() if before.get(path) != state}
        prefix = f"{self._place}/"
        return [
            entry for entry in entries_below(self._tree, at=self._place) if entry.path.removeprefix(prefix) in changed
        ]

    def _put_commands(self) -> None:
        """Put the commands of Python's packages where they are in the image."""
        prefix = f"{self._place}/bin/"
        for entry in self._python if self._env.python else ():
            if entry.path.startswith(prefix) and entry.kind != "directory":
                command = self._tree / "bin" / entry.path.removeprefix(prefix)
                public_directory(command.parent)
                command.touch()


def _deb(item: Artefact, path: Path) -> DebFile:
    name, _, version = item.package.partition(":")[2].partition("@")
    return DebFile(name=name, version=version, file_name=item.name, path=path)


def _concern(name: str, key: Iterable[str], entries: Callable[[], Iterable[Entry]]) -> Concern:
    return Concern(name=name, key=key_of(f"layer-{name}:{ASSEMBLER}", list(key)), entries=entries)


def _states(tree: Path) -> dict[str, tuple[int, ...]]:
    """Return what tells whether somebody wrote to a file, of everything in a directory; a directory is there or not."""
    found: dict[str, tuple[int, ...]] = {}
    for directory, folders, names in os.walk(tree):
        for name in (*names, *folders):
            path = os.path.join(directory, name)  # noqa: PTH118  `Path` costs more than the call
            state = os.lstat(path)
            facts = (state.st_ino, state.st_mtime_ns, state.st_size, state.st_mode)
            found[os.path.relpath(path, tree)] = () if stat.S_ISDIR(state.st_mode) else facts
    return found
