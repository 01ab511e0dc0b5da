"""`git:` sources: which commit is meant, and its files as they were committed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hatchlock.address import BadSource
from hatchlock.digest import key_of
from hatchlock.events import Event, Sink, discard
from hatchlock.files import private_directory
from hatchlock.net.cache import Cache
from hatchlock.net.failures import Offline
from hatchlock.sources.projects.git_errors import BadRepository, GitFailed
from hatchlock.sources.projects.git_mirror import Mirror, checked
from hatchlock.sources.projects.git_program import Git
from hatchlock.sources.projects.git_reference import GitReference, is_commit, protocol_of, repository_url
from hatchlock.sources.projects.git_refs import Refs
from hatchlock.sources.projects.git_tree import GitFile, algorithm_of, is_lfs_pointer, write_files
from hatchlock.state.lease import lease

__all__ = ["GitCommit", "GitReference", "GitSource"]

_TTL = 600.0
_LEASE_SECONDS = 900.0
_NESTED_AT_MOST = 8

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class GitCommit:
    """What a reference turned out to be.

    Attributes:
        commit: Its id, 40 or 64 hex digits.
        tree_hash: The id of the tree of the subdirectory, or of the whole; with that of submodules, whose commits it names.
        url: The repository.
        ref: As in the reference.
        subdirectory: As in the reference.
        submodules: As in the reference.
    """

    commit: str
    tree_hash: str
    url: str
    ref: str = ""
    subdirectory: str = ""
    submodules: bool = False


class GitSource:
    """Repositories, asked by the user's git with the user's credentials, never with a prompt. For any number of threads.

    Args:
        cache_dir: Where mirrors (`git/DIGEST`) and what refs mean (`git-refs-1`) are kept; both may be deleted at any time.
        environ: The user's variables.
        ttl: Seconds for which a branch or tag is not asked for again.
        offline: Ask nobody; what is in the cache is used whatever its age.
        refresh: Ask again for every branch and tag.
        emit: Told what is fetched, and what is stale.
    """

    def __init__(
        self,
        *,
        cache_dir: Path,
        environ: Mapping[str, str],
        ttl: float = _TTL,
        offline: bool = False,
        refresh: bool = False,
        emit: Sink = discard,
    ) -> None:
        self._root = cache_dir / "git"
        self._environ = environ
        self._offline = offline
        self._emit = emit
        self._lock = threading.Lock()
        self._git: Git | None = None
        self._refs = Refs(
            cache=Cache(cache_dir / "git-refs-1"),
            ttl=ttl,
            refresh=refresh,
            list_refs=self._list_refs,
            commits=self._history,
            emit=emit,
        )

    def locate(self, reference: GitReference, *, commit: str = "") -> GitCommit:
        """Return the commit that a reference means, and bring it, without its files, into the cache.

        A branch and a tag of the same name are told apart as git does it: the tag is meant.

        Args:
            reference: What is wanted.
            commit: The commit that the lock has for it, which stays; "" to ask for the newest. If it is in the cache,
                nobody is asked.

        Raises:
            GitMissing: There is no git.
            UnknownRef: The repository has no such ref.
            CommitGone: It no longer has that commit.
            NoSubdirectory: The commit has no such directory.
            NoRepository, AccessDenied, BadRepository, GitFailed: As git says.
            Unreachable: Its host does not answer; or offline, and it is not in the cache.
            LeaseHeld: Another process is at the same repository for a quarter of an hour.
        """
        wanted = commit or (reference.ref if is_commit(reference.ref) else self._refs.commit(reference))

        def find(mirror: Mirror) -> tuple[str, str]:
            self._bring(mirror, wanted, reference.ref)
            return mirror.tree(wanted, reference.subdirectory)

        found, tree = self._using(reference.url, wanted, find, partial=bool(reference.subdirectory))
        return GitCommit(
            commit=found,
            tree_hash=tree,
            url=reference.url,
            ref=reference.ref,
            subdirectory=reference.subdirectory,
            submodules=reference.submodules,
        )

    def checkout(self, commit: GitCommit, into: Path, *, whole: bool = False) -> Path:
        """Write a commit's files, byte for byte as they were committed, and return where its subdirectory is.

        Every object is checked by its id, from the commit to the files. Modes are 0755 and 0644; symlinks are written as they
        are, wherever they lead; nothing is written through them. No hook, filter or attribute has a say. Submodules, if
        they were asked for, are the commits that the tree names; else their directories are empty.

        Args:
            commit: From `locate`, or from the lock.
            into: A directory that is made here, and deleted again if something fails.
            whole: Write the whole repository rather than the subdirectory only.

        Raises:
            BadRepository: A path could lead to other files, a file is only a pointer of Git LFS, a submodule is not
                declared or not allowed, or the tree is not the one that the commit was locked with.
            FileExistsError: `into` is there.
            GitMissing, CommitGone, NoSubdirectory, NoRepository, AccessDenied, GitFailed, Unreachable, LeaseHeld: See `locate`.
        """
        into.mkdir(mode=0o755)
        try:
            self._write(commit, into, whole=whole, nested=0)
        except BaseException:
            shutil.rmtree(into, ignore_errors=True)
            raise
        return into / commit.subdirectory if whole else into

    def _write(self, commit: GitCommit, into: Path, *, whole: bool, nested: int) -> None:
        def write(mirror: Mirror) -> tuple[tuple[GitFile, ...], dict[str, str], list[tuple[GitFile, bytes]]]:
            self._bring(mirror, commit.commit, commit.ref)
            return self._write_own(mirror, commit, into, whole=whole)

        partial = bool(commit.subdirectory) and not whole
        files, urls, links = self._using(commit.url, commit.commit, write, partial=partial)
        for file in files if commit.submodules else ():
            if file.kind == "repository":
                inside = file.path if whole or not commit.subdirectory else f"{commit.subdirectory}/{file.path}"
                if nested == _NESTED_AT_MOST:
                    raise BadRepository(
                        url=commit.url, why=f"its submodule {inside} is the {nested}th inside of another"
                    )
                submodule = self._submodule(commit, inside, urls.get(inside, ""), file.id)
                self._write(submodule, into / file.path, whole=False, nested=nested + 1)
        for file, target in links:
            with checked(commit.url):
                (into / file.path).symlink_to(target.decode(errors="surrogateescape"))

    def _write_own(
        self, mirror: Mirror, commit: GitCommit, into: Path, *, whole: bool
    ) -> tuple[tuple[GitFile, ...], dict[str, str], list[tuple[GitFile, bytes]]]:
        _, root = mirror.tree(commit.commit, "")
        _, tree = mirror.tree(commit.commit, commit.subdirectory)
        if tree != commit.tree_hash:
            why = f"the tree of {commit.commit} is {tree}, and the lock wants {commit.tree_hash}"
            raise BadRepository(url=commit.url, why=why, advice="do not edit the lock by hand; run `hatchlock lock`")
        written = root if whole else tree
        self._bring_contents(mirror, written)
        files = mirror.files(written)
        plain = [file for file in files if file.kind in {"file", "program"}]
        own = f"{commit.subdirectory}/" if whole and commit.subdirectory else ""
        with checked(commit.url):
            shutil.rmtree(into)
            into.mkdir(mode=0o755)
            write_files(files, into, _without_pointers(mirror.contents(plain), own, commit.url))
        links = list(mirror.contents([file for file in files if file.kind == "symlink"]))
        urls = self._submodule_urls(mirror, root, tree, files) if commit.submodules else {}
        return files, urls, links

    def _submodule_urls(self, mirror: Mirror, root: str, tree: str, files: Sequence[GitFile]) -> dict[str, str]:
        if all(file.kind != "repository" for file in files):
            return {}
        if root != tree:
            self._bring_contents(mirror, root)
            files = mirror.files(root)
        return mirror.submodules(files)

    def _submodule(self, parent: GitCommit, path: str, declared: str, commit: str) -> GitCommit:
        problem = f"its submodule {path}"
        if not declared:
            raise BadRepository(url=parent.url, why=f"{problem} has no address in .gitmodules")
        try:
            url = repository_url(_absolute(declared, parent.url))
        except BadSource as error:
            raise BadRepository(
                url=parent.url, why=f"{problem} has an address that is not used: {error.why}"
            ) from error
        if protocol_of(url) in {"file", "http"} and protocol_of(url) != protocol_of(parent.url):
            raise BadRepository(url=parent.url, why=f"{problem} is at {url}, which is only for this machine")
        return self.locate(GitReference(url=url, submodules=True), commit=commit)

    def _history(self, url: str, short: str, like: str) -> tuple[str, ...]:
        def search(mirror: Mirror) -> tuple[str, ...]:
            self._fetching(url)
            mirror.bring_history(like)
            return mirror.beginning(short)

        return self._using(url, like, search, partial=True)

    def _list_refs(self, url: str, names: Sequence[str]) -> dict[str, str]:
        self._refuse_offline(url)
        answer = self._program.remote(url, private_directory(self._root), "ls-remote", "--quiet", "--", url, *names)
        pairs = (line.split("\t", 1) for line in answer.decode(errors="surrogateescape").splitlines())
        return {name: commit for commit, name in pairs}

    def _bring(self, mirror: Mirror, commit: str, ref: str) -> None:
        if not mirror.has(commit):
            self._fetching(mirror.url)
            mirror.bring(commit, ref)

    def _bring_contents(self, mirror: Mirror, tree: str) -> None:
        if missing := mirror.missing(tree):
            self._fetching(mirror.url)
            mirror.bring_contents(missing)

    def _fetching(self, url: str) -> None:
        self._refuse_offline(url)
        self._emit(Event(name="fetch.start", address=f"git:{url}"))

    def _refuse_offline(self, url: str) -> None:
        if self._offline:
            raise Offline(url=url)

    def _using(self, url: str, like: str, work: Callable[[Mirror], _T], *, partial: bool) -> _T:
        """Do something with a repository's mirror, and once more with a new one if git stumbles over what is there.

        The new one is whole, as some servers do not deliver later what they left out.
        """
        git = self._program
        key = key_of("git:1", [url, algorithm_of(like)])[:40]
        path = private_directory(self._root) / key
        held = lease(
            path.with_suffix(".lock"),
            what=f"the cache of {url}",
            purpose="hatchlock",
            timeout=_LEASE_SECONDS,
            emit=self._emit,
        )
        with held:
            mirror = Mirror(git, path, url, partial=partial and git.fetches_only_when_told)
            mirror.sweep()
            try:
                return work(mirror)
            except GitFailed:
                if self._offline:
                    raise
            anew = path.with_suffix(".new")
            shutil.rmtree(anew, ignore_errors=True)
            result = work(Mirror(git, anew, url, partial=False))
            shutil.rmtree(path, ignore_errors=True)
            anew.rename(path)
            return result

    @property
    def _program(self) -> Git:
        with self._lock:
            if self._git is None:
                self._git = Git(self._environ)
            return self._git


def _without_pointers(contents: Iterator[tuple[GitFile, bytes]], own: str, url: str) -> Iterator[tuple[GitFile, bytes]]:
    for file, data in contents:
        if is_lfs_pointer(data) and file.path.startswith(own):
            raise BadRepository(
                url=url,
                why=f"{file.path} is kept in Git LFS, and the repository only has a pointer to it",
                advice="use a release archive (url:…) that holds the file, or a commit without Git LFS",
            )
        yield file, data


def _absolute(declared: str, parent: str) -> str:
    """What git makes of a submodule's address that begins with `./` or `../`: relative to that of its parent."""
    if not declared.startswith(("./", "../")):
        return declared
    base = parent
    while declared.startswith(("./", "../")):
        head, _, declared = declared.partition("/")
        if head == "..":
            base, slash, _ = base.rpartition("/")
            if not slash or base.endswith(":/"):
                return declared  # above its host: no address
    return f"{base}/{declared}"
