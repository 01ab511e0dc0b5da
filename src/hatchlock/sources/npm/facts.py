"""What a package's manifest says about it, whatever of npm's many spellings it uses."""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hatchlock.net.credentials import without_userinfo

__all__ = [
    "NpmFacts",
    "authors",
    "facts_of",
    "hashes",
    "install_script",
    "licence",
    "normal_commands",
    "publisher",
    "repository",
    "words",
]

_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_PERSON = re.compile(r"\s*([^<(]*)")
_HOSTS = {"github": "github.com", "gitlab": "gitlab.com", "bitbucket": "bitbucket.org"}
_SHORTHAND = re.compile(r"(?:(?P<host>github|gitlab|bitbucket):)?(?P<path>[\w.-]+/[\w.-]+)", re.ASCII)
_SCP = re.compile(r"(?:ssh://)?[\w.-]+@(?P<host>[\w.-]+)[:/](?P<path>[^\s]+)", re.ASCII)
_WANTED_HASHES = {"sha512": 64, "sha256": 32}


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmFacts:
    """What people want to know of a version; "" where nobody says.

    Attributes:
        licence: SPDX, or the author's words.
        authors: Names.
        publisher: The account that published it.
        repository: Address of the source.
        signature: "unsigned", "signed" or "attested": what the registry offers, not what was verified.
        install_script: Whether it wants to run a script when it is installed.
    """

    licence: str = ""
    authors: str = ""
    publisher: str = ""
    repository: str = ""
    signature: str = "unsigned"
    install_script: bool = False


def facts_of(about: Mapping[str, Any], signature: str, *, script: bool) -> NpmFacts:
    """Return what a manifest, or what a document keeps of it for readers, says.

    Args:
        about: The fields as the registry has them.
        signature: See `NpmFacts`.
        script: Whether the version has an install script.
    """
    return NpmFacts(
        licence=licence(about),
        authors=authors(about),
        publisher=publisher(about),
        repository=repository(about),
        signature=signature,
        install_script=script,
    )


def licence(about: Mapping[str, Any]) -> str:
    """Return the licence: an SPDX expression in new packages, the author's words in old ones, or ""."""
    found = about.get("license") or about.get("licenses")
    items = found if isinstance(found, list) else [found]
    texts = [item.get("type") if isinstance(item, dict) else item for item in items]
    return " OR ".join(_one_line(text) for text in texts if isinstance(text, str) and text.strip())


def authors(about: Mapping[str, Any]) -> str:
    """Return the names of the author, or else of contributors or maintainers, separated by commas; "" if nobody is named."""
    for key in ("author", "contributors", "maintainers"):
        found = about.get(key)
        names = [_person(item) for item in (found if isinstance(found, list) else [found])]
        if any(names):
            return ", ".join(dict.fromkeys(name for name in names if name))
    return ""


def publisher(about: Mapping[str, Any]) -> str:
    """Return the account that published the version, or ""."""
    user = about.get("_npmUser")
    return _person(user)


def repository(about: Mapping[str, Any]) -> str:
    """Return the address of the source repository, as a browser takes it where it is of a known form; or ""."""
    found = about.get("repository")
    text = found.get("url") if isinstance(found, dict) else found
    if not isinstance(text, str) or not text.strip():
        return ""
    text = _one_line(text)
    if match := _SHORTHAND.fullmatch(text):
        return f"https://{_HOSTS[match['host'] or 'github']}/{match['path'].removesuffix('.git')}"
    text = text.removeprefix("git+")
    if match := _SCP.fullmatch(text):
        return f"https://{match['host']}/{match['path'].removesuffix('.git')}"
    if urlsplit(text).scheme in {"git", "http", "https"}:
        return "https:" + without_userinfo(text).partition(":")[2].removesuffix(".git")
    return text


def install_script(manifest: Mapping[str, Any]) -> bool:
    """Return whether a manifest, full or abbreviated, wants to run something when it is installed."""
    scripts = manifest.get("scripts")
    return bool(manifest.get("hasInstallScript")) or (
        isinstance(scripts, dict) and any(scripts.get(name) for name in _INSTALL_SCRIPTS)
    )


def normal_commands(name: str, found: Any) -> dict[str, str]:
    """Return a manifest's `bin` as command -> file below the package; neither leads anywhere else.

    Args:
        name: The package: a single file is its command, without the scope.
        found: The field as the manifest has it: text, list or mapping.
    """
    if isinstance(found, str):
        found = {name: found}
    elif isinstance(found, list):
        found = {posixpath.basename(item): item for item in found if isinstance(item, str)}
    if not isinstance(found, dict):
        return {}
    commands = {}
    for key, target in found.items():
        command = posixpath.basename(re.sub(r"[\\:]", "/", key))
        file = posixpath.normpath("/" + target.replace("\\", "/")).lstrip("/") if isinstance(target, str) else ""
        if command not in {"", ".", ".."} and file:
            commands[command] = file
    return dict(sorted(commands.items()))


def words(found: Any) -> tuple[str, ...]:
    """Return `os`, `cpu` or `libc` of a manifest, sorted; npm allows a single text."""
    items: Iterable[Any] = [found] if isinstance(found, str) else found if isinstance(found, list) else ()
    return tuple(sorted({item for item in items if isinstance(item, str)}))


def hashes(integrity: str) -> dict[str, str]:
    """Return the hashes of a subresource integrity that are strong enough to lock: algorithm -> hex digits."""
    found: dict[str, str] = {}
    for item in integrity.split():
        algorithm, _, rest = item.partition("-")
        try:
            digest = base64.b64decode(rest.partition("?")[0], validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(digest) == _WANTED_HASHES.get(algorithm):
            found.setdefault(algorithm, digest.hex())
    return found


def _person(found: Any) -> str:
    if isinstance(found, dict):
        found = found.get("name") or found.get("email")
    if not isinstance(found, str):
        return ""
    match = _PERSON.match(found)
    return _one_line(match.group(1) if match and match.group(1).strip() else found)


def _one_line(text: str) -> str:
    return " ".join(text.split())
