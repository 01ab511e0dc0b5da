"""Real applications: how each is made to look at its servers without an account.

They run in namespaces of their own, whose only network is an empty loopback, and whose processes all end with the first.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hatchlock.clients.catalogue import CLIENTS, Scope
from support.cats import CatProject
from support.project import TrialProject
from support.runs import SERVERS

__all__ = ["APPLICATIONS", "Call", "RealApplication", "visited_project"]

_PATIENCE = 180.0
_NAMESPACES = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_LOOPBACK = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")
_MANIFEST = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]

[defaults]
runtime = "process"
isolation = "best-effort"
clients = ["{client}"]

[clients.{client}]
scope = "{scope}"

[servers.door]
command = ["{python}", "{servers}/visited.py"]
client.{client} = {{ {fields} }}

[servers.door.sandbox]
mounts = [{{ source = "{servers}", target = "{servers}" }}]
reason = "its program is there"
"""
_LOCAL_MODEL = """\
name: mine
version: 1.0.0
schema: v1
models:
  - name: local
    provider: openai
    model: x
    apiBase: http://127.0.0.1:9/v1
    apiKey: x
"""
_LOCAL_KIMI = """\
default_model = "x"

[providers.local]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "x"

[models.x]
provider = "local"
model = "x"
max_context_size = 100000
"""
_CODEX_ASKS = (
    '{"id":1,"method":"initialize","params":{"clientInfo":{"name":"t","version":"1"}}}\n'
    '{"method":"initialized"}\n'
    '{"id":2,"method":"thread/start","params":{}}\n'
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One run of an application.

    Attributes:
        words: Behind its program.
        shows: What it prints, as a regular expression.
        stdin: What it is sent; its stdin stays open.
        goes_on: Whether it would go on once it has seen its servers; it is ended then.
    """

    words: tuple[str, ...]
    shows: str = ""
    stdin: str = ""
    goes_on: bool = False


@dataclass(frozen=True, kw_only=True)
class RealApplication:
    """An application, and what it takes to see what it makes of its files.

    Attributes:
        client: Its name in the catalogue.
        program: Where it is in its installation.
        calls: What it is asked.
        with_it: What else has to be installed beside it.
        fields: Its own fields, all that change nothing here, as the manifest has them.
        variables: What it gets beside HOME and PATH.
        files: Files of the home directory that are there before `apply`; `{project}` is the project's directory.
        trust: Likewise, those that approve a project's servers; `{digest}` in their names is that of the directory's path.
        approves: How it is told to approve a project's servers, where that holds for what is written of them: words behind
            its program.
        untrusted: What it prints of a project's servers before that; "" where it wants no approval.
    """

    client: str
    program: str
    calls: tuple[Call, ...]
    with_it: tuple[str, ...] = ()
    fields: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    trust: Mapping[str, str] = field(default_factory=dict)
    approves: tuple[str, ...] = ()
    untrusted: str = ""

    def written(self, project: TrialProject, *, is_trusted: bool) -> None:
        """Write its files into the project's home directory, or to where its variables say."""
        digest = hashlib.sha256(str(project.directory).encode()).hexdigest()
        for path, text in {**self.files, **(self.trust if is_trusted else {})}.items():
            file = moved(self.client, path.replace("{digest}", digest[:12]), project)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("{project}", str(project.directory)))

    def said(self, call: Call, directory: Path, project: TrialProject, *, until: str = "") -> str:
        """Run it to its end, and return what it printed.

        One that would go on is ended when it has met the server, and every one when it has printed `until`.
        """
        with self._running(call, directory, project) as (process, out):
            end = time.monotonic() + _PATIENCE
            while process.poll() is None and not (call.goes_on and was_visited(project)):
                if until and re.search(until, out.read_text(errors="replace")):
                    break
                assert time.monotonic() < end, out.read_text(errors="replace")
                time.sleep(0.05)
        return out.read_text(errors="replace")

    @contextmanager
    def _running(
        self, call: Call, directory: Path, project: TrialProject
    ) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        out = project.root / "said"
        node = Path(shutil.which("node") or "/usr/bin/node").parent
        path = (directory / "node_modules" / ".bin", Path(sys.executable).parent, node, "/usr/bin", "/bin")
        moving = {name: project.env[name] for name in CLIENTS[self.client].variables if name in project.env}
        variables = {"HOME": str(project.user_home), "PATH": ":".join(map(str, path)), **self.variables, **moving}
        program = directory / self.program
        with out.open("wb") as stream:
            process = subprocess.Popen(
                [*_NAMESPACES, *_LOOPBACK, str(program), *call.words],
                cwd=project.directory,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        assert process.stdin is not None
        try:
            process.stdin.write(call.stdin.encode())
            process.stdin.flush()
            if not call.stdin:
                process.stdin.close()
            yield process, out
        finally:
            _end(process)
            process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End everything in the namespace: `unshare` ends after its first process, and that after all others."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError):
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    try:
        process.wait(_PATIENCE)
    finally:
        process.kill()


def moved(client: str, path: str, project: TrialProject) -> Path:
    """Return where a file of the home directory is when the application's variables are as the project has them."""
    for variable, stands_for in CLIENTS[client].variables.items():
        start = f"{stands_for}/" if stands_for else ""
        if (directory := project.env.get(variable)) and path.startswith(start):
            return Path(directory) / path.removeprefix(start)
    return project.user_home / path


def was_visited(project: TrialProject) -> bool:
    """Whether somebody has greeted the server, and was answered."""
    log = project.store / "projects" / project.name / "logs" / "door.log"
    return log.exists() and ("visited: notifications/initialized" in log.read_text())


def visited_project(root: Path, application: RealApplication, scope: Scope, **variables: str) -> TrialProject:
    """Return a project that has one server in the application's file of a scope; nothing has been applied."""
    manifest = _MANIFEST.format(
        client=application.client, scope=scope, python="/usr/bin/python3", servers=SERVERS, fields=application.fields
    )
    project = CatProject(root, manifest, **variables)
    project.store = project.user_home / ".local" / "share" / "hatchlock"  # where a bare `hatchlock run` looks
    project.env["HATCHLOCK_HOME"] = str(project.store)
    (project.directory / ".git").mkdir()  # applications look for a project's files up to there
    return project


def _bin(name: str) -> str:
    return f"node_modules/.bin/{name}"


_GEMINI_FIELDS = (
    'timeout = 30000, trust = true, includeTools = ["knock"], excludeTools = ["no"], description = "a door"'
)
_TRUSTED_FOLDER = {".gemini/trustedFolders.json": '{"{project}": "TRUST_FOLDER"}'}
_MODEL_OF_COPILOT = {
    "COPILOT_OFFLINE": "true",
    "COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:9/v1",
    "COPILOT_MODEL": "gpt-5",
}

APPLICATIONS: Mapping[str, RealApplication] = {
    item.client: item
    for item in (
        RealApplication(
            client="claude-code",
            program=_bin("claude"),
            calls=(Call(words=("mcp", "list"), shows=r"door: .*hatchlock run .*door - ✔ Connected"),),
            fields="timeout = 30000, alwaysLoad = true",
            trust={".claude/settings.json": '{"enabledMcpjsonServers": ["door"]}'},
            untrusted=r"door: hatchlock run door - .* Pending approval",
        ),
        RealApplication(
            client="codex",
            program=_bin("codex"),
            calls=(
                Call(words=("mcp", "list"), shows=r"(?m)^door +\S*hatchlock +run .*door .* enabled "),
                Call(
                    words=("app-server", "--strict-config"),
                    stdin=_CODEX_ASKS,
                    goes_on=True,
                ),
            ),
            fields=(
                'enabled = true, required = true, startup_timeout_sec = 20, tool_timeout_sec = 30.5, enabled_tools = ["knock"], '
                'disabled_tools = [], default_tools_approval_mode = "prompt", supports_parallel_tool_calls = true, '
                'env_vars = ["LANG"], tools = { knock = { approval_mode = "approve" } }'
            ),
            trust={".codex/config.toml": '[projects."{project}"]\ntrust_level = "trusted"\n'},
            untrusted="No MCP servers configured yet",
        ),
        RealApplication(
            client="gemini",
            program=_bin("gemini"),
            calls=(Call(words=("mcp", "list"), shows=r"✓ door: .*hatchlock run .*door \(stdio\) - Connected"),),
            fields=_GEMINI_FIELDS,
            trust=_TRUSTED_FOLDER,
            untrusted=r"this folder is untrusted[\s\S]*door: .* - Disabled",
        ),
        RealApplication(
            client="opencode",
            program=_bin("opencode"),
            calls=(Call(words=("mcp", "list"), shows="✓ door .*connected"),),
            fields="enabled = true, timeout = 20000",
        ),
        RealApplication(
            client="opencode-v2",
            program=_bin("opencode"),
            calls=(Call(words=("mcp", "list"), shows="✓ door .*connected"),),
            fields="disabled = false",
        ),
        RealApplication(
            client="qwen-code",
            program=_bin("qwen"),
            calls=(Call(words=("mcp", "list"), shows=r"door: .*hatchlock run .*door \(stdio\) - Connected"),),
            fields=_GEMINI_FIELDS,
            approves=("mcp", "approve", "door"),
            untrusted=r"door: hatchlock run door \(stdio\) - Pending approval",
        ),
        RealApplication(
            client="copilot-cli",
            program=_bin("copilot"),
            calls=(
                Call(words=("mcp", "list"), shows=r"door \(local\)"),
                Call(words=("-p", "hello"), goes_on=True),
            ),
            fields='tools = ["knock"], timeout = 30000',
            variables=_MODEL_OF_COPILOT,
            trust={".copilot/config.json": '{"trusted_folders": ["{project}"]}'},
            untrusted="No MCP servers configured",
        ),
        RealApplication(
            client="continue",
            program=_bin("cn"),
            calls=(Call(words=("-p", "hello"), goes_on=True),),
            fields='connectionTimeout = 20000, faviconUrl = "https://example.com/x.png"',
            files={".continue/config.yaml": _LOCAL_MODEL},
        ),
        RealApplication(
            client="amp",
            program=_bin("amp"),
            calls=(Call(words=("mcp", "list"), shows=r"door +command +\S*hatchlock run .*door"),),
            fields='includeTools = ["knock"]',
        ),
        RealApplication(
            client="augment",
            program=_bin("auggie"),
            calls=(Call(words=("mcp", "list"), shows=r"✓ door +stdio"),),
        ),
        RealApplication(
            client="cline-cli",
            program=_bin("cline"),
            calls=(
                Call(words=("config", "mcp"), shows=r"door \[stdio\]"),
                Call(words=("hello there",), goes_on=True),
            ),
            fields='autoApprove = ["knock"], disabled = false, timeout = 60',
        ),
        RealApplication(
            client="factory",
            program="node_modules/@factory/cli-linux-x64/bin/droid",
            calls=(Call(words=("mcp", "list"), shows=r"door +stdio +connected"),),
            fields="disabled = false",
        ),
        RealApplication(
            client="kimi",
            program=_bin("kimi"),
            with_it=("node@24",),
            calls=(Call(words=("-p", "hello"), goes_on=True),),
            fields='enabled = true, startupTimeoutMs = 20000, toolTimeoutMs = 20000, enabledTools = ["knock"], disabledTools = []',
            files={".kimi-code/config.toml": _LOCAL_KIMI},
            trust={".kimi-code/workspace-trust/wd_project_{digest}": '{"root": "{project}", "trustedAt": 1}'},
            untrusted=r"not trusted; skipped 1 project-level MCP server: door \(stdio: hatchlock run door\)",
        ),
        RealApplication(
            client="qoder",
            program=_bin("qodercli"),
            calls=(Call(words=("mcp", "list"), shows=r"✓ door: .*hatchlock run .*door \(stdio\) - Connected"),),
            fields='timeout = 20000, description = "a door"',
        ),
        RealApplication(
            client="mistral-vibe",
            program="bin/vibe",
            calls=(Call(words=("-p", "hello", "--trust"), goes_on=True),),
            fields=(
                'prompt = "knock first", sampling_enabled = false, startup_timeout_sec = 20, tool_timeout_sec = 30, '
                "disabled = false, disabled_tools = []"
            ),
            variables={"MISTRAL_API_KEY": "none"},
        ),
    )
}
