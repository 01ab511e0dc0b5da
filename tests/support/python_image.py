"""A small image with this machine's Python, as far as a server needs it: for containers that see nothing of this machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import docker

from hatchlock.engines.process import find_interpreter
from support.engine_images import remove_image
from support.runs import SERVERS

__all__ = ["SERVER", "python_image"]

SERVER = "/srv/caller.py"
"""`fixtures/servers/caller.py`, in there."""

_LOADED = """
import __future__, contextlib, json, os, select, socket, ssl, sys, threading, pathlib, typing, encodings.idna, encodings.ascii, _socket, _ssl, argparse, http.server, subprocess
files = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
print(json.dumps([sys.executable, os.__file__, *files]))
"""


@contextlib.contextmanager
def python_image(engine: str) -> Iterator[tuple[str, str]]:
    """Yield the tag of the image in an engine, and the path of its interpreter; the image is gone afterwards."""
    interpreter = find_interpreter(f"3.{sys.version_info.minor}", os.environ).path
    done = subprocess.run([interpreter, "-I", "-S", "-c", _LOADED], check=True, capture_output=True)
    files = [Path(name) for name in json.loads(done.stdout)]
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        _add(archive, "sbin", mode=0o755, kind=tarfile.DIRTYPE)  # the engine puts its init there
        for name in ("bin", "lib", "lib64"):
            _add(archive, name, target=f"usr/{name}")
        for file in sorted({*files, *_libraries(files)}):
            _add(archive, _placed(file), content=file.read_bytes(), mode=0o755)
        _add(archive, SERVER, content=(SERVERS / "caller.py").read_bytes(), mode=0o644)
    repository = f"hatchlock-tests/{secrets.token_hex(4)}"
    client = docker.DockerClient(base_url=engine)
    try:
        client.api.import_image_from_data(data.getvalue(), repository=repository, tag="python")
        # Podman gives it a host of its own
        (tag,) = (name for image in client.images.list() for name in image.tags if f"{repository}:" in name)
        yield tag, interpreter
        remove_image(client, tag)
    finally:
        client.close()


def _libraries(files: Iterable[Path]) -> set[Path]:
    """Return what the loader loads for programs and modules."""
    found = set()
    for file in files:
        if file.read_bytes().startswith(b"\x7fELF"):
            said = subprocess.run(["ldd", str(file)], check=False, capture_output=True, text=True).stdout
            found |= {Path(os.path.normpath(word)) for word in said.split() if word.startswith("/")}
    return found


def _placed(file: Path) -> str:
    """Below the image's links a file stands where they lead."""
    name = str(file)
    return f"/usr{name}" if name.startswith(("/lib/", "/lib64/", "/bin/")) else name


def _add(
    archive: tarfile.TarFile, name: str, *, content: bytes = b"", mode: int = 0o777, target: str = "", kind: bytes = b""
) -> None:
    item = tarfile.TarInfo(name.lstrip("/"))
    item.mode, item.size, item.linkname = mode, len(content), target
    item.type = kind or (tarfile.SYMTYPE if target else tarfile.REGTYPE)
    archive.addfile(item, io.BytesIO(content))
