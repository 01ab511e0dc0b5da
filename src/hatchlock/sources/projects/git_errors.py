"""What can go wrong with a repository, and what git's own words about it mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.net.failures import Unreachable
from hatchlock.process import ProcessFailed

__all__ = [
    "AccessDenied",
    "BadRepository",
    "CommitGone",
    "GitFailed",
    "GitMissing",
    "NoRepository",
    "NoSubdirectory",
    "UnknownRef",
    "explained",
]


@dataclass(kw_only=True, eq=False)
class GitMissing(HatchlockError):
    """There is no git on this machine's PATH."""

    code: ClassVar[str] = "git-missing"

    def __str__(self) -> str:
        return "a git: source needs the program git, and PATH has none"

    def _hint(self) -> str:
        return "install git with your system's package manager, then run it again"


@dataclass(kw_only=True, eq=False)
class AccessDenied(HatchlockError):
    """A repository's server wants to know who asks, and git had nothing that it accepts. Nobody was asked for a password."""

    code: ClassVar[str] = "access-denied"

    url: str
    why: str

    def __str__(self) -> str:
        return f"the repository {self.url} refuses access: {self.why}"

    def _hint(self) -> str:
        if "host key" in self.why.lower():
            return "connect once by hand (`ssh -T USER@HOST`) and compare the key with what the host publishes"
        if self.url.startswith(("http:", "https:")):
            return (
                "check the address; if the repository is private, give git a login: a credential helper "
                "(`git config --global credential.helper …`, `gh auth setup-git`) or ~/.netrc"
            )
        return (
            "check the address; if it is right, load a key that the host knows (`ssh-add`) or name it in ~/.ssh/config"
        )


@dataclass(kw_only=True, eq=False)
class NoRepository(HatchlockError):
    """There is nothing at an address, or it is no git repository."""

    code: ClassVar[str] = "no-repository"

    url: str

    def __str__(self) -> str:
        return f"there is no git repository at {self.url}"

    def _hint(self) -> str:
        return "check the address; to someone without access, some hosts say the same of a private repository"


@dataclass(kw_only=True, eq=False)
class UnknownRef(HatchlockError):
    """A repository has no branch, tag or commit of that name, or several commits that begin like it.

    Attributes:
        matches: Commits that begin so; empty when there is none.
        close: Branches and tags with similar names.
    """

    code: ClassVar[str] = "unknown-ref"

    url: str
    ref: str
    matches: tuple[str, ...] = ()
    close: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.matches:
            return f"{self.ref!r} is the beginning of several commits of {self.url}: {', '.join(self.matches)}"
        if not self.ref:
            return f"the repository {self.url} has no default branch"
        return f"the repository {self.url} has no branch, tag or commit {self.ref!r}"

    def _hint(self) -> str:
        if self.matches:
            return "write more digits of the commit"
        if self.close:
            return f"did you mean {' or '.join(self.close)}?"
        return "write a branch, a tag or a commit of that repository behind the @"


@dataclass(kw_only=True, eq=False)
class CommitGone(HatchlockError):
    """A commit that the lock names is no longer in its repository, nor in the cache."""

    code: ClassVar[str] = "commit-gone"

    url: str
    commit: str
    ref: str = ""

    def __str__(self) -> str:
        of = f" of {self.ref}" if self.ref else ""
        return f"the repository {self.url} no longer has the commit {self.commit}{of}: its history was rewritten"

    def _hint(self) -> str:
        return "ask its owners what happened; `hatchlock lock --upgrade` takes the commit that is there now"


@dataclass(kw_only=True, eq=False)
class NoSubdirectory(HatchlockError):
    """A commit has no such directory.

    Attributes:
        there: The directories that it has where that one was looked for.
    """

    code: ClassVar[str] = "no-subdirectory"

    url: str
    commit: str
    subdirectory: str
    there: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the commit {self.commit} of {self.url} has no directory {self.subdirectory}"

    def _hint(self) -> str:
        return f"there are: {', '.join(self.there)}" if self.there else "check the subdirectory behind the #"


@dataclass(kw_only=True, eq=False)
class BadRepository(HatchlockError):
    """What a repository holds cannot or must not be used."""

    code: ClassVar[str] = "bad-repository"

    url: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"the repository {self.url} cannot be used: {self.why}"

    def _hint(self) -> str:
        return self.advice


@dataclass(kw_only=True, eq=False)
class GitFailed(HatchlockError):
    """Git ended with an error that nothing more is known of.

    Attributes:
        output: What it said, without credentials.
    """

    code: ClassVar[str] = "git-failed"

    url: str
    output: str

    def __str__(self) -> str:
        tail = "\n  ".join(self.output.strip().splitlines()[-10:])
        return f"git failed for {self.url}" + (f":\n  {tail}" if tail else "")

    def _hint(self) -> str:
        if "No space left on device" in self.output:
            return "make room on that disk, then run the same command again"
        return "try `git ls-remote` with that address; if it works, delete the cache with `hatchlock cache clear`"


_USERINFO = re.compile(r"(?<=://)[^/@\s'\"]+@")


def explained(failure: ProcessFailed, url: str) -> HatchlockError:
    """Return what a failed git meant, as far as its words tell; its messages must be in English.

    Args:
        failure: With git's stderr as output.
        url: The repository that it was about.
    """
    said = _USERINFO.sub("", failure.output)
    for pattern, meaning in _MEANINGS:
        if match := re.search(pattern, said, re.IGNORECASE):
            return meaning(url, match)
    if failure.status is None:
        return Unreachable(url=url, why=said.strip())
    return GitFailed(url=url, output=said)


def _unknown_commit(url: str, match: re.Match[str]) -> HatchlockError:
    return GitFailed(url=url, output=match.string)


def _unknown_host_key(url: str, match: re.Match[str]) -> HatchlockError:
    del match
    return AccessDenied(url=url, why="its host key is not known here, or is another one now")


def _no_login(url: str, match: re.Match[str]) -> HatchlockError:
    del match
    return AccessDenied(url=url, why="it wants a login that git does not have, or does not accept the one it has")


def _not_allowed(url: str, match: re.Match[str]) -> HatchlockError:
    return BadRepository(
        url=url,
        why=f"git would reach it by {match[1]!r}, which is not allowed",
        advice="look for `url.….insteadOf` in your git configuration, or a redirect of the host; https and ssh are allowed",
    )


def _not_sound(url: str, match: re.Match[str]) -> HatchlockError:
    message, _, why = match[1].partition(":")
    advice = f"if you trust it all the same, tell git so: `git config --global fetch.fsck.{message} warn`"
    return BadRepository(url=url, why=f"git finds an object that is not sound ({message}:{why})", advice=advice)


def _no_repository(url: str, match: re.Match[str]) -> HatchlockError:
    del match
    return NoRepository(url=url)


def _unreachable(url: str, match: re.Match[str]) -> HatchlockError:
    why = match[0].strip().removeprefix("fatal: ")
    trust = "if your network uses its own certificate authority, set SSL_CERT_FILE to its file"
    return Unreachable(url=url, why=why, advice=trust if re.search("certificate|SSL|TLS", why) else "")


_LOGIN_WANTED = (
    r"terminal prompts disabled|could not read (?:username|password)|authentication failed|access denied"
    r"|permission denied \(|returned error: 40[13]\b|too many authentication failures"
)
_NOTHING_THERE = (
    r"repository '[^']*' not found|repository not found|does not appear to be a git repository"
    r"|not valid: is this a git repository|'[^']*' does not exist"
)
_NO_ANSWER = (
    r"[^\n]*(?:could(?: not|n't) resolve|failed to connect|couldn't connect|connection (?:refused|reset|closed)"
    r"|timed out|network is unreachable|no route to host|too slow|certificate|\bSSL\b|\bTLS\b|early EOF"
    r"|returned error: (?:407|429|5\d\d)|unexpected disconnect|hung up|empty reply|RPC failed)[^\n]*"
)
_MEANINGS: tuple[tuple[str, Callable[[str, re.Match[str]], HatchlockError]], ...] = (
    (r"not our ref|unadvertised object|dumb http", _unknown_commit),
    (r"host key verification failed|host identification has changed", _unknown_host_key),
    (_LOGIN_WANTED, _no_login),
    (r"transport '([^']*)' not allowed", _not_allowed),
    (r"error: object [0-9a-f]{40,64}: (\w+: [^\n]*)", _not_sound),
    (_NOTHING_THERE, _no_repository),
    (_NO_ANSWER, _unreachable),
)
"""What git says, and what it means; the first that fits."""
