"""What holds of every lock that the real resolver makes, of small universes that nobody has thought of, on loopback."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from support.index import Release

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LIMIT = "2026-03-01T00:00:00Z"
NAMES = ["alpha", "beta", "gamma", "delta"]
VERSIONS = ["1.0", "1.5", "2.0", "2.1rc1"]
BOUNDS = ["", "", "", ">=1.5", "<2", "!=2.0", ">=1,<3", "~=1.0"]
MARKERS = ["", "", "", ' ; sys_platform == "darwin"', ' ; platform_machine == "x86_64"', ' ; python_version < "3.12"']
TAGS = ["py3-none-any", "py3-none-any", "py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-win_amd64"]
UPLOADS = ["2026-01-01T00:00:00Z", "2026-02-28T23:59:59Z", LIMIT, "2026-05-01T00:00:00Z"]
PLATFORMS = [["linux/amd64"], ["linux/amd64", "darwin/arm64"], ["linux/arm64", "darwin/arm64", "linux/amd64"]]
MACHINES = ["linux/amd64", "linux/arm64", "darwin/arm64", "freebsd/riscv64"]

Table = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class World:
    """What an index has, and a project: the keys of each table, and of `[environments.X]` and `[servers.X]`."""

    releases: tuple[Release, ...]
    platforms: tuple[str, ...]
    environments: Mapping[str, Table]
    servers: Mapping[str, Table]
    exclude_newer: str = ""

    def manifest(self, url: str, shuffle: Random | None = None) -> str:
        """The project as text; shuffled: tables, keys and lists in another order."""
        project = {"name": "trial", "platforms": self.platforms}
        tables: list[tuple[str, Table]] = [
            ("project", project | ({"exclude-newer": self.exclude_newer} if self.exclude_newer else {})),
            ("indexes.pypi", {"url": url}),
            *((f"environments.{name}", table) for name, table in self.environments.items()),
            *((f"servers.{name}", table) for name, table in self.servers.items()),
        ]
        return "\n".join(f"[{name}]\n{_lines(table, shuffle)}" for name, table in _shuffled(tables, shuffle))


def _lines(table: Table, shuffle: Random | None) -> str:
    lines = (
        f"{key} = {json.dumps(value if isinstance(value, str) else _shuffled(value, shuffle))}\n"
        for key, value in _shuffled(list(table.items()), shuffle)
    )
    return "".join(lines)


def _shuffled[T](items: Sequence[T], shuffle: Random | None) -> list[T]:
    copied = list(items)
    if shuffle:
        shuffle.shuffle(copied)
    return copied
