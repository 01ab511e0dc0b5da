"""Wheels that are named by their own address: `NAME @ https://…/NAME-1.0-py3-none-any.whl#sha256=…` (PEP 440, PEP 508)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urldefrag, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from hatchlock.errors import HatchlockError
from hatchlock.net.cache import Cache
from hatchlock.net.credentials import without_userinfo
from hatchlock.net.http import Http
from hatchlock.sources.python.indexes import DEFAULT_TTL
from hatchlock.sources.python.sdists import SourceOnly
from hatchlock.sources.python.simple import SDIST_SUFFIXES, IndexFile, is_file_name

__all__ = ["BadDirectUrl", "DirectFiles", "named_file"]

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_CACHE_FORM = "direct-1"


@dataclass(kw_only=True, eq=False)
class BadDirectUrl(HatchlockError):
    """An address that is to be a package is none that can be used."""

    code: ClassVar[str] = "bad-direct-url"

    url: str
    why: str

    def __str__(self) -> str:
        return f"{self.url} cannot be used as a package: {self.why}"

    def _hint(self) -> str:
        return "give the https address of a wheel (NAME-VERSION-py3-none-any.whl), with #sha256=… behind it"


def named_file(url: str, name: str) -> tuple[IndexFile, str]:
    """Return the wheel that an address is, as far as the address says it, and its version; asks nobody.

    Args:
        url: With `#sha256=…` or without; then `sha256` is "".
        name: The project that it is to be.

    Raises:
        BadDirectUrl: It is no http(s) address, or that of another project or of no wheel.
        SourceOnly: It is that of a source distribution.
    """
    address, fragment = urldefrag(url)
    parts = urlsplit(address)
    file_name = unquote(parts.path.rpartition("/")[2])
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise BadDirectUrl(url=without_userinfo(address), why="it is no http(s) address without user name and password")
    if not is_file_name(file_name):
        raise BadDirectUrl(url=address, why="it does not end in the name of a file")
    if file_name.endswith(SDIST_SUFFIXES):
        raise SourceOnly(package=name, version=f"at {address}", requirer="the manifest")
    try:
        found, version, _, _ = parse_wheel_filename(file_name)
    except InvalidWheelFilename as error:
        raise BadDirectUrl(url=address, why=str(error)) from error
    if found != canonicalize_name(name):
        raise BadDirectUrl(url=address, why=f"it is {found}, not {name}")
    return IndexFile(name=file_name, url=address, sha256=_sha256_in(fragment)), str(version)


class DirectFiles:
    """Finds out the hashes of such wheels, in whatever thread it is called from.

    Args:
        http: Asks their servers.
        cache_dir: Where the hashes of addresses without one are kept for a while.
        refresh: Fetch those again.
    """

    def __init__(self, *, http: Http, cache_dir: Path, refresh: bool) -> None:
        self._http = http
        self._refresh = refresh
        self._cache = Cache(cache_dir / _CACHE_FORM)

    def file(self, url: str, name: str) -> IndexFile:
        """Return the wheel at an address, with its sha256: the one behind the address, else that of what is there now.

        Raises:
            BadDirectUrl, SourceOnly: See `named_file`.
            Refused: The server wants credentials.
            Unreachable: It cannot be asked.
        """
        file, _ = named_file(url, name)
        if file.sha256:
            return file
        kept = self._kept(file.url)
        if kept:
            return replace(file, sha256=kept[0], size=kept[1])
        seen = hashlib.sha256()
        size = self._http.download(file.url, seen.update)
        self._cache.save(file.url, json.dumps([seen.hexdigest(), size]).encode())
        return replace(file, sha256=seen.hexdigest(), size=size)

    def _kept(self, url: str) -> tuple[str, int] | None:
        kept = self._cache.load(url)
        old = kept is None or self._refresh or self._cache.age(kept) >= DEFAULT_TTL
        if kept is None or (old and not self._http.offline):
            return None
        try:
            sha256, size = json.loads(kept.body)
        except ValueError:
            return None
        return (sha256, size) if _SHA256.fullmatch(sha256) else None


def _sha256_in(fragment: str) -> str:
    (found, *_) = parse_qs(fragment).get("sha256", [""])
    return found.lower() if _SHA256.fullmatch(found) else ""
