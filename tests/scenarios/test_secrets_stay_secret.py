"""A secret is planted in each way, in both runtimes, for a server that tells everybody what it was told; then every command is
used, the server crashes, and each file, log, output, process table and word of the engine is searched for what was planted."""

from __future__ import annotations

import contextlib
import json
import re
import secrets as random
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from hatchlock.cli.help import COMMANDS
from hatchlock.engines.api import Engine
from hatchlock.engines.process import host_platform
from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.redact import forms
from hatchlock.security.secrets.store import SecretStore
from support.engine_images import untag_all
from support.index import Release, serving
from support.project import TrialProject
from support.runs import SERVERS, Run
from support.wheels import make_wheel

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("held_base")]

MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[defaults]
source = "pypi:leaky-server==1.0"
clients = ["claude-code", "cursor"]

[defaults.env]
BY_ENV = {{ secret = "env:PLANTED_ENV" }}
BY_FORMAT = {{ secret = "env:PLANTED_FORMAT", format = "Bearer {{}}" }}
BY_PLAIN = {{ secret = "file:private/plain" }}
BY_DOTENV = {{ secret = "file:.env#PLANTED" }}
BY_STORE = {{ secret = "keyring:in-store" }}
BY_KEYRING = {{ secret = "keyring:in-keyring" }}
BY_COMMAND = {{ secret = "command:{command} 'a word'" }}
ENV_AS_FILE = {{ secret = "env:PLANTED_AS_FILE", as = "file" }}
FILE_AS_FILE = {{ secret = "file:private/key.pem", as = "file" }}
STORE_AS_FILE = {{ secret = "keyring:in-store-2", as = "file", format = "token = {{}}" }}

[servers.process]
source = "pypi:leaky-server==1.0"
runtime = "process"

[servers.container]
source = "pypi:leaky-server==1.0"
base = "oci:{base}"

[indexes.pypi]
url = "{index}"

[registries."{registry}"]
plain-http = true
"""
KEYRING = """\
#!{python}
import json, pathlib, sys
kept = pathlib.Path({kept!r})
known = json.loads(kept.read_text()) if kept.exists() else {{}}
action, service, name = sys.argv[1:]
if name != "in-keyring": sys.exit(1)
if action == "set": kept.write_text(json.dumps({{name: sys.stdin.read()}}))
elif action == "get" and name in known: print(known[name])
else: sys.exit(1)
"""


@dataclass(kw_only=True)
class Planted:
    """The project, every value that was planted, and everything that was said."""

    project: TrialProject
    engine: str
    by_environment: tuple[str, ...]
    elsewhere: tuple[str, ...]
    allowed: frozenset[Path]
    said: list[str] = field(default_factory=list)

    @property
    def hidden(self) -> list[bytes]:
        return [form.encode() for form in forms((*self.by_environment, *self.elsewhere)) if len(form) > 7]

    def does(self, *words: str, status: int | None = 0, stdin: str = "") -> None:
        """Run a command, and keep all that it says; its status counts unless it is None."""
        done = subprocess.run(
            self.project.command(*words),
            cwd=self.project.directory,
            env=self.project.env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        self.said.append(f"$ hatchlock {' '.join(words)}\n{done.stdout}{done.stderr}")
        assert status in {None, done.returncode}, self.found_in("output", self.said[-1].encode()) or self.said[-1]

    def found_in(self, where: str, data: bytes) -> list[str]:
        return [f"{where}: {item.decode()}" for item in self.hidden if item in data]

    def found_in_files(self) -> list[str]:
        """Return where a value is in any file that this test, hatchlock, or its servers could write."""
        found = []
        for path in self.project.root.rglob("*"):
            if path.is_file() and not path.is_symlink() and path not in self.allowed:
                with contextlib.suppress(FileNotFoundError):
                    found += self.found_in(str(path), path.read_bytes())
        return found

    def found_in_engine(self) -> list[str]:
        """Return where a value is in what the engine says of our images and containers, running variables excepted."""
        api = Engine(self.engine)
        name = self.project.name
        documents: list[object] = [api.ask("GET", "/volumes"), api.ask("GET", "/networks")]
        for item in api.list({"dev.hatchlock.project": name}):
            about = api.inspect(item.id)
            del about["Config"]["Env"]
            documents += [item.labels, about]
        for image in api.ask("GET", "/images/json"):
            if any(tag.startswith(f"hatchlock/{name}/") for tag in image["RepoTags"] or ()):
                documents += [image, api.ask("GET", f"/images/{image['Id']}/json")]
                documents.append(api.ask("GET", f"/images/{image['Id']}/history"))
        assert len(documents) > 2
        return self.found_in("engine", json.dumps(documents).encode())


class ProcessTable:
    """Looks at every process of this machine, again and again, while the block runs."""

    def __init__(self, planted: Planted) -> None:
        self._planted = planted
        self._everywhere = _any_of((*planted.by_environment, *planted.elsewhere))
        self._not_in_ours = _any_of(planted.elsewhere)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._own = Path("/proc/self/ns/pid").readlink()
        self.found: set[str] = set()
        self.servers = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            for process in Path("/proc").iterdir():
                if process.name.isdigit():
                    with contextlib.suppress(OSError):
                        self._look_at(process)

    def _look_at(self, process: Path) -> None:
        words = (process / "cmdline").read_bytes()
        if self._everywhere.search(words):
            self.found.add(f"command line {words!r}")
        if (process / "ns" / "pid").readlink() != self._own:
            # inside of a sandbox is the server, which is told
            self.servers += bool(self._everywhere.search((process / "environ").read_bytes()))
        elif self._not_in_ours.search((process / "environ").read_bytes()):
            self.found.add(f"environment of {words!r}")


def _any_of(values: Iterable[str]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(form.encode()) for form in forms(values)))


def leaky(directory: Path) -> Release:
    directory.mkdir()
    wheel = make_wheel(
        directory,
        name="leaky_server",
        files={"leaky_server.py": (SERVERS / "leaky.py").read_bytes()},
        entry_points="[console_scripts]\nleaky-server = leaky_server:main\n",
    )
    return Release(
        name="leaky-server",
        version="1.0",
        body=wheel.read_bytes(),
        scripts={"leaky-server": "leaky_server:main"},
    )


def value() -> str:
    """Something that nothing else on this machine is, with what needs escaping in every form."""
    return f'pl"a/n+t {random.token_hex(8)}'


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def planted(tmp_path: Path, memory: Path, engine: str, registry: str, base_image: str) -> Iterator[Planted]:
    """A locked project with a secret in each place."""
    values = {
        name: value() for name in ("env", "format", "as_file", "plain", "dotenv", "store", "ring", "command", "s2")
    }
    pem = "\n".join(["-----BEGIN KEY-----", *(random.token_hex(24) for _ in range(3)), "-----END KEY-----", ""])
    project = TrialProject(
        tmp_path / "trial",
        name=f"planted-{random.token_hex(4)}",
        DOCKER_HOST=engine,
        XDG_RUNTIME_DIR=str(memory),
        TMPDIR=str(tmp_path / "trial" / "tmp"),
        PLANTED_ENV=values["env"],
        PLANTED_FORMAT=values["format"],
        PLANTED_AS_FILE=values["as_file"],
    )
    (project.root / "tmp").mkdir()
    ring = project.root / "ring.json"
    programs = project.root / "bin"
    private(programs / "keyring", KEYRING.format(python=sys.executable, kept=str(ring)), 0o755)
    project.env["PATH"] = f"{programs}:{project.env['PATH']}"
    printing = f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['a word']\nprint({values['command']!r})\n"
    allowed = {
        private(programs / "print-secret", printing, 0o755),
        private(project.directory / "private" / "plain", f"{values['plain']}\n"),
        private(project.directory / "private" / "key.pem", pem),
        private(project.directory / ".env", f"# planted\nexport PLANTED='{values['dotenv']}'\n"),
        project.store / "secrets.json",
        ring,
    }
    subprocess.run(["git", "init", "-q", str(project.directory)], check=True)
    (project.directory / ".gitignore").write_text(".env\nprivate/\n")
    with serving(leaky(tmp_path / "wheels")) as index:
        project.write(
            MANIFEST.format(
                name=project.name,
                platform=host_platform(),
                command=programs / "print-secret",
                base=base_image,
                index=index.url,
                registry=registry,
            ).replace('[defaults]\nsource = "pypi:leaky-server==1.0"\n', "[defaults]\n")
        )
        elsewhere = (*(values[name] for name in ("plain", "dotenv", "store", "ring", "command", "s2")), pem)
        found = Planted(
            project=project,
            engine=engine,
            by_environment=(values["env"], values["format"], values["as_file"]),
            elsewhere=elsewhere,
            allowed=frozenset(allowed),
        )
        found.does("secret", "set", "in-store", stdin=f"{values['store']}\n")
        # the other two without a program's start for each
        store, keyring = SecretStore(project.store), Keyring(project.env)
        assert store.set("in-store-2", values["s2"], keyring) == "store"
        assert store.set("in-keyring", values["ring"], keyring) == "keyring"
        yield found
    untag_all(engine, project.name)


def test_what_is_planted_is_found_nowhere(planted: Planted, memory: Path) -> None:
    project = planted.project
    with ProcessTable(planted) as table:
        planted.does("lock")
        planted.does("plan", "--out", "plan.json")
        planted.does("apply", "plan.json", "-v", "--no-probe")
        for server, options in {"process": ["--json"], "container": []}.items():
            planted.does("probe", server, *options)
            serve_until_it_crashes(planted, server)
        planted.does("logs", "process", "-n", "1000")
        planted.does("secret", "check")
        planted.does("doctor")
        later = {"audit": (), "report": (), "rollback": ("--yes",)}  # as soon as there are such commands
        for command in sorted(later.keys() & {name for group in COMMANDS.values() for name in group}):
            planted.does(command, *later[command], status=None)
        planted.does("gc", "--keep", "1", "--yes")
    assert table.servers > 0, "no server was seen with its variables"
    assert sorted(table.found) == []
    assert planted.found_in("output", "\n".join(planted.said).encode()) == []
    assert planted.found_in_files() == []
    assert planted.found_in_engine() == []
    assert not any((memory / "hatchlock-secrets").glob("*"))
    assert (project.store / "secrets.json").read_text().count("value") == 2
    # the log and the outputs say much: what they say was hidden, not left out
    assert "***" in "".join(planted.said)


def serve_until_it_crashes(planted: Planted, server: str) -> None:
    """Serve it as an application does, look at files and engine while it runs, and let it crash."""
    project = planted.project
    with Run(command=project.launch_command(server), env=project.env) as run:
        stderr = run.process.stderr
        assert stderr is not None
        heard: list[bytes] = []
        reader = threading.Thread(target=lambda: heard.append(stderr.read()))
        reader.start()
        told = json.dumps(run.hello())
        for name in ("BY_ENV", "BY_STORE", "FILE_AS_FILE"):
            assert name in told, "it was not told"
        assert "Bearer pl" in told
        assert "content of FILE_AS_FILE_FILE" in told
        assert planted.found_in_files() == []
        assert planted.found_in_engine() == []
        if server == "process":
            planted.does("status", "--check-secrets")
            assert "restart needed" not in planted.said[-1]
        run.write({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "crash", "arguments": {}}})
        assert run.wait() == 1
        reader.join()
        planted.said.append(b"".join(heard).decode(errors="replace"))
    assert "RuntimeError" in planted.said[-1]
