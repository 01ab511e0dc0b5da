"""A project whose commands are killed at chosen instants, or at some time."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

from support.kill_count import KILLS
from support.loaded import run_loaded
from support.project import TrialProject

__all__ = ["KilledProject"]

# Runs the command line in a process that kills itself: right before or after the N-th line of the journal is written, or
# right before the N-th time that it touches the file system, starts a program or connects somewhere. Product code knows
# nothing of it. Called with N = 0 it counts.
_DRIVER = """
import os, signal, sys, threading
from hatchlock.cli.main import main

mode, number, report, *words = sys.argv[1:]
number, seen, lock = int(number), 0, threading.Lock()

def tick():
    global seen
    with lock:
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

if mode == "effects":
    names = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "subprocess.Popen", "socket.connect"}
    writing = os.O_WRONLY | os.O_RDWR
    def hook(event, arguments):
        if event in names or (event == "open" and isinstance(arguments[2], int) and arguments[2] & writing):
            tick()
    sys.addaudithook(hook)
else:
    from hatchlock.state.journal import Journal
    original = Journal.write
    def write(self, event, **facts):
        if mode == "before":
            tick()
        original(self, event, **facts)
        if mode == "after":
            tick()
    Journal.write = write
status = main(words)
if number == 0:
    open(report, "w").write(str(seen))
sys.exit(status)
"""


class KilledProject(TrialProject):
    """Runs commands that kill themselves, and counts how often they came to it."""

    kills = 0
    record: Callable[[str, object], None] | None = None
    """Told of each kill (`record_property`), where nobody else tells the number."""

    def _count(self, was_killed: bool) -> bool:
        self.kills += was_killed
        if was_killed and self.record:
            self.record(KILLS, 1)
        return was_killed

    def killed(self, mode: str, number: int, *words: str) -> bool:
        """Run a command that kills itself at this point, and return whether it came to it."""
        done = self._driven(mode, number, *words)
        assert done.returncode in {0, -signal.SIGKILL}, done.stdout + done.stderr
        return self._count(done.returncode != 0)

    def points(self, mode: str, *words: str) -> int:
        """Return how many points there are in a command."""
        done = self._driven(mode, 0, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return int((self.root / "seen").read_text())

    def _driven(self, mode: str, number: int, *words: str) -> subprocess.CompletedProcess[str]:
        words = (mode, str(number), str(self.root / "seen"), *words)
        return run_loaded(words, cwd=self.directory, env=self.env, program=_DRIVER)

    def killed_after(self, seconds: float, *words: str) -> bool:
        """Start a command, kill it after some time, and return whether that was before its end."""
        process = subprocess.Popen(
            self.command(*words),
            cwd=self.directory,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return self._count(process.wait() == -signal.SIGKILL)
