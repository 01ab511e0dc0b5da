"""What makes the start of `run` quick, done before anything else is loaded: applications wait for it.

Measured (docs/decisions/0055, 0072), each of them in processor time of a start that takes 60 ms:

* a collector of garbage that looks around while modules are loaded finds none, and takes 2 ms;
* `dataclasses` loads `inspect`, and with it Python's parser and disassembler, to describe classes that have no docstring.
  Ours have one. That takes 11 ms; other modules are loaded by libraries for what a start does not do either, which takes 4;
* of the methods that `dataclasses` writes and compiles for 40 classes a start calls every tenth. All of them take 12 ms.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

__all__ = ["quicken"]

_OWN = "hatchlock."
_WRITER = "_create_fn"
"""What writes a method, in `dataclasses` of Python 3.11 and 3.12. Where it is called otherwise, nothing is put off."""


class _Later(ModuleType):
    """Stands for a module until something of it is asked for that it has not got; then the module itself takes its place."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_loaded(self), name)


def _loaded(stand_in: _Later) -> ModuleType:
    name = stand_in.__name__
    if sys.modules.get(name) is stand_in:
        del sys.modules[name]
    __import__(name)
    module = sys.modules[name]
    # who has imported the one that stood for it keeps that
    vars(stand_in).update({name: item for name, item in vars(module).items() if not name.startswith("__")})
    return module


def quicken() -> None:
    """Begin a start: to be called in a process that has loaded next to nothing. `gc.enable()` ends it."""
    gc.disable()
    for name in ("copy", "inspect", "ipaddress", "locale"):
        sys.modules.setdefault(name, _Later(name))
    _put_off_addresses()
    _put_off_methods()


def _put_off_addresses() -> None:
    """`pathlib` loads what takes addresses apart, to make addresses of paths."""
    if "urllib.parse" in sys.modules:
        return
    import urllib

    stand_in = _Later("urllib.parse")
    vars(stand_in)["quote_from_bytes"] = lambda *given: _loaded(stand_in).quote_from_bytes(*given)
    vars(urllib)["parse"] = sys.modules["urllib.parse"] = stand_in


def _put_off_methods() -> None:
    """Have the methods of our own dataclasses compiled when they are called for the first time."""
    import dataclasses

    write: Callable[..., Callable[..., Any]] | None = vars(dataclasses).get(_WRITER)
    if write is None or write.__module__ == __name__:
        return

    def put_off(name: str, *what: Any, globals: dict[str, Any] | None = None, **more: Any) -> Callable[..., Any]:  # noqa: A002
        if not str((globals or {}).get("__name__")).startswith(_OWN):
            return write(name, *what, globals=globals, **more)
        written: list[Callable[..., Any]] = []

        def method(*given: Any, **named: Any) -> Any:
            if not written:
                written.append(write(name, *what, globals=globals, **more))
            return written[0](*given, **named)

        method.__name__ = name
        return method

    vars(dataclasses)[_WRITER] = put_off
