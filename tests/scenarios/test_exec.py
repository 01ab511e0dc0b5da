"""`exec`: a command in the place of a server, or in an environment without one, with real bubblewrap."""

from __future__ import annotations

import contextlib
import os
import pty
import secrets
import select
import signal
import socket
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from hatchlock.engines.process import host_platform
from support.cats import CatProject, start
from support.index import serving
from support.project import TrialProject, server_release
from support.runs import PATIENCE, processes_with, wait_for
from support.unavailable import need_isolation

MANIFEST = f"""\
[project]
name = "trial"
platforms = ["{host_platform()}"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "URL"

[environments.tools]
python = "3.11"
dependencies = ["pypi:tiny-server"]

[servers.tiny]
source = "pypi:tiny-server"

[servers.loose]
source = "pypi:tiny-server"
isolation = "best-effort"

[servers.tiny.env]
GREETING = "hello"
TOKEN = {{ secret = "env:TINY_TOKEN" }}

[servers.tiny.sandbox]
network = "internet"
mounts = [{{ source = "./data", target = "/data", mode = "ro" }}]
reason = "a test"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TrialProject:
    """An applied project: an environment without a server, and a server with a sandbox of its own."""
    need_isolation()
    directory = tmp_path_factory.mktemp("exec")
    with serving(server_release(directory / "wheels")) as index:
        project = TrialProject(directory, MANIFEST.replace("URL", index.url), TINY_TOKEN="s3cret")
        (project.directory / "data").mkdir(mode=0o755)
        (project.directory / "data" / "note.txt").write_text("a note")
        project.ok("lock")
        project.ok("apply", "--yes", "--no-probe")
    return project


def python(code: str) -> tuple[str, ...]:
    return ("exec", "tools", "--", "python", "-c", code)


def test_a_command_gets_our_stdin_and_its_output_and_status_are_ours(project: TrialProject) -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('aside', file=sys.stderr); sys.exit(7)"
    done = subprocess.run(
        project.command(*python(code)),
        cwd=project.directory,
        env=project.env,
        input="shout",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "SHOUT\n", "aside\n")


def test_the_environments_own_commands_come_first(project: TrialProject) -> None:
    (tree,) = {Path(project.ok("env", "show", "tools", "--json").document["path"])}
    assert project.ok(*python("import sys; print(sys.prefix)")).out == f"{tree}\n"
    assert project.ok("exec", "tools", "--", "sh", "-c", "command -v tiny-server").out == f"{tree}/bin/tiny-server\n"
    assert project.ok(*python("import tiny_server; print(tiny_server.__file__)")).out.startswith(f"{tree}/lib/")


def test_a_command_that_a_signal_ended_shows_its_number(project: TrialProject) -> None:
    assert project.run(*python("import os; os.kill(os.getpid(), 9)")).status == 137


def test_it_reaches_no_network_and_nothing_of_this_machine(project: TrialProject) -> None:
    secret = project.directory / "secret.txt"
    secret.write_text("for the owner")
    secret.chmod(0o600)
    attempts = """
import os, socket, sys
def attempt(work):
    try:
        print("done", work())
    except OSError as error:
        print("denied", type(error).__name__)
attempt(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=3))
for path in sys.argv[2:]:
    attempt(lambda: open(path).read())
for path in ("/x", "/usr/x", sys.prefix + "/x", "/dev/x"):
    attempt(lambda: open(path, "w").write("was here"))
print(os.getcwd(), os.listdir("."), open("mine", "w").write("x"), os.geteuid() != 0)
print(sorted(name for name in os.environ if "TOKEN" in name or name.startswith("HATCHLOCK")))
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        words = [
            "-c",
            attempts,
            port,
            str(secret),
            str(project.manifest),
            "/etc/shadow",
            f"{project.store}/bin/hatchlock",
        ]
        lines = project.ok("exec", "tools", "--", "python", *words).out.splitlines()
    assert lines[:-2] == [
        "denied ConnectionRefusedError",
        *["denied FileNotFoundError"] * 4,
        *["denied OSError"] * 4,
    ]
    assert lines[-2:] == ["/home/hatchlock [] 1 True", "[]"]


def test_under_a_servers_name_it_has_that_servers_sandbox_but_not_its_secrets(project: TrialProject) -> None:
    code = """
import os, socket, sys
socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=3)
print(open("/data/note.txt").read(), os.environ["GREETING"], "TOKEN" in os.environ)
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = ("--", "python", "-c", code, str(listener.getsockname()[1]))
        assert project.ok("exec", "tiny", *words).out == "a note hello False\n"
        assert project.ok("exec", "server:tiny", *words).out == "a note hello False\n"
        elsewhere = project.ok("--project", "trial", "exec", "tiny", *words, cwd=Path("/"))
        assert elsewhere.out == "a note hello False\n"
    strict = "import os; print('GREETING' in os.environ, os.path.exists('/data'))"
    assert project.ok("exec", "env:tiny", "--", "python", "-c", strict).out == "False False\n"


WAITS = "import time\nprint('ready', flush=True)\ntime.sleep(600)\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS


@pytest.fixture
def tag() -> str:
    """A word in the command line of this test's command, by which its processes are found."""
    return f"tag-{secrets.token_hex(6)}"


@contextlib.contextmanager
def waiting(project: TrialProject, code: str, tag: str) -> Iterator[subprocess.Popen[str]]:
    """A command that is at work; it does not outlive the test."""
    with start(project, *python(code), tag) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(project: TrialProject, tag: str, number: signal.Signals) -> None:
    code = f"import signal, sys\nsignal.signal({int(number)}, lambda *_: sys.exit(40))\n" + WAITS
    with waiting(project, code, tag) as process:
        process.send_signal(number)
        assert process.wait(PATIENCE) == 40
    assert wait_for(lambda: processes_with(tag) == [])


def test_what_ignores_the_end_is_killed_after_the_grace(project: TrialProject, tag: str) -> None:
    with waiting(project, DEAF, tag) as process:
        process.terminate()
        assert process.wait(PATIENCE) == 137
    assert wait_for(lambda: processes_with(tag) == [])


def test_the_death_of_exec_by_kill_leaves_no_process(project: TrialProject, tag: str) -> None:
    code = "import os, time\nif os.fork():\n    time.sleep(600)\nos.setsid()\n" + DEAF
    with waiting(project, code, tag) as process:
        assert wait_for(lambda: processes_with(tag) != [])  # a program that was just begun has no words yet
        process.kill()
        process.wait(PATIENCE)
        assert wait_for(lambda: processes_with(tag) == [])


def test_children_do_not_survive_the_command(project: TrialProject, tag: str) -> None:
    code = f"import subprocess; subprocess.Popen(['/bin/sh', '-c', 'sleep 600', '{tag}'], start_new_session=True)"
    done = subprocess.run(
        project.command(*python(code)), cwd=project.directory, env=project.env, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
    assert wait_for(lambda: processes_with(tag) == [])


class Terminal:
    """`exec` on a terminal of its own; it ends with the block."""

    def __init__(self, project: TrialProject, *words: str, **variables: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(project.directory)
            command = project.command(*words)
            os.execve(command[0], command, {**project.env, "TERM": "dumb", **variables})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.master)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def until(self, text: str) -> str:
        said = ""
        while text not in said:
            ready, _, _ = select.select([self.master], [], [], PATIENCE)
            assert ready, said
            try:
                said += os.read(self.master, 4096).decode()
            except OSError as error:
                raise AssertionError(said) from error  # it has ended
        return said

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def status(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_is_a_terminal_and_ctrl_c_interrupts_the_command_only(project: TrialProject) -> None:
    with Terminal(project, "exec", "tools", "--", "python", "-iqE") as terminal:
        terminal.until(">>> ")
        terminal.type("import sys, os; print(sys.stdin.isatty(), sys.stdout.isatty(), os.environ['TERM'])\n")
        terminal.until("True True dumb")
        # it has the terminal's descriptor, but is not controlled by it, and cannot type into it
        terminal.type("open('/dev/tty')\n")
        terminal.until("OSError: [Errno 6]")
        terminal.type("import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x')\n")
        terminal.until("Error: [Errno ")
        terminal.type("import time; print('sleep' + 'ing'); [time.sleep(0.1) for _ in range(6000)]\n")
        terminal.until("sleeping")
        terminal.type("\x03")
        terminal.until("KeyboardInterrupt")
        terminal.type("exit(3)\n")
        assert terminal.status() == 3


def test_what_is_not_there_is_said_with_a_way_out(project: TrialProject, tmp_path: Path) -> None:
    done = project.fails("exec", "tools", "--", "tiny-servr")
    assert "tools: there is no command 'tiny-servr' in tools" in done.err
    assert "did you mean 'tiny-server'?" in done.err
    assert "the lock has no environment 'tool'" in project.fails("exec", "tool", "--", "true").err
    assert "exec needs a command" in project.fails("exec", "tools", status=64).err
    assert "write it behind --" in project.fails("exec", "tools", status=64).err
    fresh = CatProject(tmp_path, project.manifest.read_text())
    fresh.lock.write_bytes(project.lock.read_bytes())
    missing = fresh.really_fails("exec", "tools", "--", "true")
    assert "env:tools: the environment tools is not on this machine" in missing.err
    assert "hint: make it with `hatchlock apply`" in missing.err


def test_the_terminal_is_left_as_it_was(project: TrialProject) -> None:
    own, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = project.command("exec", "tools", "--", "stty", "raw", "-echo")
    done = subprocess.run(
        command,
        cwd=project.directory,
        env=project.env,
        stdin=theirs,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    after = termios.tcgetattr(theirs)
    os.close(own)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert after == before


@pytest.fixture
def without_isolation(tmp_path: Path) -> str:
    """A PATH on which bubblewrap does not work, as on machines without user namespaces."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    return f"{tmp_path}:/usr/bin:/bin"


def test_a_machine_that_cannot_isolate_refuses(project: TrialProject, without_isolation: str) -> None:
    done = project.fails("exec", "tools", "--", "true", env={"PATH": without_isolation})
    assert "this server must be isolated, and that is not possible here" in done.err


def test_a_server_that_need_not_be_isolated_has_its_commands_on_the_terminal_too(
    project: TrialProject, without_isolation: str
) -> None:
    with Terminal(project, "exec", "loose", "--", "python", "-iqE", PATH=without_isolation) as terminal:
        assert "loose is not isolated: bubblewrap does not work" in terminal.until(">>> ")
        terminal.type("import time; print('sleep' + 'ing'); [time.sleep(0.1) for _ in range(6000)]\n")
        terminal.until("sleeping")
        terminal.type("\x03")
        terminal.until("KeyboardInterrupt")
        terminal.type("exit(3)\n")
        assert terminal.status() == 3
