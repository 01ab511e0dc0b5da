"""The text behind `git:`: a repository, and what of it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import SplitResult, quote, unquote, urlsplit

from hatchlock.address import BadSource

__all__ = ["GitReference", "Protocol", "is_commit", "protocol_of", "repository_url"]

Protocol = Literal["https", "http", "ssh", "file"]

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SCP = re.compile(r"(?P<user>[^/@:]+)@(?P<host>[^/@:]+):(?P<path>[^-].*)")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
# git-check-ref-format(1), and what git itself would take for an expression or an option
_BAD_REF = re.compile(r"^[-./]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|[./]$|\.lock(/|$)|^@$")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KEYS = frozenset({"subdirectory", "submodules", "as", "egg"})

_FORM = "write git:https://HOST/OWNER/REPOSITORY@REF#subdirectory=DIR&submodules=true&as=python"
_CREDENTIALS = (
    "leave them out, and give them to git: a credential helper (`git config --global credential.helper …`), "
    "~/.netrc, or an SSH key with git:ssh://git@HOST/…"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class GitReference:
    """A repository and what of it is meant.

    Attributes:
        url: What git is given: https, ssh, file, or http to this machine; never with credentials.
        ref: A branch, a tag, a full name (`refs/pull/7/head`), a commit or the beginning of one; "" for the default branch.
        subdirectory: Where the project is, with `/`; "" for the root.
        submodules: Whether the repositories that the tree pins belong to it.
        as_: "python", "node" or "files", where what was detected is not what is wanted; "" otherwise.
    """

    url: str
    ref: str = ""
    subdirectory: str = ""
    submodules: bool = False
    as_: str = ""

    @classmethod
    def parse(cls, spec: str) -> GitReference:
        """Read the text behind `git:`.

        That is `https://HOST/PATH`, `ssh://git@HOST/PATH`, `git@HOST:PATH`, `file:///PATH` or an absolute path; then `@REF`,
        which may hold `/` and `@` (an `@` of the path is written `%40`); then `#` with any of `subdirectory=DIR`,
        `submodules=true`, `as=python|node|files`, joined by `&`. pip's `git+https://…` and `#egg=…` mean the same.

        Raises:
            BadSource: It is something else, or holds credentials.
        """
        text = spec.strip()
        address, _, fragment = text.partition("#")
        address, ref = _split_ref(address.removeprefix("git+"))
        options = _options(fragment, spec)
        return cls(
            url=repository_url(address, spec=spec),
            ref=_checked_ref(ref, spec),
            subdirectory=_checked_directory(options.get("subdirectory", ""), spec),
            submodules=_checked_choice("submodules", options, ("true", "false"), spec) == "true",
            as_=_checked_choice("as", options, ("python", "node", "files"), spec),
        )

    @property
    def protocol(self) -> Protocol:
        """How the repository is reached."""
        return protocol_of(self.url)

    @property
    def is_local(self) -> bool:
        """Whether it is a directory of this machine, which only its owner's own manifest may name."""
        return self.protocol == "file"

    @property
    def name(self) -> str:
        """The repository's own name: the last part of its path, without `.git`."""
        return unquote(re.split("[/:]", self.url)[-1]).removesuffix(".git")

    @property
    def publisher(self) -> str:
        """The host and what owns the repository there: `github.com/owner`; "" for a file."""
        if self.protocol == "file":
            return ""
        scp = _SCP.fullmatch(self.url)
        host, path = (scp["host"], scp["path"]) if scp else _host_and_path(urlsplit(self.url))
        owner = path.strip("/").rpartition("/")[0]
        return f"{host}/{owner}".rstrip("/")

    def __str__(self) -> str:
        options = [
            f"subdirectory={quote(self.subdirectory, safe='/@')}" if self.subdirectory else "",
            "submodules=true" if self.submodules else "",
            f"as={self.as_}" if self.as_ else "",
        ]
        fragment = "&".join(option for option in options if option)
        ref = f"@{quote(self.ref, safe='/@+!$,;=')}" if self.ref else ""
        return f"{self.url}{ref}" + (f"#{fragment}" if fragment else "")


def is_commit(ref: str) -> bool:
    """Return whether a ref is a whole commit id, SHA-1 or SHA-256."""
    return _COMMIT.fullmatch(ref) is not None


def protocol_of(url: str) -> Protocol:
    """Return how git reaches a `repository_url`."""
    return cast("Protocol", url.partition("://")[0]) if "://" in url else "ssh"


def repository_url(text: str, *, spec: str = "") -> str:
    """Return a repository's address in its normal form: scheme and host in lower case, no `/` at the end.

    Args:
        text: https, ssh, file, http to this machine, `user@host:path`, or an absolute path, which becomes `file://`.
        spec: The whole that it is a part of, for messages.

    Raises:
        BadSource: It is something else, or holds credentials.
    """
    shown = f"git:{_without_password(spec or text)}"
    local = text.startswith("/")
    if not text or _UNPRINTABLE.search(text.replace(" ", "") if local else text):
        raise BadSource(text=shown, why="there is no repository's address in it", advice=_FORM)
    if local:
        return f"file://{quote(text.rstrip('/'), safe='/')}"
    if "://" not in text:
        return _scp_url(text, shown)
    parts = _split(text, shown)
    if parts.scheme == "file":
        return _file_url(parts, shown)
    if parts.scheme not in {"https", "ssh", "http"}:
        raise BadSource(text=shown, why=f"{parts.scheme}:// is no way to a repository here", advice=_FORM)
    user, at, host = parts.netloc.rpartition("@")
    if at and (parts.scheme != "ssh" or not _USER.fullmatch(user)):
        raise BadSource(text=shown, why="it holds a user name or password", advice=_CREDENTIALS)
    if not _HOST.fullmatch(re.sub(r":\d+$", "", host)):
        raise BadSource(text=shown, why=f"{host!r} is no host", advice=_FORM)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise BadSource(text=shown, why="http:// can be read and changed on its way", advice="write https://")
    path = parts.path.rstrip("/")
    if not path or parts.query:
        why = "a repository's address has no `?`" if parts.query else "the address has no path"
        raise BadSource(text=shown, why=why, advice=_FORM)
    return f"{parts.scheme}://{user}{at}{host.lower()}{path.replace('@', '%40')}"


def _split(text: str, shown: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        # What looks like a port may be half a password: neither it nor what Python says of it is shown.
        raise BadSource(text="git:…", why="its address has no host, or no number as port", advice=_FORM) from None
    if _UNPRINTABLE.search(unquote(parts.path).replace(" ", "")):
        raise BadSource(text=shown, why="its path cannot be printed", advice=_FORM)
    return parts


def _file_url(parts: SplitResult, shown: str) -> str:
    path = unquote(parts.path).rstrip("/")
    if parts.netloc not in {"", "localhost"} or not path or parts.query:
        raise BadSource(text=shown, why="a file's address has no host", advice="write git:file:///PATH")
    return f"file://{quote(path, safe='/')}"


def _scp_url(text: str, shown: str) -> str:
    match = _SCP.fullmatch(text)
    if match is None:
        short = re.fullmatch(r"[\w.-]+/[\w.-]+", text)
        advice = f"write git:https://HOST/{text} with the host that it is on" if short else _FORM
        raise BadSource(text=shown, why="that is no repository's address", advice=advice)
    if not _USER.fullmatch(match["user"]) or not _HOST.fullmatch(match["host"]) or "@" in match["path"]:
        raise BadSource(text=shown, why="that is no user@host:path", advice=_FORM)
    return f"{match['user']}@{match['host'].lower()}:{match['path'].rstrip('/')}"


def _split_ref(address: str) -> tuple[str, str]:
    """The first `@` of the path begins the ref: a branch or tag may hold more of them, a path may not."""
    if "://" in address:
        scheme, _, rest = address.partition("://")
        host, slash, path = rest.partition("/")
        path, _, ref = path.partition("@")
        return f"{scheme}://{host}{slash}{path}", ref
    if address.startswith("/"):
        path, _, ref = address.partition("@")
        return path, ref
    user, at, rest = address.partition("@")
    path, _, ref = rest.partition("@")
    return f"{user}{at}{path}", ref


def _checked_ref(text: str, spec: str) -> str:
    ref = unquote(text)
    if ref and _BAD_REF.search(ref):
        advice = "write a branch, a tag or a commit behind the @; an @ of the address itself is written %40"
        raise BadSource(text=f"git:{_without_password(spec)}", why=f"{ref!r} is no name of a ref", advice=advice)
    return "" if ref == "HEAD" else ref


def _options(fragment: str, spec: str) -> dict[str, str]:
    shown = f"git:{_without_password(spec)}"
    options: dict[str, str] = {}
    for part in fragment.split("&") if fragment else []:
        key, equals, value = part.partition("=")
        if not equals:
            raise BadSource(
                text=shown, why=f"{part!r} behind the # says nothing", advice=f"a ref follows an @: {_FORM}"
            )
        if key not in _KEYS or key in options:
            raise BadSource(text=shown, why=f"{key!r} is unknown or twice behind the #", advice=_FORM)
        options[key] = unquote(value)
    return options


def _checked_choice(key: str, options: dict[str, str], values: tuple[str, ...], spec: str) -> str:
    given = options.get(key, "")
    if key in options and given not in values:
        raise BadSource(
            text=f"git:{_without_password(spec)}",
            why=f"{key}={given} is not known",
            advice=f"write {key}= with one of {', '.join(values)}",
        )
    return given


def _checked_directory(text: str, spec: str) -> str:
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if text.startswith("/") or ".." in parts or ".git" in parts or any(ord(char) < 32 for char in text):  # noqa: PLR2004  control characters
        raise BadSource(
            text=f"git:{_without_password(spec)}",
            why=f"{text!r} is not a directory in the repository",
            advice="write subdirectory=DIR, relative to the repository's root",
        )
    return "/".join(parts)


def _host_and_path(parts: SplitResult) -> tuple[str, str]:
    return parts.netloc.rpartition("@")[2], unquote(parts.path)


def _without_password(text: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]*@", lambda match: "git@" if match[0] == "git@" else "…@", text)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
