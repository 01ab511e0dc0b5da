"""MCP bundles, packed and as Claude Desktop has unpacked them, as servers."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.mcpb import MCPB
from hatchlock.migrate.model import Reading
from support import imports

BUNDLES = imports.IMPORTS / "mcpb"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")


def pack(directory: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(item for item in directory.rglob("*") if item.is_file()):
            archive.write(path, path.relative_to(directory))
    return target


def manifest(server: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"manifest_version": "0.3", "name": "kit", "server": server, **more}, indent=1).encode()


def one(server: dict[str, Any], directory: Path = Path("/x/kit"), **more: Any) -> Reading:
    reading = imports.read(MCPB, directory / "manifest.json", manifest(server, **more))
    imports.manifest(reading)
    return reading


def test_a_bundle_that_is_unpacked_is_a_project_with_what_was_chosen() -> None:
    reading = imports.read(MCPB, BUNDLES / "files/manifest.json")
    paths = ["/home/ada/Desktop", "/home/ada/Documents"]
    assert imports.fields(reading, "acme-files") == {
        "source": f"path:{BUNDLES}/files",
        "description": "Reads and searches files",
        "command": ["node", "./server/index.js", "--depth", "10", *paths],
        "env": {
            "API_KEY": {"secret": "keyring:API_KEY"},
            "AUTH_HEADER": {"secret": "keyring:AUTH_HEADER", "format": "Bearer {}"},
            "VERBOSE": "true",
            "CONFIG": "./config.json",
            "NODE_ENV": "production",
        },
        "sandbox": {
            "mounts": [{"source": path, "target": path, "mode": "ro"} for path in paths],
            "reason": "taken over from what started it before",
        },
    }
    assert imports.left(reading) == [
        "33: `prompts`: the application itself has them, not the server",
        "41: `team`: 'Team' is asked of the user, and has no default; write it where the server gets it",
        "46: `rating`: it is no key of a bundle that is known",
    ]
    imports.manifest(reading)


def test_what_claude_desktop_was_told_goes_before_the_defaults(tmp_path: Path) -> None:
    directory = tmp_path / "Claude Extensions/ant.dir.acme.files"
    shutil.copytree(BUNDLES / "files", directory)
    settings = tmp_path / "Claude Extensions Settings/ant.dir.acme.files.json"
    settings.parent.mkdir()
    chosen = {
        "api_key": "__encrypted__:djEwAAAA",
        "team": "research",
        "cache": "/srv/cache.db",
        "allowed_directories": ["/srv/docs"],
        "verbose": False,
    }
    settings.write_text(json.dumps({"isEnabled": False, "userConfig": chosen}))
    reading = imports.read(MCPB, directory / "manifest.json")
    found = imports.fields(reading, "acme-files")
    assert found["command"] == ["node", "./server/index.js", "--cache", "/srv/cache.db", "--depth", "10", "/srv/docs"]
    assert (found["env"]["TEAM"], found["env"]["VERBOSE"]) == ("research", "false")
    assert [mount["source"] for mount in found["sandbox"]["mounts"]] == ["/srv/cache.db", "/srv/docs"]
    assert [secret.value for secret in imports.server(reading, "acme-files").secrets] == ["", ""]
    assert "0: it is switched off in Claude Desktop" in imports.left(reading)
    imports.manifest(reading)


def test_a_python_bundle_brings_its_libraries() -> None:
    reading = imports.read(MCPB, BUNDLES / "notes/manifest.json")
    assert imports.fields(reading, "acme-notes") == {
        "source": f"path:{BUNDLES}/notes#as=files",
        "description": "Keeps notes",
        "command": ["python", "./server/main.py"],
        "python": "3.11",
        "env": {"PYTHONPATH": "./server/lib"},
    }
    assert not imports.left(reading)
    imports.manifest(reading)


def test_a_bundle_for_uv_is_a_python_project() -> None:
    reading = imports.read(MCPB, BUNDLES / "hello-uv/manifest.json")
    found = imports.fields(reading, "hello-uv")
    assert found["source"] == f"path:{BUNDLES}/hello-uv"
    assert found["command"][0] == "python"
    assert found["command"][-1].endswith("src/hello.py")
    imports.manifest(reading)


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_program_is_started_as_this_system_wants_it(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    reading = imports.read(MCPB, BUNDLES / "tool/manifest.json")
    found = imports.fields(reading, "acme-tool")
    assert found["command"] == ["./bin/tool", f"--{system}"]
    assert found["env"] == {"SYSTEM": system}
    other = {"linux": "15: `darwin`", "darwin": "14: `linux`"}[system]
    assert [item.startswith(other) for item in imports.left(reading)] == [True]


@pytest.mark.parametrize("name", ["files", "notes", "hello-uv", "tool"])
@pytest.mark.parametrize("ending", ["mcpb", "dxt"])
def test_a_packed_bundle_is_the_same_once_it_is_unpacked(tmp_path: Path, name: str, ending: str) -> None:
    path = pack(BUNDLES / name, tmp_path / f"{name}.{ending}")
    reading = imports.read(MCPB, path)
    (server,) = reading.servers
    assert str(server.fields["source"]).startswith(f"path:{tmp_path}/{name}")
    (note,) = [note for note in server.notes if note.startswith("unpack it first")]
    imports.manifest(reading)

    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / name)
    (again,) = imports.read(MCPB, path).servers
    (unpacked,) = imports.read(MCPB, tmp_path / name / "manifest.json").servers
    assert note not in again.notes
    assert again.fields == unpacked.fields
    assert again.left == unpacked.left


@pytest.mark.parametrize(
    ("node", "version"), [("", "22"), (">=18", "22"), (">=24.0.0", "24"), ("^20.1.0", "20"), ("20.x", "20")]
)
def test_node_is_one_that_will_do(node: str, version: str) -> None:
    server = {"type": "node", "entry_point": "index.js"}
    reading = one(server, compatibility={"runtimes": {"node": node}} if node else {})
    assert imports.fields(reading, "kit") == {
        "source": "path:/x/kit#as=files",
        "command": ["node", "./index.js"],
        "node": version,
    }


def test_a_list_has_its_place_among_arguments_alone() -> None:
    config = {"command": "node", "args": ["a.js", "${user_config.empty}"], "env": {"DIRS": "${user_config.dirs}"}}
    asked = {
        "dirs": {"type": "directory", "multiple": True, "default": ["/srv/a", "/srv/b"]},
        "empty": {"type": "directory", "title": "More", "multiple": True, "required": True, "default": []},
    }
    reading = one({"type": "node", "mcp_config": config}, user_config=asked)
    assert imports.fields(reading, "kit") == {
        "source": "path:/x/kit#as=files",
        "command": ["node", "a.js"],
        "node": "22",
    }
    assert [item.partition(": ")[2] for item in imports.left(reading)] == [
        "`dirs`: several values have no place in one text; write there what the server is to get",
        "`empty`: 'More' is asked of the user, and has no default; write it where the server gets it",
    ]


@pytest.mark.parametrize("path", ["~0", "~nobody-of-that-name/x", "~0/x"])
def test_a_tilde_that_is_nobodys_home_is_part_of_a_name(path: str) -> None:
    config = {"command": "node", "args": ["a.js", "${user_config.dir}"]}
    reading = one({"type": "node", "mcp_config": config}, user_config={"dir": {"type": "directory", "default": path}})
    assert imports.fields(reading, "kit")["command"] == ["node", "a.js", path]


@pytest.mark.parametrize(
    ("command", "source"),
    [(["npx", "-y", "@acme/kit@1.0.0"], "npm:@acme/kit@1.0.0"), (["uvx", "acme-kit==1.0"], "pypi:acme-kit==1.0")],
)
def test_a_bundle_that_runs_something_published_is_that(command: list[str], source: str) -> None:
    config = {"command": command[0], "args": command[1:]}
    assert imports.fields(one({"type": "node", "mcp_config": config}), "kit")["source"] == source


@pytest.mark.parametrize(
    ("server", "more", "said"),
    [
        (
            {"type": "node", "entry_point": "a.js"},
            {"compatibility": {"platforms": ["win32"]}},
            "kit is for win32 alone",
        ),
        ({"type": "wasm", "entry_point": "a"}, {}, "'wasm' is no kind of server that is known"),
        (
            {"type": "node", "mcp_config": {"command": "node", "args": ["a.js", "--key=${user_config.key}"]}},
            {"user_config": {"key": {"type": "string", "sensitive": True}}},
            "kit gets a secret as an argument",
        ),
        (
            {"type": "node", "mcp_config": {"command": "node", "args": ["a.js", "--token", "sk-0a1b2c3d4e5f60718293"]}},
            {},
            "an argument of kit looks like a secret",
        ),
    ],
)
def test_a_server_that_cannot_be_carried_over_is_left(server: dict[str, Any], more: dict[str, Any], said: str) -> None:
    reading = one(server, **more)
    assert not reading.servers
    assert said in imports.left(reading)[0]
    assert "sk-0a1b" not in repr(reading)


@pytest.mark.parametrize(
    ("name", "data", "shown"),
    [
        ("x.mcpb", b"PK nothing", "x.mcpb: it is no MCP bundle: it is no zip archive that can be read"),
        ("manifest.json", b'{\n"manifest_version": "0.3", }]', "manifest.json:2: it is no JSON"),
        ("manifest.json", manifest({"entry_point": "a"}), "manifest.json:4: server: `type` is missing"),
        ("manifest.json", manifest({"type": "node"}), "manifest.json:4: server: `entry_point` is missing"),
        (
            "manifest.json",
            manifest({"type": "node", "mcp_config": {"command": "node", "args": "a.js", "env": []}}),
            "manifest.json:9: server.mcp_config.env: it must be a mapping",
        ),
    ],
)
def test_a_broken_bundle_is_an_error_with_its_line(name: str, data: bytes, shown: str) -> None:
    with pytest.raises(Unreadable) as problem:
        MCPB.read(Path(name), data)
    assert f"{problem.value.place}: {problem.value}".startswith(shown)


def test_an_archive_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.mcpb", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(Unreadable, match=r"it has no manifest\.json"):
        imports.read(MCPB, tmp_path / "x.mcpb")


@pytest.mark.parametrize(
    ("name", "data", "is_one"),
    [
        ("a.mcpb", b"", True),
        ("A.DXT", b"", True),
        ("manifest.json", manifest({}), True),
        ("manifest.json", b'{"manifest_version": 3, "name": "a browser extension"}', False),
        ("manifest.json", b'{"manifest_version": ', False),
        ("other.json", manifest({}), False),
    ],
)
def test_a_bundle_is_known_by_name_and_content(name: str, data: bytes, *, is_one: bool) -> None:
    assert MCPB.matches(Path(name), data) is is_one
