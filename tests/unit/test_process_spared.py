"""Programs that are spared our terminal's ctrl-C: also in the instant in which they are started."""

from __future__ import annotations

import subprocess
import sys

_PESTERED = """
import os, signal, threading, time
from hatchlock.process import ProcessFailed, run, sparing_children

def pester():
    while True:
        os.killpg(0, signal.SIGINT)
        time.sleep(0.0003)

signal.signal(signal.SIGINT, lambda *_: None)
threading.Thread(target=pester, daemon=True).start()
killed = 0
with sparing_children():
    for _ in range(300):
        try:
            run(["/bin/true"], env={})
        except ProcessFailed:
            killed += 1
print(killed)
"""


def test_no_program_is_hit_between_its_fork_and_its_own_session() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PESTERED],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "0\n"
