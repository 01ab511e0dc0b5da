"""When lines of a server's log were written, and that nobody sees it who reads what the server said."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hatchlock.cli import keeper_commands
from hatchlock.cli.ui import Ui
from hatchlock.serve.talk import LogFile, Talk
from hatchlock.state.stamps import moment, split_stamp
from hatchlock.usecases.audit_log import moment_of
from hatchlock.usecases.follow import Tail
from hatchlock.usecases.server_log import last, read_log
from hatchlock.usecases.top import Running

EARLY, LATER = "2026-11-28T04:00:00.000Z", "2026-11-28T05:00:00.000Z"
LOG = (
    "from before there were stamps\n"
    f"{EARLY} | one\n"
    "Traceback of a program that writes here by itself\n"
    f"{LATER} | two | with a bar\n"
    "behind it\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "logs" / "web.log"
    path.parent.mkdir()
    path.write_text(LOG)
    return path


def test_what_a_server_says_has_a_stamp_in_its_log_alone(tmp_path: Path) -> None:
    out, into = os.pipe()
    log = LogFile(tmp_path / "logs" / "x.log", 1 << 20)
    talk = Talk(server="x", stderr=into, log=log, hidden=())
    talk.heard(b"one\ntwo\n")
    talk.say("three")
    assert os.read(out, 1 << 16) == b"one\ntwo\nhatchlock: three\n"
    lines = (tmp_path / "logs" / "x.log").read_text().splitlines()
    assert [split_stamp(line)[1] for line in lines] == ["one", "two", "hatchlock: three"]
    for line in lines:
        when = datetime.fromisoformat(split_stamp(line)[0])
        assert timedelta(seconds=-1) < datetime.now(UTC) - when < timedelta(seconds=60)
    assert talk.last_words() == ("one", "two")
    for descriptor in (out, into):
        os.close(descriptor)
    log.close()


def test_lines_are_read_as_they_were_written(path: Path) -> None:
    said = ["from before there were stamps", "one", "Traceback of a program that writes here by itself"]
    assert read_log(path) == [*said, "two | with a bar", "behind it"]


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (EARLY, ["one", "Traceback of a program that writes here by itself", "two | with a bar", "behind it"]),
        ("2026-11-28T04:00:00.001Z", ["two | with a bar", "behind it"]),
        ("2026-11-28T05:00:00.001Z", []),
    ],
)
def test_what_was_written_since_then(path: Path, start: str, said: list[str]) -> None:
    """A line without a stamp is as old as the one before it, and one of which nothing is known older than any moment."""
    assert read_log(path, start=start) == said
    tail = Tail(path, None, start)
    assert tail.lines() == said
    with path.open("a") as stream:
        stream.write(f"{moment()} | three\n")
    assert tail.lines() == ["three"]
    tail.close()


def test_moments_that_people_write_compare_with_those_of_lines() -> None:
    now = datetime.now(UTC)
    assert moment_of("1m", now=now) < moment() < moment_of((now + timedelta(minutes=1)).isoformat(), now=now)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "one",
        " | ",
        "2026-11-28T04:00:00.000Z one",
        "2026-11-28T04:00:00Z | one",
        "2026-11-28T04:00:00.\u0660\u0660\u0660Z | one",
        "dddd-dd-ddTdd:dd:dd.dddZ | one",
    ],
)
def test_what_only_looks_like_a_stamp_is_the_servers(line: str) -> None:
    assert split_stamp(line) == ("", line)


def test_the_last_ones() -> None:
    assert last("abc", None) == "abc"
    assert last("abc", 2) == "bc"
    assert last("abc", 9) == "abc"
    assert last("abc", 0) == last("abc", -1) == ""


def test_top_looks_again_until_somebody_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    one = Running(
        server="one",
        kind="session",
        pid=7,
        application="code",
        since="",
        seconds=1,
        cpu=0.5,
        cpu_seconds=1,
        memory=1 << 20,
        processes=1,
        runner_memory=1 << 20,
    )
    looks = iter([(one,), ()])

    def look() -> tuple[Running, ...]:
        try:
            return next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        keeper_commands._watch((), look, Ui())
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == shown[-1] == "no server runs"
    assert shown[2].split() == ["one", "code", "7", "1s", "50%", "1.0", "MiB", "1", "1.0", "MiB"]
