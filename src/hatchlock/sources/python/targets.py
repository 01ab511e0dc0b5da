"""Where a Python package is to run: platform, interpreter, the wheel tags that work there and the marker variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from packaging.tags import compatible_tags, cpython_tags, mac_platforms

from hatchlock.errors import HatchlockError

__all__ = ["DEFAULT_GLIBC", "DEFAULT_MACOS", "BadPlatform", "PythonTarget", "container_target", "process_target"]

DEFAULT_GLIBC = "2.28"
"""What systems of 2018 and later have (Debian 10, RHEL 8, Ubuntu 18.10); most wheels ask for no more."""
DEFAULT_MACOS = "13.0"

_LINUX_MACHINES = {
    "386": "i686",
    "amd64": "x86_64",
    "arm/v7": "armv7l",
    "arm64": "aarch64",
    "arm64/v8": "aarch64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_MAC_MACHINES = {"amd64": "x86_64", "arm64": "arm64"}
# PEP 600: the older names of three glibc versions
_LEGACY_MANYLINUX = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLD_ARCHITECTURES = frozenset({"x86_64", "i686"})


@dataclass(kw_only=True, eq=False)
class BadPlatform(HatchlockError):
    """A platform, interpreter version or libc that is not understood."""

    code: ClassVar[str] = "bad-platform"

    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.text!r}: {self.why}"

    def _hint(self) -> str:
        return "write platforms such as linux/amd64, linux/arm64 or darwin/arm64"


@dataclass(frozen=True, kw_only=True, slots=True)
class PythonTarget:
    """A place to run Python packages.

    Attributes:
        platform: `system/architecture`, for example `linux/amd64`.
        python: "3.11", meaning any release of it, or a full version ("3.11.2").
        tags: Wheel tags that work there (PEP 425), best first.
        marker_environment: The variables of PEP 508 markers, without `extra`.
        ranks: `tags` by name, for looking them up; made from them.
    """

    platform: str
    python: str
    tags: tuple[str, ...] = field(hash=False)
    marker_environment: Mapping[str, str] = field(hash=False)
    ranks: Mapping[str, int] = field(init=False, hash=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", {tag: rank for rank, tag in reversed(list(enumerate(self.tags)))})

    @property
    def full_python(self) -> str:
        """The version to hold against `requires-python`: of "3.11" the first release, since any may be there."""
        return self.marker_environment["python_full_version"]


@cache  # dozens of environments share a few targets, which are compared all the time
def process_target(
    platform: str, python: str, *, min_glibc: str = DEFAULT_GLIBC, min_macos: str = DEFAULT_MACOS
) -> PythonTarget:
    """Return the target of an environment on a machine of that platform.

    Args:
        platform: `linux/ARCH` or `darwin/ARCH`.
        python: "3.11" or "3.11.2".
        min_glibc: The oldest glibc it is to run on: wheels that ask for a newer one are not taken.
        min_macos: The oldest macOS, likewise.

    Raises:
        BadPlatform: One of them is not understood.
    """
    system, _, architecture = platform.partition("/")
    if system == "linux" and architecture in _LINUX_MACHINES:
        return _linux_target(platform, python, "manylinux", _release(min_glibc))
    if system == "darwin" and architecture in _MAC_MACHINES:
        machine = _MAC_MACHINES[architecture]
        wheels = list(mac_platforms(_release(min_macos), machine))
        return _target(platform, python, wheels, system="Darwin", machine=machine)
    raise BadPlatform(text=platform, why="no such platform is supported")


@cache
def container_target(platform: str, python_full: str, *, libc: str) -> PythonTarget:
    """Return the target of an environment inside an image.

    Args:
        platform: `linux/ARCH`.
        python_full: The version of the image's interpreter ("3.11.2").
        libc: "glibc 2.36" or "musl 1.2".

    Raises:
        BadPlatform: One of them is not understood.
    """
    system, _, architecture = platform.partition("/")
    if system != "linux" or architecture not in _LINUX_MACHINES:
        raise BadPlatform(text=platform, why="containers run linux on a known architecture")
    family, _, version = libc.partition(" ")
    if family not in {"glibc", "musl"}:
        raise BadPlatform(text=libc, why="a libc is `glibc VERSION` or `musl VERSION`")
    return _linux_target(platform, python_full, "manylinux" if family == "glibc" else "musllinux", _release(version))


def _release(text: str) -> tuple[int, int]:
    try:
        major, minor = [*text.split("."), "0"][:2]
        return int(major), int(minor)
    except ValueError:
        raise BadPlatform(text=text, why="a version is two numbers, such as 2.28") from None


def _linux_target(platform: str, python: str, family: str, release: tuple[int, int]) -> PythonTarget:
    machine = _LINUX_MACHINES[platform.partition("/")[2]]
    wheels = [f"{name}_{machine}" for name in _linux_families(family, release, machine)]
    return _target(platform, python, [*wheels, f"linux_{machine}"], system="Linux", machine=machine)


def _linux_families(family: str, release: tuple[int, int], machine: str) -> Iterator[str]:
    major, newest = release
    oldest = 0 if family == "musllinux" else 5 if machine in _OLD_ARCHITECTURES else 17
    for minor in range(newest, oldest - 1, -1):
        yield f"{family}_{major}_{minor}"
        if family == "manylinux" and minor in _LEGACY_MANYLINUX:
            yield _LEGACY_MANYLINUX[minor]


def _target(platform: str, python: str, wheels: list[str], *, system: str, machine: str) -> PythonTarget:
    major, minor = _release(python)
    full = python if python.count(".") > 1 else f"{major}.{minor}.0"
    interpreter = f"cp{major}{minor}"
    tags = [
        *cpython_tags((major, minor), abis=[interpreter], platforms=wheels),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=wheels),
    ]
    return PythonTarget(
        platform=platform,
        python=python,
        tags=tuple(dict.fromkeys(str(tag) for tag in tags)),
        marker_environment={
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": full,
            "python_version": f"{major}.{minor}",
            "sys_platform": system.lower(),
        },
    )
