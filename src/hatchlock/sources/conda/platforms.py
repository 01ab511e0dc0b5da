"""Platforms in conda's words, and the facts about them that packages may ask for: never those of this machine."""

from __future__ import annotations

from hatchlock.sources.python.targets import BadPlatform

__all__ = ["NOARCH", "subdir_of", "virtual_packages"]

NOARCH = "noarch"
_SUBDIRS = {
    "darwin/amd64": "osx-64",
    "darwin/arm64": "osx-arm64",
    "linux/amd64": "linux-64",
    "linux/arm64": "linux-aarch64",
}
_PROCESSORS = {"osx-64": "x86_64", "osx-arm64": "m1", "linux-64": "x86_64", "linux-aarch64": "aarch64"}
# the oldest kernel of the systems whose glibc is the default: RHEL 8
_LINUX = "4.18"


def subdir_of(platform: str) -> str:
    """Return the directory of a channel that holds what is made for a platform: `linux-64` for `linux/amd64`.

    Raises:
        BadPlatform: conda has no packages for it.
    """
    if platform not in _SUBDIRS:
        raise BadPlatform(text=platform, why="conda channels have no packages for it")
    return _SUBDIRS[platform]


def virtual_packages(platform: str, *, glibc: str, macos: str) -> tuple[tuple[str, str, str], ...]:
    """Return name, version and build of the virtual packages of a platform, as packages may depend on them.

    They are `__unix`, `__archspec` for the plainest processor of its kind, and `__linux` and `__glibc`, or `__osx`. There is
    no `__cuda`: what depends on a graphics card is not chosen by itself.

    Args:
        platform: `linux/amd64`.
        glibc: The oldest glibc to run on.
        macos: The oldest macOS to run on.

    Raises:
        BadPlatform: See `subdir_of`.
    """
    subdir = subdir_of(platform)
    common = (("__archspec", "1", _PROCESSORS[subdir]), ("__unix", "0", "0"))
    if subdir.startswith("osx-"):
        return (*common, ("__osx", macos, "0"))
    return (*common, ("__glibc", glibc, "0"), ("__linux", _LINUX, "0"))
