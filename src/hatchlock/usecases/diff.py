"""`diff`: two locks, each a file or what a git revision has, compared. Reads only."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError

if TYPE_CHECKING:
    from hatchlock.lock.difference import Entry
    from hatchlock.lock.model import Lock
    from hatchlock.process import ProcessFailed
    from hatchlock.usecases.project import Project

__all__ = ["Compared", "NoSuchLock", "compare", "named_lock"]


@dataclass(kw_only=True, eq=False)
class NoSuchLock(HatchlockError):
    """Something to compare is neither a file nor in a git revision."""

    code: ClassVar[str] = "no-such-lock"

    text: str
    why: str

    def __str__(self) -> str:
        return f"there is no lock {self.text!r}: {self.why}"

    def _hint(self) -> str:
        return "name a lock file, a git revision (HEAD, main, v1.2), or a file of one (main:agents/hatch.lock)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two locks.

    Attributes:
        before: How the older one was named.
        after: How the newer one was named.
        entries: How they differ, what matters most first; see `lock.difference.compare_locks`.
        notes: What people should know about the two.
    """

    before: str
    after: str
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]


def compare(
    before: str | None,
    after: str | None,
    *,
    directory: Path,
    project: Callable[[], Project],
    environ: Mapping[str, str],
) -> Compared:
    """Compare two locks.

    Args:
        before: A lock file, a git revision (then the project's lock in it), or `REVISION:PATH`; None for HEAD.
        after: The same; None for the project's lock as it is.
        directory: Where paths start.
        project: Finds the project; called only if one of the two needs it.
        environ: The user's variables.

    Raises:
        NoSuchLock: One of them does not exist.
        MissingLock: The project has no lock.
        BadLock, NewerLock: One of them cannot be read.
        HatchlockError: What finding the project raises.
    """
    from hatchlock.lock.difference import compare_locks
    from hatchlock.resolve.versions import compare_versions

    reader = _Reader(directory, project, environ)
    old = reader.read(before or "HEAD")
    new = reader.read(after) if after is not None else reader.working()
    entries = compare_locks(old, new, order=compare_versions)
    name = after or project().lock.name
    notes = tuple(dict.fromkeys((*reader.notes, *_stale(new, name))))
    return Compared(before=before or "HEAD", after=name, entries=entries, notes=notes)


def _stale(lock: Lock, name: str) -> Iterator[str]:
    from hatchlock.lock.artefact import stale_on

    for surface in lock.surfaces:
        if stale := stale_on(lock, surface.server):
            where = "" if stale == lock.platforms else f" on {', '.join(stale)}"
            what = (
                f"the pin of server:{surface.server} is stale in {name}{where}, as what it is made of has changed since"
            )
            yield f"{what}; look at it again with `hatchlock pin {surface.server}`"


def named_lock(text: str, project: Project) -> tuple[Lock, tuple[str, ...]]:
    """Return a lock by its name, as one of the two of `compare`, and what people should know of it.

    Args:
        text: A lock file, a git revision (then the project's lock in it), or `REVISION:PATH`.
        project: Whose lock is meant; paths start in its directory.

    Raises:
        NoSuchLock: It does not exist.
        BadLock, NewerLock: It cannot be read.
    """
    reader = _Reader(project.directory, lambda: project, project.environ)
    lock = reader.read(text)
    return lock, tuple(dict.fromkeys(reader.notes))


class _Reader:
    def __init__(self, directory: Path, project: Callable[[], Project], environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._project = project
        self._environ = environ
        self.notes: list[str] = []

    def working(self) -> Lock:
        from hatchlock.lock.store import MissingLock

        project = self._project()
        if project.lock_bytes is None:
            raise MissingLock(path=project.lock.name)
        return self._loads(project.lock_bytes, project.lock.name)

    def read(self, text: str) -> Lock:
        from hatchlock.files import read_optional

        path = self._directory / text
        if path.is_file():
            return self._loads(read_optional(path) or b"", text)
        revision, colon, inside = text.partition(":")
        if not revision or revision.startswith("-") or (colon and not inside):
            raise NoSuchLock(text=text, why="it is neither a file nor a revision")
        start = self._directory if colon else self._project().lock.parent
        root = _repository(start.resolve())
        if root is None:
            raise NoSuchLock(text=text, why=f"there is no such file, and {start} is in no git repository")
        if colon:
            relative = start.resolve().relative_to(root).as_posix()
            place = posixpath.normpath(posixpath.join(relative, inside)) if inside.startswith(".") else inside
        else:
            place = (start.resolve() / self._project().lock.name).relative_to(root).as_posix()
        return self._of_revision(text, root, revision, place, may_lack=not colon)

    def _of_revision(self, text: str, root: Path, revision: str, place: str, *, may_lack: bool) -> Lock:
        from hatchlock.lock.model import Lock
        from hatchlock.process import ProcessFailed
        from hatchlock.sources.projects.git_errors import GitMissing
        from hatchlock.sources.projects.git_program import Git

        try:
            git = Git(self._environ)
            wanted = f"{revision}^{{commit}}"
            commit = git.local(root, "rev-parse", "--verify", "--end-of-options", wanted).decode().strip()
        except GitMissing as error:
            raise NoSuchLock(
                text=text, why="there is no such file, and no git on PATH to look for a revision"
            ) from error
        except ProcessFailed as error:
            raise NoSuchLock(text=text, why=f"there is no such file, and {_explained(error, revision)}") from error
        if not git.local(root, "ls-tree", "--full-tree", commit, "--", place):
            if not may_lack:
                raise NoSuchLock(text=text, why=f"{revision} has no {place}")
            self.notes.append(f"{revision} has no {place}: everything is new")
            return Lock(project="", platforms=())
        return self._loads(git.local(root, "cat-file", "blob", f"{commit}:{place}"), text)

    def _loads(self, data: bytes, name: str) -> Lock:
        from hatchlock.lock.store import loads

        return loads(data, file=name, warn=self.notes.append)


def _repository(directory: Path) -> Path | None:
    return next((path for path in (directory, *directory.parents) if (path / ".git").exists()), None)


def _explained(error: ProcessFailed, revision: str) -> str:
    if "single revision" in error.output:
        return f"git knows no revision {revision!r}"
    said = error.output.strip().splitlines()
    return f"git says: {said[-1].removeprefix('fatal: ')}" if said else f"git ended with status {error.status}"
