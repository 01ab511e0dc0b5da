"""What npm means by the word behind `npx`: a package of the registry, a repository, or a directory."""

from __future__ import annotations

import re

from hatchlock.address import BadSource, Kind

__all__ = ["npx_source"]

_DIRECTORY = re.compile(r"(?:file:)?(?P<path>\.{1,2}(?:/.*)?|/.*)")
_ARCHIVE = re.compile(r"[^#?]*\.(?:tgz|tar\.gz|tar)(?:[#?].*)?", re.IGNORECASE)
_OWNED = re.compile(r"(?P<host>github:|gitlab:|bitbucket:)?(?P<path>[\w-]+/[\w.-]+)(?:#(?P<ref>.*))?")
_HOSTS = {None: "github.com", "github:": "github.com", "gitlab:": "gitlab.com", "bitbucket:": "bitbucket.org"}
_REPOSITORY = re.compile(
    r"(?:git(?:\+\w+)?|ssh)://|git@|https://[^#?]+\.git(?:#|$)|https://(?:github|gitlab)\.com/[^/]+/[^/#?]+(?:#|$)"
)
_USER = re.compile(r"https?://[^/]*@")


def npx_source(spec: str) -> str:
    """Return the source that npm would take for a word, `kind:…`.

    Raises:
        BadSource: It is a file or an address of one, a repository's tag by a range, or holds a password.
    """
    if _ARCHIVE.fullmatch(spec):
        raise _refused(
            "npm would take an archive", f"unpack it and name the directory, {Kind.PATH}:DIRECTORY, or a package"
        )
    if match := _DIRECTORY.fullmatch(spec):
        return f"{Kind.PATH}:{match['path']}"
    if match := _OWNED.fullmatch(spec):
        return _repository(f"https://{_HOSTS[match['host']]}/{match['path']}", match["ref"] or "")
    address, _, ref = spec.partition("#")
    if _REPOSITORY.match(spec):
        return _repository(re.sub(r"^git://", "https://", address.removeprefix("git+")), ref)
    if "://" in spec or spec.startswith(("file:", "gist:", "~")):
        raise _refused("it is no package, repository or directory", f"name a package, {Kind.NPM}:NAME@VERSION")
    return f"{Kind.NPM}:{spec}"


def _repository(address: str, ref: str) -> str:
    if _USER.match(address):
        raise _refused("the address holds a user name or password", "leave them to git, which has its own helpers")
    if ref.startswith("semver:"):
        raise _refused("a range is to choose a repository's tag", f"name the tag: {Kind.GIT}:ADDRESS@TAG")
    return f"{Kind.GIT}:{address}@{ref}" if ref else f"{Kind.GIT}:{address}"


def _refused(why: str, advice: str) -> BadSource:
    # the word itself is not shown: it may hold a password or a token
    return BadSource(text="what npx runs", why=why, advice=advice)
