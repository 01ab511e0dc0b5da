"""Versions compared by the rules of their kind."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

from hatchlock.address import Kind
from hatchlock.lock.model import Package
from hatchlock.sources.npm.ranges import BadNpmVersion, NpmVersion

__all__ = ["compare_versions", "python_version"]


def compare_versions(namespace: Kind, one: str, other: str) -> int:
    """Return a negative number, 0 or a positive one, as `one` is older than, like or newer than `other`.

    Args:
        namespace: `pypi` (PEP 440) or `npm` (semver); of other kinds nothing is known, and the answer is 0.
        one: A version. If it cannot be read, the answer is 0.
        other: Another one.
    """
    try:
        if namespace is Kind.PYPI:
            python = (Version(one), Version(other))
            return (python[0] > python[1]) - (python[0] < python[1])
        if namespace is Kind.NPM:
            npm = (NpmVersion.parse(one), NpmVersion.parse(other))
            return (npm[0] > npm[1]) - (npm[0] < npm[1])
    except (InvalidVersion, BadNpmVersion):
        return 0
    return 0


def python_version(package: Package) -> Version:
    """Return the version that Python's requirements compare with of a package that stands in for one of Python's index.

    conda allows more than PEP 440; what that cannot express counts as 0.
    """
    try:
        return Version(package.version.partition("=")[0])
    except InvalidVersion:
        return Version("0")
