"""What runs inside of a build's sandbox: a source tree that comes in becomes a wheel that goes out (PEP 517).

It is sent there as text, to whatever Python the environment has, and so imports nothing of ours. stdin: a line of JSON,
the tree of the build environment as a tar file, the source as an archive. stdout: a line of JSON, the wheel. Whatever the
build itself says goes to stderr.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

_PLACE = Path("/tmp/hatchlock")  # noqa: S108  a file system of its own
_CHUNK = 1 << 20


def _line() -> bytes:
    """Read a line and no more: what comes behind it may be for the program that takes our place."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            break
        line += piece
    return line


def _take(size: int, path: Path) -> None:
    with path.open("wb") as out:
        while size:
            piece = os.read(0, min(size, _CHUNK))
            if not piece:
                raise EOFError(path)
            out.write(piece)
            size -= len(piece)


def _extract(path: Path, into: Path) -> None:
    # the sandbox is what protects from archives: whoever makes one has code run here anyway
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(into)  # noqa: S202
        return
    with tarfile.open(path) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(into)  # noqa: S202


def prepare() -> None:
    """Unpack the build environment, and let its own interpreter go on."""
    order = json.loads(_line())
    os.umask(0o022)
    _PLACE.mkdir()
    tree = _PLACE / "environment.tar"
    _take(order["environment"], tree)
    with tarfile.open(tree) as archive:
        if hasattr(tarfile, "fully_trusted_filter"):
            archive.extraction_filter = tarfile.fully_trusted_filter
        archive.extractall(_PLACE / "environment")  # noqa: S202
    tree.unlink()
    (_PLACE / "order").write_text(json.dumps(order))
    python = str(_PLACE / "environment" / "bin" / "python")
    # not isolated (-I): the fixed hash seed counts
    os.execv(python, [python, "-s", "-c", order["program"], "build"])  # noqa: S606


def build() -> None:
    """Unpack the source distribution, let its backend make a wheel, and hand that out."""
    result = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    order = json.loads((_PLACE / "order").read_text())
    archive, unpacked, output = (_PLACE / name for name in ("archive", "source", "wheel"))
    _take(order["size"], archive)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _extract(archive, unpacked)
    archive.unlink()
    source = unpacked if order["is_project"] else next(path for path in sorted(unpacked.iterdir()) if path.is_dir())
    os.environ.update(order["variables"])
    output.mkdir()
    os.chdir(source)
    own = [str(source / path) for path in order["backend_path"]]
    sys.path[:] = [*own, *(path for path in sys.path if path)]
    backend = _backend(order["backend"])
    _check(backend)
    name = backend.build_wheel(str(output))
    wheel = output / name
    result.write(json.dumps({"name": name, "size": wheel.stat().st_size}).encode() + b"\n")
    with wheel.open("rb") as stream:
        shutil.copyfileobj(stream, result)
    result.close()


def _backend(named: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  a module, or an object in one
    module, _, inside = named.partition(":")
    found = importlib.import_module(module)
    for attribute in filter(None, inside.split(".")):
        found = getattr(found, attribute)
    return found


def _check(backend) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Nothing can be fetched any more, so what a backend asks for only now has to be there."""
    asked = backend.get_requires_for_build_wheel() if hasattr(backend, "get_requires_for_build_wheel") else []
    missing = [text for text in asked if ";" not in text and not _is_there(text)]
    if missing:
        sys.exit(f"its build asks for {', '.join(missing)}, which its [build-system] does not require")


def _is_there(text: str) -> bool:
    try:
        importlib.metadata.version(re.split(r"[^A-Za-z0-9._-]", text.strip())[0])
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    build() if sys.argv[1:] == ["build"] else prepare()
