from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.launch import Mount, SecretReference
from hatchlock.manifest.load import LoadedManifest, load
from hatchlock.usecases.manifest import validate

MANIFEST = """\
[project]
name = "p"
platforms = ["linux/amd64"]
[defaults]
clients = ["cursor"]
[servers.notes]
source = "pypi:acme-notes==1"
runtime = "container"
[servers.notes.env]
KEY = { secret = "env:KEY", format = "Bearer {}" }
[servers.notes.sandbox]
mounts = [{ source = "./data", target = "/data" }, { source = "./more", target = "/more" }]
reason = "reads the notes"
[servers.other]
source = "pypi:acme-other==1"
[clients.cursor]
scope = "project"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hatchlock.toml").write_text(MANIFEST)
    return tmp_path


def with_overlay(project: Path, text: str) -> LoadedManifest:
    (project / "hatchlock.local.toml").write_text(text)
    return validate(project / "hatchlock.toml")


def problems(project: Path, text: str) -> list[str]:
    with pytest.raises(ManyErrors) as caught:
        with_overlay(project, text)
    return [f"{error.place}: {error}" for error in caught.value.errors]


def test_an_overlay_is_merged_over_the_manifest(project: Path) -> None:
    servers = with_overlay(
        project,
        """\
[defaults]
clients = ["claude-code"]
[servers.notes]
runtime = "process"
isolation = "best-effort"
env.KEY = { secret = "file:/run/key" }
sandbox.mounts = [{ source = "/srv/data", target = "/data" }]
""",
    ).manifest.servers

    assert servers["other"].clients == ("claude-code",)
    assert servers["other"].runtime == "container"
    notes = servers["notes"]
    assert (notes.runtime, notes.isolation) == ("process", "best-effort")
    assert notes.secrets == {"KEY": SecretReference(secret="file:/run/key", format="Bearer {}")}
    assert notes.sandbox.mounts == (
        Mount(source="/srv/data", target="/data"),
        Mount(source="./more", target="/more"),
    )


def test_clients_registries_and_indexes_may_be_this_machines(project: Path) -> None:
    loaded = with_overlay(
        project,
        """\
[clients.cursor]
scope = "user"
[registries."localhost:5000"]
plain-http = true
[indexes.pypi]
url = "http://127.0.0.1:3141/simple"
""",
    ).manifest

    assert loaded.client("cursor").scope == "user"
    assert loaded.registries["localhost:5000"].plain_http is True
    assert loaded.indexes["pypi"][0].url == "http://127.0.0.1:3141/simple"


def test_no_overlay_is_needed(project: Path) -> None:
    assert validate(project / "hatchlock.toml") == load(project / "hatchlock.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "\n[servers.notes]\nargs = ['x']\n",
            "hatchlock.local.toml:3: servers.notes.args: an overlay cannot hold this key",
        ),
        ("[project]\nname = 'x'\n", "hatchlock.local.toml:1: project: an overlay cannot hold this key"),
        ("[servers.nodes]\n", "hatchlock.local.toml:1: servers.nodes: the manifest has no server 'nodes'"),
        (
            "[servers.notes.env]\nKEY = 'v'\n",
            "hatchlock.local.toml:2: servers.notes.env.KEY: an overlay holds references to secrets, no values",
        ),
        (
            "[servers.notes.sandbox]\nnetwork = 'internet'\n",
            "hatchlock.local.toml:2: servers.notes.sandbox.network: an overlay cannot hold this key",
        ),
        (
            "[servers.other.sandbox]\nmounts = [{ source = '.', target = '/x' }]\n",
            "hatchlock.local.toml:2: servers.other.sandbox.mounts: it allows more than the default, without a reason",
        ),
        (
            "[clients.vscod]\n",
            "hatchlock.local.toml:1: clients.vscod: there is no client 'vscod'",
        ),
        ("[defaults\n", "hatchlock.local.toml:1: it is not valid TOML: expected ']' at the end of a table declaration"),
    ],
)
def test_what_an_overlay_cannot_hold_is_an_error_with_its_place_there(project: Path, text: str, expected: str) -> None:
    assert problems(project, text) == [expected]


def test_an_overlay_cannot_run_an_image_as_a_process(project: Path) -> None:
    (project / "hatchlock.toml").write_text(MANIFEST + '[servers.image]\nsource = "oci:example.com/x:1"\n')

    assert problems(project, '[servers.image]\nruntime = "process"\n') == [
        "hatchlock.toml:18: servers.image: an image runs in a container, not as a process"
    ]


def test_mistakes_of_both_files_are_reported_at_once(project: Path) -> None:
    (project / "hatchlock.toml").write_text(MANIFEST + "[serves]\n")

    assert problems(project, "x = [\n") == [
        "hatchlock.toml:18: serves: unknown key",
        "hatchlock.local.toml:1: it is not valid TOML: invalid value",
    ]
