"""Hatch's environments and packages as servers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hatchlock.manifest.takeover import server_from_source
from hatchlock.migrate.document import Unreadable
from hatchlock.migrate.finish import NO_NETWORK
from hatchlock.migrate.hatch import HATCH_ENVIRONMENTS, HATCH_PACKAGE
from hatchlock.sources.hatch.problems import BadHatchMetadata
from support import imports

FILE = imports.IMPORTS / "hatch/envs/environments.json"
ENVS = FILE.parent


def environment(*packages: dict[str, object], **keys: object) -> bytes:
    entry = {"name": "lab", "description": "", "packages": list(packages), "python_env": None, **keys}
    return json.dumps({"lab": entry}, indent=2).encode()


def package(name: str = "kit", **keys: object) -> dict[str, object]:
    return {"name": name, "version": "1.0.0", "type": "hatch", "source": f"https://example.com/{name}.zip", **keys}


def test_each_package_is_a_server_of_its_environment() -> None:
    reading = imports.read(HATCH_ENVIRONMENTS, FILE)
    assert reading.environments == {
        "research": {"description": "What the analysts share", "python": "3.12"},
        "maps": {},
    }
    assert imports.fields(reading, "weather_kit") == {
        "source": f"hatch:{ENVS}/research/weather_kit",
        "environment": "research",
        "args": ["--celsius"],
        "env": {"LOG_LEVEL": "info", "WEATHER_API_KEY": {"secret": "keyring:WEATHER_API_KEY"}},
    }
    assert imports.fields(reading, "base_pkg_1") == {"source": "hatch:base_pkg_1==1.0.3", "environment": "research"}
    assert imports.server(reading, "weather_kit").clients == ("claude-desktop", "gemini")


def test_a_package_of_two_environments_keeps_its_name_where_an_application_lists_it() -> None:
    reading = imports.read(HATCH_ENVIRONMENTS, FILE)
    assert [item.name for item in reading.servers] == ["weather_kit", "base_pkg_1", "weather_kit-maps"]
    assert imports.fields(reading, "weather_kit-maps")["environment"] == "maps"


def test_what_hatch_keeps_of_no_use_is_listed_with_its_line() -> None:
    assert imports.left(imports.read(HATCH_ENVIRONMENTS, FILE)) == [
        "0: `current_env`: each server names its environment, and none is the current one",
        "2: `default`: it has no packages",
        "24: `units_core`: no application lists it; it comes with weather_kit, which needs it",
        "61: `timeout`: import the file of gemini to keep it",
        "64: `hal9000`: no application of that name is known",
        (
            "82: `python_env`: the conda environment stays where it is; hatchlock makes one of its own, with the Python of that "
            'version which this machine has (one of uv\'s builds with python = "managed:VERSION")'
        ),
        "104: `gone_pkg`: neither the directory that it came from nor Hatch's copy of it is there",
    ]


def test_no_value_of_a_secret_is_in_what_is_shown() -> None:
    reading = imports.read(HATCH_ENVIRONMENTS, FILE)
    assert "1f6e0d9c7b8a4e5f9a3b" not in repr(reading)
    (secret,) = imports.server(reading, "weather_kit").secrets
    assert secret.value == "wk-1f6e0d9c7b8a4e5f9a3b"


def test_the_manifest_of_it_is_valid() -> None:
    manifest = imports.manifest(imports.read(HATCH_ENVIRONMENTS, FILE)).manifest
    assert {name: item.environment for name, item in manifest.servers.items()} == {
        "weather_kit": "research",
        "base_pkg_1": "research",
        "weather_kit-maps": "maps",
    }


def test_a_directory_that_a_package_came_from_goes_before_the_copy(tmp_path: Path) -> None:
    directory = tmp_path / "my_weather"
    shutil.copytree(ENVS / "maps/weather_kit", directory)
    for source in (str(directory), directory.as_uri()):
        data = environment(package("weather_kit", version="1.0.0", source=source))
        reading = imports.read(HATCH_ENVIRONMENTS, tmp_path / "environments.json", data)
        assert imports.fields(reading, "weather_kit")["source"] == f"hatch:{directory}"
        notes = imports.server(reading, "weather_kit").notes
        assert notes == (f"{directory} is 1.1.0 by now; Hatch had copied 1.0.0", NO_NETWORK)


@pytest.mark.parametrize(
    ("keys", "python"),
    [
        ({"python_version": "3.11"}, "3.11"),
        ({"python_env": {"requested_version": "3.12.4", "version": "3.12.4"}}, "3.12.4"),
        ({"python_env": {"requested_version": None, "version": "3.13.5"}}, "3.13"),
        ({"python_version": ">=3.11", "python_env": {"version": "unknown"}}, None),
        ({}, None),
    ],
)
def test_the_version_of_python_is_the_one_that_was_asked_for(keys: dict[str, object], python: str | None) -> None:
    reading = imports.read(HATCH_ENVIRONMENTS, Path("/x/environments.json"), environment(package(), **keys))
    assert reading.environments["lab"].get("python") == python
    imports.manifest(reading)


def test_a_path_that_no_source_can_name_is_left(tmp_path: Path) -> None:
    directory = tmp_path / "my weather"
    shutil.copytree(ENVS / "maps/weather_kit", directory)
    data = environment(package("weather_kit", source=str(directory)))
    reading = imports.read(HATCH_ENVIRONMENTS, tmp_path / "environments.json", data)
    assert not reading.servers
    assert not reading.environments
    assert "names no Hatch package" in imports.left(reading)[0]


@pytest.mark.parametrize(
    ("source", "notes"),
    [
        ("https://github.com/CrackingShells/Hatching-Dev/releases/download/kit-v1.0.0/kit-v1.0.0.zip", ()),
        (
            "https://example.com/kit.zip",
            ("it came from https://example.com/kit.zip; [indexes.hatch] names a registry that has it",),
        ),
    ],
)
def test_a_registry_that_is_not_hatchs_own_is_said(source: str, notes: tuple[str, ...]) -> None:
    data = environment(package(source=source))
    (server,) = imports.read(HATCH_ENVIRONMENTS, Path("/x/environments.json"), data).servers
    assert server.fields["source"] == "hatch:kit==1.0.0"
    assert server.notes == (*notes, NO_NETWORK)


def test_what_is_no_hatch_package_is_left() -> None:
    data = environment(package("__standalone_mcp_servers__", type="mcp_standalone", source="user_configured"))
    reading = imports.read(HATCH_ENVIRONMENTS, Path("/x/environments.json"), data)
    assert not reading.servers
    assert "is no Hatch package" in imports.left(reading)[0]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{\n  "lab": {"packages": [,]}\n}', "environments.json:2: it is no JSON"),
        (
            environment(package(name=["kit"])),  # type: ignore[arg-type]
            "environments.json:7: lab.packages[0].name: it must be a text",
        ),
        (environment({"version": "1.0.0"}), "environments.json:6: lab.packages[0]: `name` is missing"),
    ],
)
def test_a_broken_file_is_an_error_with_its_line(data: bytes, shown: str) -> None:
    with pytest.raises(Unreadable) as problem:
        HATCH_ENVIRONMENTS.read(Path("environments.json"), data)
    assert f"{problem.value.place}: {problem.value}".startswith(shown)


@pytest.mark.parametrize(
    ("name", "data", "is_one"),
    [
        ("environments.json", b"", True),
        ("environments.json", b"{}", True),
        ("backup.json", environment(package()), True),
        ("environments.json", b'{"a": 1}', False),
        ("package.json", b'{"packages": {"": {}}}', False),
        ("x.json", b'{"packages": []}', False),
        ("x.json", b'["packages"', False),
    ],
)
def test_an_environments_file_is_known_by_name_and_content(name: str, data: bytes, *, is_one: bool) -> None:
    assert HATCH_ENVIRONMENTS.matches(Path(name), data) is is_one


def test_a_package_is_a_server_by_its_directory() -> None:
    path = ENVS / "research/weather_kit/hatch_metadata.json"
    reading = imports.read(HATCH_PACKAGE, path)
    assert imports.fields(reading, "weather_kit") == {
        "source": f"hatch:{path.parent}",
        "description": "The package weather_kit",
    }
    assert imports.left(reading) == [
        "9: `entry_point.hatch_mcp_server`: the server's own file is run, without the wrapper",
        "11: `compatibility.hatchling`: it is about Hatch's own chat client",
    ]
    imports.manifest(reading)
    assert server_from_source(f"hatch:{path.parent}")[1]["source"] == f"hatch:{path.parent}"


def test_broken_metadata_is_an_error_with_its_line() -> None:
    with pytest.raises(BadHatchMetadata) as problem:
        HATCH_PACKAGE.read(Path("/x/kit/hatch_metadata.json"), b'{\n"package_schema_version": "9"}')
    assert str(problem.value.place) == "/x/kit/hatch_metadata.json:2"
