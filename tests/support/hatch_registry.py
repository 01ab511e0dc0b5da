"""A Hatch registry on loopback: a real index of either form, its differences worked out, and real zip archives."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from support.loopback import Handler, answering, fails

__all__ = ["INDEX_NAME", "SERVER", "HatchPackage", "HatchServer", "hatch_metadata", "make_archive", "serving_hatch"]

INDEX_NAME = "hatch_packages_registry.json"
SERVER = """\
from mcp.server.mcpserver import MCPServer

mcp = MCPServer("{name}")


@mcp.tool()
def greet(name: str) -> str:
    return f"Hello, {{name}}!"


if __name__ == "__main__":
    mcp.run()
"""
_WRAPPER = "from {stem} import mcp\n\nif __name__ == '__main__':\n    mcp.run()\n"
_KINDS = ("hatch", "python", "system", "docker")


def hatch_metadata(name: str, version: str = "1.0.0", **other: Any) -> dict[str, Any]:
    """Return valid metadata 1.2.2 of a package with `server.py` and `wrapper.py`."""
    return {
        "package_schema_version": "1.2.2",
        "name": name,
        "version": version,
        "description": f"The package {name}",
        "tags": ["example"],
        "author": {"name": "Anna Example", "email": "anna@example.com"},
        "license": {"name": "MIT", "uri": "https://example.com/licence"},
        "entry_point": {"mcp_server": "server.py", "hatch_mcp_server": "wrapper.py"},
        "tools": [{"name": "greet", "description": "Says hello"}],
    } | other


def make_archive(files: Mapping[str, bytes | str], *, directory: str = "") -> bytes:
    """Return a zip of files, at its top or in one directory; the same bytes for the same content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(f"{directory}/{name}" if directory else name)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return stream.getvalue()


@dataclass(kw_only=True)
class HatchPackage:
    """One version of a package.

    `dependencies` is what its metadata says, by kind (`{"hatch": [{"name": …, "version_constraint": …}]}`); `base` the version
    that the index gives differences against, the one listed before it unless said ("" for none); `metadata` and `files` are
    added to the usual ones, a file that is None is left out; `data` are an archive's bytes instead of the right ones; `entry` is
    added to what the index says of it.
    """

    name: str
    version: str = "1.0.0"
    repository: str = "main"
    dependencies: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    base: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes | str | None] = field(default_factory=dict)
    directory: str = ""
    data: bytes | None = None
    entry: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        own = {"dependencies": dict(self.dependencies)} if self.dependencies else {}
        return hatch_metadata(self.name, self.version, **own) | dict(self.metadata)

    @property
    def contents(self) -> dict[str, bytes | str]:
        """Path -> content of everything in it."""
        usual: dict[str, bytes | str | None] = {
            "hatch_metadata.json": json.dumps(self.document, indent=2),
            "server.py": SERVER.format(name=self.name),
            "wrapper.py": _WRAPPER.format(stem="server"),
        }
        return {name: content for name, content in {**usual, **self.files}.items() if content is not None}

    @property
    def archive(self) -> bytes:
        return make_archive(self.contents, directory=self.directory) if self.data is None else self.data

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.archive).hexdigest()

    @property
    def file_name(self) -> str:
        return f"{self.name.replace('/', '-')}-v{self.version}.zip"

    def by_name(self, kind: str) -> dict[str, Mapping[str, Any]]:
        return {item["name"]: item for item in self.dependencies.get(kind, ())}


@dataclass(kw_only=True)
class HatchServer:
    """What is served, how, and what was asked for.

    Switches: `form` ("1.1.0" or "1.2.0"), `dates` (days below which the index is, `/DAY/…`; none: at the top), `etag`, `failures`
    (path -> how often it answers 503 first; "*" for any path), `raw` (path -> bytes to answer instead).
    """

    packages: list[HatchPackage]
    form: str = "1.2.0"
    url: str = ""
    dates: tuple[str, ...] = ()
    etag: bool = False
    failures: Counter[str] = field(default_factory=Counter)
    raw: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def index_url(self) -> str:
        """What `[indexes.hatch] url` is to be."""
        return f"{self.url}{{date}}/{INDEX_NAME}" if self.dates else f"{self.url}{INDEX_NAME}"

    def asked_for(self, part: str) -> list[str]:
        return [path for path in self.asked if part in path]

    def document(self) -> dict[str, Any]:
        """Return the index."""
        names = dict.fromkeys(package.repository for package in self.packages)
        repositories = [
            {
                "name": name,
                "url": f"https://example.com/{name}",
                "last_indexed": "2026-01-01T00:00:00",
                "packages": list(self._rows(name)),
            }
            for name in names
        ]
        return {
            "registry_schema_version": self.form,
            "last_updated": "2026-01-01T00:00:00",
            "artifact_base_url": "https://example.com/artifacts",
            "repositories": repositories,
            "stats": {"total_packages": len(names), "total_versions": len(self.packages)},
        }

    def _rows(self, repository: str) -> Iterator[dict[str, Any]]:
        own = [package for package in self.packages if package.repository == repository]
        for name in dict.fromkeys(package.name for package in own):
            versions = [package for package in own if package.name == name]
            yield {
                "name": name,
                "description": versions[-1].document.get("description", ""),
                "tags": versions[-1].document.get("tags", []),
                "latest_version": versions[-1].version,
                "versions": [self._row(versions, number) for number in range(len(versions))],
            }

    def _row(self, versions: Sequence[HatchPackage], number: int) -> dict[str, Any]:
        package = versions[number]
        before = versions[number - 1].version if number else ""
        base = before if package.base is None else package.base
        old = next((item for item in versions if item.version == base), HatchPackage(name=package.name))
        row = {
            "author": {"GitHubID": "anna-example", "email": "anna@example.com"},
            "version": package.version,
            "release_uri": f"{self.url}archives/{package.file_name}",
            "added_date": "2026-01-01T00:00:00.000001",
            **({"base_version": base} if base else {}),
        }
        changes = {kind: _changes(old.by_name(kind), package.by_name(kind)) for kind in _KINDS}
        if self.form == "1.1.0":
            row |= {f"{kind}_dependencies_{what}": changes[kind][what] for kind in _KINDS[:2] for what in changes[kind]}
        else:
            row |= {"dependency_changes": changes, "verification": {"status": "validated"}}
        return row | dict(package.entry)

    def answer(self, path: str) -> bytes | None:
        """Return what is at a path, or None."""
        if path in self.raw:
            return self.raw[path]
        places = [f"/{day}/{INDEX_NAME}" for day in self.dates] or [f"/{INDEX_NAME}"]
        if path in places:
            return json.dumps(self.document()).encode()
        return next((item.archive for item in self.packages if path == f"/archives/{item.file_name}"), None)


def _changes(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {
        "added": [new[name] for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "modified": [new[name] for name in new if name in old and new[name] != old[name]],
    }


class _Handler(Handler[HatchServer]):
    def do_GET(self) -> None:
        registry = self.state
        registry.asked.append(self.path)
        if fails(registry.failures, self.path):
            self.send(503, b"")
            return
        data = registry.answer(self.path)
        if data is None:
            self.send(404, b"not found")
        elif registry.etag:
            self.send_tagged(data)
        else:
            self.send(200, data)


@contextlib.contextmanager
def serving_hatch(*packages: HatchPackage | Sequence[HatchPackage], **switches: Any) -> Iterator[HatchServer]:
    """Serve these packages on loopback inside the block; versions of a name in the order in which the registry got them."""
    flat = [item for entry in packages for item in ([entry] if isinstance(entry, HatchPackage) else entry)]
    registry = HatchServer(packages=flat, **switches)
    with answering(_Handler, registry) as address:
        registry.url = f"{address}/"
        yield registry
