"""What does not fit together in a server's `build`: where its Dockerfile is, and what reaches the build."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding, KeyPath
from hatchlock.manifest.suspicion import looks_secret

__all__ = ["build_findings"]

_BY_DIGEST = re.compile(r"oci:[^@]+@sha256:[0-9a-f]{64}")


def build_findings(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the Dockerfiles that servers name."""
    for path, value in (*matches(document, "servers.*.build"), *matches(document, "servers.*.build.context")):
        if isinstance(value, str) and "#" in value:
            yield Finding(path=path, what=f"{value!r} is no directory", advice='write build = "./docker"')
    for path, value in matches(document, "servers.*.build.dockerfile"):
        if isinstance(value, str) and not _stays_inside(value):
            advice = "name a directory above both as the context"
            yield Finding(path=path, what=f"{value!r} is not in the context", advice=advice)
    for path, value in matches(document, "servers.*.build.image"):
        if isinstance(value, str) and not _BY_DIGEST.fullmatch(value):
            advice = (
                'write image = "oci:HOST/REPOSITORY@sha256:…", as `hatchlock export NAME --to docker://…` prints it'
            )
            yield Finding(path=path, what=f"{value!r} is no image by its digest", advice=advice)
    for path, value in matches(document, "servers.*.build.args.*"):
        yield from _argument(path, value)


def _stays_inside(path: str) -> bool:
    return not path.startswith("/") and posixpath.normpath(path).partition("/")[0] not in {"..", "."}


def _argument(path: KeyPath, value: object) -> Iterator[Finding]:
    """Unlike a server's variable an argument stays in the image, for everybody who has it: so it is refused."""
    if isinstance(value, str) and looks_secret(str(path[-1]), value):
        yield Finding(
            path=path,
            what="the value looks like a secret, and no secret reaches a build: its image would keep it",
            advice="do outside what needs it, and put the result into the context",
        )
