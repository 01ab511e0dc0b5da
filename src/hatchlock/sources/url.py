"""`url:` sources: a program or an archive by its address, for one platform or for several."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from hatchlock.address import BadSource
from hatchlock.events import Event, Sink, discard
from hatchlock.lock.model import File
from hatchlock.net.credentials import without_userinfo
from hatchlock.net.http import Http
from hatchlock.store.blobs import Blobs

__all__ = ["UrlReference", "UrlSource", "url_references"]

_FORM = "write url:https://HOST/PATH/FILE#sha256=… (64 hex digits)"
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".zip", ".mcpb")
_OF_A_PLATFORM = re.compile(r"(?P<platform>[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9]+)?)=(?P<text>\S+)")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_SECRETS = re.compile(r"token|secret|passw|signature|credential|api.?key|^(?:sig|auth|key)$", re.IGNORECASE)

_ENDINGS = re.compile(
    r"\.(?:tar\.(?:gz|bz2|xz|zst)|tar|tgz|tbz2|txz|zip|mcpb|gz|bz2|xz|zst|exe|appimage|bin|run|pyz|jar|sh|py|js|mjs)$"
)
_VERSION = r"v?\d+(?:\.\d+)*(?:[-_.+]?(?:alpha|beta|pre|rc|dev|post|nightly|[ab])(?:[-_.]?\d+)*)?"
_SYSTEMS = r"linux|darwin|macos(?:x)?|mac|osx|apple|windows|win(?:32|64)?|freebsd|pc|unknown|gnu|musl|glibc|msvc|static"
_PROCESSORS = r"x86[-_]64|amd64|x64|x86|i[36]86|386|aarch64|arm64|armv?[67]?(?:hf|l)?|universal2?|all|64bit|32bit|(?:gnu|musl)eabi(?:hf)?"
_TAIL = re.compile(rf"(?:^|[-_.+])(?:{_VERSION}|{_SYSTEMS}|{_PROCESSORS}|latest|release|nightly)$")
# What the addresses of forges hold between a project's name and its file.
_GENERIC = frozenset(
    {"archive", "archives", "download", "downloads", "heads", "refs", "releases", "tags", "tarball", "zip", "-"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class UrlReference:
    """A file by its address.

    Attributes:
        url: https, or http to this machine; without credentials and fragment.
        sha256: 64 hex digits; "" if it does not say, which only those accept who can find it out.
        given_name: The program's name where the one in the address is not wanted; "" otherwise.
    """

    url: str
    sha256: str = ""
    given_name: str = ""

    @classmethod
    def parse(cls, spec: str) -> UrlReference:
        """Read the text behind `url:`, `https://HOST/PATH/FILE#sha256=HEX`, then `&name=NAME` if wanted.

        Raises:
            BadSource: It is something else, or holds credentials.
        """
        address, _, fragment = spec.strip().partition("#")
        options = _options(fragment, address)
        sha256 = options.get("sha256", "")
        if "sha256" in options and not _SHA256.fullmatch(sha256):
            raise BadSource(text=_shown(address), why=f"{sha256!r} is no sha256", advice=_FORM)
        given = options.get("name", "")
        if "name" in options and not _NAME.fullmatch(given):
            advice = "write name= with lower-case letters, digits and .-_"
            raise BadSource(text=_shown(address), why=f"{given!r} cannot be the name of a program", advice=advice)
        _check_address(address)
        reference = cls(url=address, sha256=sha256.lower(), given_name=given)
        if not reference.name:
            advice = "append &name=NAME to what is behind the #"
            raise BadSource(text=_shown(address), why="no program's name can be read from its path", advice=advice)
        return reference

    @property
    def file_name(self) -> str:
        """The last part of the address's path."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    @property
    def name(self) -> str:
        """The program's: the file's name in lower case, without version, system, processor and file type.

        Where nothing is left (`…/tool/archive/v1.2.tar.gz`) it is the nearest part of the path that says something.
        """
        if self.given_name:
            return self.given_name
        parts = unquote(urlsplit(self.url).path).lower().split("/")
        parts[-1] = _ENDINGS.sub("", parts[-1])
        names = (_without_tail(part) for part in reversed(parts) if part not in _GENERIC)
        return next((name for name in names if _NAME.fullmatch(name)), "")

    @property
    def is_archive(self) -> bool:
        """Whether it is unpacked, by its file's name: a tar, compressed or not, or a zip, which an MCP bundle is."""
        return self.file_name.lower().endswith(_ARCHIVES)

    def __str__(self) -> str:
        options = [f"sha256={self.sha256}" if self.sha256 else "", f"name={self.given_name}" if self.given_name else ""]
        fragment = "&".join(option for option in options if option)
        return self.url + (f"#{fragment}" if fragment else "")


def url_references(spec: str) -> Mapping[str, UrlReference]:
    """Return platform -> reference, sorted; of an address for every platform under "".

    Args:
        spec: The text behind `url:`: an address, or `PLATFORM=ADDRESS` for several platforms, with spaces between them.

    Raises:
        BadSource: An address is none, or those of several platforms are not of one program.
    """
    tokens = spec.split()
    matches = [_OF_A_PLATFORM.fullmatch(token) for token in tokens]
    found = {match["platform"]: UrlReference.parse(match["text"]) for match in matches if match}
    if not found:
        return {"": UrlReference.parse(spec)}
    shown = "url:" + " ".join(f"{platform}={item.url}" for platform, item in sorted(found.items()))
    if len(found) != len(tokens):
        raise BadSource(text=shown, why="one of its addresses has no platform, or one that another has", advice=_FORM)
    names = sorted({reference.name for reference in found.values()})
    if len(names) > 1:
        why = f"its platforms have programs of different names: {', '.join(names)}"
        raise BadSource(text=shown, why=why, advice="append &name=NAME to what is behind each #")
    if len({reference.is_archive for reference in found.values()}) > 1:
        advice = "take an archive for each platform, or the program itself for each"
        raise BadSource(text=shown, why="some of its platforms have an archive, some the program itself", advice=advice)
    return dict(sorted(found.items()))


class UrlSource:
    """Files by their addresses. For any number of threads.

    Args:
        http: Asks their servers.
        emit: Told what is fetched, and about addresses without a hash.
    """

    def __init__(self, *, http: Http, emit: Sink = discard) -> None:
        self._http = http
        self._emit = emit

    def locate(self, reference: UrlReference, platform: str) -> File:
        """Return what the lock says of a file.

        With its sha256 it is known without asking anybody; only its size is not. Without it, all of the file is fetched to find
        the hash out, with a warning: then whoever serves it is believed.

        Args:
            reference: Which file.
            platform: For which platform; "" for every one.

        Raises:
            Refused, Unreachable: The server does not give it.
        """
        name = reference.file_name or reference.name
        if reference.sha256:
            return File(name=name, sha256=reference.sha256, platform=platform)
        self._emit(Event(name="fetch.start", address=f"url:{reference.url}"))
        digest = hashlib.sha256()
        size = self._http.download(reference.url, digest.update)
        advice = f"append #sha256={digest.hexdigest()} to keep what it is now"
        message = f"it says no sha256, so its server was believed; {advice}"
        self._emit(Event(name="resolve.note", address=f"url:{reference.url}", message=message))
        return File(name=name, sha256=digest.hexdigest(), size=size, platform=platform)

    def fetch(self, reference: UrlReference, file: File, blobs: Blobs) -> None:
        """Bring a locked file into the store, unless it is there.

        Args:
            reference: Where it is.
            file: From the lock.
            blobs: Where it goes.

        Raises:
            WrongHash: The server has other bytes now. None of them are kept.
            Refused, Unreachable: It does not give it.
            OSError: The disk is full, or the like.
        """
        if blobs.has(file.sha256):
            return
        with blobs.add(file.sha256, file.size, what=file.name, where=reference.url) as writer:
            self._http.download(reference.url, writer.write)


def _options(fragment: str, address: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in fragment.split("&") if fragment else []:
        key, equals, value = part.partition("=")
        if not equals or key not in {"sha256", "name"} or key in options:
            raise BadSource(text=_shown(address), why=f"{key!r} is unknown or twice behind the #", advice=_FORM)
        options[key] = unquote(value)
    return options


def _check_address(address: str) -> None:
    shown = _shown(address)
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        # what looks like a port may be a part of a password
        raise BadSource(text="url:…", why="its address has no host, or no number as port", advice=_FORM) from None
    if parts.username is not None:
        advice = "leave them out, and put the host's login and password into ~/.netrc"
        raise BadSource(text=shown, why="it holds a user name or password", advice=advice)
    if any(_SECRETS.search(key) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
        advice = "use an address that needs none, or a host whose login can stand in ~/.netrc"
        raise BadSource(text=shown, why="what is behind its `?` looks like a credential", advice=advice)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise BadSource(text=shown, why="that is no https address", advice=_FORM)
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise BadSource(text=shown, why="http:// can be read and changed on its way", advice="write https://")
    if quote(address, safe="%/:?&=+@!$'()*,;~[]-._") != address:
        raise BadSource(text=shown, why="it has characters that an address writes as %…", advice=_FORM)
    name = unquote(parts.path.rpartition("/")[2])
    if "/" in name or name in {".", ".."} or not name.isprintable():
        raise BadSource(text=shown, why=f"it ends in {name!r}, which is no file's name", advice=_FORM)


def _without_tail(text: str) -> str:
    while (shorter := _TAIL.sub("", text)) != text:
        text = shorter
    return text.strip("-_.+ ")


def _shown(address: str) -> str:
    return "url:" + without_userinfo(address).partition("?")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
