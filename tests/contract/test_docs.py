"""Documents say what is so: each command, option, key and file that they name exists, and the other way round."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.cli.help import COMMANDS
from hatchlock.cli.parser import parse
from hatchlock.clients.catalogue import CLIENTS
from hatchlock.launch import Sandbox
from hatchlock.lock import images, surfaces
from hatchlock.lock import model as lock
from hatchlock.lock.store import dumps, loads
from hatchlock.manifest.later import not_yet
from hatchlock.manifest.load import load
from hatchlock.manifest.schema import OverlayDocument, json_schema
from hatchlock.resolve.freshness import stale_reasons
from support.source_tree import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
EXAMPLE = ROOT / "hatch.lock.example"
_WORD = re.compile(r"`([^`]+)`")

Rows = list[list[str]]


@cache
def sections(path: str) -> dict[str, tuple[str, Rows]]:
    """Heading, without marks -> the text below it up to the next heading, and the rows of its tables."""
    found: dict[str, tuple[str, Rows]] = {}
    for block in re.split(r"^#+ ", (ROOT / path).read_text(), flags=re.MULTILINE)[1:]:
        heading, _, text = block.partition("\n")
        rows = [
            [cell.strip() for cell in line.strip("|").split(" | ")]
            for line in text.splitlines()
            if line.startswith("| ") and "`" in line.split(" | ")[0]
        ]
        found[heading.replace("`", "")] = (text, rows)
    return found


def rows(path: str, heading: str) -> Rows:
    return sections(path)[heading][1]


def first_words(table: Rows) -> list[str]:
    """The names in the first column."""
    return [word.split()[0] for row in table for word in _WORD.findall(row[0])]


# Commands


def help_of(command: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        parse([command, "--help"])
    return out.getvalue()


def words_of(text: str) -> set[str]:
    """The options and positional arguments that a help text lists."""
    options = {word for line in re.findall(r"^  (-.*)", text, re.MULTILINE) for word in _options(line)}
    return options | set(re.findall(r"^  ([A-Z]+)\b", text, re.MULTILINE))


def _options(line: str) -> list[str]:
    return re.findall(r"(?:^|, )(--?[A-Za-z][\w-]*)", line.split("   ", maxsplit=1)[0])


COMMAND_NAMES = [name for group in COMMANDS.values() for name in group]


def own_help(command: str) -> str:
    return help_of(command).partition("options for every command:")[0]


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    documented = [heading for heading in sections("docs/reference/cli.md") if heading.islower()]
    assert sorted(documented) == sorted(COMMAND_NAMES)


@pytest.mark.parametrize("command", COMMAND_NAMES)
def test_the_options_of_a_command_are_those_that_are_documented(command: str) -> None:
    documented = first_words(rows("docs/reference/cli.md", command))
    assert len(documented) == len(set(documented))
    assert set(documented) == words_of(own_help(command)) - {"-h", "--help"}


def test_the_common_options_are_those_that_are_documented() -> None:
    common = help_of("plan").partition("options for every command:")[2]
    documented = first_words(rows("docs/reference/cli.md", "Options of every command"))
    assert set(documented) == words_of(common) | {"-h", "--help"}


def test_the_readme_lists_the_commands_that_work() -> None:
    line = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `init add"))
    assert sorted(_WORD.findall(line)[0].split()) == sorted(COMMAND_NAMES)


def test_the_readme_counts_the_applications() -> None:
    assert f"\n| {len(CLIENTS)} AI applications (" in (ROOT / "README.md").read_text()


# Manifest

MANIFEST = "docs/reference/manifest.md"
TABLES = {
    "[project]": ("ProjectTable", ("project",)),
    "[environments.NAME]": ("EnvironmentTable", ("environments", "x")),
    "[servers.NAME]": ("ServerTable", ("servers", "x")),
    "[servers.NAME.build]": ("BuildTable", ("servers", "x", "build")),
    "[servers.NAME.sandbox]": ("SandboxTable", ("servers", "x", "sandbox")),
    "mounts": ("MountTable", ("servers", "x", "sandbox", "mounts", 0)),
    "Secrets": ("SecretTable", ("servers", "x", "env", "X")),
    "tools": ("ToolsTable", ("servers", "x", "tools")),
    "probe": ("ProbeTable", ("servers", "x", "probe")),
    "[indexes.KIND]": ("IndexesTable", ("indexes",)),
    "[indexes.pypi]": ("IndexTable", ("indexes", "pypi")),
    '[registries."HOST"]': ("RegistryTable", ("registries", "x")),
    "[clients.NAME]": ("ClientTable", ("clients", "cursor")),
    "[[moved]]": ("MovedTable", ("moved", 0)),
    "[[forget]]": ("ForgetTable", ("forget", 0)),
    "[[adopt]]": ("AdoptTable", ("adopt", 0)),
}
SAMPLES: tuple[Any, ...] = (
    "deb:x",
    "http",
    "file",
    "keyring:x",
    ["deb:x"],
    ["x:443"],
    {"a": 1},
    "container:x",
)
"""Values of which at least one is "not yet" for each key that works only partly."""


def keys_of(definition: str) -> set[str]:
    return set(json_schema()["$defs"][definition]["properties"])


def nested(path: tuple[str | int, ...], value: object) -> Any:
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


def is_later(path: tuple[str | int, ...], value: object) -> bool:
    """Whether this version refuses the value at this place, or one of its items, or a table around it."""
    found = [item.path for item in not_yet(nested(path, value))]
    return any(place == path[: len(place)] or place[:-1] == path for place in found)


def status(path: tuple[str | int, ...]) -> str:
    if is_later(path, object()):
        return "not yet"
    return "partly" if any(is_later(path, sample) for sample in SAMPLES) else "yes"


@pytest.mark.parametrize("heading", TABLES)
def test_the_keys_of_a_table_are_those_of_the_schema(heading: str) -> None:
    documented = first_words(rows(MANIFEST, heading))
    assert len(documented) == len(set(documented))
    assert set(documented) == keys_of(TABLES[heading][0])


@pytest.mark.parametrize("heading", TABLES)
def test_a_key_is_said_to_work_if_it_does(heading: str) -> None:
    path = TABLES[heading][1]
    said = {_WORD.findall(row[0])[0]: row[1] for row in rows(MANIFEST, heading)}
    assert said == {key: status((*path, key)) for key in said}


def test_every_table_of_the_schema_is_documented() -> None:
    elsewhere = {"DefaultsTable", "DebianTable"}  # compared by name in the tests below
    assert {definition for definition, _ in TABLES.values()} | elsewhere == set(json_schema()["$defs"])


def test_the_top_level_is_documented() -> None:
    said = {_WORD.findall(row[0])[0]: row[1] for row in rows(MANIFEST, "Top level")}
    assert said.keys() == json_schema()["properties"].keys()
    assert said == {key: status((key,)) for key in said}


def test_defaults_lack_the_keys_that_the_document_says() -> None:
    text = sections(MANIFEST)["[servers.NAME]"][0]
    sentence = re.search(r"`\[defaults\]` takes the same keys, except (.*?);", text, re.DOTALL)
    assert sentence
    assert set(_WORD.findall(sentence[1])) == keys_of("ServerTable") - keys_of("DefaultsTable")


def test_a_debian_index_has_the_keys_that_the_document_says() -> None:
    row = next(row for row in rows(MANIFEST, "[indexes.KIND]") if row[0] == "`debian`")
    assert set(_WORD.findall(row[2])) == keys_of("DebianTable") - keys_of("IndexTable")


def test_the_kinds_of_source_are_documented() -> None:
    said = {_WORD.findall(row[0])[0]: row[1] for row in rows(MANIFEST, "Sources")}
    later = {kind.value: is_later(("servers", "x", "source"), f"{kind}:x") for kind in Kind}
    assert said == {kind: "not yet" if is_not_yet else "yes" for kind, is_not_yet in later.items()}


def test_the_defaults_of_the_sandbox_are_documented() -> None:
    shown = {"True": "true", "()": "none", "('none',)": "none", "": "none"}
    written = [item.name for item in fields(Sandbox) if item.name != "seccomp_sha256"]  # that one is the lock's
    values = {name.replace("_", "-"): str(getattr(Sandbox(), name)) for name in written}
    expected = {key: shown.get(value, value) for key, value in values.items()}
    assert {_WORD.findall(row[0])[0]: row[2].strip("`") for row in rows(MANIFEST, "[servers.NAME.sandbox]")} == expected


def test_the_overlay_has_the_keys_that_the_document_says() -> None:
    schema = OverlayDocument.model_json_schema(by_alias=True)
    of_tables = {
        "defaults": "OverlayDefaultsTable",
        "servers": "OverlayServerTable",
        "sandbox": "OverlaySandboxTable",
    }
    documented = {_WORD.findall(row[0])[0]: set(_WORD.findall(row[1])) for row in rows(MANIFEST, _OVERLAY)}
    assert documented.keys() - {"sandbox"} == schema["properties"].keys()
    assert {name: documented[name] for name in of_tables} == {
        name: set(schema["$defs"][definition]["properties"]) for name, definition in of_tables.items()
    }


_OVERLAY = "The overlay: hatchlock.local.toml"


# Lock


def names(cls: type[Any]) -> set[str]:
    return {item.name.rstrip("_").replace("_", "-") for item in fields(cls) if item.init}


@pytest.mark.parametrize(
    ("heading", "cls"),
    [
        ("[[server]]", lock.Server),
        ("[[surface]]", surfaces.Surface),
        ("[[build]]", lock.Build),
        ("[[environment]]", lock.Environment),
        ("[[archive]]", lock.Archive),
        ("[[image]]", images.Image),
        ('[image.platforms."OS/ARCH"]', images.ImagePlatform),
        ("[[package]]", lock.Package),
    ],
)
def test_the_keys_of_a_block_of_the_lock_are_documented(heading: str, cls: type[Any]) -> None:
    assert sorted(first_words(rows("docs/reference/lock.md", heading))) == sorted(names(cls))


def test_the_top_of_the_lock_is_documented() -> None:
    blocks = {"packages", "archives", "images", "builds", "environments", "servers", "surfaces"}
    rules = {"version", "minor", "assembler", "sandbox"}
    assert set(first_words(rows("docs/reference/lock.md", "Top"))) == names(lock.Lock) - blocks | rules


def test_files_and_layers_of_the_lock_are_documented() -> None:
    files = next(row for row in rows("docs/reference/lock.md", "[[package]]") if row[0] == "`files`")
    layers = next(row for row in rows("docs/reference/lock.md", '[image.platforms."OS/ARCH"]') if row[0] == "`layers`")
    assert set(_WORD.findall(files[1])) == names(lock.File)
    assert set(_WORD.findall(layers[1])) == names(images.Layer)


def test_the_example_lock_is_what_this_version_writes() -> None:
    data = EXAMPLE.read_bytes()
    assert dumps(loads(data)).encode() == data


def test_the_example_lock_is_fresh_for_the_example_with_packages_of_every_kind() -> None:
    manifest = load(ROOT / "examples" / "mixed" / "hatchlock.toml").manifest
    assert stale_reasons(manifest, loads(EXAMPLE.read_bytes())) == ()


# Links and programs


def links(document: Path) -> Iterator[str]:
    yield from re.findall(r"\]\(([^)\s]+)\)", document.read_text())


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken(document: Path) -> Iterable[str]:
    for link in links(document):
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if "://" not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            yield link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    assert list(broken(document)) == []


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = {ROOT / "README.md"}
    while waiting:
        document = waiting.pop()
        reached.add(document)
        targets = {
            (document.parent / link.partition("#")[0]).resolve() for link in links(document) if "://" not in link
        }
        waiting |= {target for target in targets if target.suffix == ".md"} - reached
    assert sorted(set(DOCUMENTS) - reached) == []


def test_the_commands_of_the_readme_can_be_run() -> None:
    commands = re.findall(r"^    (scripts/\S+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    assert [command for command in commands if not os.access(ROOT / command, os.X_OK)] == []


def test_every_decision_is_listed_and_numbered_once() -> None:
    pages = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert sorted(link for link in links(ROOT / "docs" / "decisions" / "README.md") if link != "README.md") == pages
    assert [page[:4] for page in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]


def test_every_package_folder_has_its_line_in_the_architecture() -> None:
    folders = {path.parent.name for path in (ROOT / "src" / "hatchlock").glob("*/__init__.py")}
    text = sections("docs/architecture.md")["Levels"][0]
    assert set(re.findall(r"^\| \d \| `(\w+)/`", text, re.MULTILINE)) == folders
