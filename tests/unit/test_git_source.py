"""`git:` sources over the real git and its own servers: which commit, which files, and what they say when it fails."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.errors import HatchlockError
from hatchlock.events import Event
from hatchlock.net.http import Unreachable
from hatchlock.process import ProcessFailed
from hatchlock.sources.projects.git import GitCommit, GitReference, GitSource
from hatchlock.sources.projects.git_errors import (
    AccessDenied,
    BadRepository,
    CommitGone,
    GitFailed,
    GitMissing,
    NoRepository,
    NoSubdirectory,
    UnknownRef,
    explained,
)
from hatchlock.sources.projects.git_program import Git
from hatchlock.sources.projects.git_tree import object_id
from support.faulty import certificate
from support.git_server import GitServer, Repository, serving_git


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def source(tmp_path: Path, environ: dict[str, str]) -> GitSource:
    return GitSource(cache_dir=tmp_path / "cache", environ=environ)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("original") / "app")
    made.commit({"README": "old"}, "the first")
    made.git("tag", "v0")
    made.commit({"README": "new", "packages/tool/main.py": "x = 1\n", "packages/other/o.py": ""})
    made.git("tag", "--annotate", "v1", "--message", "one")
    return made


@pytest.fixture
def repository(original: Repository, tmp_path: Path) -> Repository:
    return Repository.copied(original, tmp_path / "served" / "app")


@pytest.fixture
def server(repository: Repository) -> Iterator[GitServer]:
    with serving_git(repository.path.parent) as state:
        yield state


def at(url: str, tail: str = "") -> GitReference:
    return GitReference.parse(url + tail)


def offline(tmp_path: Path, environ: dict[str, str]) -> GitSource:
    return GitSource(cache_dir=tmp_path / "cache", environ=environ, offline=True)


def refreshing(tmp_path: Path, environ: dict[str, str]) -> GitSource:
    return GitSource(cache_dir=tmp_path / "cache", environ=environ, refresh=True)


def written(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def configure(environ: dict[str, str], text: str) -> None:
    (Path(environ["HOME"]) / ".gitconfig").write_text(text)


class TestRefs:
    @pytest.mark.parametrize(
        ("tail", "revision"),
        [
            ("", "main"),
            ("@main", "main"),
            ("@v0", "v0"),
            ("@v1", "v1^{commit}"),
            ("@refs/tags/v1", "v1^{commit}"),
            ("@refs/heads/main", "main"),
        ],
    )
    def test_a_name_is_the_commit_that_it_stands_for(
        self, source: GitSource, repository: Repository, tail: str, revision: str
    ) -> None:
        found = source.locate(at(repository.url, tail))
        assert found.commit == repository.git("rev-parse", revision)
        assert found.tree_hash == repository.git("rev-parse", f"{revision}^{{}}:")

    def test_a_branch_with_slashes_and_one_that_is_not_the_default(
        self, source: GitSource, repository: Repository
    ) -> None:
        repository.git("checkout", "--quiet", "-b", "feature/a/b")
        commit = repository.commit({"f": ""})
        repository.git("checkout", "--quiet", "main")
        assert source.locate(at(repository.url, "@feature/a/b")).commit == commit
        assert source.locate(at(repository.url)).commit != commit

    def test_of_a_branch_and_a_tag_with_one_name_the_tag_is_meant(
        self, source: GitSource, repository: Repository
    ) -> None:
        repository.git("branch", "v0", "main")
        assert source.locate(at(repository.url, "@v0")).commit == repository.git("rev-parse", "refs/tags/v0")

    def test_a_hidden_name_by_its_whole_name(self, source: GitSource, repository: Repository) -> None:
        repository.git("update-ref", "refs/pull/7/head", "v0")
        found = source.locate(at(repository.url, "@refs/pull/7/head"))
        assert found.commit == repository.git("rev-parse", "v0")

    @pytest.mark.parametrize("revision", ["main", "main~1"])
    def test_a_whole_commit_and_the_beginning_of_one(
        self, source: GitSource, repository: Repository, revision: str
    ) -> None:
        commit = repository.git("rev-parse", revision)
        assert source.locate(at(repository.url, f"@{commit}")).commit == commit
        assert source.locate(at(repository.url, f"@{commit[:9]}")).commit == commit

    def test_the_beginning_of_a_commit_without_a_name_is_looked_for_in_the_history(
        self, source: GitSource, repository: Repository
    ) -> None:
        commits = [repository.commit({"n": str(number)}) for number in range(3)]
        assert source.locate(at(repository.url, f"@{commits[0][:10]}")).commit == commits[0]

    def test_the_beginning_of_several_commits_is_refused(self, source: GitSource, repository: Repository) -> None:
        tree = repository.git("rev-parse", "main:")
        seen: dict[str, int] = {}
        for number in itertools.count():
            item = object_id("commit", _raw_commit(tree, number), tree)
            if item[:4] in seen:
                break
            seen[item[:4]] = number
        for chosen in (seen[item[:4]], number):
            made = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=_raw_commit(tree, chosen))
            repository.git("tag", f"n{chosen}", made)
        with pytest.raises(UnknownRef) as caught:
            source.locate(at(repository.url, f"@{item[:4]}"))
        assert item in caught.value.matches
        assert "more digits" in caught.value.hint

    def test_an_unknown_name_is_told_with_those_that_are_close(self, source: GitSource, repository: Repository) -> None:
        repository.git("branch", "develop")
        with pytest.raises(UnknownRef, match=r"no branch, tag or commit 'devlop'") as caught:
            source.locate(at(repository.url, "@devlop"))
        assert caught.value.hint == "did you mean develop?"

    def test_a_beginning_that_no_commit_has(self, source: GitSource, repository: Repository) -> None:
        with pytest.raises(UnknownRef, match="'0123456'"):
            source.locate(at(repository.url, "@0123456"))

    def test_an_empty_repository_has_no_default_branch(self, source: GitSource, tmp_path: Path) -> None:
        empty = Repository(tmp_path / "empty")
        with pytest.raises(UnknownRef, match="no default branch"):
            source.locate(at(empty.url))

    def test_a_repository_with_sha256_ids(self, source: GitSource, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "modern", object_format="sha256")
        commit = repository.commit({"a/b": "text"})
        found = source.locate(at(repository.url, "#subdirectory=a"))
        assert (found.commit, len(commit)) == (commit, 64)
        assert found.tree_hash == repository.git("rev-parse", "HEAD:a")
        assert written(source.checkout(found, tmp_path / "out")) == {"b": "text"}


def _raw_commit(tree: str, number: int) -> bytes:
    who = "t <t@example.com> 1767225600 +0000"
    return f"tree {tree}\nauthor {who}\ncommitter {who}\n\n{number}\n".encode()


class TestSubdirectories:
    def test_only_its_files_are_written(self, source: GitSource, repository: Repository, tmp_path: Path) -> None:
        found = source.locate(at(repository.url, "#subdirectory=packages/tool"))
        assert found.tree_hash == repository.git("rev-parse", "main:packages/tool")
        assert source.checkout(found, tmp_path / "out") == tmp_path / "out"
        assert written(tmp_path / "out") == {"main.py": "x = 1\n"}

    def test_the_whole_of_a_workspace_can_be_had(
        self, source: GitSource, repository: Repository, tmp_path: Path
    ) -> None:
        found = source.locate(at(repository.url, "#subdirectory=packages/tool"))
        inside = source.checkout(found, tmp_path / "out", whole=True)
        assert inside == tmp_path / "out" / "packages" / "tool"
        assert set(written(tmp_path / "out")) == {"README", "packages/tool/main.py", "packages/other/o.py"}

    @pytest.mark.parametrize("missing", ["packages/missing", "README", "packages/tool/main.py"])
    def test_one_that_is_missing_is_told_with_those_that_are_there(
        self, source: GitSource, repository: Repository, missing: str
    ) -> None:
        with pytest.raises(NoSubdirectory, match=f"has no directory {missing}") as caught:
            source.locate(at(repository.url, f"#subdirectory={missing}"))
        if missing == "packages/missing":
            assert caught.value.hint == "there are: other, tool"

    def test_files_elsewhere_are_not_even_fetched(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path
    ) -> None:
        repository.commit({"large": os.urandom(300_000)})
        found = source.locate(at(f"{server.url}/app", "#subdirectory=packages/tool"))
        source.checkout(found, tmp_path / "out")
        assert _size(tmp_path / "cache") < 50_000

    def test_a_server_without_filters_serves_as_well(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path
    ) -> None:
        repository.git("config", "uploadpack.allowFilter", "false")
        found = source.locate(at(f"{server.url}/app", "#subdirectory=packages/tool"))
        assert written(source.checkout(found, tmp_path / "out")) == {"main.py": "x = 1\n"}


def _size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


class TestLockedCommits:
    def test_a_moved_branch_does_not_move_what_is_locked(
        self, source: GitSource, repository: Repository, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        reference = at(repository.url, "@main")
        locked = source.locate(reference)
        moved = repository.commit({"README": "newest"})
        later = refreshing(tmp_path, environ)
        assert later.locate(reference, commit=locked.commit) == locked
        assert later.locate(reference).commit == moved
        assert written(later.checkout(locked, tmp_path / "out"))["README"] == "new"

    def test_it_is_fetched_on_a_machine_that_never_saw_it(
        self, repository: Repository, server: GitServer, source: GitSource
    ) -> None:
        old = repository.git("rev-parse", "v0")
        repository.git("tag", "--delete", "v0")
        assert source.locate(at(f"{server.url}/app", "@main"), commit=old).commit == old

    def test_a_known_one_asks_nobody(
        self, source: GitSource, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        reference = at(f"{server.url}/app")
        locked = source.locate(reference)
        source.checkout(locked, tmp_path / "out")
        asked = len(server.asked)
        assert source.locate(reference, commit=locked.commit) == locked
        assert source.locate(at(f"{server.url}/app", f"@{locked.commit}")).commit == locked.commit
        assert written(offline(tmp_path, environ).checkout(locked, tmp_path / "again")) == written(tmp_path / "out")
        assert len(server.asked) == asked

    def test_history_that_was_rewritten_keeps_what_is_in_the_cache(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path
    ) -> None:
        reference = at(f"{server.url}/app", "@main")
        locked = source.locate(reference)
        source.checkout(locked, tmp_path / "before")
        _rewrite(repository)
        assert source.locate(reference, commit=locked.commit) == locked
        assert written(source.checkout(locked, tmp_path / "after")) == written(tmp_path / "before")

    @pytest.mark.parametrize("version_2", [True, False])
    def test_history_that_was_rewritten_is_told_where_the_cache_has_nothing(
        self, source: GitSource, repository: Repository, server: GitServer, version_2: bool
    ) -> None:
        server.version_2 = version_2
        gone = repository.git("rev-parse", "main")
        _rewrite(repository)
        with pytest.raises(CommitGone, match=f"no longer has the commit {gone} of main: its history") as caught:
            source.locate(at(f"{server.url}/app", "@main"), commit=gone)
        assert "--upgrade" in caught.value.hint

    def test_a_tree_that_the_lock_did_not_name_is_refused(
        self, source: GitSource, repository: Repository, tmp_path: Path
    ) -> None:
        locked = source.locate(at(repository.url))
        wrong = GitCommit(commit=locked.commit, tree_hash="0" * 40, url=locked.url)
        with pytest.raises(BadRepository, match="the lock wants 0000"):
            source.checkout(wrong, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def _rewrite(repository: Repository) -> None:
    repository.git("tag", "--delete", "v1")
    repository.git("checkout", "--quiet", "--orphan", "anew")
    repository.commit({"README": "rewritten"})
    repository.git("branch", "--force", "main")
    repository.git("checkout", "--quiet", "main")
    repository.git("branch", "--delete", "--force", "anew")
    repository.prune()


class TestAsking:
    def test_a_branch_is_asked_for_again_only_after_a_while(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        reference = at(f"{server.url}/app")
        before = source.locate(reference).commit
        after = repository.commit({"README": "newest"})
        later = GitSource(cache_dir=tmp_path / "cache", environ=environ)
        assert later.locate(reference).commit == before
        outdated = GitSource(cache_dir=tmp_path / "cache", environ=environ, ttl=0)
        assert outdated.locate(reference).commit == after

    def test_an_old_answer_is_used_and_named_as_such_when_nobody_answers(
        self, source: GitSource, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        reference = at(f"{server.url}/app", "@main")
        before = source.locate(reference)
        server.status = 503
        events: list[Event] = []
        later = GitSource(cache_dir=tmp_path / "cache", environ=environ, refresh=True, emit=events.append)
        assert later.locate(reference) == before
        (stale,) = [event for event in events if event.name == "cache.stale"]
        assert stale.address == f"git:{server.url}/app"
        assert "what the cache has about main" in stale.message

    def test_offline_uses_what_is_there_and_names_what_is_not(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        reference = at(f"{server.url}/app", "#subdirectory=packages/tool")
        found = source.locate(reference)
        asked = len(server.asked)
        alone = offline(tmp_path, environ)
        assert alone.locate(reference) == found
        with pytest.raises(Unreachable, match="--offline was asked for"):
            alone.locate(at(f"{server.url}/app", "@v0"))
        with pytest.raises(Unreachable, match="--offline was asked for"):
            alone.locate(reference, commit=repository.git("rev-parse", "v0"))
        with pytest.raises(Unreachable, match="--offline was asked for"):
            alone.checkout(found, tmp_path / "out")
        assert len(server.asked) == asked

    def test_nothing_there_nobody_there_and_no_git_there(
        self, source: GitSource, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        for url in (f"{server.url}/missing", f"file://{tmp_path}/missing"):
            with pytest.raises(NoRepository, match="no git repository at"):
                source.locate(at(url))
        with pytest.raises(Unreachable, match=r"[Cc]onnect"):
            source.locate(at("http://127.0.0.1:9/app"))
        with pytest.raises(GitMissing) as caught:
            GitSource(cache_dir=tmp_path / "c", environ={**environ, "PATH": str(tmp_path)}).locate(
                at(server.url, "/app")
            )
        assert "install git" in caught.value.hint

    @pytest.mark.parametrize("switches", [{"dumb": True}, {"version_2": False}])
    def test_old_servers_do_as_well(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path, switches: dict[str, bool]
    ) -> None:
        old = repository.git("rev-parse", "v0")
        repository.git("tag", "--delete", "v0")
        repository.git("update-server-info")
        vars(server).update(switches)
        reference = at(f"{server.url}/app{'/.git' if server.dumb else ''}")
        part = source.locate(at(reference.url, "#subdirectory=packages/tool"))
        assert written(source.checkout(part, tmp_path / "part")) == {"main.py": "x = 1\n"}
        found = source.locate(reference)
        assert written(source.checkout(found, tmp_path / "new"))["README"] == "new"
        before = source.locate(reference, commit=old)
        assert written(source.checkout(before, tmp_path / "old")) == {"README": "old"}

    def test_the_objects_of_several_commits_share_one_mirror(
        self, source: GitSource, server: GitServer, tmp_path: Path
    ) -> None:
        for number, tail in enumerate(["@v0", "@v1#subdirectory=packages/tool", "@v1", "@v0"]):
            source.checkout(source.locate(at(f"{server.url}/app", tail)), tmp_path / str(number))
        assert set(written(tmp_path / "2")) == {"README", "packages/tool/main.py", "packages/other/o.py"}
        assert written(tmp_path / "3") == {"README": "old"}
        assert len([path for path in (tmp_path / "cache" / "git").iterdir() if path.is_dir()]) == 1

    def test_many_threads_and_sources_at_once(self, server: GitServer, tmp_path: Path, environ: dict[str, str]) -> None:
        sources = [GitSource(cache_dir=tmp_path / "cache", environ=environ) for _ in range(2)]
        wanted = [at(f"{server.url}/app", tail) for tail in ("", "@v0", "@v1#subdirectory=packages/tool")]
        found: list[GitCommit] = []
        problems: list[HatchlockError] = []

        def work(source: GitSource, reference: GitReference, out: Path) -> None:
            try:
                found.append(source.locate(reference))
                source.checkout(found[-1], out)
            except HatchlockError as error:
                problems.append(error)

        threads = [
            threading.Thread(target=work, args=(source, reference, tmp_path / f"{first}-{second}"))
            for first, source in enumerate(sources)
            for second, reference in enumerate(wanted)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert len(found) == 6
        assert len(set(found)) == 3

    def test_a_damaged_mirror_is_made_anew(
        self, source: GitSource, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        found = source.locate(at(f"{server.url}/app"))
        source.checkout(found, tmp_path / "before")
        for pack in (tmp_path / "cache").rglob("*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(pack.read_bytes()[:-30] + bytes(30))
        later = GitSource(cache_dir=tmp_path / "cache", environ=environ)
        assert written(later.checkout(found, tmp_path / "after")) == written(tmp_path / "before")

    def test_a_file_of_the_cache_with_other_bytes_than_its_id_says_is_not_used(
        self, source: GitSource, repository: Repository, server: GitServer, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        found = source.locate(at(f"{server.url}/app"))
        (pack,) = (tmp_path / "cache").rglob("*.pack")
        objects = pack.parent.parent
        data = pack.read_bytes()
        for path in pack.parent.iterdir():
            path.unlink()
        git = ["git", f"--git-dir={objects.parent}", "unpack-objects", "-q"]
        subprocess.run(git, input=data, check=True, env=environ, capture_output=True)
        item = repository.git("rev-parse", "main:README")
        loose = objects / item[:2] / item[2:]
        loose.chmod(0o600)
        loose.write_bytes(zlib.compress(b"blob 3\0bad"))
        with pytest.raises(GitFailed, match="is damaged"):
            offline(tmp_path, environ).checkout(found, tmp_path / "offline")
        assert written(source.checkout(found, tmp_path / "out"))["README"] == "new"


class TestFiles:
    def test_they_are_byte_for_byte_what_was_committed(
        self, source: GitSource, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        configure(
            environ,
            '[core]\n\tautocrlf = true\n\teol = crlf\n[filter "loud"]\n'
            f"\tsmudge = touch {tmp_path}/ran\n\tclean = touch {tmp_path}/ran\n\trequired = true\n"
            f"\tprocess = touch {tmp_path}/ran\n",
        )
        repository = Repository(tmp_path / "app")
        attributes = "* text=auto eol=crlf ident filter=loud\nversion.txt export-subst\nhidden export-ignore\n"
        files: dict[str, str | bytes] = {
            "a.txt": "one\ntwo\r\n",
            "version.txt": "$Format:%H$ $Id$\n",
            "hidden": "h",
            "b": b"\0\xff\r\n",
        }
        repository.commit(files)
        repository.commit({".gitattributes": attributes})
        out = source.checkout(source.locate(at(repository.url)), tmp_path / "out")
        for name, content in files.items():
            assert (out / name).read_bytes() == (content if isinstance(content, bytes) else content.encode())
        assert not (tmp_path / "ran").exists()

    def test_modes_are_two_whatever_the_umask(self, source: GitSource, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "app")
        repository.commit({"plain": "", "run.sh": "#!/bin/sh\n"})
        repository.git("update-index", "--chmod=+x", "run.sh")
        repository.git("commit", "--quiet", "--message", "a program")
        before = os.umask(0o077)
        try:
            out = source.checkout(source.locate(at(repository.url)), tmp_path / "out")
        finally:
            os.umask(before)
        assert stat.S_IMODE((out / "plain").stat().st_mode) == 0o644
        assert stat.S_IMODE((out / "run.sh").stat().st_mode) == 0o755

    def test_symlinks_are_written_as_they_are_and_never_followed(self, source: GitSource, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "app")
        (repository.path / "out").symlink_to(tmp_path / "elsewhere")
        (repository.path / "inside").symlink_to("a/file")
        repository.commit({"a/file": "text"})
        out = source.checkout(source.locate(at(repository.url)), tmp_path / "out")
        assert (out / "out").readlink() == tmp_path / "elsewhere"
        assert (out / "inside").readlink() == Path("a/file")
        assert not (tmp_path / "elsewhere").exists()

    def test_names_of_any_bytes(self, source: GitSource, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "app")
        names = ["a\nb", "ü", "-rf", "tab\there", 'quo"te', os.fsdecode(b"\xff\xfe")]
        repository.commit(dict.fromkeys(names, "x"))
        out = source.checkout(source.locate(at(repository.url)), tmp_path / "out")
        assert sorted(os.listdir(out)) == sorted(names)  # noqa: PTH208  names that are no text

    def test_a_pointer_of_git_lfs_is_named(self, source: GitSource, tmp_path: Path) -> None:
        repository = Repository(tmp_path / "app")
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
        repository.commit({"model/weights.bin": pointer, "tool/main.py": ""})
        found = source.locate(at(repository.url))
        with pytest.raises(BadRepository, match=r"model/weights\.bin is kept in Git LFS") as caught:
            source.checkout(found, tmp_path / "out")
        assert "Git LFS" in caught.value.hint
        assert not (tmp_path / "out").exists()
        part = source.locate(at(repository.url, "#subdirectory=tool"))
        source.checkout(part, tmp_path / "whole", whole=True)

    def test_hooks_and_templates_and_monitors_are_not_run(
        self, source: GitSource, repository: Repository, tmp_path: Path, environ: dict[str, str]
    ) -> None:
        program = tmp_path / "program"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        program.chmod(0o755)
        hooks = tmp_path / "template" / "hooks"
        hooks.mkdir(parents=True)
        for name in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc", "fsmonitor-watchman"):
            (hooks / name).symlink_to(program)
            (repository.path / ".git" / "hooks").mkdir(exist_ok=True)
            (repository.path / ".git" / "hooks" / name).symlink_to(program)
        configure(
            environ,
            f"[init]\n\ttemplateDir = {tmp_path}/template\n[core]\n\thooksPath = {hooks}\n\tfsmonitor = {program}\n"
            f"\tpager = {program}\n\teditor = {program}\n[gc]\n\tauto = 1\n",
        )
        source.checkout(source.locate(at(repository.url)), tmp_path / "out")
        assert not (tmp_path / "ran").exists()

    def test_a_repository_that_we_are_started_in_is_left_alone(
        self, repository: Repository, tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        project = Repository(tmp_path / "project")
        project.commit({"mine": "1"})
        project.git("config", "core.sshCommand", f"touch {tmp_path}/ran;")
        project.git("config", f"url.file://{tmp_path}/other.insteadOf", repository.url)
        monkeypatch.chdir(project.path)
        git = str(project.path / ".git")
        inside = {**environ, "GIT_DIR": git, "GIT_INDEX_FILE": f"{git}/index", "GIT_WORK_TREE": str(project.path)}
        before = _bytes(project.path)
        source = GitSource(cache_dir=project.path / "cache", environ=inside)
        found = source.locate(at(repository.url))
        assert written(source.checkout(found, tmp_path / "out"))["README"] == "new"
        assert _bytes(project.path) == before


def _bytes(root: Path) -> dict[Path, bytes]:
    files = (path for path in root.rglob("*") if path.is_file() and "cache" not in path.relative_to(root).parts)
    return {path: path.read_bytes() for path in files}


@pytest.fixture
def login(environ: dict[str, str], server: GitServer) -> dict[str, str]:
    server.login = ("me", "token-4711")
    helper = Path(environ["HOME"]) / "helper"
    helper.write_text('#!/bin/sh\n[ "$1" = get ] && echo username=me && echo password="$TEST_TOKEN"\n')
    helper.chmod(0o755)
    return {**environ, "TEST_TOKEN": "token-4711"}


class TestAccess:
    def test_without_a_login_it_says_so_and_asks_nobody(
        self, login: dict[str, str], server: GitServer, tmp_path: Path
    ) -> None:
        source = GitSource(cache_dir=tmp_path / "cache", environ=login)
        with pytest.raises(AccessDenied, match="it wants a login") as caught:
            source.locate(at(f"{server.url}/app"))
        assert "credential helper" in caught.value.hint

    def test_the_users_credential_helper_is_asked(
        self, login: dict[str, str], server: GitServer, tmp_path: Path
    ) -> None:
        configure(login, f"[credential]\n\thelper = {login['HOME']}/helper\n")
        source = GitSource(cache_dir=tmp_path / "cache", environ=login)
        source.checkout(source.locate(at(f"{server.url}/app")), tmp_path / "out")
        everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert b"token-4711" not in everything

    def test_a_login_that_is_not_accepted_does_not_show(
        self, login: dict[str, str], server: GitServer, tmp_path: Path
    ) -> None:
        configure(login, f"[credential]\n\thelper = {login['HOME']}/helper\n")
        source = GitSource(cache_dir=tmp_path / "cache", environ={**login, "TEST_TOKEN": "wrong-token"})
        with pytest.raises(AccessDenied) as caught:
            source.locate(at(f"{server.url}/app"))
        assert "wrong-token" not in f"{caught.value} {caught.value.hint}"

    def test_netrc_is_read(self, login: dict[str, str], server: GitServer, tmp_path: Path) -> None:
        netrc = Path(login["HOME"]) / ".netrc"
        netrc.write_text("machine 127.0.0.1 login me password token-4711\n")
        netrc.chmod(0o600)
        assert GitSource(cache_dir=tmp_path / "cache", environ=login).locate(at(f"{server.url}/app")).commit

    def test_a_login_in_the_users_own_rewriting_is_not_shown(
        self, environ: dict[str, str], tmp_path: Path, server: GitServer
    ) -> None:
        host = server.url.removeprefix("http://")
        configure(environ, f'[url "http://me:token-4711@{host}/secret/"]\n\tinsteadOf = {server.url}/app\n')
        with pytest.raises(HatchlockError) as caught:
            GitSource(cache_dir=tmp_path / "cache", environ=environ).locate(at(f"{server.url}/app"))
        assert "token-4711" not in f"{caught.value} {caught.value.hint}"

    @pytest.mark.parametrize(
        "said", ["Authentication failed for", "unable to access", "odd:", "repository not found:", "timed out:"]
    )
    def test_what_git_says_is_shown_without_logins(self, said: str) -> None:
        output = f"fatal: {said} 'https://me:token-4711@example.com/x'"
        error = explained(ProcessFailed(argv=("git",), status=128, output=output), "https://example.com/x")
        assert "token-4711" not in f"{error} {error.hint}"

    @pytest.mark.parametrize(
        ("version", "told"),
        [
            ("2.39.2", False),
            ("2.39.5 (Apple Git-154)", True),
            ("2.44.0", False),
            ("2.45.0", True),
            ("2.51.2.windows.1", True),
            ("3.0.1", True),
            ("unknown", False),
        ],
    )
    def test_only_a_git_that_fetches_nothing_by_itself_may_leave_files_out(
        self, tmp_path: Path, version: str, told: bool
    ) -> None:
        script = tmp_path / "git"
        script.write_text(f"#!/bin/sh\necho 'git version {version}'\n")
        script.chmod(0o755)
        assert Git({"PATH": str(tmp_path)}).fetches_only_when_told is told

    @pytest.mark.parametrize(
        "base", ["ext::sh -c 'touch RAN' ", "http://127.0.0.1:9/", "file:///", "git://127.0.0.1:9/"]
    )
    def test_rewriting_leads_to_https_and_ssh_only(self, environ: dict[str, str], tmp_path: Path, base: str) -> None:
        target = base.replace("RAN", str(tmp_path / "ran"))
        configure(
            environ,
            f'[url "{target}"]\n\tinsteadOf = https://git.example.invalid/\n[protocol]\n\tallow = always\n'
            '[protocol "ext"]\n\tallow = always\n',
        )
        with pytest.raises(BadRepository, match="which is not allowed"):
            GitSource(cache_dir=tmp_path / "cache", environ=environ).locate(at("https://git.example.invalid/x"))
        assert not (tmp_path / "ran").exists()

    def test_a_private_certificate_authority_is_trusted_by_the_variables_that_others_read(
        self, environ: dict[str, str], repository: Repository, tmp_path: Path
    ) -> None:
        cert, tls = certificate(tmp_path / "tls")
        other, _ = certificate(tmp_path / "other")
        with serving_git(repository.path.parent, tls=tls) as server:

            def locate(**variables: str) -> str:
                source = GitSource(cache_dir=tmp_path / "cache", environ=environ | variables, refresh=True)
                return source.locate(at(f"{server.url}/app")).commit

            with pytest.raises(Unreachable, match="certificate") as caught:
                locate()
            assert "SSL_CERT_FILE" in caught.value.hint
            assert locate(SSL_CERT_FILE=str(cert)) == locate(GIT_SSL_CAINFO=str(cert))
            configure(environ, f"[http]\n\tsslCAInfo = {cert}\n")
            assert locate(SSL_CERT_FILE=str(other))

    def test_a_redirect_to_another_protocol_is_not_followed(self, server: GitServer, source: GitSource) -> None:
        server.redirect = f"ftp://127.0.0.1:{server.url.rpartition(':')[2]}"
        with pytest.raises(HatchlockError):
            source.locate(at(f"{server.url}/app"))
        assert len(server.asked_for("app")) == 1
