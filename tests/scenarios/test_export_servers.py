"""`export` of servers as people run it: every form, what is left out, files of others, and no secret anywhere."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from hatchlock.cli.main import main
from hatchlock.clients.catalogue import CLIENTS
from hatchlock.lock.store import dumps
from hatchlock.migrate.outgoing.forms import CLIENT, FORMS
from support.locks import world
from support.project import Done, TrialProject
from support.unavailable import unavailable

SECRET = "hunter2-never-written"
DIGEST = f"sha256:{'c' * 64}"
MANIFEST = """\
[project]
name = "acme"
platforms = ["linux/amd64"]

[defaults]
isolation = "best-effort"

[servers.demo]
source = "pypi:demo-server>=1"
runtime = "process"
python = "3.11"
env.TOKEN = { secret = "env:DEMO_TOKEN" }
client.goose = { enabled = false, timeout = 60 }

[servers.boxed]
source = "pypi:demo-server>=1"
runtime = "container"
python = "3.11"
base = "oci:base.example.com/python:3.11"

[servers.shop]
source = "oci:shop.example.com/shop:1"
runtime = "container"
client.claude-code = { timeout = 5000 }
env.PRICE = "5 $"
env.KEY = { secret = "env:SHOP_KEY", format = "key {}" }
env.CERT = { secret = "file:./cert.pem", as = "file" }

[servers.shop.sandbox]
network = ["api.example.com:443"]
mounts = [{ source = "./data", target = "/data" }, { source = "~/notes", target = "/notes", mode = "rw" }]
writable = ["/var/lib/shop"]
capabilities = ["NET_BIND_SERVICE"]
seccomp = "unconfined"
apparmor = "mine"
reason = "it sells"

[servers.web]
source = "oci:shop.example.com/shop:1"
runtime = "container"
transport = "http"
port = 8080
host-port = 28080

[servers.web.sandbox]
network = "internet"
reason = "it is asked"

[servers.tracker]
url = "https://mcp.example.com/mcp"
headers.Authorization = { secret = "env:TRACKER_TOKEN", format = "Bearer {}" }
"""
FORMATS = [form.replace("NAME", "cursor") for form in FORMS]


class Quick(TrialProject):
    """Runs commands that change nothing in this process, which is fast."""

    def run(self, *words: str, **_: Any) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name, value in self.env.items():
                patch.setenv(name, value)
            status = main(["-C", str(self.directory), *words])
        return Done(status=status, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TrialProject:
    values = dict.fromkeys(("DEMO_TOKEN", "SHOP_KEY", "TRACKER_TOKEN"), SECRET)
    made = Quick(tmp_path_factory.mktemp("leaving"), MANIFEST, name="acme", **values)
    made.lock.write_text(dumps(world().lock(MANIFEST)))
    (made.directory / "cert.pem").write_text(SECRET)
    return made


def export(project: TrialProject, form: str, *words: str) -> Any:
    return project.ok("export", "--format", form, *words, "--json").document


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("others", [False, True], ids=["as they are", "without hatchlock"])
def test_no_form_holds_a_secret(project: TrialProject, form: str, others: bool) -> None:
    if others and form in {"compose.yaml", "toolhive", "docker-mcp"}:
        project.fails("export", "--format", form, "--without-hatchlock", status=64)
        return
    made = export(project, form, *(["--without-hatchlock"] if others else []))
    assert made["files"]
    assert SECRET not in json.dumps(made)
    left = {item["server"] for item in made["withheld"]}
    assert left | set(made["servers"]) == {"boxed", "demo", "shop", "tracker", "web"}
    assert not left & set(made["servers"])


def test_an_entry_is_what_apply_would_write_with_the_applications_own_fields(project: TrialProject) -> None:
    made = export(project, "client:claude-code", "shop")
    entry = json.loads(made["files"][".claude.json"])["mcpServers"]["shop"]
    args = ["run", "--home", str(project.store), "--project", "acme", "shop"]
    assert entry == {"type": "stdio", "command": str(project.launcher), "args": args, "timeout": 5000}
    notes = [item["what"] for item in made["notes"]]
    assert notes[0] == f"it is for one user of this machine: {project.launcher.parent} is in it"
    assert "nothing starts before `hatchlock apply`" in notes[1]
    made = export(project, "client:claude-code", "shop", "--scope", "project")
    assert json.loads(made["files"][".mcp.json"])["mcpServers"]["shop"]["args"] == ["run", "shop"]


def test_who_has_no_hatchlock_gets_the_applications_own_fields_too(project: TrialProject) -> None:
    made = export(project, "client:goose", "demo", "--without-hatchlock")
    text = made["files"]["config.yaml"]
    assert "enabled: false" in text
    assert "timeout: 60" in text
    assert "<" not in text
    assert "demo: Goose takes TOKEN from a secret of its own, TOKEN" in [
        f"{item['server']}: {item['what']}" for item in made["notes"]
    ]


def test_this_machines_overlay_holds_for_its_entries(project: TrialProject) -> None:
    overlay = project.directory / "hatchlock.local.toml"
    overlay.write_text('[clients.claude-code]\nscope = "project"\n')
    try:
        made = export(project, "client:claude-code", "shop")
    finally:
        overlay.unlink()
    assert json.loads(made["files"][".mcp.json"])["mcpServers"]["shop"]["args"] == ["run", "shop"]


def test_an_application_without_a_projects_file_says_so(project: TrialProject) -> None:
    lacking = next(name for name, client in CLIENTS.items() if not client.project_file)
    said = project.fails("export", "--format", f"{CLIENT}{lacking}", "--scope", "project").err
    assert "reads no file of a project" in said


def test_what_is_named_and_cannot_leave_is_an_error_and_else_is_said(project: TrialProject) -> None:
    said = project.fails("export", "--format", "compose.yaml", "boxed").err
    assert said.startswith("server:boxed: compose.yaml cannot have it: its image is in no registry")
    assert "hatchlock export boxed --to docker://" in said
    done = project.ok("export", "--format", "compose.yaml")
    assert "left out: boxed: its image is in no registry" in done.err
    assert "left out: demo: it runs as a process" in done.err
    assert "note: shop: its network is a list of hosts" in done.err
    assert "services:" in done.out
    said = project.fails("export", "--format", "toolhive", "demo", "boxed").err
    assert "toolhive cannot have it" in said
    assert "did you mean 'shop'" in project.fails("export", "--format", "toolhive", "shopp").err


def test_a_reason_of_several_servers_is_said_once(project: TrialProject, tmp_path: Path) -> None:
    text = MANIFEST[: MANIFEST.index("[servers.boxed]")]
    text += '\n[servers.more]\nsource = "pypi:demo-server>=1"\nruntime = "process"\npython = "3.11"\n'
    other = Quick(tmp_path, text, name="acme")
    other.lock.write_text(dumps(world().lock(text)))
    said = other.fails("export", "--format", "compose.yaml").err
    assert "can have none of the servers: demo, more: it runs as a process" in said
    assert said.count("it runs as a process") == 1


def test_a_pushed_image_is_taken_for_a_server_or_its_environment(project: TrialProject) -> None:
    made = export(project, "compose.yaml", "boxed", "--image", f"boxed=ghcr.io/acme/boxed:1@{DIGEST}")
    assert f'image: "ghcr.io/acme/boxed@{DIGEST}"' in made["files"]["compose.yaml"]
    refused = project.fails("export", "--format", "compose.yaml", "--image", "boxed=ghcr.io/acme/boxed:1", status=64)
    assert "no image with a digest" in refused.err
    assert (
        "no server or environment 'box'"
        in project.fails("export", "--format", "compose.yaml", "--image", f"box=x/y@{DIGEST}").err
    )


def test_a_file_of_somebody_else_is_left_alone(project: TrialProject, tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{"mcpServers": {"theirs": {}}}')
    said = project.fails("export", "--format", "client:cursor", "--output", str(file), status=3).err
    assert "is there, and holds something else" in said
    assert "theirs" in file.read_text()
    file.unlink()
    project.ok("export", "--format", "client:cursor", "-o", str(file))
    before = file.read_bytes()
    assert project.ok("export", "--format", "client:cursor", "-o", str(file)).out == f"+ {file}\n"
    assert file.read_bytes() == before


def test_several_files_need_a_directory(project: TrialProject, tmp_path: Path) -> None:
    assert "do not fit on stdout" in project.fails("export", "--format", "toolhive", status=64).err
    file = tmp_path / "file"
    file.touch()
    assert "need a directory" in project.fails("export", "--format", "toolhive", "-o", str(file), status=64).err
    gone = tmp_path / "gone" / "deep"
    assert "no such directory" in project.fails("export", "--format", "toolhive", "-o", str(gone), status=64).err
    made = project.ok("export", "--format", "toolhive", "-o", str(tmp_path / "out")).out
    assert made == "".join(f"+ {tmp_path / 'out' / name}.json\n" for name in ("tracker", "web"))
    alone = tmp_path / "alone"
    assert project.ok("export", "--format", "toolhive", "web", "-o", str(alone)).out == f"+ {alone}/web.json\n"
    named = project.ok("export", "--format", "toolhive", "web", "-o", str(tmp_path / "my.json")).out
    assert named == f"+ {tmp_path / 'my.json'}\n"
    one = project.ok("export", "--format", "toolhive", "web").out
    assert json.loads(one)["target_port"] == 8080


def test_options_that_do_not_go_together_are_said(project: TrialProject) -> None:
    for words in (
        ("--format", "compose.yaml", "--scope", "user"),
        ("--format", "client:cursor", "--scope", "user", "--without-hatchlock"),
        ("--format", "client:cursor", "--platform", "linux/amd64"),
        ("--format", "pylock.toml", "--without-hatchlock"),
        ("--format", "pylock.toml", "demo"),
        ("--format", "client:cursr"),
        ("--to", "oci:out", "demo", "--image", f"demo=x/y@{DIGEST}"),
        ("--to", "oci:out", "demo", "shop"),
    ):
        project.fails("export", *words, status=64)
    asked = project.fails("export", "--format", "client:", status=64).err
    assert "--format client: needs the name of an application" in asked
    assert "claude-code, " in asked
    assert "did you mean compose.yaml?" in project.fails("export", "--format", "compose.yml", status=64).err


def test_docker_compose_takes_the_file(project: TrialProject, tmp_path: Path) -> None:
    if shutil.which("docker-compose") is None:
        unavailable("there is no docker-compose on this machine (`apt-get install docker-compose`)")
    file = tmp_path / "compose.yaml"
    project.ok("export", "--format", "compose.yaml", "-o", str(file))
    values = {"SHOP_KEY": "a", "SHOP_CERT_FILE": str(project.manifest)}
    done = subprocess.run(
        ["docker-compose", "-f", str(file), "config"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": project.env["PATH"], "HOME": str(project.user_home), **values},
    )
    assert done.returncode == 0, done.stderr
    assert "KEY: key a" in done.stdout
    assert "CERT_FILE: /run/secrets/CERT" in done.stdout
    assert "PRICE: 5 $$" in done.stdout
    assert f"source: {project.directory}/data" in done.stdout
    without = subprocess.run(
        ["docker-compose", "-f", str(file), "config"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": project.env["PATH"], "HOME": str(project.user_home)},
    )
    assert without.returncode != 0
    assert "shop needs it" in without.stderr
