"""The program that the base's own interpreter runs in a container: it writes bytecode to stdout.

Only its text is used (`engines.bytecode_run`), by any interpreter from 3.8 on. It parses files, imports none of them, and
writes nothing but its stdout: the root of its container is read-only. It loads little: where it runs, what it loads has
no bytecode either.
"""
# Plain strings: `pathlib` costs more than what is done with it.
# ruff: noqa: PTH112, PTH116, PTH118, PTH120, PTH123

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
from collections.abc import Iterator, Sequence

_HEADER = 16
_HASHED = 1
_CHUNK = 1 << 20
_PUBLIC = 0o755
_LIBRARY = "library"
_NOT_IN_SERVERS = (
    "__pycache__",
    "dist-packages",
    "distutils",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "pydoc_data",
    "site-packages",
    "test",
    "tkinter",
    "turtledemo",
)
_DOES_NOT_COMPILE = (OSError, SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)


def main() -> int:
    """Compile what is in the directories of the command line, with every processor.

    An argument is the number of a part, a colon, and a directory, or `library` for the interpreter's own. For each file a
    line is written, part, size and path without its first slash, then the bytecode; at the end `end`. Files that have good
    bytecode, or cannot be compiled, are left out. Returns 1 when a worker was killed.
    """
    found = list(dict.fromkeys(file for word in sys.argv[1:] for file in _asked(word)))
    workers = len(os.sched_getaffinity(0))
    started = [_start(found[number::workers]) for number in range(workers)]
    bad = 0
    for pid, output in started:
        chunk = os.read(output, _CHUNK)
        while chunk:
            _write(1, chunk)
            chunk = os.read(output, _CHUNK)
        status = os.waitpid(pid, 0)[1]
        if status:
            sys.stderr.write(f"a compiler was ended by signal {status & 127}\n")
            bad = 1
    _write(1, b"end\n")
    return bad


def _asked(word: str) -> Iterator[tuple[str, str, str]]:
    """Yield the files of a word of the command line, each with its part, as it is imported and as it really is."""
    part, _, directory = word.partition(":")
    own = os.path.dirname(os.__file__)
    found = _sources(own, _NOT_IN_SERVERS) if directory == _LIBRARY else _sources(directory, ())
    for path, real in found:
        yield part, path, real


def _sources(directory: str, without: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield those that need bytecode, each as it is imported and as it really is.

    A directory that is not root's, or not for everybody, is left alone: the layer would change it. One that is not there
    has none.
    """
    if not os.path.isdir(directory) or not _is_public(os.path.realpath(directory), upwards=True):
        return
    for where, folders, names in os.walk(directory):
        real = os.path.realpath(where)
        folders[:] = [
            name
            for name in sorted(folders)
            if name not in without and _is_public(os.path.join(real, name), upwards=False)
        ]
        for name in sorted(names):
            path = os.path.join(where, name)
            if name.endswith(".py") and not _has_bytecode(path):
                yield path, os.path.join(real, name)


def _is_public(directory: str, *, upwards: bool) -> bool:
    while directory != "/":
        state = os.stat(directory)
        if state.st_uid or state.st_gid or state.st_mode & 0o7777 != _PUBLIC:
            return False
        if not upwards:
            break
        directory = os.path.dirname(directory)
    return True


def _has_bytecode(path: str) -> bool:
    """Whether the interpreter would take what is there: by its hash without a look at the source, or by time and size."""
    try:
        with open(importlib.util.cache_from_source(path), "rb") as file:
            head = file.read(_HEADER)
        state = os.stat(path)
    except OSError:
        return False
    if head[:4] != importlib.util.MAGIC_NUMBER or len(head) < _HEADER:
        return False
    facts = b"".join((int(number) & 0xFFFFFFFF).to_bytes(4, "little") for number in (state.st_mtime, state.st_size))
    return head[4:8] == _HASHED.to_bytes(4, "little") or head[4:] == bytes(4) + facts


def _start(files: Sequence[tuple[str, str, str]]) -> tuple[int, int]:
    """Return a worker's pid, and where its part of what is said can be read, once it has all of it."""
    output, out = os.pipe()
    pid = os.fork()
    if pid:
        os.close(out)
        return pid, output
    os.close(output)
    _write(out, b"".join(_member(*file) for file in files))
    os._exit(0)


def _member(part: str, path: str, real: str) -> bytes:
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, path, "exec", dont_inherit=True)
        name = importlib.util.cache_from_source(real).lstrip("/").encode()
    except _DOES_NOT_COMPILE:
        return b""
    # PEP 552, unchecked: an image does not change, and its files have no times to go by
    head = importlib.util.MAGIC_NUMBER + _HASHED.to_bytes(4, "little") + importlib.util.source_hash(source)
    data = head + marshal.dumps(code)
    return b"" if b"\n" in name else b"%s %d %s\n%s" % (part.encode(), len(data), name, data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    sys.exit(main())
