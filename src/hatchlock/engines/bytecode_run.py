"""Bytecode of what is in an image, made by its interpreter in a container with the default sandbox, and not believed.

No network, no capabilities, a numeric user, a root that it cannot write to. What the container says on stdout is taken only
where it is bytecode that Python would look for.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

from hatchlock.engines.api import Engine as Api
from hatchlock.engines.docker import Engine
from hatchlock.engines.host import host_facts
from hatchlock.errors import HatchlockError
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.process import owner, owner_is_gone
from hatchlock.realise.tree import Entry, FileOnDisk
from hatchlock.security.container import LABEL, container_config

__all__ = ["BYTECODE_FILE", "PROGRAM", "BytecodeFailed", "read_said", "remove_leftovers", "run_compiler"]

PROGRAM = Path(__file__).with_name("compiling.py")
"""What the interpreter runs."""

BYTECODE_FILE = re.compile(r"(?:(?!\.{1,2}/|\.wh\.)[^/\0]+/)+__pycache__/(?!\.wh\.)[^/\0]+\.pyc")
"""The path of a file of bytecode where Python looks for it, without a leading slash."""

_PURPOSE = "purpose"
_BYTECODE = "bytecode"
_OPTIONS = ("-I", "-S", "-W", "ignore", "-X", "utf8")
_MEMORY = "1g"
_SECONDS = 600.0
_MOST_BYTES = 4 << 30
_MOST_WORDS = 1 << 16
_LONGEST_LINE = 1 << 14
_SHOWN_LINES = 5
_SHOWN_BYTES = 80
_LINE = re.compile(rb"([0-9]{1,4}) ([0-9]{1,10}) (.+)\n")
_END = b"end\n"


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


def run_compiler(engine: Engine, pinned: str, python: str, words: Sequence[str], output: Path) -> None:
    """Let an interpreter of an image run `compiling`, and keep what it says; its container is removed, whatever happens.

    Args:
        engine: Has the image.
        pinned: The image's tag (`images.key.image_tag`).
        python: The interpreter, an absolute path in the image.
        words: What `compiling.main` is asked for.
        output: The file that gets its stdout.

    Raises:
        BytecodeFailed: It failed.
        EngineError, EngineFailed, EngineUnreachable: The engine refuses, or is gone.
        OSError: The disk is full.
    """
    argv = [python, *_OPTIONS, "-c", PROGRAM.read_text(), *words]
    with output.open("wb") as file:
        said = _Said(file)
        status = _run_to_its_end(engine, pinned, argv, said)
    if status or said.is_too_much:
        lines = bytes(said.words).decode(errors="replace").strip().splitlines()[-_SHOWN_LINES:]
        limit = f"it said more than {_MOST_BYTES >> 30} GiB" if said.is_too_much else f"status {status}"
        raise BytecodeFailed(image=pinned, why="; ".join([limit, *lines]))


def remove_leftovers(engine: Engine, pinned: str) -> None:
    """Remove the containers of compilers that killed applies of an image's project left."""
    api = Api(engine.url)
    _, project, _ = pinned.split("/")
    for found in api.list({f"{LABEL}.project": project, f"{LABEL}.{_PURPOSE}": _BYTECODE}):
        if owner_is_gone(found.labels.get(f"{LABEL}.owner", "")):
            api.remove(found.id)


def read_said(said: Path, image: str) -> Iterator[tuple[int, Entry]]:
    """Yield the bytecode that an interpreter says it made, each with the number of its part; contents stay in the file.

    Args:
        said: What it said.
        image: The image, for messages.

    Raises:
        BytecodeFailed: It says something else, or not all of it.
    """
    size_of_all = said.stat().st_size
    with said.open("rb") as stream:
        while (line := stream.readline(_LONGEST_LINE)) != _END:
            part, size, path = _announced(line, image)
            offset = stream.tell()
            if offset + size > size_of_all:
                raise BytecodeFailed(image=image, why=f"it broke off in the middle of {path!r}")
            yield part, Entry(path=path, content=FileOnDisk(path=said, size=size, offset=offset))
            stream.seek(size, os.SEEK_CUR)
        if stream.read(1):
            raise BytecodeFailed(image=image, why="it goes on after its end")


def _announced(line: bytes, image: str) -> tuple[int, int, str]:
    found = _LINE.fullmatch(line)
    if not found:
        raise BytecodeFailed(image=image, why=f"it says {line[:_SHOWN_BYTES]!r}, which announces no bytecode")
    path = found[3].decode(errors="replace")
    if not BYTECODE_FILE.fullmatch(path) or path.encode() != found[3]:
        raise BytecodeFailed(image=image, why=f"it says {path!r}, which is no file of bytecode")
    return int(found[1]), int(found[2]), path


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
