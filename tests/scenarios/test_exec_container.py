"""Environments in images, with servers and without, and `exec` in a container, on a real engine."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from hatchlock.engines.api import Engine as Containers
from hatchlock.engines.docker import Engine
from hatchlock.engines.process import host_platform
from hatchlock.images.key import local_tag
from support.cats import start
from support.engine_images import untag_all
from support.index import serving
from support.project import TrialProject, server_release
from support.runs import PATIENCE, processes_with, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("held_base")]

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[indexes.pypi]
url = "{index}"

[registries."{registry}"]
plain-http = true

[environments.box]
python = "3.11"
base = "oci:{base}"
dependencies = ["pypi:tiny-server"]

[environments.lone]
python = "3.11"
base = "oci:{base}"
dependencies = ["pypi:tiny-server"]

[servers.one]
source = "pypi:tiny-server"
environment = "box"

[servers.two]
source = "pypi:tiny-server"
environment = "box"
env = {{ GREETING = "hello", TOKEN = {{ secret = "env:TWO_TOKEN" }} }}
"""


@pytest.fixture(scope="module")
def project(
    tmp_path_factory: pytest.TempPathFactory, engine: str, registry: str, base_image: str
) -> Iterator[TrialProject]:
    """An applied project: an image with two servers, and one with none; nothing of it is in the engine at the end."""
    name = f"exec-{secrets.token_hex(4)}"
    directory = tmp_path_factory.mktemp("exec")
    with serving(server_release(directory / "wheels")) as index:
        manifest = MANIFEST.format(
            name=name, platform=host_platform(), index=index.url, registry=registry, base=base_image
        )
        project = TrialProject(directory, manifest, name=name, DOCKER_HOST=engine, TWO_TOKEN="s3cret")
        project.ok("lock")
        assert project.steps() == [
            *("create image:lone", "create image:one", "create image:two", "create server:one", "create server:two")
        ]
        project.ok("apply", "--yes", "--no-probe")
    yield project
    left = containers(engine, name)
    untag_all(engine, name)
    assert left == []


def containers(engine: str, project: str) -> list[str]:
    return [item.name for item in Containers(engine).list({"dev.hatchlock.project": project})]


def python(name: str, code: str) -> tuple[str, ...]:
    return ("exec", name, "--", "python3", "-c", code)


def test_one_image_key_for_two_servers_and_an_environment_with_the_same_content(project: TrialProject) -> None:
    keys = {
        item["name"]: item["path"].rpartition(":")[2]
        for item in (project.ok("env", "show", name, "--json").document for name in ("box", "lone"))
    }
    assert keys["box"] == keys["lone"]
    assert project.steps() == []
    rows = project.ok("env", "list", "--json").document["environments"]
    assert [(row["name"], row["state"], row["servers"]) for row in rows] == [
        ("box", "present", ["one", "two"]),
        ("lone", "present", []),
    ]


def test_what_is_known_of_the_base_is_shown(project: TrialProject) -> None:
    found = project.ok("env", "show", "lone", "--json").document
    assert found["base"]["python"].startswith("3.11")
    assert found["base"]["libc"].startswith("glibc")
    assert found["base"]["packages"] > 10
    assert found["download"] > found["base"]["size"]
    assert (found["size"], found["verified"]) == (None, None)


@pytest.mark.parametrize("name", ["lone", "box", "one"])
def test_a_command_gets_stdin_and_its_output_and_status_are_ours(project: TrialProject, engine: str, name: str) -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('aside', file=sys.stderr); sys.exit(7)"
    done = subprocess.run(
        project.command(*python(name, code)),
        cwd=project.directory,
        env=project.env,
        input="shout",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "SHOUT\n", "aside\n")
    assert containers(engine, project.name) == []


def test_it_is_where_its_servers_would_be_without_network_and_secrets(project: TrialProject) -> None:
    code = """
import os, socket, sys, tiny_server
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=3)
except OSError as error:
    print(type(error).__name__)
try:
    open("/usr/x", "w")
except OSError as error:
    print(error.strerror)
print(os.getuid(), tiny_server.__file__.startswith("/opt/hatchlock/"), os.environ.get("GREETING"), "TOKEN" in os.environ)
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        lone = project.ok(*python("lone", code), port).out.splitlines()
        two = project.ok(*python("two", code), port).out.splitlines()
    assert lone == ["ConnectionRefusedError", "Read-only file system", "10001 True None False"]
    assert two == [*lone[:2], "10001 True hello False"]


WAITS = "import time\nprint('ready', flush=True)\ntime.sleep(600)\n"


@contextlib.contextmanager
def waiting(project: TrialProject, code: str) -> Iterator[subprocess.Popen[str]]:
    """A command that is at work; it does not outlive the test."""
    with start(project, *python("lone", code)) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(project: TrialProject, engine: str, number: signal.Signals) -> None:
    code = f"import signal, sys\nsignal.signal({int(number)}, lambda *_: sys.exit(40))\n" + WAITS
    with waiting(project, code) as process:
        process.send_signal(number)
        assert process.wait(PATIENCE) == 40
    assert containers(engine, project.name) == []


def test_the_death_of_exec_by_kill_leaves_no_container(project: TrialProject, engine: str) -> None:
    tag = f"tag-{secrets.token_hex(6)}"
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    with waiting(project, f"{deaf}'{tag}'\n{WAITS}") as process:
        assert len(containers(engine, project.name)) == 1
        process.kill()
        process.wait(PATIENCE)
        assert wait_for(lambda: containers(engine, project.name) == [])
        assert wait_for(lambda: processes_with(tag) == [])


def test_a_reader_that_goes_away_ends_it(project: TrialProject, engine: str) -> None:
    code = "while True: print('x' * 1000)"
    with start(project, *python("lone", code)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 137
    assert containers(engine, project.name) == []


def test_a_reader_that_does_not_read_does_not_keep_it_from_ending(project: TrialProject, engine: str) -> None:
    """The pipe is full, then Docker's buffers are; an engine that waits for them to be read sees no end."""
    with start(project, *python("lone", "while True: print('x' * 1000)")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) in {128 + signal.SIGTERM, 128 + signal.SIGKILL}
    assert containers(engine, project.name) == []


def test_what_is_not_there_is_said_with_a_way_out(project: TrialProject, engine: str) -> None:
    done = project.run("exec", "lone", "--", "no-such-command")
    assert (done.status, "no-such-command" in done.err) == (127, True), done.said
    assert containers(engine, project.name) == []
    tag = project.ok("env", "show", "lone", "--json").document["path"]
    with Engine(engine) as connection:
        connection.untag(tag)
        connection.untag(local_tag(tag))
    missing = project.fails("exec", "lone", "--", "true")
    assert f"has no image {tag}" in missing.err
    assert "hint: make it with `hatchlock apply`" in missing.err
    assert project.steps() == ["create image:lone"]
    project.ok("apply", "--yes", "--no-probe")
