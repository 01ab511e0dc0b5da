"""What makes the start of `run` quick, done before anything else is loaded: applications wait for it.

Measured (docs/decisions/0055, 0072): a collector of garbage that looks around while modules are loaded finds none, and takes 2 ms;
`dataclasses` loads `inspect`, and with it Python's parser and disassembler, to describe classes that have no docstring. Ours
have one. That takes 11 ms. Other modules are loaded by libraries for what a start does not do either.
"""

from __future__ import annotations

import gc
import sys
from types import ModuleType

__all__ = ["quicken"]


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
