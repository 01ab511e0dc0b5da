"""A process that has loaded all of hatchlock, and has children that do commands; `support.loaded` tells it which.

Each message on its socket is an order: a program, its words, directory, environment and mask as JSON, and with it the
descriptors of its stdin, stdout and stderr, and of a pipe on which the child's number is told and, when it has ended, how.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import selectors
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

_LONGEST = 1 << 18
_DESCRIPTORS = 4
_BESIDES = ("filelock", "structlog")  # what is loaded where it is used, by nearly every command


def main(number: int) -> None:
    """Wait for orders, until nobody gives any more."""
    sys.path[0] = ""  # the names of modules here are none that anybody should find
    _load()
    with socket.socket(fileno=number) as orders:
        order = _child(orders)
    if order is not None:
        _become(order)
        _end(_status(order["program"]))


def _load() -> None:
    import hatchlock

    for module in pkgutil.walk_packages(hatchlock.__path__, "hatchlock."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    for name in _BESIDES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _child(orders: socket.socket) -> Any:
    """Return the order in the child that is to do it, with its streams in place; None when nobody orders any more."""
    running: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as ready:
        ready.register(orders, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fd in running:
                    ready.unregister(key.fd)
                    _told(key.fd, *running.pop(key.fd))
                    continue
                said, passed, _, _ = socket.recv_fds(orders, _LONGEST, _DESCRIPTORS)
                if not said:
                    return None
                *streams, report = passed
                child = os.fork()
                if not child:
                    for place, stream in enumerate(streams):
                        os.dup2(stream, place)
                    for descriptor in (*passed, *running, *(other for _, other in running.values())):
                        os.close(descriptor)
                    return json.loads(said)
                for stream in streams:
                    os.close(stream)
                _say(report, child)
                end = os.pidfd_open(child)
                running[end] = child, report
                ready.register(end, selectors.EVENT_READ)


def _told(end: int, child: int, report: int) -> None:
    _say(report, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.close(end)
    os.close(report)


def _say(report: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked may have gone
        os.write(report, b"%d\n" % number)


def _become(order: Any) -> None:
    os.chdir(order["cwd"])
    os.umask(order["umask"])
    # where no locale is set Python chooses one as it starts, and tells its children
    chosen = {name: value for name, value in os.environ.items() if name == "LC_CTYPE"}
    os.environ.clear()
    os.environ.update(chosen | order["env"])
    time.tzset()
    sys.path[0] = str(Path.cwd())  # as `-m` has it
    sys.argv[1:] = order["words"]


def _status(program: str) -> int:
    try:
        exec(program, {"__name__": "__main__"})  # as `-c` does
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001  Python itself does this
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> None:
    """End as Python does, without taking modules apart, which takes as long as many a command."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]))
