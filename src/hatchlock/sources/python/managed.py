"""Interpreters that uv manages (python-build-standalone): which archive it would take, and that archive's SHA-256."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.lock.model import File
from hatchlock.net.credentials import without_userinfo
from hatchlock.net.http import Http
from hatchlock.process import run
from hatchlock.realise.uv_program import uv_program
from hatchlock.sources.base import BadAnswer

__all__ = ["ManagedArchive", "NoManagedPython", "archive_url", "find_archives"]

_SYSTEMS = {
    "linux/amd64": ("linux", "x86_64", "gnu"),
    "linux/arm64": ("linux", "aarch64", "gnu"),
    "darwin/amd64": ("macos", "x86_64", "none"),
    "darwin/arm64": ("macos", "aarch64", "none"),
}
"""Platform -> how uv writes system, processor and libc."""
_PASSED = (
    *("HOME", "PATH", "XDG_CACHE_HOME", "UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL"),
    *("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS", "UV_NATIVE_TLS"),
)
_JSON_VARIABLE = "UV_PYTHON_DOWNLOADS_JSON_URL"
_SUMS = "SHA256SUMS"
_LIST_SECONDS = 60.0
_RELEASE = re.compile(r"\d+\.\d+\.\d+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_BUILD = re.compile(r"cpython-\d+\.\d+\.\d+\+(?P<tag>\w+)-")


@dataclass(kw_only=True, eq=False)
class NoManagedPython(HatchlockError):
    """uv offers no interpreter of a version for a platform."""

    code: ClassVar[str] = "no-managed-python"

    version: str
    platform: str

    def __str__(self) -> str:
        return f"uv offers no CPython {self.version} for {self.platform}"

    def _hint(self) -> str:
        return (
            "choose a version that `uv python list --all-platforms --all-arches --only-downloads` shows, "
            "or a newer uv; without `managed:` an interpreter of the machine is used"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagedArchive:
    """An archive of an interpreter.

    Attributes:
        version: The interpreter's full version, "3.11.9".
        file: Name, SHA-256 and platform, as the lock keeps it.
        url: Where it is now.
    """

    version: str
    file: File
    url: str


def find_archives(
    version: str, platforms: Sequence[str], *, http: Http, environ: Mapping[str, str]
) -> Mapping[str, ManagedArchive]:
    """Return, for each platform, the archive of the newest CPython of a version that this uv would install.

    uv is asked what it offers, with the user's UV_PYTHON_INSTALL_MIRROR and UV_PYTHON_DOWNLOADS_JSON_URL; nothing is
    installed. The SHA-256 is that of the downloads document if one is named there and says it, else that of the file
    SHA256SUMS beside the archive.

    Args:
        version: "3.11", or a full version.
        platforms: `linux/amd64`, `darwin/arm64`, …
        http: Whom to ask for the sums with; nobody when it is offline.
        environ: The user's variables.

    Raises:
        NoManagedPython: There is none for a platform.
        BadAnswer: uv's answer, the document or the sums are not what they should be.
        ProcessFailed: uv cannot be run.
        Unreachable: The document or the sums cannot be had.
    """
    offered = list(_offered(http, environ))
    chosen = {platform: _newest(version, platform, offered) for platform in sorted(set(platforms))}
    known = _documented(http, environ)
    sums: dict[str, Mapping[str, str]] = {}
    found = {}
    for platform, offer in chosen.items():
        name = _file_name(offer.url)
        if name not in known:
            beside = f"{offer.url.rpartition('/')[0]}/{_SUMS}"
            if beside not in sums:
                sums[beside] = _read_sums(http, beside)
        sha256 = known.get(name) or sums[beside].get(name, "")
        if not sha256:
            raise BadAnswer(what=without_userinfo(beside), why=f"it has no sum for {name}")
        found[platform] = ManagedArchive(
            version=offer.version, file=File(name=name, sha256=sha256, platform=platform), url=offer.url
        )
    return found


def archive_url(name: str, *, http: Http, environ: Mapping[str, str]) -> str:
    """Return where the archive of that name is, by what this uv offers and the user's mirror.

    A newer uv may list only newer builds of the same version; the locked one is then where those are, under its own tag.

    Raises:
        BadAnswer: uv's answer is not what it should be, or has nothing that tells.
        ProcessFailed: uv cannot be run.
    """
    urls = [offer.url for offer in _offered(http, environ)]
    if same := next((url for url in urls if _file_name(url) == name), ""):
        return same
    build = _BUILD.match(name)
    tagged = next((url for url in urls if (other := _BUILD.match(_file_name(url))) and f"/{other['tag']}/" in url), "")
    if build is None or not tagged:
        raise BadAnswer(what="uv python list", why=f"it does not tell where {name} is")
    return f"{tagged.rsplit('/', 2)[0]}/{build['tag']}/{quote(name)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    version: str
    system: tuple[str, str, str]
    url: str


def _offered(http: Http, environ: Mapping[str, str]) -> Iterator[_Offer]:
    argv = [uv_program(), "python", "list", "--no-config", "--no-cache", "--only-downloads", "--output-format", "json"]
    every = ["--all-platforms", "--all-arches", "--all-versions", *(["--offline"] if http.offline else [])]
    env = {name: environ[name] for name in _PASSED if name in environ}
    answer = run([*argv, *every], env={**env, "UV_PYTHON_DOWNLOADS": "automatic"}, timeout=_LIST_SECONDS)
    try:
        for entry in json.loads(answer):
            if (entry["implementation"], entry["variant"]) == ("cpython", "default"):
                system = (str(entry["os"]), str(entry["arch"]), str(entry["libc"]))
                yield _Offer(version=str(entry["version"]), system=system, url=str(entry["url"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadAnswer(what="uv python list", why=f"it is not in the form that is known ({error!r})") from error


def _newest(version: str, platform: str, offered: Sequence[_Offer]) -> _Offer:
    fitting = [
        offer
        for offer in offered
        if offer.system == _SYSTEMS.get(platform)
        and _RELEASE.fullmatch(offer.version)
        and f"{offer.version}.".startswith(f"{version}.")
    ]
    if not fitting:
        raise NoManagedPython(version=version, platform=platform)
    return max(fitting, key=lambda offer: ([int(part) for part in offer.version.split(".")], offer.url))


def _file_name(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _documented(http: Http, environ: Mapping[str, str]) -> Mapping[str, str]:
    """File name -> SHA-256, as the document says that the user put in the place of uv's own list."""
    place = environ.get(_JSON_VARIABLE, "")
    if not place:
        return {}
    parts = urlsplit(place)
    try:
        if parts.scheme in {"http", "https"}:
            data = http.get(place).checked().data
        else:
            data = Path(unquote(parts.path) if parts.scheme == "file" else place).read_bytes()
        return dict(_sums_of(json.loads(data)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadAnswer(
            what=_JSON_VARIABLE, why=f"{without_userinfo(place)} is no list of downloads ({error!r})"
        ) from error


def _sums_of(document: Any) -> Iterator[tuple[str, str]]:
    for entry in document.values():
        if entry.get("sha256"):
            yield _file_name(entry["url"]), str(entry["sha256"]).lower()


def _read_sums(http: Http, url: str) -> Mapping[str, str]:
    sums = {}
    for line in http.get(url).checked().data.decode("ascii", "replace").splitlines():
        sha256, _, name = line.partition(" ")
        if _SHA256.fullmatch(sha256):
            sums[name.strip().removeprefix("*")] = sha256
    if not sums:
        raise BadAnswer(what=without_userinfo(url), why="it is no list of SHA-256 sums")
    return sums
