"""Who keeps a server: when it is started again, by whom it is kept, and what is believed of what is written of that."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.process import owner
from hatchlock.serve.health import Answer, ask, watch_health
from hatchlock.serve.keeper import USUAL, Pace
from hatchlock.state.keepers import (
    Keeper,
    forget_keeper,
    forget_stop,
    holding,
    is_held_by_name,
    keeper_of,
    keepers,
    read_kept,
    remember_stop,
    stopped_by_hand,
    write_keeper,
)
from support.ports import free_port
from support.runs import PATIENCE, SERVERS, wait_for

KEEPER = Keeper(
    server="web",
    owner=owner(os.getpid()),
    pid=os.getpid(),
    launch="0" * 64,
    url="http://127.0.0.1:24000/mcp",
    port=24000,
    since="2026-11-28T04:00:00Z",
)
_KEEP = """
import subprocess, sys
from pathlib import Path
from hatchlock.process import owner
from hatchlock.serve.keeper import Pace, keep
from hatchlock.state.keepers import Keeper, holding
import os
root = Path(sys.argv[1])
keeper = Keeper(server="web", owner=owner(os.getpid()), pid=os.getpid(), launch="0", url="", port=0, since="")
with holding(root, "web", patience=0) as hold:
    code = keep(root, keeper, lambda: subprocess.Popen(sys.argv[2:], pass_fds=(hold,)), hold=hold, grace=0.1,
                say=lambda text: print(text, flush=True), pace=Pace(first=0.05, longest=0.2, healthy=60))
sys.exit(code)
"""


def test_each_failure_in_a_row_doubles_the_pause_up_to_a_minute() -> None:
    assert [USUAL.pause(failures) for failures in (1, 2, 3, 6, 7, 1000)] == [1, 2, 4, 32, 60, 60]
    assert Pace(first=0.5, longest=3).pause(4) == 3


def kept(root: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _KEEP, str(root), *command], stdout=subprocess.PIPE, text=True)


def test_what_ends_is_started_again_more_and_more_slowly(tmp_path: Path) -> None:
    with kept(tmp_path, "/bin/sh", "-c", "exit 3") as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(4)]
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM

    assert said == [f"web is started again in {pause:g} s: it ended with status 3" for pause in (0.05, 0.1, 0.2, 0.2)]


def test_what_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    with kept(tmp_path, "/no/such/program") as process:
        assert process.stdout is not None
        assert "No such file or directory" in process.stdout.readline()
        process.terminate()
        process.wait(PATIENCE)


def test_a_second_signal_changes_nothing(tmp_path: Path) -> None:
    with kept(tmp_path, "/bin/sh", "-c", "exec sleep 60") as process:
        assert wait_for(lambda: (found := read_kept(tmp_path, "web")) is not None and found.run)
        found = read_kept(tmp_path, "web")
        assert found is not None
        process.terminate()
        process.send_signal(signal.SIGINT)
        # the second one may come when all is done and it is on its way out
        assert process.wait(PATIENCE) in {128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGINT}
        assert not Path(f"/proc/{found.run}").exists()


def test_a_keeper_is_who_lives_and_says_so(tmp_path: Path) -> None:
    assert keeper_of(tmp_path, "web") is None
    write_keeper(tmp_path, KEEPER)
    assert keeper_of(tmp_path, "web") == KEEPER
    assert KEEPER.is_ours
    assert keepers(tmp_path) == {"web": KEEPER}
    another = replace(KEEPER, owner=KEEPER.owner + "0")  # the pid is somebody else's by now
    write_keeper(tmp_path, another)
    assert not another.is_ours
    assert keeper_of(tmp_path, "web") is None
    assert read_kept(tmp_path, "web") == another
    forget_keeper(tmp_path, "web")
    assert read_kept(tmp_path, "web") is None


def test_a_keeper_of_another_boot_keeps_nothing_though_its_pid_is_there(tmp_path: Path) -> None:
    boot, _, rest = KEEPER.owner.partition(" ")
    before = "0" * len(boot)
    assert before != boot
    write_keeper(tmp_path, replace(KEEPER, owner=f"{before} {rest}"))
    assert keeper_of(tmp_path, "web") is None
    assert keepers(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"format_version": 1}', '{"format_version": 2}', "\x00"])
def test_what_is_no_note_of_a_keeper_is_none(tmp_path: Path, content: str) -> None:
    write_keeper(tmp_path, KEEPER)
    path = tmp_path / "keepers" / "web.json"
    document = json.loads(path.read_bytes())
    path.write_text(content)
    assert keepers(tmp_path) == {}
    path.write_text(json.dumps({**document, "server": "other"}))
    assert keepers(tmp_path) == {}
    path.write_text(json.dumps({**document, "news": 1}))
    assert keepers(tmp_path) == {}


def test_one_holds_a_server_and_a_deleted_lock_holds_none(tmp_path: Path) -> None:
    with holding(tmp_path, "web", patience=0) as first:
        assert first is not None
        assert is_held_by_name(tmp_path, "web", first)
        with holding(tmp_path, "web", patience=0.1) as second:
            assert second is None
        with holding(tmp_path, "other", patience=0) as third:
            assert third is not None
        (tmp_path / "keepers" / "web.lock").unlink()
        assert not is_held_by_name(tmp_path, "web", first)
    with holding(tmp_path, "web", patience=0) as again:
        assert again is not None


def test_a_stop_by_hand_is_remembered(tmp_path: Path) -> None:
    assert stopped_by_hand(tmp_path) == {}
    remember_stop(tmp_path, "web")
    assert list(stopped_by_hand(tmp_path)) == ["web"]
    (tmp_path / "stopped" / "broken.json").write_text("[]")
    assert list(stopped_by_hand(tmp_path)) == ["web"]
    forget_stop(tmp_path, "web")
    forget_stop(tmp_path, "web")
    assert stopped_by_hand(tmp_path) == {}


def test_who_answers_is_healthy_and_who_does_not_is_told() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/mcp"
    assert ask(url).is_refused
    with subprocess.Popen(
        [sys.executable, str(SERVERS / "web.py"), "--port", str(port)], stdout=-3, stderr=-3
    ) as server:
        told: list[Answer] = []
        over = threading.Event()
        thread = threading.Thread(
            target=watch_health, args=(url, told.append, over), kwargs={"patience": 20, "every": 0.05}
        )
        thread.start()
        assert wait_for(lambda: len(told) > 1)
        server.kill()
        assert wait_for(lambda: told[-1].is_refused)  # one that was just answering broke off before
        over.set()
        thread.join()

    assert told[0].is_healthy
    assert told[0].said == "web 1"
    assert told[-1].said.startswith("nobody answers")
