"""One run of a server that is kept, as a program of its own.

Usage: `python -m hatchlock.usecases.kept_run HOME PROJECT SERVER DIGEST KEEPER`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hatchlock.errors import HatchlockError
from hatchlock.paths import Home
from hatchlock.usecases.keep import KeptLog
from hatchlock.usecases.run import log_path, settled

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.serve.health import Answer

__all__ = ["main"]


def main(home: str, project: str, server: str, launch: str, keeper: str) -> int:
    """Serve a server once, by one of its launch records, and note down how it does; to be started by its keeper.

    Args:
        home: The store's root.
        project: The project's name.
        server: The server's name.
        launch: The launch record's digest; it need not be the active one any more.
        keeper: The keeper's pid: it may be gone by now.

    Returns:
        The server's status, 128+N after signal N; 1 when it could not be started, or its record is gone.
    """
    from hatchlock.state.project import ProjectState

    parent, store = int(keeper), Home(root=Path(home), is_default=False)
    record = ProjectState(store.project(project)).record(launch)
    if record is None:
        return _note(store, project, server, phase="waiting", run=0, said=f"its launch record {launch} is gone")
    try:
        return _stand(store, record, parent) if record.speaks_http else _serve_stdio(store, record, parent)
    except HatchlockError as error:
        hint = f" ({error.hint})" if error.hint else ""
        KeptLog(store, record).say(f"{error.address or server}: {error}{hint}")
        return _note(store, project, server, phase="waiting", run=0, said=str(error))


def _stand(home: Home, record: LaunchRecord, parent: int) -> int:
    from hatchlock.serve.standing import stand
    from hatchlock.serve.unfinished import await_finished
    from hatchlock.usecases.audit_trail import serving

    await_finished(record, home.root, stderr=2)
    with serving(home.root, record, {"kept": True}) as told:
        told["exit"] = status = stand(
            settled(record, home, Path(record.directory), os.environ),
            applied=record,
            environ=os.environ,
            stderr=os.open(os.devnull, os.O_WRONLY),
            log=log_path(home, record.project, record.server),
            store=home.root,
            answered=lambda answer: _answered(home, record, answer),
            parent=parent,
        )
    return status


def _serve_stdio(home: Home, record: LaunchRecord, parent: int) -> int:
    """Serve a server of stdio over HTTP, and end with our keeper: who serves it does not look at that."""
    from hatchlock.serve.ends import Reasons, watch
    from hatchlock.serve.front.front import Limits
    from hatchlock.serve.health import watch_health
    from hatchlock.serve.traffic import in_thread
    from hatchlock.usecases.serve import serve
    from hatchlock.usecases.wanted import Wanted

    def follow() -> None:
        watch(parent, None, Reasons())
        os.kill(os.getpid(), signal.SIGTERM)

    def ready(url: str) -> None:
        in_thread(follow)
        ended, patience = threading.Event(), record.startup_timeout
        in_thread(lambda: watch_health(url, lambda told: _answered(home, record, told), ended, patience=patience))

    wanted = Wanted(project=record.project, name=record.server)
    return serve(home, wanted, os.environ, limits=Limits(), ready=ready)


def _answered(home: Home, record: LaunchRecord, answer: Answer) -> None:
    health: Literal["healthy", "failed"] = "healthy" if answer.is_healthy else "failed"
    facts = {"phase": "running", "health": health, "said": answer.said, "seconds": answer.seconds}
    _note(home, record.project, record.server, **facts)


def _note(home: Home, project: str, server: str, **facts: object) -> int:
    from hatchlock.state.keepers import note_keeper, now, read_kept

    root = home.project(project)
    if (kept := read_kept(root, server)) and kept.pid == os.getppid():
        note_keeper(root, replace(kept, **{"health": "failed", "checked": now(), **facts}))  # type: ignore[arg-type]
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
