"""Every exit status means one thing, through the real command line."""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hatchlock.state.lease import lease
from support.cats import CAT, CATS, CatProject, apply, entries, start, tree
from support.runs import wait_for

STALE = CAT.replace('"-u"', '"-u", "-v"')


@pytest.fixture
def project(tmp_path: Path) -> CatProject:
    return CatProject(tmp_path, CAT)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["--version"], ["plan", "--help"]])
def test_0_asking_for_help(project: CatProject, words: list[str]) -> None:
    done = project.real(*words)
    assert (done.status, done.err) == (0, "")
    assert "hatchlock" in done.out


def test_0_done_or_nothing_to_do(project: CatProject) -> None:
    for words in (
        ["lock"],
        ["lock", "--check"],
        ["plan"],
        ["apply", "--yes", "--no-probe"],
        ["apply"],
        ["plan", "--check"],
        ["status"],
    ):
        done = project.real(*words)
        assert done.status == 0, f"{words}: {done.said}"


def test_0_in_a_second_directory_after_a_takeover(project: CatProject) -> None:
    apply(project)
    other = CatProject(project.root / "other", CAT, HATCHLOCK_HOME=str(project.store))
    other.ok("lock")
    refused = other.really_fails("apply", "--yes", "--no-probe")
    assert str(project.directory) in refused.err
    assert str(other.directory) in refused.err
    assert entries(other) == {}
    taken = ("apply", "--yes", "--no-probe", "--takeover")
    other.really_fails(*taken, status=3)  # the entries in the first directory go
    other.ok(*taken, "--allow-mass-removal")
    assert entries(other)[".mcp.json"] == ["cat"]
    assert ".mcp.json" not in entries(project)  # we had made it
    assert "belongs to" in project.really_fails("plan").err


def test_1_a_lock_is_missing(project: CatProject) -> None:
    for command in ("plan", "apply", "status"):
        assert "there is no hatch.lock" in project.really_fails(command).err


def test_1_a_lock_is_stale_except_where_that_is_the_question(project: CatProject) -> None:
    project.ok("lock")
    project.write(STALE)
    for words in (["plan", "--check"], ["apply", "--yes"], ["status"]):
        assert "server:cat: command changed since it was locked" in project.really_fails(*words).err
    assert project.real("lock", "--check").status == 2
    assert project.real("plan").status == 1, "`lock --check` writes nothing"


def test_1_there_is_no_manifest(project: CatProject) -> None:
    project.manifest.unlink()
    assert "there is no hatchlock.toml" in project.really_fails("plan").err


def test_1_a_server_cannot_be_planned(project: CatProject) -> None:
    project.edit("/bin/cat", "/bin/no-such-program")
    project.ok("lock")
    done = project.real("plan", "--check")
    assert done.status == 1
    assert "! server:cat  there is no program '/bin/no-such-program' on PATH" in done.out


def test_1_a_server_that_does_not_answer_leaves_the_world_converged(project: CatProject) -> None:
    project.edit("/bin/cat", "/bin/false")
    project.ok("lock")
    done = project.real("apply", "--yes")
    assert done.status == 1, done.said
    assert "server:cat" in done.err
    assert entries(project) == {".mcp.json": ["cat"], "mcp.json": ["cat"]}
    project.ok("plan", "--check")
    assert "failed" in project.ok("status").out


def test_2_there_are_changes_and_they_were_asked_for(project: CatProject) -> None:
    assert project.real("lock", "--check").status == 2
    project.ok("lock")
    project.ok("plan")
    assert project.real("plan", "--check").status == 2


def test_3_nobody_agreed(project: CatProject) -> None:
    project.ok("lock")
    project.ok("plan")  # makes the store, for its cache
    before = tree(project.root, without=("store/cache", "store/audit"))
    done = project.really_fails("apply", status=3)
    assert "there is no terminal to ask on; nothing was done" in done.err
    assert "--yes" in done.err
    assert tree(project.root, without=("store/cache", "store/audit")) == before


def test_3_an_audit_finds_what_counts(project: CatProject) -> None:
    apply(project)
    assert project.real("audit").status == 0
    assert project.real("audit", "--fail-on", "warning").status == 3, "a program of this machine is not pinned"
    (project.store / "cache").chmod(0o777)
    done = project.real("audit")
    assert done.status == 3
    assert done.err == "1 finding of level error or worse\n"


def test_3_something_would_be_lost(project: CatProject) -> None:
    apply(project)
    file = project.directory / ".mcp.json"
    edited = file.read_text().replace('"command"', '"timeout": 5, "command"')
    file.write_text(edited)
    done = project.really_fails("apply", "--yes", "--no-probe", status=3)
    assert "--allow-destructive" in done.err
    assert file.read_text() == edited
    project.ok("apply", "--yes", "--no-probe", "--allow-destructive")
    assert "timeout" not in json.loads(file.read_text())["mcpServers"]["cat"]


def test_3_more_than_half_would_be_removed(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CATS)
    apply(project)
    servers = list(project.active())
    project.write(CAT)
    project.ok("lock")
    before = tree(project.root, without=("store/cache", "store/audit"))
    done = project.really_fails("apply", "--yes", "--allow-destructive", status=3)
    assert "this would remove 6 of 9 resources; nothing was done" in done.err
    assert "--allow-mass-removal" in done.err
    assert tree(project.root, without=("store/cache", "store/audit")) == before
    assert list(project.active()) == servers
    project.ok("apply", "--yes", "--no-probe", "--allow-mass-removal")
    assert list(project.active()) == ["cat"]
    assert entries(project) == {".mcp.json": ["cat"], "mcp.json": ["cat"]}


@pytest.mark.parametrize(
    "words",
    [
        ["fly"],
        ["plan", "--fly"],
        ["plan", "--che"],
        ["run"],
        ["add"],
        ["add", "pypi:x", "--", "cat"],
        ["apply", "--lock-timeout", "soon"],
    ],
)
def test_64_wrong_usage(project: CatProject, words: list[str]) -> None:
    done = project.real(*words)
    assert done.status == 64, done.said
    assert done.out == ""
    assert "hint: " in done.err


def test_64_a_directory_that_is_none(project: CatProject) -> None:
    done = project.real("-C", "/nowhere", "plan")
    assert done.status == 64
    assert "-C /nowhere: there is no such directory" in done.err


def test_64_no_command_shows_the_help(project: CatProject) -> None:
    done = project.real()
    assert done.status == 64
    assert "Usage: hatchlock COMMAND" in done.out


class SlowIndex(ThreadingHTTPServer):
    """Does not answer before it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Slow)
        self.asked = threading.Event()
        self.answer = threading.Event()


class _Slow(BaseHTTPRequestHandler):
    server: SlowIndex

    def do_GET(self) -> None:
        self.server.asked.set()
        self.server.answer.wait(60)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


def test_130_interrupted(tmp_path: Path) -> None:
    with SlowIndex() as index:
        threading.Thread(target=index.serve_forever, kwargs={"poll_interval": 0.02}).start()
        url = f"http://127.0.0.1:{index.server_address[1]}/simple/"
        manifest = CAT + f'\n[servers.slow]\nsource = "pypi:slow==1.0"\n\n[indexes.pypi]\nurl = "{url}"\n'
        project = CatProject(tmp_path, manifest)
        with start(project, "lock") as process:
            assert index.asked.wait(60)
            os.kill(process.pid, signal.SIGINT)
            index.answer.set()
            _, err = process.communicate(timeout=60)
        index.shutdown()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in err
    assert not project.lock.exists()


def test_130_interrupted_while_it_waits_for_another_apply(project: CatProject) -> None:
    project.ok("lock")
    memo = project.store / "cache" / "memo"
    path = project.store / "projects" / "trial" / "lease.lock"
    with (
        lease(path, what="it", purpose="apply", timeout=0),
        start(project, "apply", "--yes", "--no-probe") as process,
    ):
        assert wait_for(lambda: memo.exists() and any(memo.iterdir())), "it has planned"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    # Python dies by the signal itself, after all is said, when it struck inside `exec` (a dataclass being made at an
    # import); a shell shows 130 for that, too.
    assert process.returncode in {130, -signal.SIGINT}, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert project.active() == {}


def test_130_interrupted_while_it_probes_what_it_has_applied(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT.replace('"/bin/cat", "-u"', '"/bin/sleep", "60"'))
    project.ok("lock")
    sessions = project.store / "projects" / "trial" / "sessions"
    with start(project, "apply", "--yes") as process:
        assert wait_for(lambda: sessions.exists() and any(sessions.iterdir())), "the probe has started it"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted: not probed: cat; all steps are done" in err
    assert "Applied: 3 done" in out
    assert project.steps() == []


@pytest.mark.parametrize(
    "words", [["add", "pypi:x"], ["remove", "cat"], ["logs", "cat"], ["probe", "cat"], ["run", "cat"]]
)
@pytest.mark.parametrize("content", [b"\xff\xfe", b"[project"])
def test_1_the_manifest_is_no_toml(project: CatProject, words: list[str], content: bytes) -> None:
    project.manifest.write_bytes(content)
    done = project.real(*words)
    assert done.status == 1, done.said
    assert "hatchlock.toml" in done.err
    assert project.manifest.read_bytes() == content


def test_1_a_name_to_upgrade_that_the_lock_has_not(project: CatProject) -> None:
    project.ok("lock")
    assert "the lock has no package or image 'typo'" in project.run("lock", "--upgrade", "typo").err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("verify", "env:cat"), "did you mean 'cat'?"),
        (("verify", "nobody"), "it has cat"),
        (("tree", "nobody"), "it has cat"),
    ],
)
def test_1_a_name_that_the_lock_has_not_comes_with_those_that_it_has(
    project: CatProject, words: list[str], hint: str
) -> None:
    project.ok("lock")
    assert hint in project.fails(*words).err


def test_1_a_secret_that_others_can_read_is_told_after_what_was_applied(project: CatProject) -> None:
    secret = project.directory / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o600)
    project.write(CAT + '[servers.cat.env]\nKEY = { secret = "file:secret" }\n')
    project.ok("lock")
    done = project.real("apply", "--yes", "--no-probe")
    assert done.status == 0, done.said
    project.write(CAT + 'args = ["-v"]\n[servers.cat.env]\nKEY = { secret = "file:secret" }\n')
    project.ok("lock")
    secret.chmod(0o644)
    done = project.real("apply", "--yes")
    assert done.status == 1
    assert "can be read by every user" in done.err
    assert "Applied: " in done.out


def test_2_the_lock_would_get_another_project_name(project: CatProject) -> None:
    project.ok("lock")
    project.edit('name = "trial"', 'name = "other"')
    assert project.real("lock", "--check").status == 2
