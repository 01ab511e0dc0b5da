"""`try`: a server that is in no manifest is served or probed, confined as an applied one, and nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from hatchlock.engines.tagged import images_of
from hatchlock.errors import INTERRUPTED
from hatchlock.paths import Home
from hatchlock.process import owner
from hatchlock.usecases.trial import sweep_trials
from support.engine import wait_until
from support.index import Index, serving
from support.links import links_record
from support.links_image import links_image
from support.mcp_http import family, is_there
from support.ports import free_port
from support.project import Done, TrialProject, server_release
from support.runs import HELLO, SERVERS
from support.scripted_http import Reply, polite, scripted_http
from support.unavailable import need_isolation

MANIFEST = """\
# ours
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
clients = ["cursor"]

[indexes.pypi]
url = "{index}"
"""
PYTHON = "/usr/bin/python3"
ECHO = ("--mount", f"{SERVERS}:{SERVERS}", "--", PYTHON, str(SERVERS / "echo.py"))
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def isolated() -> None:
    need_isolation()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    wheels = tmp_path_factory.mktemp("wheels")
    newer = server_release(wheels, version="2.0")
    with serving(server_release(wheels), newer) as served:
        yield served


@pytest.fixture
def outside(tmp_path: Path) -> TrialProject:
    """A directory without a manifest, with a store of its own."""
    return TrialProject(tmp_path)


@pytest.fixture
def project(tmp_path: Path, index: Index) -> TrialProject:
    return TrialProject(tmp_path, MANIFEST.format(platform=host_platform(), index=index.url))


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}


def talk(project: TrialProject, *words: str, messages: tuple[Any, ...] = (HELLO,), **env: str) -> Done:
    """Try something as an application would, say something, and end."""
    lines = "".join(f"{json.dumps(message)}\n" for message in messages)
    done = subprocess.run(
        project.command("try", *words),
        cwd=project.directory,
        env={**project.env, **env},
        input=lines,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(status=done.returncode, out=done.stdout, err=done.stderr)


def left(project: TrialProject) -> list[str]:
    """Return what trials have in the store that is not named by what is in it."""
    directories = ("tries", "projects", "fetched", "cache/memo", "images")
    return [str(path.relative_to(project.store)) for name in directories for path in (project.store / name).glob("*")]


def answers(done: Done) -> list[Any]:
    return [json.loads(line) for line in done.out.splitlines()]


# What it does.


def test_a_command_line_is_served_confined_outside_of_any_project(outside: TrialProject) -> None:
    asked = call("attempt", trick="write", argument=str(outside.root / "here"))
    done = talk(outside, *ECHO, messages=(HELLO, asked))
    assert done.status == 0, done.said
    hello, tried = answers(done)  # and nothing else is on stdout
    assert hello["result"]["serverInfo"]["name"] == "echo"
    assert "was here" not in json.dumps(tried)
    assert not (outside.root / "here").exists()
    assert (
        f"trying {PYTHON} {SERVERS / 'echo.py'}: {PYTHON}, a program of this machine, which nobody has pinned"
        in done.err
    )
    assert "process: network none, user " in done.err
    assert list(outside.directory.iterdir()) == []
    assert left(outside) == []


@pytest.mark.full
def test_a_probe_prints_what_it_offers_and_ends(outside: TrialProject) -> None:
    done = outside.ok("try", "--probe", "--json", *ECHO)
    assert [tool["name"] for tool in done.document["tools"]] == ["echo", "large", "attempt"]
    assert left(outside) == []


def test_a_program_that_is_no_server_fails_as_run_does(outside: TrialProject) -> None:
    done = talk(outside, "--", "/bin/false")
    assert (done.status, done.out) == (1, "")
    assert "without one JSON-RPC message" in done.err
    assert "false was only tried" in done.err
    assert "hatchlock logs" not in done.err
    assert "\nhint: what it lacks may be a variable (--env)" in done.err
    assert left(outside) == []


def test_why_a_probe_failed_is_said_once(outside: TrialProject) -> None:
    """`run`, which the probe starts, says on its stderr what the server said there, and what it makes of it."""
    done = outside.fails("try", "--probe", "--mount", f"{SERVERS}:{SERVERS}", "--", "/bin/ls", "/nowhere")
    assert done.err.count("No such file or directory") == 1
    assert done.err.count("hint: what it lacks may be a variable") == 1


def test_who_has_to_say_who_asks_is_told_how_a_trial_says_it(outside: TrialProject) -> None:
    with scripted_http(lambda _: Reply(status=401)) as server:
        done = outside.run("try", "--probe", server.url)
        assert done.status == 1
        assert "answers only who has logged in (HTTP 401)\n\nhint: say who asks" in done.err
        told = talk(outside, "--header", "Authorization=Bearer env:MINE", server.url, MINE="wrong")
    assert "does not accept its header Authorization (HTTP 401)\n\nhint: say who asks" in told.err
    for said in (done.err, told.err):
        assert "manifest" not in said
        assert "hatchlock login" not in said
    assert left(outside) == []


@pytest.mark.full
def test_what_its_sandbox_has_not_is_said_with_what_would_give_it(outside: TrialProject) -> None:
    done = outside.run("try", "--probe", "--", PYTHON, str(SERVERS / "echo.py"))
    assert done.status == 1
    assert f"! {SERVERS / 'echo.py'} is not in its sandbox: --mount {SERVERS}:{SERVERS} lets it read that" in done.err


def test_what_a_program_leads_to_is_said_too(outside: TrialProject, tmp_path: Path) -> None:
    """As the Python of a virtual environment does: a directory `bin` alone is not enough of either."""
    far, near = tmp_path / "far" / "bin" / "tool", tmp_path / "near" / "bin" / "tool"
    for path in (far, near):
        path.parent.mkdir(parents=True)
    far.write_text("#!/bin/sh\nexit 1\n")
    far.chmod(0o755)
    near.symlink_to(far)
    done = outside.run("try", "--probe", "--", str(near))
    assert done.status == 1
    for path in (far, near):
        place = path.parent.parent
        assert f"! {path} is not in its sandbox: --mount {place}:{place} lets it read that" in done.err


def test_what_its_sandbox_has_stopped_is_told_at_the_end_with_what_would_permit_it(outside: TrialProject) -> None:
    words = (*ECHO[:2], "--network", "one.example:443", *ECHO[2:])
    done = talk(outside, *words, "--stderr", "OSError: [Errno 30] Read-only file system: '/usr/here'")
    assert done.status == 0, done.said
    end = done.err[done.err.index("its sandbox has stopped:") :]
    assert "/usr/here" in end
    assert "! network = [one.example:443], default [none] (reason: tried with it)" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ("nowhere",),
        pytest.param((), marks=pytest.mark.full),
        pytest.param(("--network", "no host", *ECHO[2:]), marks=pytest.mark.full),
        ("--", "npx", "-y", "x", "--token", "ghp_abcdefghijklmnopqrstuvwx"),
        pytest.param(("deb:tzdata",), marks=pytest.mark.full),
        pytest.param(("--call", "echo", "pypi:x"), marks=pytest.mark.full),
        pytest.param(("--mount", "here", *ECHO[2:]), marks=pytest.mark.full),
    ],
)
def test_what_cannot_be_tried_is_refused_with_a_hint_and_leaves_nothing(
    outside: TrialProject, words: tuple[str, ...]
) -> None:
    done = outside.run("try", *words)
    assert done.status in {1, 64}
    assert "\nhint: " in done.err
    assert "ghp_" not in done.err
    assert done.out == ""
    assert left(outside) == []


def test_a_mount_of_nothing_is_said_before_anything_is_resolved(outside: TrialProject) -> None:
    done = outside.fails("try", "--mount", "./nope:/data", "oci:127.0.0.1:1/nobody/cat:1")
    assert done.err.startswith(f"server:cat: the mount of {outside.directory}/nope at /data is refused: there is no ")
    assert left(outside) == []


@pytest.mark.full
def test_a_secret_that_is_missing_starts_nothing(outside: TrialProject) -> None:
    done = talk(outside, "--secret", "TOKEN=env:NOBODY_HAS_SET_IT", *ECHO)
    assert (done.status, done.out) == (1, "")
    assert "NOBODY_HAS_SET_IT" in done.err
    assert left(outside) == []


def test_variables_and_secrets_reach_it(outside: TrialProject) -> None:
    words = ("--secret", "TOKEN=env:MINE", "--env", "LEVEL=high", *ECHO)
    asked = call("attempt", trick="read", argument="/proc/self/environ")
    done = talk(outside, *words, messages=(HELLO, asked), MINE="a-value-of-mine")
    told = json.dumps(answers(done)[1])
    assert "LEVEL=high" in told
    assert "TOKEN=a-value-of-mine" in told
    audit = (outside.store / "audit" / "audit.ndjson").read_text()
    assert "a-value-of-mine" not in audit


def test_a_server_that_somebody_else_runs_is_said_to_be_one(outside: TrialProject) -> None:
    port = free_port()
    with subprocess.Popen([PYTHON, str(SERVERS / "web.py"), "--port", str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            wait_for_port(port)
            done = outside.ok("try", "--probe", f"http://127.0.0.1:{port}/mcp")
        finally:
            server.kill()
    assert "tools     4" in done.out
    assert f"http://127.0.0.1:{port}/mcp, which somebody else runs\n! it does not run here" in done.err
    assert left(outside) == []


def test_headers_reach_a_remote_server_from_where_their_secrets_are(outside: TrialProject) -> None:
    key = outside.directory / "key"
    key.write_text("a-key-of-mine\n")
    key.chmod(0o600)
    words = ("--header", "Authorization=Bearer env:MINE", "--header", "X-Key=file:key")
    with scripted_http(polite) as server:
        done = talk(outside, *words, server.url, MINE="a-value-of-mine")
        assert done.status == 0, done.said
        heard = server.asked[0].headers
    assert (heard["authorization"], heard["x-key"]) == ("Bearer a-value-of-mine", "a-key-of-mine")
    audit = (outside.store / "audit" / "audit.ndjson").read_text()
    assert "of-mine" not in audit + done.said
    assert left(outside) == []


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)


# In a project.


def test_packages_come_from_where_the_project_has_them_and_a_second_try_builds_nothing(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    first = talk(project, "pypi:tiny-server<2")
    assert first.status == 0, first.said
    assert "trying pypi:tiny-server<2: pypi:tiny-server@1.0, 1 package\n" in first.err
    assert "env:tiny  created" in first.err
    again = talk(project, "pypi:tiny-server<2", "--", "--stderr", "mine")
    assert (again.status, "env:tiny" in again.err) == (0, False)
    assert "mine" in again.err
    assert project.manifest.read_bytes() == before
    assert sorted(path.name for path in project.directory.iterdir()) == ["hatchlock.toml"]
    assert left(project) == []
    assert len(project.environments()) == 1


def test_what_is_kept_is_what_was_tried(project: TrialProject) -> None:
    done = talk(project, "pypi:tiny-server<2", "--keep", "small", "--network", "one.example:443")
    assert done.status == 0, done.said
    assert "kept: + server:small in hatchlock.toml" in done.err
    text = project.manifest.read_text()
    assert text.startswith(MANIFEST.partition("{")[0])
    assert '[servers.small]\nsource = "pypi:tiny-server<2"\n' in text
    assert 'network = ["one.example:443"]\nreason = "tried with it"\n' in text
    assert 'version = "1.0"' in project.lock.read_text()
    assert left(project) == []
    # its environment is there already
    assert project.steps() == ["create server:small", "create client:cursor/small"]


def test_the_versions_of_the_trial_are_kept_although_there_are_newer_ones_by_then(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wheels = tmp_path_factory.mktemp("moving")
    with serving(server_release(wheels)) as index:
        project = TrialProject(tmp_path, MANIFEST.format(platform=host_platform(), index=index.url))
        project.edit("[indexes.pypi]", '[indexes.pypi]\nttl = "0s"')
        command = project.command("try", "pypi:tiny-server", "--keep", "tiny")
        with started(project, command) as session:
            say_hello(session)
            index.releases.append(server_release(wheels, version="2.0"))
            _, err = session.communicate(timeout=PATIENCE)
        assert session.returncode == 0, err
        assert 'version = "1.0"' in project.lock.read_text()


@pytest.mark.full
def test_what_did_not_go_well_is_not_kept(project: TrialProject) -> None:
    before = project.manifest.read_bytes()
    done = talk(project, "pypi:tiny-server", "--keep", "tiny", "--", "--exit", "3", messages=())
    assert done.status == 3
    assert "not kept: it ended with status 3" in done.err
    assert (project.manifest.read_bytes(), project.lock.exists()) == (before, False)


def test_a_name_that_is_taken_is_refused_before_anything_is_tried(project: TrialProject) -> None:
    with project.manifest.open("a") as file:
        file.write('\n[servers.tiny]\nsource = "pypi:tiny-server"\n')
    done = project.fails("try", "pypi:tiny-server", "--keep", "tiny")
    assert "already has a server" in done.err
    assert "trying" not in done.err
    assert left(project) == []


@pytest.mark.full
def test_keeping_needs_a_project(outside: TrialProject) -> None:
    done = outside.fails("try", "--keep", "echo", *ECHO)
    assert "there is no hatchlock.toml" in done.err


def test_a_mount_that_is_said_counts_before_the_one_that_a_command_line_proposes(project: TrialProject) -> None:
    """A path among the arguments of `uvx` is mounted read-only by itself; who wants to write there says so."""
    data = project.directory / "data"
    data.mkdir()
    words = ("--probe", "--mount", f"./data:{data}:rw", "--", "uvx", "tiny-server", "--stderr", str(data))
    done = project.ok("try", *words)
    assert f"{data} (rw)" in done.err


def test_paths_of_a_directory_mean_the_same_in_the_trial_and_in_the_manifest(project: TrialProject) -> None:
    server = project.directory / "own"
    server.mkdir()
    (server / "pyproject.toml").write_text(
        '[project]\nname = "own"\nversion = "1.0"\n[project.scripts]\nown = "own:main"\n'
        '[build-system]\nrequires = []\nbuild-backend = "none"\n'
    )
    (server / "own.py").write_bytes((SERVERS / "echo.py").read_bytes())
    done = talk(project, "./own", "--keep", "own", "--mount", "./own:/data")
    assert done.status == 0, done.said
    text = project.manifest.read_text()
    assert 'source = "path:./own"' in text
    assert 'source = "./own"' in text
    assert str(project.directory) not in text


# Whatever ends it.


class Session(subprocess.Popen[str]):
    """A trial that runs."""


def started(project: TrialProject, command: list[str]) -> Session:
    return Session(
        command,
        cwd=project.directory,
        env=project.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def say_hello(session: Session) -> None:
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(json.dumps(HELLO) + "\n")
    session.stdin.flush()
    assert "result" in session.stdout.readline()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(item, marks=pytest.mark.full) for item in (signal.SIGINT, signal.SIGHUP))]
)
def test_a_signal_ends_a_session_and_everything_of_it_goes(outside: TrialProject, number: signal.Signals) -> None:
    with started(outside, outside.command("try", *ECHO)) as session:
        say_hello(session)
        assert len(left(outside)) == 3
        session.send_signal(number)
        assert session.wait(PATIENCE) == 128 + number
    assert left(outside) == []


def test_a_terminal_that_is_gone_keeps_nothing_here(outside: TrialProject) -> None:
    """What is to be told at the end fails then, by another error than a pipe's."""
    terminal, end = os.openpty()
    command = outside.command("try", "--", "/bin/sh", "-c", "read line; exit 3")
    with subprocess.Popen(
        command, cwd=outside.directory, env=outside.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=end
    ) as session:
        os.close(end)
        assert session.stdin is not None
        deadline = time.monotonic() + PATIENCE
        while not list(outside.store.glob("projects/*/sessions/*.json")):
            assert time.monotonic() < deadline
            select.select([terminal], [], [], 0.01)
        os.close(terminal)
        session.stdin.write(b"\n")
        session.stdin.flush()
        assert session.wait(PATIENCE)
    assert left(outside) == []


@pytest.mark.parametrize(
    "sign", ["tries/*/hatch.lock", pytest.param("projects/*/journal.ndjson", marks=pytest.mark.full)]
)
def test_a_signal_before_the_session_leaves_nothing_either(outside: TrialProject, sign: str) -> None:
    with started(outside, outside.command("try", *ECHO)) as session:
        wait_for(outside, sign, session)
        session.send_signal(signal.SIGTERM)
        # steps that run are finished first, and say that they were interrupted
        assert session.wait(PATIENCE) in {128 + signal.SIGTERM, INTERRUPTED}
    assert left(outside) == []


@pytest.mark.parametrize(
    "sign",
    [*(pytest.param(item, marks=pytest.mark.full) for item in ("tries/*/hatch.lock", "projects/*/active.json")), ""],
)
def test_what_a_kill_leaves_goes_with_the_next_trial(outside: TrialProject, sign: str) -> None:
    with started(outside, outside.command("try", *ECHO)) as session:
        if sign:
            wait_for(outside, sign, session)
        else:
            say_hello(session)
        session.kill()
        session.wait(PATIENCE)
    assert left(outside)
    assert not owner(session.pid)
    outside.ok("try", "--probe", *ECHO)
    assert left(outside) == []


@pytest.mark.full
def test_trials_beside_each_other_leave_each_other_alone(outside: TrialProject) -> None:
    with started(outside, outside.command("try", *ECHO)) as session:
        say_hello(session)
        outside.ok("try", "--probe", *ECHO)
        assert len(left(outside)) == 3
        assert session.stdin is not None
        session.stdin.close()
        assert session.wait(PATIENCE) == 0
    assert left(outside) == []


def test_a_trial_that_goes_while_others_look_at_it_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "tries").mkdir()
    (tmp_path / "tries" / "gone").symlink_to("nowhere")

    assert sweep_trials(Home(root=tmp_path, is_default=False), environ={}) == ()


def test_gc_removes_what_a_kill_has_left(project: TrialProject) -> None:
    with started(project, project.command("try", *ECHO)) as session:
        say_hello(session)
        session.kill()
        session.wait(PATIENCE)
    project.ok("lock")
    assert left(project)
    project.ok("gc", "--yes")
    assert [name for name in left(project) if name.startswith(("tries", "projects/try-"))] == []


def wait_for(project: TrialProject, pattern: str, session: Session) -> None:
    deadline = time.monotonic() + PATIENCE
    while not list(project.store.glob(pattern)):
        assert session.poll() is None, session.communicate()
        assert time.monotonic() < deadline
        os.sched_yield()


# In an engine.


@pytest.fixture
def contained(engine: str, tmp_path: Path) -> Iterator[tuple[TrialProject, list[str], Engine]]:
    """Yield a project on Docker, the words that try an image there, and the engine."""
    with links_image(engine) as image:
        record = links_record(engine, image, "trial")
        mounts = [word for mount in record.sandbox.mounts for word in ("--mount", f"{mount.source}:{mount.target}")]
        project = TrialProject(tmp_path, DOCKER_HOST=engine)
        yield project, [*mounts, f"oci:docker-daemon:{image}", "--", *record.argv], Engine(engine)


def in_engine(engine: Engine) -> list[str]:
    """Return what trials have in an engine."""
    images = [tag for tag in images_of(engine) if tag.startswith("hatchlock/try-")]
    projects = [item.labels.get("dev.hatchlock.project", "") for item in engine.list({})]
    return images + [name for name in projects if name.startswith("try-")]


@pytest.mark.engine
def test_a_container_and_the_name_of_its_image_go_with_the_trial(
    contained: tuple[TrialProject, list[str], Engine],
) -> None:
    project, words, engine = contained
    with started(project, project.command("try", *words)) as session:
        say_hello(session)
        assert len(in_engine(engine)) >= 2
        assert session.stdin is not None
        session.stdin.close()
        assert session.wait(PATIENCE) == 0
    assert (in_engine(engine), left(project)) == ([], [])


@pytest.mark.engine
def test_what_a_kill_leaves_in_an_engine_goes_with_the_next_trial(
    contained: tuple[TrialProject, list[str], Engine],
) -> None:
    project, words, engine = contained
    with started(project, project.command("try", *words)) as session:
        say_hello(session)
        own = family(session.pid)
        session.kill()
        session.wait(PATIENCE)
    # its container goes by itself, and is there until it is gone
    assert wait_until(lambda: not any(map(is_there, own)))
    assert in_engine(engine)
    project.run("try", "--", "/bin/false")
    assert (in_engine(engine), left(project)) == ([], [])
