"""A copy of what was asked of one repository: commits without their history, files only where they are needed."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hatchlock.process import ProcessFailed
from hatchlock.sources.projects.git_errors import BadRepository, CommitGone, GitFailed, NoSubdirectory
from hatchlock.sources.projects.git_program import Git
from hatchlock.sources.projects.git_tree import (
    GitFile,
    Unsound,
    algorithm_of,
    object_id,
    parse_tree,
    submodule_urls,
    tree_of,
)

__all__ = ["Mirror", "checked"]

_REMOTE = "hatchlock"
_FILES_AT_MOST = 200_000
_BYTES_AT_MOST = 1 << 30
_PIECE = 1 << 24
_GONE = "not our ref"
# servers that do not hand out a commit by its id, or not without its history
_NEEDS_EVERYTHING = re.compile(r"unadvertised object|does not support|doesn't support|dumb http", re.IGNORECASE)


class Mirror:
    """A bare repository of our own. One process and thread at a time (see `GitSource`).

    Args:
        git: Runs git.
        path: Where it is; it is made when something is fetched.
        url: The repository that it mirrors, from `repository_url`.
        partial: Ask the server to leave out the files, of which `bring_contents` then fetches those that are needed.
    """

    def __init__(self, git: Git, path: Path, url: str, *, partial: bool) -> None:
        self.path = path
        self.url = url
        self._git = git
        self._partial = partial

    def has(self, commit: str) -> bool:
        """Return whether a commit was brought here with all its directories."""
        return (self.path / "refs" / _REMOTE / commit).is_file()

    def bring(self, commit: str, ref: str = "") -> None:
        """Fetch a commit without its history; with it from servers that do not give a commit by its id.

        Args:
            commit: Its whole id.
            ref: The full name by which it is known there, for servers that hide it otherwise; "" for none.

        Raises:
            CommitGone: The repository does not have it.
            AccessDenied, NoRepository, Unreachable, BadRepository, GitFailed: Git says so.
        """
        self._prepare(commit)
        try:
            self._fetch("--depth=1", *self._filter, _REMOTE, f"+{commit}:refs/{_REMOTE}/{commit}")
        except GitFailed as error:
            if _GONE in error.output:
                raise CommitGone(url=self.url, commit=commit, ref=ref) from error
            if not _NEEDS_EVERYTHING.search(error.output):
                raise
            self.bring_history(commit, ref)
            if not self._commits(commit):
                raise CommitGone(url=self.url, commit=commit, ref=ref) from error
            self._git.local(self.path, "update-ref", f"refs/{_REMOTE}/{commit}", commit)

    def bring_history(self, like: str, ref: str = "") -> None:
        """Fetch every commit of every branch and tag, and of `ref`.

        Args:
            like: Some whole commit id of that repository.
            ref: See `bring`.

        Raises:
            AccessDenied, NoRepository, Unreachable, BadRepository, GitFailed: Git says so.
        """
        self._prepare(like)
        whole = ["--unshallow"] if (self.path / "shallow").exists() else []
        names = ["refs/heads/*", "refs/tags/*", *([ref] if ref.startswith("refs/") else [])]
        refspecs = [f"+{name}:refs/all/{name.removeprefix('refs/')}" for name in dict.fromkeys(names)]
        self._fetch(*whole, *self._filter, "--prune", _REMOTE, *refspecs)

    def beginning(self, short: str) -> tuple[str, ...]:
        """Return the commits here whose ids begin so."""
        return self._commits(short) if self.path.is_dir() else ()

    def tree(self, commit: str, subdirectory: str) -> tuple[str, str]:
        """Return the ids of a commit that is here, and of the tree of its subdirectory; a tag's id gives its commit.

        Raises:
            NoSubdirectory: It has no such directory.
            BadRepository: Its objects are not sound.
            GitFailed: The mirror is damaged.
        """
        kind, data = self._object(commit)
        if kind == "tag":
            return self.tree(data.split(b"\n", 1)[0].removeprefix(b"object ").decode(), subdirectory)
        with checked(self.url):
            tree = tree_of(data)
            for name in subdirectory.split("/") if subdirectory else []:
                listed = list(parse_tree(self._object(tree)[1], "", tree))
                directories = {file.path: file.id for file in listed if file.kind == "directory"}
                if name not in directories:
                    there = tuple(sorted(directories))
                    raise NoSubdirectory(url=self.url, commit=commit, subdirectory=subdirectory, there=there)
                tree = directories[name]
        return commit, tree

    def files(self, tree: str) -> tuple[GitFile, ...]:
        """Return everything below a tree, from the top downwards, sorted within each level.

        Raises:
            BadRepository: Its objects are not sound, or too many.
            GitFailed: The mirror is damaged.
        """
        found: list[GitFile] = []
        level = [GitFile(path="", kind="directory", id=tree)]
        while level:
            contents = {item: data for item, _, data in self._objects(list(dict.fromkeys(file.id for file in level)))}
            below: list[GitFile] = []
            with checked(self.url):
                for file in level:
                    below += parse_tree(contents[file.id], file.path, file.id)
                    # the same few trees can stand for any number of paths
                    if len(found) + len(below) > _FILES_AT_MOST:
                        raise BadRepository(url=self.url, why=f"it has more than {_FILES_AT_MOST:,} files")
            found += below
            level = [file for file in below if file.kind == "directory"]
        return tuple(found)

    def bring_contents(self, missing: Sequence[str]) -> None:
        """Fetch files by their ids, all at once.

        Raises:
            AccessDenied, NoRepository, Unreachable, BadRepository, GitFailed: Git says so.
        """
        # As git does it where a file is missing. What is here counts for nothing: it may itself be here only in part.
        settings = ["fetch.negotiationAlgorithm=noop"]
        self._fetch(*self._filter, "--stdin", _REMOTE, settings=settings, stdin="\n".join(missing))

    def missing(self, tree: str) -> list[str]:
        """Return the ids of the objects below a tree that are not here."""
        listed = self._read("rev-list", "--objects", "--no-object-names", "--missing=print", tree)
        return [line[1:] for line in listed.decode().splitlines() if line.startswith("?")]

    def contents(self, files: Sequence[GitFile]) -> Iterator[tuple[GitFile, bytes]]:
        """Yield files and symlinks, which are all here, with their bytes, checked by their ids, in any order.

        Raises:
            BadRepository: They are too many bytes.
            GitFailed: The mirror is damaged.
        """
        by_id: dict[str, list[GitFile]] = {}
        for file in files:
            by_id.setdefault(file.id, []).append(file)
        for batch in self._batches(by_id):
            for item, _, data in self._objects(batch):
                for file in by_id[item]:
                    yield file, data

    def submodules(self, root: Sequence[GitFile]) -> dict[str, str]:
        """Return path -> URL of what `.gitmodules` in a commit's root declares.

        Raises:
            BadRepository: It is not one that git can read.
        """
        declared = [file for file in root if file.path == ".gitmodules" and file.kind in {"file", "program"}]
        if not declared:
            return {}
        ((_, data),) = self.contents(declared)
        try:
            listed = self._git.local(self.path, "config", "--file", "-", "--no-includes", "--list", "-z", stdin=data)
        except ProcessFailed as error:
            raise BadRepository(url=self.url, why="its .gitmodules cannot be read") from error
        return dict(submodule_urls(listed))

    def sweep(self) -> None:
        """Delete what a git that was killed left: files that say that it is at work, and parts of what it fetched."""
        for pattern in ("*.lock", "refs/**/*.lock", "objects/**/tmp_*"):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)

    @property
    def _filter(self) -> list[str]:
        return ["--filter=blob:none" if self._partial else "--no-filter"]

    def _prepare(self, like: str) -> None:
        if self.path.is_dir():
            return
        made = self.path.with_name(f"{self.path.name}.part")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        form = f"--object-format={algorithm_of(like)}"
        self._read("init", "--quiet", "--bare", "--template=", form, ".", directory=made)
        self._read("config", f"remote.{_REMOTE}.url", self.url, directory=made)
        made.rename(self.path)

    def _fetch(self, *arguments: str, settings: Sequence[str] = (), stdin: str = "") -> None:
        options = [word for setting in settings for word in ("-c", setting)]
        quiet = ["--quiet", "--no-tags", "--no-write-fetch-head", "--refmap="]
        self._git.remote(self.url, self.path, *options, "fetch", *quiet, *arguments, stdin=stdin.encode())

    def _commits(self, short: str) -> tuple[str, ...]:
        listed = self._read("rev-parse", f"--disambiguate={short}")
        kinds = self._read("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=listed).decode()
        return tuple(line.split()[0] for line in kinds.splitlines() if line.endswith(" commit"))

    def _batches(self, ids: Iterable[str]) -> Iterator[list[str]]:
        """Few enough bytes at a time, so that a large repository does not need large memory."""
        listed = self._read("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin="\n".join(ids).encode())
        batch: list[str] = []
        size = total = 0
        for line in listed.decode().splitlines():
            item, _, number = line.partition(" ")
            length = self._number(number)
            total += length
            if total > _BYTES_AT_MOST:
                raise BadRepository(
                    url=self.url,
                    why=f"its files have more than {_BYTES_AT_MOST >> 30} GiB",
                    advice="name the part that is wanted behind the #: subdirectory=DIR",
                )
            if batch and size + length > _PIECE:
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += length
        if batch:
            yield batch

    def _object(self, item: str) -> tuple[str, bytes]:
        ((_, kind, data),) = self._objects([item])
        return kind, data

    def _objects(self, ids: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
        answer = self._read("cat-file", "--batch", stdin="\n".join(ids).encode())
        place = 0
        for item in ids:
            end = answer.find(b"\n", place)
            _, kind, number = [*answer[place:end].decode(errors="replace").split(), "", ""][:3]
            size = self._number(number)
            data = answer[end + 1 : end + 1 + size]
            if object_id(kind, data, item) != item:
                raise GitFailed(url=self.url, output=f"the cached object {item} is damaged")
            yield item, kind, data
            place = end + 1 + size + 1

    def _number(self, text: str) -> int:
        if not text.isdigit():
            raise GitFailed(url=self.url, output=f"a cached object is missing: {text}")
        return int(text)

    def _read(self, *arguments: str, directory: Path | None = None, stdin: bytes = b"") -> bytes:
        try:
            return self._git.local(directory or self.path, *arguments, stdin=stdin)
        except ProcessFailed as error:
            raise GitFailed(url=self.url, output=error.output) from error


@contextlib.contextmanager
def checked(url: str) -> Iterator[None]:
    """Turn what is unsound inside the block into an error about that repository.

    Raises:
        BadRepository: An object is not sound, or two paths are one on this file system.
    """
    try:
        yield
    except Unsound as error:
        raise BadRepository(url=url, why=str(error)) from error
    except FileExistsError as error:
        why = f"two of its paths are one on this file system: {error.filename}"
        raise BadRepository(url=url, why=why) from error
