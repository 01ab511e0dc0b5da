"""Where an environment's packages run, by what lock and manifest say. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from hatchlock.lock.images import Image
from hatchlock.lock.model import Environment
from hatchlock.manifest.model import Manifest
from hatchlock.resolve.interpreters import has_own_python
from hatchlock.resolve.wanted import WantedEnvironment
from hatchlock.sources.python.targets import (
    DEFAULT_GLIBC,
    DEFAULT_MACOS,
    PythonTarget,
    container_target,
    process_target,
)

__all__ = ["environment_target", "glibc_of"]


def environment_target(
    manifest: Manifest, wanted: WantedEnvironment | Environment, images: Mapping[str, Image], platform: str
) -> PythonTarget:
    """Return where an environment's Python packages are to run on one platform."""
    if wanted.runtime == "process":
        project = manifest.project
        return process_target(
            platform,
            wanted.python,
            min_glibc=project.min_glibc or DEFAULT_GLIBC,
            min_macos=project.min_macos or DEFAULT_MACOS,
        )
    base = images[wanted.base].platforms[platform]
    own = has_own_python(wanted.requirements) or not base.python
    # whether a base must have Python turns out when something needs it
    return container_target(platform, wanted.python if own else base.python, libc=base.libc or f"glibc {DEFAULT_GLIBC}")


def glibc_of(
    manifest: Manifest, wanted: WantedEnvironment | Environment, images: Mapping[str, Image], platform: str
) -> str:
    """Return the oldest glibc that an environment's packages have to run on."""
    family, _, version = images[wanted.base].platforms[platform].libc.partition(" ") if wanted.base else ("", "", "")
    return version if family == "glibc" else manifest.project.min_glibc or DEFAULT_GLIBC
