"""What makes the start of `run` quick, done before anything else is loaded: applications wait for it.

Measured (docs/decisions/0055): a collector of garbage that looks around while modules are loaded finds none, and takes 2 ms;
`dataclasses` loads `inspect`, and with it Python's parser and disassembler, to describe classes that have no docstring. Ours
have one. That takes 11 ms.
"""

from __future__ import annotations

import gc
import sys
from types import ModuleType

__all__ = ["quicken"]

_HEAVY = "inspect"


class _Later(ModuleType):
    """Stands for a module until something of it is asked for; then the module itself takes its place."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(_HEAVY) is self:
            del sys.modules[_HEAVY]
        import inspect

        return getattr(inspect, name)


def quicken() -> None:
    """Begin a start: to be called in a process that has loaded next to nothing. `gc.enable()` ends it."""
    gc.disable()
    sys.modules.setdefault(_HEAVY, _Later(_HEAVY))
