"""Whether an environment has the interpreters that its packages run in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.address import Kind
from hatchlock.errors import HatchlockError
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Environment, Package
from hatchlock.resolve.named import name_of

__all__ = ["BaseWithoutNode", "BaseWithoutPython", "BuildNotInBase", "check_interpreters", "has_own_python"]

_CONDA_PYTHON = f"{Kind.CONDA}:python"
_CONDA_NODE = "nodejs"
_DEB_NODE = "nodejs"


@dataclass(kw_only=True, eq=False)
class BaseWithoutPython(HatchlockError):
    """A base image does not have the interpreter that an environment needs."""

    code: ClassVar[str] = "base-without-python"

    base: str
    platform: str
    wanted: str
    found: str

    def __str__(self) -> str:
        has = f"Python {self.found}" if self.found else "no Python"
        return f"the base {self.base} has {has} for {self.platform}, the environment wants Python {self.wanted}"

    def _hint(self) -> str:
        conda = f'or take it from conda: list "conda:python={self.wanted}"'
        if self.found:
            return f'set python = "{".".join(self.found.split(".")[:2])}", or choose another base, {conda}'
        return f'choose a base with Python in it, for example base = "oci:python:{self.wanted}-slim", {conda}'


@dataclass(kw_only=True, eq=False)
class BaseWithoutNode(HatchlockError):
    """A base image does not have the Node that an environment needs."""

    code: ClassVar[str] = "base-without-node"

    base: str
    platform: str
    wanted: str
    found: str

    def __str__(self) -> str:
        has = f"Node {self.found}" if self.found else "no Node"
        return f"the base {self.base} has {has} for {self.platform}, and packages of npm need it ({self.wanted})"

    def _hint(self) -> str:
        return (
            f'choose a base with Node in it, for example base = "oci:node:{self.wanted}-slim", or add it: list '
            f'"deb:{_DEB_NODE}" or "conda:{_CONDA_NODE}" among the dependencies'
        )


@dataclass(kw_only=True, eq=False)
class BuildNotInBase(HatchlockError):
    """Something would be built in a container of a base by an interpreter that only what is added to it has."""

    code: ClassVar[str] = "build-not-in-base"

    package: str
    base: str
    interpreter: str

    def __str__(self) -> str:
        return (
            f"{self.package} is built in a container of {self.base}, and the environment's {self.interpreter} is none of that "
            "base: what is added to it is not there yet"
        )

    def _hint(self) -> str:
        return (
            f"choose a base that has {self.interpreter} and leave the other one out, or take the package off allow-build and "
            "allow-scripts"
        )


def has_own_python(requirements: Iterable[str]) -> bool:
    """Return whether an environment takes its Python from conda, as its requirements say."""
    return any(name_of(text) == _CONDA_PYTHON for text in requirements if text.startswith(f"{Kind.CONDA}:"))


def check_interpreters(environment: Environment, images: Mapping[str, Image], packages: Mapping[str, Package]) -> None:
    """Refuse an environment whose base lacks what its packages run in.

    Args:
        environment: As resolved.
        images: Has its base, if it has one.
        packages: By id; what is not there was checked before.

    Raises:
        BaseWithoutPython: Something needs Python, and neither base nor conda has it in that version.
        BaseWithoutNode: Something needs Node, and neither base, Debian's packages nor conda have it.
        BuildNotInBase: Something is built, or runs scripts, and the base does not have what it takes.
    """
    if environment.runtime != "container":
        return
    for platform, base in sorted(images[environment.base].platforms.items()):
        here = [packages[name] for name in environment.on(platform) if name in packages]
        namespaces = {package.namespace for package in here}
        names = {(package.kind, package.name) for package in here}
        if namespaces & {Kind.PYPI, Kind.HATCH} and not has_own_python(environment.requirements):
            _check_python(environment, platform, base)
        added = names & {(Kind.DEB, _DEB_NODE), (Kind.CONDA, _CONDA_NODE)}
        if Kind.NPM in namespaces and not base.node and not added:
            raise BaseWithoutNode(
                address=f"env:{environment.name}",
                base=environment.base,
                platform=platform,
                wanted=environment.node,
                found=base.node,
            )
        _check_builds(environment, here, base)


def _check_builds(environment: Environment, here: Iterable[Package], base: ImagePlatform) -> None:
    """What is built is built in the base alone: nothing that the image adds is there."""
    has_node = base.node and not any(item.kind is Kind.CONDA and item.name == _CONDA_NODE for item in here)
    has_python = not has_own_python(environment.requirements)
    for package in here:
        is_node = package.namespace is Kind.NPM
        if package.id not in {*environment.builds, *environment.scripts} or (has_node if is_node else has_python):
            continue
        raise BuildNotInBase(
            address=f"env:{environment.name}",
            package=package.id,
            base=environment.base,
            interpreter="Node" if is_node else "Python",
        )


def _check_python(environment: Environment, platform: str, base: ImagePlatform) -> None:
    if base.python.split(".")[:2] != environment.python.split(".")[:2]:
        raise BaseWithoutPython(
            address=f"env:{environment.name}",
            base=environment.base,
            platform=platform,
            wanted=environment.python,
            found=base.python,
        )
