"""The watchdog by itself: what it ends, and how long it is patient."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hatchlock.engines.api import EngineUnreachable
from hatchlock.process import owner
from hatchlock.serve.secrets import and_forget
from hatchlock.serve.watchdog import CREATED, DONE, Watchdog, end_container, end_processes
from hatchlock.state.sessions import RunningSession, kept
from support.runs import PATIENCE, wait_for


def test_its_release_ends_its_group_and_removes_the_scratch_directory(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    watchdog = Watchdog.start(end_processes(scratch, ""))
    server = subprocess.Popen(["/bin/sleep", "600"], process_group=watchdog.group)
    watchdog.release()
    assert server.wait(PATIENCE) == -signal.SIGKILL
    assert wait_for(lambda: not scratch.exists())


def test_when_it_was_killed_its_work_is_done_by_the_one_who_releases_it(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    watchdog = Watchdog.start(end_processes(scratch, ""))
    server = subprocess.Popen(["/bin/sleep", "600"], process_group=watchdog.group)
    os.kill(watchdog.group, signal.SIGKILL)
    assert select.select([watchdog.ended], [], [], PATIENCE)[0] == [watchdog.ended]
    watchdog.release()
    assert server.wait(PATIENCE) == -signal.SIGKILL
    assert not scratch.exists()


def test_its_death_can_be_seen() -> None:
    watchdog = Watchdog.start(lambda *_: None)
    assert select.select([watchdog.ended], [], [], 0)[0] == []
    os.kill(watchdog.group, signal.SIGKILL)
    assert select.select([watchdog.ended], [], [], PATIENCE)[0] == [watchdog.ended]
    watchdog.release()


def test_signals_that_end_run_do_not_end_it() -> None:
    watchdog = Watchdog.start(lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(watchdog.group, number)
    assert select.select([watchdog.ended], [], [], 0.2)[0] == []
    watchdog.release()


RUN = """
import os, signal, sys
from pathlib import Path
from hatchlock.serve.watchdog import Watchdog, end_processes
scratch = Path(sys.argv[1])
def cleanup(notes, group):
    with (scratch / "cleaned").open("a") as file:
        file.write(f"{notes.decode()}.")
watchdog = Watchdog.start(cleanup)
watchdog.note(b"c")
print(watchdog.group, flush=True)
sys.stdin.read()
watchdog.release()
"""


@pytest.mark.parametrize("order", ["run first", "watchdog first", "run alone", "watchdog alone", "nobody"])
def test_whoever_is_killed_it_is_cleaned_up_once(tmp_path: Path, order: str) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert run.stdin is not None
    assert run.stdout is not None
    watchdog = int(run.stdout.readline())
    assert wait_for(lambda: len(children_of(watchdog)) == 1)
    second = children_of(watchdog)
    victims = {"run first": (run.pid, watchdog), "watchdog first": (watchdog, run.pid), "run alone": (run.pid,)}
    for pid in victims.get(order, (watchdog,) if order == "watchdog alone" else ()):
        os.kill(pid, signal.SIGKILL)
    run.stdin.close()
    run.stdout.close()
    run.wait(PATIENCE)
    cleaned = tmp_path / "cleaned"
    assert wait_for(cleaned.exists)
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (watchdog, *second)))
    # by `run` if it saw the watchdog's death in time
    assert cleaned.read_text() in {"watchdog alone": ("cr.", "dr."), "nobody": ("cr.",)}.get(order, ("c.",))


def test_a_session_is_forgotten_although_its_process_has_not_quite_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process lets go of its pipes first, and counts as one that runs for an instant more."""
    state = tmp_path / "projects" / "trial"
    with subprocess.Popen(["/bin/sleep", "600"]) as run:
        session = RunningSession(server="echo", owner=owner(run.pid), pid=run.pid, launch="a", secrets={})
        with monkeypatch.context() as there:
            there.setattr(os, "getpid", lambda: run.pid)
            cleanup = and_forget(state, lambda *_: None)
        with kept(state, session):
            threading.Timer(0.1, run.kill).start()
            cleanup(b"", 0)
            assert list((state / "sessions").iterdir()) == []


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Removals:
    """An engine that answers as it is told, and counts."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> bool:
        answer = self.answers[self.calls]
        self.calls += 1
        if answer is None:
            raise EngineUnreachable(engine="unix:///none", why="it starts")
        return answer


@pytest.mark.parametrize(
    ("notes", "answers", "calls"),
    [
        (b"", (False, False, True), 3),  # it may yet appear
        (b"", (None, True), 2),
        (CREATED, (False,), 1),  # it had existed, so it is gone
        (CREATED, (None, True), 2),
        (CREATED + DONE, (), 0),
    ],
)
def test_a_container_is_waited_for_only_when_it_may_yet_appear(
    notes: bytes, answers: tuple[bool | None, ...], calls: int
) -> None:
    removals = Removals(*answers)
    end_container(removals)(notes, 0)
    assert removals.calls == calls
