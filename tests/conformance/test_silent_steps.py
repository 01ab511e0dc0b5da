"""A step of any kind that ends without an error and without its effect has failed: each kind is looked at again, for real."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.engines.process import host_platform
from support.engine_images import untag_all
from support.index import Index, serving
from support.project import Done, TrialProject, server_release

# Runs the command line with the effect of some kinds of resource taken out.
_DRIVER = """
import importlib, sys
from hatchlock.cli.main import main
kinds, *words = sys.argv[1:]
for kind in kinds.split(","):
    module, name = kind.split(":")
    setattr(getattr(importlib.import_module(module), name), "apply", lambda self, step: None)
sys.exit(main(words))
"""
MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.tool]
source = "pypi:tiny-server"
clients = ["cursor"]
{more}
[servers.tool.sandbox]
writable = ["/data"]
reason = "it keeps something"

[indexes.pypi]
url = "{index}"
"""
PROCESS = 'runtime = "process"\nisolation = "best-effort"\n'
APPLY = ("apply", "--yes", "--no-probe")
AGREED = ("--allow-mass-removal", "--allow-destructive")
KINDS = {
    "env": "hatchlock.resources.env:EnvResource",
    "volume": "hatchlock.resources.volume:VolumeResource",
    "server": "hatchlock.resources.server:ServerResource",
    "client": "hatchlock.resources.client:ClientResource",
    "image": "hatchlock.resources.image:ImageResource",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with serving(server_release(tmp_path_factory.mktemp("wheels"))) as served:
        yield served


def without_effect(project: TrialProject, kinds: tuple[str, ...], *words: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER, ",".join(KINDS[kind] for kind in kinds), *words],
        cwd=project.directory,
        env=project.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(status=done.returncode, out=done.stdout, err=done.stderr)


def is_noticed(project: TrialProject, *kinds: str, agreed: tuple[str, ...] = ()) -> None:
    done = without_effect(project, kinds, *APPLY, *agreed)
    assert done.status == 1, done.said
    assert done.err.count(": after the step it is ") == len(kinds), done.said
    assert all(f"\n{kind}:" in done.err for kind in kinds), done.said
    assert f"{len(kinds)} failed" in done.out


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, index: Index) -> TrialProject:
    text = MANIFEST.format(name="trial", platform=host_platform(), index=index.url, more=PROCESS)
    project = TrialProject(tmp_path_factory.mktemp("trial"), text)
    (project.user_home / ".cursor").mkdir()
    project.ok("lock")
    return project


def test_making_and_removing_each_kind_of_a_process_is_verified(processes: TrialProject) -> None:
    is_noticed(processes, "env", "volume")
    is_noticed(processes, "server")
    is_noticed(processes, "client")
    processes.ok(*APPLY)
    text = processes.manifest.read_text()
    start, end = text.index("[servers.tool]"), text.index("[indexes.pypi]")
    processes.write(text[:start] + text[end:])
    processes.ok("lock")
    for kind in ("client", "server", "volume"):
        is_noticed(processes, kind, agreed=AGREED)
    assert processes.ok(*APPLY, *AGREED).out.startswith("Applied: 1 done")


@pytest.mark.engine
def test_loading_an_image_is_verified(
    tmp_path: Path, index: Index, engine: str, registry: str, base_image: str
) -> None:
    name = f"silent-{secrets.token_hex(4)}"
    more = f'base = "oci:{base_image}"\n'
    text = MANIFEST.format(name=name, platform=host_platform(), index=index.url, more=more)
    text += f'\n[registries."{registry}"]\nplain-http = true\n'
    project = TrialProject(tmp_path, text, name=name, DOCKER_HOST=engine)
    try:
        project.ok("lock")
        is_noticed(project, "image")
    finally:
        untag_all(engine, name)
