from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hatchlock.store.receipts import building, discard, finished, is_used, using

HOLD = """
import sys, time
from pathlib import Path
from hatchlock.store.receipts import using
with using([Path(sys.argv[1])]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "envs" / "key"
    with building(path, {}):
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "python").write_text("x")
    return path


def test_a_tree_that_is_used_is_not_discarded(tree: Path) -> None:
    assert not is_used(tree)
    with using([tree]), using([tree]):
        assert is_used(tree)
        assert discard(tree) is False
    assert (finished(tree), is_used(tree)) == (True, False)
    assert discard(tree) is True
    assert not tree.exists()
    assert not is_used(tree)


def test_who_uses_it_and_is_killed_uses_it_no_longer(tree: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tree)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert discard(tree) is False
        holder.send_signal(signal.SIGKILL)
    assert discard(tree) is True


def test_what_is_half_discarded_is_a_half_made_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt(path)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        discard(tree)
    monkeypatch.undo()
    assert ((tree / "bin" / "python").exists(), finished(tree)) == (True, False)
    assert discard(tree) is True


def test_directories_that_are_not_ours_need_no_lock(tmp_path: Path) -> None:
    with using([tmp_path, tmp_path / "absent"]):
        assert not is_used(tmp_path)
