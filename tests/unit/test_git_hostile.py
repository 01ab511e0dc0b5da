"""Repositories that mean harm, submodules, terminals, SSH, and gits that die at work."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hatchlock.errors import HatchlockError
from hatchlock.sources.projects.git import GitReference, GitSource
from hatchlock.sources.projects.git_errors import AccessDenied, BadRepository, NoRepository
from support.git_server import Repository, SshServer, serving_git, serving_ssh, ssh_available
from support.unavailable import unavailable


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def source(tmp_path: Path, environ: dict[str, str]) -> GitSource:
    return GitSource(cache_dir=tmp_path / "cache", environ=environ)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "app")
    made.commit({"README": "text"})
    return made


def at(url: str, tail: str = "") -> GitReference:
    return GitReference.parse(url + tail)


def configure(environ: Mapping[str, str], text: str) -> None:
    (Path(environ["HOME"]) / ".gitconfig").write_text(text)


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


class TestTrees:
    @pytest.mark.parametrize("name", [".git", ".GIT", "git~1", ".g\u200cit", "..", ".", "a/b", ".git. "])
    def test_a_path_that_leads_elsewhere_is_refused(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, name: str
    ) -> None:
        inner = repository.git("rev-parse", "main:")
        repository.commit_tree(f"40000 tree {inner}\t{name}\n")
        # by git's own check, and where the user has switched it off by ours
        messages = ("hasDotgit", "hasDot", "hasDotdot", "fullPathname")
        for fsck in ("error", "ignore"):
            configure(environ, '[fetch "fsck"]\n' + "".join(f"\t{message} = {fsck}\n" for message in messages))
            source = GitSource(cache_dir=tmp_path / fsck, environ=environ)
            with pytest.raises(BadRepository, match=r"not sound|could lead to other files"):
                source.checkout(source.locate(at(repository.url)), tmp_path / "out")
            assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("fsck", [True, False])
    def test_a_link_and_a_directory_of_one_name_are_refused(
        self, source: GitSource, repository: Repository, environ: dict[str, str], tmp_path: Path, fsck: bool
    ) -> None:
        if not fsck:
            configure(environ, '[fetch "fsck"]\n\tduplicateEntries = ignore\n\ttreeNotSorted = ignore\n')
        link, inner = repository.blob(str(tmp_path / "elsewhere")), repository.git("rev-parse", "main:")
        repository.commit_tree(f"120000 blob {link}\ta\n40000 tree {inner}\ta\n")
        (tmp_path / "elsewhere").mkdir()
        with pytest.raises(BadRepository, match=r"duplicateEntries|twice"):
            source.checkout(source.locate(at(repository.url)), tmp_path / "out")
        assert names(tmp_path / "elsewhere") == set()

    def test_a_commit_that_is_not_sound_is_refused(self, source: GitSource, repository: Repository) -> None:
        raw = f"tree {repository.git('rev-parse', 'main:')}\nauthor nobody\n\nno committer\n"
        arguments = ("hash-object", "-t", "commit", "-w", "--literally", "--stdin")
        repository.git("update-ref", "refs/heads/odd", repository.git(*arguments, stdin=raw.encode()))
        with pytest.raises(BadRepository, match="git finds an object that is not sound") as caught:
            source.locate(at(repository.url, "@odd"))
        assert "fetch.fsck." in caught.value.hint

    def test_a_tree_of_trees_of_trees_is_refused_before_it_fills_the_disk(
        self, source: GitSource, repository: Repository, tmp_path: Path
    ) -> None:
        tree = repository.git("rev-parse", "main:")
        for _ in range(8):
            listing = "".join(f"040000 tree {tree}\td{number}\n" for number in range(10))
            tree = repository.git("mktree", stdin=listing.encode())
        repository.git("update-ref", "refs/heads/main", repository.git("commit-tree", tree, "-m", "a bomb"))
        with pytest.raises(BadRepository, match="more than 200,000 files"):
            source.checkout(source.locate(at(repository.url)), tmp_path / "out")

    @pytest.mark.parametrize("tail", ["@--upload-pack=touch ran", "@-x", "#subdirectory=--upload-pack=x"])
    def test_what_looks_like_an_option_is_none(
        self, source: GitSource, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(HatchlockError):
            source.locate(at(repository.url, tail))
        assert not (tmp_path / "ran").exists()
        with pytest.raises(HatchlockError):
            source.locate(GitReference(url="--upload-pack=touch ran"))
        assert not any("ran" in name for name in names(tmp_path))


@pytest.fixture
def library(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served" / "library")
    made.commit({"lib.py": "old"})
    return made


def add_submodule(repository: Repository, path: str, url: str, commit: str) -> None:
    settings = f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n'
    (repository.path / ".gitmodules").write_text(settings)
    repository.git("add", ".gitmodules")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
    repository.git("commit", "--quiet", "--message", f"with {path}")


class TestSubmodules:
    def test_they_are_left_out_unless_they_are_asked_for(
        self, source: GitSource, repository: Repository, library: Repository, tmp_path: Path
    ) -> None:
        commit = library.git("rev-parse", "HEAD")
        add_submodule(repository, "deps/library", library.url, commit)
        library.commit({"lib.py": "new"})
        without = source.locate(at(repository.url))
        assert names(source.checkout(without, tmp_path / "a")) == {".gitmodules", "README", "deps", "deps/library"}
        found = source.locate(at(repository.url, "#submodules=true"))
        assert found.tree_hash == without.tree_hash
        out = source.checkout(found, tmp_path / "b")
        assert (out / "deps/library/lib.py").read_text() == "old"

    @pytest.mark.parametrize("server_is", ["file", "http"])
    def test_an_address_may_be_relative_and_a_submodule_may_have_its_own(
        self, source: GitSource, repository: Repository, library: Repository, tmp_path: Path, server_is: str
    ) -> None:
        inner = Repository(tmp_path / "served" / "inner")
        add_submodule(library, "inner", "../inner", inner.commit({"x": "deep"}))
        add_submodule(repository, "tools/library", "./../library", library.git("rev-parse", "HEAD"))
        with serving_git(tmp_path / "served") as server:
            url = repository.url if server_is == "file" else f"{server.url}/app"
            part = source.locate(at(url, "#subdirectory=tools&submodules=true"))
            out = source.checkout(part, tmp_path / "out")
        assert (out / "library/inner/x").read_text() == "deep"
        whole = source.checkout(part, tmp_path / "whole", whole=True)
        assert (whole / "library/inner/x").read_text() == "deep"
        assert names(tmp_path / "whole") >= {"README", "tools/library/lib.py"}

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("ext::sh -c 'touch RAN'", "has an address that is not used"),
            ("-uRAN", "has an address that is not used"),
            ("https://me:token-4711@example.com/x", "it holds a user name or password"),
            ("http://example.com/x", "can be read and changed"),
            ("file://LIBRARY", "which is only for this machine"),
            ("LIBRARY", "which is only for this machine"),
            ("../../../../../../etc", "is not used|no git repository"),
            ("", "has no address in .gitmodules"),
        ],
    )
    def test_one_from_elsewhere_may_not_reach_into_this_machine(
        self, library: Repository, environ: dict[str, str], tmp_path: Path, url: str, why: str
    ) -> None:
        source = GitSource(cache_dir=tmp_path / "cache", environ=environ)
        repository = Repository(tmp_path / "served" / "app")
        configure(environ, '[fetch "fsck"]\n\tgitmodulesUrl = ignore\n[protocol]\n\tallow = always\n')
        real = url.replace("RAN", str(tmp_path / "ran")).replace("LIBRARY", str(library.path))
        add_submodule(repository, "deps", real, library.git("rev-parse", "HEAD"))
        with serving_git(tmp_path / "served") as server:
            found = source.locate(at(f"{server.url}/app", "#submodules=true"))
            with pytest.raises(HatchlockError, match=why) as caught:
                source.checkout(found, tmp_path / "out")
        assert "token-4711" not in f"{caught.value} {caught.value.hint}"
        assert not (tmp_path / "ran").exists()
        assert not (tmp_path / "out").exists()

    def test_one_inside_of_another_without_end_is_refused(
        self, source: GitSource, library: Repository, tmp_path: Path
    ) -> None:
        commit = library.git("rev-parse", "HEAD")
        for _ in range(10):
            add_submodule(library, "deeper", library.url, commit)
            commit = library.git("rev-parse", "HEAD")
        with pytest.raises(BadRepository, match="inside of another"):
            source.checkout(source.locate(at(library.url, "#submodules=true")), tmp_path / "out")


ALONE = """
import json, sys
from pathlib import Path
from hatchlock.errors import HatchlockError
from hatchlock.sources.projects.git import GitReference, GitSource
url, cache, environ = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
try:
    print("found", GitSource(cache_dir=cache, environ=environ).locate(GitReference.parse(url)).commit)
except HatchlockError as error:
    print(error.code)
"""


def alone(url: str, cache: Path, environ: Mapping[str, str]) -> list[str]:
    return [sys.executable, "-c", ALONE, url, str(cache), json.dumps(dict(environ))]


class TestTerminals:
    def on_a_terminal(self, url: str, tmp_path: Path, environ: Mapping[str, str]) -> str:
        """Run it on a terminal of its own, on which nobody types, and return what is shown there."""
        shown, terminal = os.openpty()

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        child = subprocess.Popen(
            alone(url, tmp_path / "cache", environ),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509  no other thread of ours holds a lock
        )
        os.close(terminal)
        try:
            child.wait(timeout=60)
        finally:
            child.kill()
        text = b""
        with contextlib.suppress(OSError):
            while piece := os.read(shown, 4096):
                text += piece
        os.close(shown)
        return text.decode()

    @pytest.mark.parametrize("helper", ["", "!cat /dev/tty; read line </dev/tty; false"])
    def test_nobody_is_asked_for_a_password(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, helper: str
    ) -> None:
        configure(environ, f'[core]\n\taskPass = "{tmp_path}/askpass"\n[credential]\n\thelper = "{helper}"\n')
        (tmp_path / "askpass").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nsleep 60\n")
        (tmp_path / "askpass").chmod(0o755)
        with serving_git(repository.path.parent, login=("me", "secret")) as server:
            shown = self.on_a_terminal(
                f"{server.url}/app", tmp_path, {**environ, "GIT_ASKPASS": str(tmp_path / "askpass")}
            )
        assert shown.split() == ["access-denied"]
        assert not (tmp_path / "asked").exists()

    def test_nobody_is_asked_about_a_host_key_or_a_passphrase(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, sshd: SshServer
    ) -> None:
        shown = self.on_a_terminal(sshd.url(repository.path), tmp_path, environ)
        assert shown.split() == ["access-denied"]
        locked = tmp_path / "locked"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(locked)], check=True)
        trusting = f"ssh -F none -i {locked} -o UserKnownHostsFile={sshd.known_hosts} -o IdentitiesOnly=yes"
        shown = self.on_a_terminal(sshd.url(repository.path), tmp_path, {**environ, "GIT_SSH_COMMAND": trusting})
        assert shown.split() == ["access-denied"]


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    if not ssh_available():
        unavailable("needs ssh and sshd")
    with serving_ssh(tmp_path / "sshd") as server:
        yield server


def _ssh_command(sshd: SshServer) -> str:
    return f"ssh -F none -i {sshd.key} -o UserKnownHostsFile={sshd.known_hosts} -o IdentitiesOnly=yes"


class TestSsh:
    """Over a real sshd."""

    @pytest.mark.parametrize("how", ["GIT_SSH_COMMAND", "GIT_SSH", "core.sshCommand"])
    def test_it_reaches_a_repository_as_the_user_set_it_up(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, sshd: SshServer, how: str
    ) -> None:
        script = tmp_path / "my ssh"
        script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/argv\nexec {_ssh_command(sshd)} "$@"\n')
        script.chmod(0o755)
        if how == "core.sshCommand":
            configure(environ, f"[core]\n\tsshCommand = {_ssh_command(sshd)}\n")
        else:
            environ |= {how: _ssh_command(sshd) if how == "GIT_SSH_COMMAND" else str(script)}
        source = GitSource(cache_dir=tmp_path / "cache", environ=environ)
        out = source.checkout(source.locate(at(sshd.url(repository.path), "@main")), tmp_path / "out")
        assert names(out) == {"README"}
        if how == "GIT_SSH":
            assert "-o BatchMode=yes" in (tmp_path / "argv").read_text()
        with pytest.raises(NoRepository):
            source.locate(at(sshd.url(tmp_path / "missing")))

    def test_the_short_form_is_understood(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, sshd: SshServer
    ) -> None:
        environ |= {"GIT_SSH_COMMAND": f"{_ssh_command(sshd)} -p {sshd.port}"}
        source = GitSource(cache_dir=tmp_path / "cache", environ=environ)
        assert source.locate(at(f"{sshd.user}@127.0.0.1:{repository.path}")).commit

    def test_a_host_whose_key_is_unknown_and_a_key_that_is_not_accepted_are_told(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, sshd: SshServer
    ) -> None:
        unknown = f"ssh -F none -i {sshd.key} -o UserKnownHostsFile={tmp_path}/none -o GlobalKnownHostsFile=/dev/null"
        with pytest.raises(AccessDenied, match="host key is not known") as caught:
            GitSource(cache_dir=tmp_path / "c", environ={**environ, "GIT_SSH_COMMAND": unknown}).locate(
                at(sshd.url(repository.path))
            )
        assert "ssh -T" in caught.value.hint
        keyless = f"ssh -F none -i /nonexistent -o UserKnownHostsFile={sshd.known_hosts} -o IdentitiesOnly=yes"
        with pytest.raises(AccessDenied, match="wants a login") as caught:
            GitSource(cache_dir=tmp_path / "c", environ={**environ, "GIT_SSH_COMMAND": keyless}).locate(
                at(sshd.url(repository.path))
            )
        assert "ssh-add" in caught.value.hint


def _below(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed.splitlines()}
    found = {pid}
    for _ in range(8):
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


class TestKilled:
    @pytest.mark.parametrize("orphans_live", [True, False])
    def test_a_fetch_that_was_killed_is_no_hindrance(
        self, repository: Repository, environ: dict[str, str], tmp_path: Path, orphans_live: bool
    ) -> None:
        commit = repository.commit({"large": os.urandom(200_000)})
        with serving_git(repository.path.parent, stall_after=100_000) as server:
            url = f"{server.url}/app"
            child = subprocess.Popen(alone(url, tmp_path / "cache", environ), stdout=subprocess.PIPE)
            try:
                assert server.stalled.wait(60)
                gits = _below(child.pid)
            finally:
                child.kill()
                child.communicate()
            assert gits
            if not orphans_live:
                for pid in gits:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            server.stall_after = -1
            source = GitSource(cache_dir=tmp_path / "cache", environ=environ)
            assert source.locate(at(url)).commit == commit
            server.resume.set()
            _wait_for_the_end_of(gits)
            out = source.checkout(source.locate(at(url), commit=commit), tmp_path / "out")
        assert names(out) == {"README", "large"}

    def test_what_a_killed_git_left_is_swept_away(
        self, source: GitSource, repository: Repository, environ: dict[str, str], tmp_path: Path
    ) -> None:
        before = source.locate(at(repository.url)).commit
        (mirror,) = (path for path in (tmp_path / "cache" / "git").iterdir() if path.is_dir())
        commit = repository.commit({"more": ""})
        left = [mirror / "shallow.lock", mirror / "refs" / "hatchlock" / f"{commit}.lock", mirror / "config.lock"]
        left += [mirror / "objects" / "pack" / "tmp_pack_x", mirror.with_suffix(".part") / "HEAD"]
        for path in left:
            path.parent.mkdir(exist_ok=True)
            path.write_text("")
        later = GitSource(cache_dir=tmp_path / "cache", environ=environ, refresh=True)
        assert later.locate(at(repository.url)).commit == commit
        assert not any(path.exists() for path in left[:4])
        assert (mirror / "refs" / "hatchlock" / before).exists()


def _wait_for_the_end_of(pids: set[int]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            for pid in list(pids):
                if not _is_running(pid):
                    pids.discard(pid)
        if not pids:
            return
        time.sleep(0.02)
    raise AssertionError(f"still running: {pids}")


def _is_running(pid: int) -> bool:
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True).stdout
    return bool(status.strip()) and not status.startswith("Z")


def test_no_argument_of_any_git_holds_what_the_user_keeps_secret(
    repository: Repository, environ: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "argv"
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    real = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {log}\nexec {shlex.quote(real)} "$@"\n')
    wrapper.chmod(0o755)
    configure(environ, '[credential]\n\thelper = "!f() { echo username=me; echo password=$TEST_TOKEN; }; f"\n')
    environ |= {"PATH": f"{wrapper.parent}:{environ['PATH']}", "TEST_TOKEN": "token-4711"}
    with serving_git(repository.path.parent, login=("me", "token-4711")) as server:
        source = GitSource(cache_dir=tmp_path / "cache", environ=environ)
        source.checkout(source.locate(at(f"{server.url}/app")), tmp_path / "out")
    assert "ls-remote" in log.read_text()
    assert "token-4711" not in log.read_text()
