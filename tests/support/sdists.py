"""Source distributions that build themselves: a backend of their own in the tree (PEP 517), which needs nothing."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping

from support.index import Release

__all__ = ["BACKEND", "backed", "sdist_bytes", "source_release"]

BACKEND = """
import os, sys, zipfile

NAME, VERSION = "NAME".replace("-", "_"), "VERSION"
METADATA = "METADATA"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    folder = f"{NAME}-{VERSION}.dist-info"
    wheel = f"{NAME}-{VERSION}-py3-none-any.whl"
    files = {f"{NAME}.py": module(), f"{folder}/METADATA": METADATA}
    files[f"{folder}/WHEEL"] = "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{folder}/entry_points.txt"] = f"[console_scripts]\\n{NAME} = {NAME}:main\\n"
    files[f"{folder}/RECORD"] = "".join(f"{name},,\\n" for name in files)
    with zipfile.ZipFile(os.path.join(directory, wheel), "w") as archive:
        for name in reversed(list(files)):
            archive.writestr(name, files[name])
    return wheel


def module():
    return "def main():\\n    print('built')\\n"
"""
"""Its zip file has today's times and an order of its own; `module` may be overwritten by what is put behind it."""

_PYPROJECT = '[build-system]\nrequires = [REQUIRES]\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def backed(name: str, version: str, *, info: str, module: str = "", requires: str = "") -> dict[str, bytes]:
    """Return the files of a project with its backend; `info` is its PKG-INFO, and its wheel's METADATA."""
    said = {'"NAME"': repr(name), '"VERSION"': repr(version), '"METADATA"': repr(info)}
    backend = BACKEND
    for word, value in said.items():
        backend = backend.replace(word, value)
    return {
        "PKG-INFO": info.encode(),
        "pyproject.toml": _PYPROJECT.replace("REQUIRES", requires).encode(),
        "backend.py": (backend + module).encode(),
    }


def sdist_bytes(stem: str, files: Mapping[str, bytes]) -> bytes:
    """Return a `.tar.gz` whose files are below `stem`."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, data in files.items():
            info = tarfile.TarInfo(f"{stem}/{path}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def source_release(
    name: str = "crafted", version: str = "1.0", *, needs: str = "", module: str = "", requires: str = ""
) -> Release:
    """Return a release for an index that comes as source only."""
    info = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    info += f"Requires-Dist: {needs}\n" if needs else ""
    files = backed(name, version, info=info, module=module, requires=requires)
    return Release(name=name, version=version, sdist=True, body=sdist_bytes(f"{name}-{version}", files))
