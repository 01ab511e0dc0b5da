"""Bytecode for an image that an engine has: what this machine puts on top of the pinned one, under a tag of its own.

The base's own interpreter makes it, in a container of the image with the default sandbox: no network, no capabilities, a
numeric user, a root that it cannot write to. What it says on stdout is the bytecode; the layer and the config are written
here. `docs/decisions/0032-bytecode-of-images.md` says why the engine does not commit the container.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, ClassVar

from hatchlock.digest import canonical_json
from hatchlock.engines.api import Engine as Api
from hatchlock.engines.docker import Engine
from hatchlock.engines.host import host_facts, owner, owner_is_gone
from hatchlock.errors import HatchlockError
from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.assemble import Composed, load
from hatchlock.images.layer import write_layer
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.realise.tree import Entry, FileOnDisk
from hatchlock.security.container import LABEL, container_config

__all__ = ["LOCAL_LABEL", "BytecodeFailed", "add_bytecode"]

LOCAL_LABEL = f"{LABEL}.local"
"""Of an image that is a pinned one with something of this machine on top: what that is."""

_BYTECODE = "bytecode"
_PURPOSE = "purpose"
_PROGRAM = Path(__file__).with_name("compiling.py")
_OPTIONS = ("-I", "-S", "-W", "ignore", "-X", "utf8")
_MEMORY = "1g"
_SECONDS = 600.0
_MOST_BYTES = 4 << 30
_MOST_WORDS = 1 << 16
_SHOWN_LINES = 5
_BYTECODE_FILE = re.compile(r"(?:(?!\.{1,2}/|\.wh\.)[^/\0]+/)+__pycache__/(?!\.wh\.)[^/\0]+\.pyc")


@dataclass(kw_only=True, eq=False)
class BytecodeFailed(HatchlockError):
    """The interpreter of an image did not make bytecode of what is in it."""

    code: ClassVar[str] = "bytecode-failed"

    image: str
    why: str

    def __str__(self) -> str:
        return f"the interpreter of image {self.image} made no bytecode: {self.why}"

    def _hint(self) -> str:
        return "look whether the base's Python starts at all: `hatchlock exec` runs it in the server's sandbox"


def add_bytecode(
    engine: Engine,
    image: Composed,
    *,
    pinned: str,
    tag: str,
    python: str,
    directories: Sequence[str],
    scratch: Path,
    whole: Callable[[], Composed] | None = None,
) -> None:
    """Give an image of the engine a sibling that has bytecode of its Python files, and of the interpreter's own library.

    Nothing of what is installed is run or imported: files are parsed, and those that do not compile are left out. Where
    there is good bytecode already, none is made; so an image for which there is nothing to do is its own sibling.
    Containers that a killed apply of the project left are removed first; this one is removed at the end, whatever happens.

    Args:
        engine: Has the image.
        image: The image, as it was loaded.
        pinned: Its tag (`images.key.image_tag`).
        tag: The sibling's (`images.key.local_tag`); whatever had it before has it no more.
        python: The interpreter, an absolute path in the image.
        directories: What to look through, absolute paths in the image.
        scratch: A directory for the layer while it is being made; nothing stays there.
        whole: Makes the image with all its layers, for an engine that wants to have them again.

    Raises:
        BytecodeFailed: The interpreter failed, or what it says is no bytecode.
        NotLoaded: The engine refuses the image.
        EngineError, EngineFailed, EngineUnreachable: The engine refuses something else, or is gone.
        OSError: The disk is full.
    """
    with tempfile.TemporaryDirectory(dir=scratch, prefix="bytecode-") as name:
        directory = Path(name)
        _compile(engine, pinned, [python, *_OPTIONS, "-c", _PROGRAM.read_text(), *directories], directory / "said")
        entries = list(_entries(directory / "said", directory, pinned))
        if not entries:
            engine.tag(pinned, tag)
            return
        with (directory / "layer").open("wb") as file:
            layer = ArchiveLayer(diff_id=write_layer(entries, file), path=directory / "layer")
        again = None if whole is None else lambda: _with_layer(whole(), layer)
        load(_with_layer(image, layer), engine=engine, tag=tag, whole=again)


def _with_layer(image: Composed, layer: ArchiveLayer) -> Composed:
    """Return the image with one layer more, and nothing else changed but a label that says so."""
    config = json.loads(image.config)
    config["config"]["Labels"] = {**(config["config"].get("Labels") or {}), LOCAL_LABEL: _BYTECODE}
    config["rootfs"]["diff_ids"].append(layer.diff_id)
    config["history"].append({"created": config["created"], "created_by": f"hatchlock {_BYTECODE}"})
    return replace(image, config=canonical_json(config), above=(*image.above, layer))


def _compile(engine: Engine, pinned: str, argv: Sequence[str], output: Path) -> None:
    with output.open("wb") as file:
        said = _Said(file)
        status = _run_to_its_end(engine, pinned, argv, said)
    if status or said.is_too_much:
        lines = bytes(said.words).decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        limit = f"it said more than {_MOST_BYTES >> 30} GiB" if said.is_too_much else f"status {status}"
        raise BytecodeFailed(image=pinned, why="; ".join([limit, *lines]))


class _Said:
    """What a container says: stdout goes to a file, and the beginning of stderr is kept."""

    def __init__(self, file: BinaryIO) -> None:
        self.words = bytearray()
        self.is_too_much = False
        self._file = file
        self._size = 0

    def out(self, data: bytes) -> None:
        self._size += len(data)
        self.is_too_much = self._size > _MOST_BYTES
        if not self.is_too_much:
            self._file.write(data)

    def err(self, data: bytes) -> None:
        self.words += data[: _MOST_WORDS - len(self.words)]


def _run_to_its_end(engine: Engine, pinned: str, argv: Sequence[str], said: _Said) -> int:
    """Run a command in a container of an image, and return its exit status."""
    record = _record(engine, pinned, argv)
    api = Api(engine.url)
    _remove_leftovers(api, record.project)
    labels = {_PURPOSE: _BYTECODE, "owner": owner(os.getpid())}
    config = container_config(record, env={}, host=host_facts(), labels=labels)
    config["HostConfig"]["Init"] = False  # it waits for its own workers, and Podman's init is a package of its own
    name = f"hatchlock-{record.project}-{record.server}-{_BYTECODE}-{os.urandom(4).hex()}"
    try:
        api.create(name, config)
        with contextlib.closing(api.attach(name)) as attached:
            api.start(name)
            overdue = threading.Timer(_SECONDS, api.kill, [name])
            overdue.start()
            try:
                attached.end_input()
                attached.read(said.out, said.err)
                return api.wait(name)
            finally:
                overdue.cancel()
    finally:
        api.remove(name)


def _record(engine: Engine, pinned: str, argv: Sequence[str]) -> LaunchRecord:
    _, project, name = pinned.split("/")
    server, _, key = name.partition(":")
    sandbox = Sandbox(memory=_MEMORY, cpus=float(engine.info()["NCPU"]))
    return LaunchRecord(
        project=project, server=server, runtime="container", argv=tuple(argv), key=key, image=pinned, sandbox=sandbox
    )


def _remove_leftovers(api: Api, project: str) -> None:
    for found in api.list({f"{LABEL}.project": project, f"{LABEL}.{_PURPOSE}": _BYTECODE}):
        if owner_is_gone(found.labels.get(f"{LABEL}.owner", "")):
            api.remove(found.id)


def _entries(said: Path, directory: Path, image: str) -> Iterator[Entry]:
    """Yield what the interpreter says that it made: nothing but bytecode, where Python looks for it."""
    try:
        with tarfile.open(said, mode="r:") as archive:
            for number, member in enumerate(archive):
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or not _BYTECODE_FILE.fullmatch(member.name):
                    raise BytecodeFailed(image=image, why=f"it says {member.name!r}, which is no file of bytecode")
                path = directory / str(number)
                path.write_bytes(content.read())
                yield Entry(path=member.name, content=FileOnDisk(path=path, size=member.size))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise BytecodeFailed(image=image, why=f"what it says is no archive: {error}") from error
