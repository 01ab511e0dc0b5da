"""Which files of a directory belong to the project in it."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hatchlock.files import reporting_permission
from hatchlock.sources.projects.patterns import DockerPatterns, GitPatterns

__all__ = ["Found", "repository_root", "walk"]

_VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
_NEVER = _VERSION_CONTROL | {
    *("node_modules", "__pycache__", ".venv", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
    *(".DS_Store", "hatchlock.local.toml"),
    # where programs keep their users' secrets
    *(
        ".env",
        ".netrc",
        "_netrc",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
        ".ssh",
        ".aws",
        ".docker",
        ".kube",
        ".gnupg",
    ),
    *("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"),
    # The lock holds the hash of the project's content: it cannot be part of it, nor what is edited next to it.
    *("hatch.lock", "hatchlock.toml"),
}
_EXAMPLES = (".example", ".sample", ".template", ".dist")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file or symlink that belongs to a project, as it was when the directory was read.

    Attributes:
        path: Relative to the project, with `/`; undecodable bytes as `os.fsdecode` gives them.
        status: What `lstat` said.
    """

    path: str
    status: os.stat_result


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rules:
    """A `.gitignore` and the directory that it is in, relative to the outermost one that counts, as bytes with a `/`."""

    base: bytes
    patterns: GitPatterns


def walk(root: Path, *, committed: bool = False, without: Path | None = None) -> Iterator[Found]:
    """Yield what belongs to the project in `root`, in no order; directories are not yielded, nor entered through links.

    These count: `.gitignore` at every level, also above the project up to its repository's root (unless those leave out
    the project as a whole: who names it wants it); `.dockerignore` in `root`; and what never belongs to a project:
    version control, caches and virtual environments, installed packages, files of secrets, hatchlock's own files, and those
    that applications read in a project.
    Git's settings of this machine (`info/exclude`, `core.excludesFile`) and its index do not count.

    Args:
        root: The project's directory, without symlinks in its path.
        committed: It is a checkout: git has decided already, and only version control itself is left out.
        without: A directory that does not belong to it either, wherever it is: the store. Without symlinks in its path.

    Raises:
        PermissionProblem: Something cannot be read.
    """
    if committed:
        yield from _everything(root, "")
        return
    above, prefix = _rules_above(root)
    docker = DockerPatterns.parse(_own_file(root / ".dockerignore") or b"")
    yield from _Walk(root=root, prefix=prefix, docker=docker, without=str(without or "")).below("", above)


def repository_root(root: Path) -> Path | None:
    """Return the nearest of `root` and the directories above it that has a `.git`; None if there is none."""
    return next((directory for directory in (root, *root.parents) if (directory / ".git").exists()), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Walk:
    root: Path
    prefix: bytes
    docker: DockerPatterns
    without: str

    def below(self, inside: str, rules: Sequence[_Rules]) -> Iterator[Found]:
        directory = self.root / inside
        own = _own_file(directory / ".gitignore")
        if own is not None:
            base = self.prefix + os.fsencode(f"{inside}/" if inside else "")
            rules = (*rules, _Rules(base=base, patterns=GitPatterns.parse(own)))
        for entry in _entries(directory):
            path = f"{inside}/{entry.name}" if inside else entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            if _is_never_part(entry, path, is_directory=is_directory) or entry.path == self.without:
                continue
            if _left_out(self.prefix + os.fsencode(path), rules, directory=is_directory):
                continue
            out = self.docker.leaves_out(os.fsencode(path))
            if is_directory:
                if not out or self.docker.takes_in:
                    yield from self.below(path, rules)
            elif not out:
                yield Found(path=path, status=entry.stat(follow_symlinks=False))


def _everything(root: Path, inside: str) -> Iterator[Found]:
    for entry in _entries(root / inside):
        path = f"{inside}/{entry.name}" if inside else entry.name
        if entry.name in _VERSION_CONTROL:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _everything(root, path)
        else:
            yield Found(path=path, status=entry.stat(follow_symlinks=False))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    with reporting_permission(directory), os.scandir(directory) as entries:
        return list(entries)


def _own_file(path: Path) -> bytes | None:
    """Read a file of rules. One that is a symlink does not count, as for git: it may point anywhere."""
    with reporting_permission(path):
        try:
            return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
        except FileNotFoundError:
            return None


@functools.cache
def _files_of_applications() -> dict[str, tuple[str, ...]]:
    """Return the files of a project that applications read, by their names: apply writes them, and would change what was locked."""
    from hatchlock.clients.catalogue import CLIENTS  # noqa: PLC0415  only directories need it

    files = sorted({client.project_file for client in CLIENTS.values() if client.project_file})
    names = {Path(file).name for file in files}
    return {name: tuple(file for file in files if Path(file).name == name) for name in names}


def _is_never_part(entry: os.DirEntry[str], path: str, *, is_directory: bool) -> bool:
    name = entry.name
    if name in _NEVER or (name.startswith(".env.") and not name.endswith(_EXAMPLES)):
        return True
    of_applications = _files_of_applications().get(name, ())
    if any(f"/{path}".endswith(f"/{file}") for file in of_applications):
        return True
    return is_directory and Path(entry.path, "pyvenv.cfg").is_file()


def _left_out(path: bytes, rules: Sequence[_Rules], *, directory: bool) -> bool:
    for rule in reversed(rules):
        verdict = rule.patterns.verdict(path[len(rule.base) :], directory=directory)
        if verdict is not None:
            return verdict
    return False


def _rules_above(root: Path) -> tuple[list[_Rules], bytes]:
    """Return the rules of the directories above `root`, outermost first, and where `root` is below the outermost one."""
    top = repository_root(root)
    if top is None or top == root:
        return [], b""
    rules: list[_Rules] = []
    parts = root.relative_to(top).parts
    for depth, part in enumerate(parts):
        base = os.fsencode("".join(f"{name}/" for name in parts[:depth]))
        own = _own_file(top.joinpath(*parts[:depth], ".gitignore"))
        if own is not None:
            rules.append(_Rules(base=base, patterns=GitPatterns.parse(own)))
        if _left_out(base + os.fsencode(part), rules, directory=True):
            return [], b""
    return rules, os.fsencode("".join(f"{name}/" for name in parts))
