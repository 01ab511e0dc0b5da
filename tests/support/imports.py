"""What the tests of `import`'s formats share: a fixture read, and the manifest that comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit

from hatchlock.manifest.load import LoadedManifest, loads
from hatchlock.migrate.model import Format, Proposed, Reading
from support.source_tree import ROOT

IMPORTS = ROOT / "fixtures/imports"


def read(kind: Format, path: Path, data: bytes | None = None) -> Reading:
    """Read a file in a format that says that it is its own."""
    content = path.read_bytes() if data is None else data
    assert kind.matches(path, content), f"{path} is not taken for {kind.title}"
    return kind.read(path, content)


def server(reading: Reading, name: str) -> Proposed:
    """Return the one server of a name."""
    (found,) = [item for item in reading.servers if item.name == name]
    return found


def fields(reading: Reading, name: str) -> dict[str, Any]:
    """Return a server as a manifest has it, each secret kept in the keyring under its variable's name."""
    return _fields(server(reading, name))


def _fields(found: Proposed) -> dict[str, Any]:
    return found.with_references({secret: f"keyring:{secret.key}" for secret in found.secrets})


def manifest(reading: Reading) -> LoadedManifest:
    """Return the manifest of all servers of a reading, loaded: so it is valid. Those of the same name are numbered."""
    document: dict[str, Mapping[str, Any]] = {"project": {"name": "imported", "platforms": ["linux/amd64"]}}
    names: Counter[str] = Counter()
    servers: dict[str, Any] = {}
    for item in reading.servers:
        names[item.name] += 1
        name = item.name if names[item.name] == 1 else f"{item.name}-{names[item.name]}"
        servers[name] = _fields(item) | ({"clients": list(item.clients)} if item.clients else {})
    document["servers"] = servers
    document["environments"] = dict(reading.environments)
    return loads(tomlkit.dumps(document), shown="hatchlock.toml")


def left(reading: Reading) -> list[str]:
    """Return everything that a reading leaves behind, as `LINE: WHAT`, by line."""
    every = [*reading.left, *(item for found in reading.servers for item in found.left)]
    return [f"{item.line}: {item.what}" for item in sorted(every, key=lambda item: (item.line, item.what))]
