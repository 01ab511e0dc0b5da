"""`run NAME`: find a server's launch record and serve it over stdio.

Needs nothing but the store: no manifest unless the project is to be found by it, no lock, no resolver, no engine SDK.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hatchlock.digest import sha256_bytes
from hatchlock.errors import HatchlockError, UsageError, about
from hatchlock.files import read_optional
from hatchlock.launch import LaunchRecord
from hatchlock.paths import MANIFEST_NAME, Home, find_manifest
from hatchlock.state.quarantine import check_quarantine

if TYPE_CHECKING:
    from hatchlock.launch import SourceTree
    from hatchlock.serve.observer import Observer

__all__ = [
    "BrokenState",
    "NoLiveTree",
    "NoSuchProject",
    "NoSuchServer",
    "applied_servers",
    "find_record",
    "is_name",
    "known_projects",
    "log_path",
    "project_name",
    "run",
    "settled",
]

_ACTIVE_FORMAT = 1


@dataclass(kw_only=True, eq=False)
class NoSuchProject(HatchlockError):
    """The store knows nothing of a project."""

    code: ClassVar[str] = "no-such-project"

    project: str
    store: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = f"; it has {', '.join(self.known)}" if self.known else ""
        return f"the store {self.store} has nothing applied for the project {self.project!r}{known}"

    def _hint(self) -> str:
        return _closest(self.project, self.known) or "run `hatchlock apply` in the project's directory first"


@dataclass(kw_only=True, eq=False)
class NoSuchServer(HatchlockError):
    """A project was applied, but without such a server."""

    code: ClassVar[str] = "no-such-server"

    project: str
    server: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = f"it has {', '.join(self.known)}" if self.known else "it has none"
        return f"the project {self.project} has no applied server {self.server!r}; {known}"

    def _hint(self) -> str:
        return _closest(self.server, self.known) or "if the manifest has it, run `hatchlock apply`"


@dataclass(kw_only=True, eq=False)
class NoLiveTree(HatchlockError):
    """A server cannot be served from the directory that it comes from."""

    code: ClassVar[str] = "no-live-tree"

    server: str
    why: str

    def __str__(self) -> str:
        return f"{self.server} cannot be served as it is developed: {self.why}"

    def _hint(self) -> str:
        return "leave out --dev: then what was locked is served"


@dataclass(kw_only=True, eq=False)
class BrokenState(HatchlockError):
    """A file of the store is not what it was written as."""

    code: ClassVar[str] = "broken-state"

    path: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.path} {self.why}"

    def _hint(self) -> str:
        return (
            self.advice or "run `hatchlock apply` in the project's directory: it writes what is missing or wrong again"
        )


def run(
    home: Home,
    project: str | None,
    name: str,
    cwd: Path,
    environ: Mapping[str, str],
    *,
    workspace: Path | None = None,
    dev: bool = False,
    learn: Path | None = None,
    without_pins: bool = False,
) -> int:
    """Serve an applied server over this process's stdin, stdout and stderr, until either side ends.

    Args:
        home: The store.
        project: The project's name; None: that of the manifest found from `cwd` upwards.
        name: The server.
        cwd: Where the manifest is looked for.
        environ: For secrets and for finding programs.
        workspace: What mounts of `workspace` are: where the application started us; None for `cwd`.
        dev: Serve the directory that its `path:` source names as it is now, instead of what was locked of it.
        learn: A directory for what is seen of it: it then runs with no network, wide limits and a root that is thrown away.
        without_pins: Let everything through, whatever was pinned, allowed or denied: a prober has to see all of it.

    Returns:
        The exit status (`serve.stdio.serve`).

    Raises:
        HatchlockError: It is not there, or cannot be started; nothing was written to stdout.
    """
    from hatchlock.serve.observer import NOBODY
    from hatchlock.serve.stdio import serve
    from hatchlock.serve.unfinished import await_finished
    from hatchlock.usecases.audit_trail import serving

    applied = find_record(home, project or _project_of(cwd), name)
    check_quarantine(home.project(applied.project), name)
    if applied.endpoint:
        from hatchlock.usecases.bridging import SERVED, check_wanted

        if SERVED not in environ:
            check_wanted(home.project(applied.project), applied)
    await_finished(applied, home.root, stderr=2)
    record = settled(applied, home, workspace or cwd, environ)
    if applied.speaks_http:
        from hatchlock.usecases.bridging import bridged

        record = bridged(home, record, environ, aside=dev or learn is not None)
    elif dev:
        record = _with_live_tree(record, environ)
    elif record.source and record.source.live:
        threading.Thread(target=_say_what_changed, args=(record.source, home), daemon=True).start()
    log = log_path(home, record.project, record.server)
    observer: Observer = NOBODY
    if learn:
        record, observer = _observed(record, learn)
    if without_pins:
        record = _without_rules(record)
    how: dict[str, object] = {"learn": str(learn)} if learn else {"dev": True} if dev else {}
    with serving(home.root, applied, how, late=True) as told:
        status = serve(
            record,
            applied=applied,
            environ=environ,
            stdin=0,
            stdout=1,
            stderr=2,
            log=log,
            store=home.root,
            observer=observer,
            began=told.begin,
        )
        told["exit"] = status
    return status


def _observed(record: LaunchRecord, directory: Path) -> tuple[LaunchRecord, Observer]:
    from hatchlock.security.learned import observable
    from hatchlock.serve.learning.observer import Learning

    return observable(record), Learning(directory, record)


def _without_rules(record: LaunchRecord) -> LaunchRecord:
    from dataclasses import replace

    return replace(record, surface=None)


def settled(record: LaunchRecord, home: Home, workspace: Path, environ: Mapping[str, str]) -> LaunchRecord:
    """Return a launch record whose mounts were looked at just now, `workspace` among them.

    Args:
        record: As `apply` wrote it.
        home: The store.
        workspace: What mounts of `workspace` are.
        environ: Names the user's home.

    Raises:
        MountRefused: A mount's source is gone, has become something else, or must not be seen by a server.
    """
    if not record.sandbox.mounts:
        return record
    from dataclasses import replace

    from hatchlock.security.mounts import Protected, settle

    protected = Protected(home=environ.get("HOME") or str(Path.home()), store=str(home.root), engine=record.engine)
    with about(f"server:{record.server}"):
        mounts = settle(record.sandbox.mounts, protected, workspace=str(workspace), settled=True)
    return replace(record, sandbox=replace(record.sandbox, mounts=mounts))


def _with_live_tree(record: LaunchRecord, environ: Mapping[str, str]) -> LaunchRecord:
    from dataclasses import replace

    from hatchlock.engines.process import check_isolation
    from hatchlock.launch import Mount

    if record.source is None or not record.source.live:
        raise NoLiveTree(server=record.server, why="its source is no directory (path:)")
    if record.runtime == "process" and (problem := check_isolation(environ)):
        raise NoLiveTree(
            server=record.server, why=f"it is put in the place of what was locked by bubblewrap: {problem}"
        )
    mount = Mount(source=record.source.live, target=record.source.directory)
    return replace(record, sandbox=replace(record.sandbox, mounts=(*record.sandbox.mounts, mount)))


def _say_what_changed(source: SourceTree, home: Home) -> None:
    from hatchlock.sources.projects.snapshot import snapshot

    try:
        same = snapshot(Path(source.live), without=home.root).sha256 == source.sha256
    except (HatchlockError, OSError):
        return  # it may be gone altogether: what was locked of it runs on
    if not same:
        text = f"hatchlock: {source.live} is not what was locked; run `hatchlock up`, or try it with `run --dev`\n"
        os.write(2, text.encode())


def log_path(home: Home, project: str, server: str) -> Path:
    """Return the file that keeps a server's stderr; its predecessor has `.1` appended."""
    return home.project(project) / "logs" / f"{server}.log"


def find_record(home: Home, project: str, name: str) -> LaunchRecord:
    """Return the launch record that the last `apply` made current.

    Raises:
        NoSuchProject: Nothing was applied under that name.
        NoSuchServer: Not this server.
        BrokenState: A file of the store is damaged.
    """
    servers = applied_servers(home, project)
    if name not in servers:
        raise NoSuchServer(project=project, server=name, known=tuple(sorted(servers)))
    return _record(home.project(project) / "launch" / f"{servers[name]}.json", servers[name])


def applied_servers(home: Home, project: str) -> Mapping[str, str]:
    """Return server -> digest of the launch record that the last `apply` made current.

    Raises:
        NoSuchProject: Nothing was applied under that name.
        BrokenState: The file that says so is damaged.
    """
    state = home.project(project)
    data = read_optional(state / "active.json") if is_name(project) else None
    if data is None:
        raise NoSuchProject(project=project, store=str(home.root), known=known_projects(home))
    return _servers(state / "active.json", data)


def _project_of(cwd: Path) -> str:
    manifest = find_manifest(cwd)
    if manifest is None:
        raise UsageError(
            what=f"there is no {MANIFEST_NAME} in {cwd} or above it, so it is not clear which project is meant",
            advice="name it with --project, or change into its directory",
        )
    return project_name(manifest)


def project_name(manifest: Path, data: bytes | None = None) -> str:
    """Return the project's name as a manifest gives it, whatever else is wrong in there.

    Args:
        manifest: Where it is.
        data: What is in it, where that was read.

    Raises:
        BrokenState: It does not give one.
    """
    try:
        return project_name_in((manifest.read_bytes() if data is None else data).decode())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenState(
            path=str(manifest),
            why=f"does not give the project's name ({error})",
            advice="see `hatchlock validate`, or name the project with --project",
        ) from error


def project_name_in(text: str) -> str:
    """Return the project's name as the text of a manifest gives it, whatever else is wrong in there.

    Raises:
        ValueError, KeyError, TypeError: It does not give one.
    """
    if plain := _plain_name(text):
        return plain
    import tomllib

    return str(tomllib.loads(text)["project"]["name"])


def _plain_name(text: str) -> str:
    """Return the name where a manifest begins with it, as `init` writes them; "" for every other. Loading `tomllib` takes 4 ms."""
    lines = (line.strip(" \t\r") for line in text.split("\n"))
    said = (line for line in lines if line and not line.startswith("#"))
    if next(said, "") != "[project]":
        return ""
    key, _, value = next(said, "").partition("=")
    name = value.strip(" \t").removeprefix('"').removesuffix('"')
    is_plain = name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return name if key.strip(" \t") == "name" and value.strip(" \t") == f'"{name}"' and is_plain else ""


def is_name(project: str) -> bool:
    """Whether a project's name cannot lead out of the store."""
    return project not in {"", ".", ".."} and "/" not in project


def known_projects(home: Home) -> tuple[str, ...]:
    """Return the projects of which the store has something applied, sorted."""
    return tuple(sorted(path.parent.name for path in home.root.glob("projects/*/active.json")))


def _servers(path: Path, data: bytes) -> Mapping[str, str]:
    try:
        content: Any = json.loads(data)
        if content["format_version"] != _ACTIVE_FORMAT:
            raise BrokenState(
                path=str(path),
                why=f"has format {content['format_version']}, which another version wrote",
                advice="use the hatchlock that wrote it, or a newer one",
            )
        return {str(name): str(digest) for name, digest in content["servers"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenState(path=str(path), why="is damaged") from error


def _record(path: Path, digest: str) -> LaunchRecord:
    data = read_optional(path)
    if data is None:
        raise BrokenState(path=str(path), why="is missing")
    if sha256_bytes(data) != digest:
        raise BrokenState(path=str(path), why="was changed after it was written: its digest is another")
    try:
        return LaunchRecord.from_json(data)
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenState(path=str(path), why="is of a format that this version does not read") from error


def _closest(name: str, known: tuple[str, ...]) -> str:
    import difflib

    match = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {match[0]}?" if match else ""
