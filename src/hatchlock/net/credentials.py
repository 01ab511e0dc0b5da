"""User names and passwords for hosts: from a URL that the user wrote, else from netrc."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit, urlunsplit

from hatchlock.errors import HatchlockError

__all__ = ["BadNetrc", "Credentials", "without_userinfo"]


@dataclass(kw_only=True, eq=False)
class BadNetrc(HatchlockError):
    """The user's netrc file cannot be read as one."""

    code: ClassVar[str] = "bad-netrc"

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path} is no netrc file: {self.why}"

    def _hint(self) -> str:
        return "mend it, or point NETRC at another file"


def without_userinfo(url: str) -> str:
    """Return `url` as it may be shown: without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class Credentials:
    """What is known about hosts. Thread safe. Nothing of it is ever shown or written.

    Args:
        environ: `NETRC` names the file; without it, `$HOME/.netrc`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = environ.get("HOME")
        self._netrc_path = environ.get("NETRC") or (str(Path(home) / ".netrc") if home else "")
        self._netrc: Mapping[str, tuple[str, str]] | None = None
        self._learnt: dict[str, tuple[str, str]] = {}

    def learn(self, url: str) -> str:
        """Keep the user name and password of `url` for its host and port, and return the URL without them."""
        parts = urlsplit(url)
        if parts.username is not None:
            host = parts.netloc.rpartition("@")[2]
            self._learnt[host] = (unquote(parts.username), unquote(parts.password or ""))
        return without_userinfo(url)

    def authorization(self, url: str) -> str | None:
        """Return the value of the `Authorization` header (RFC 7617) for a request to `url`, or None.

        Raises:
            BadNetrc: The netrc file does not parse.
        """
        parts = urlsplit(url)
        known = self._learnt.get(parts.netloc) or self._from_netrc().get(parts.hostname or "")
        if known is None:
            return None
        return "Basic " + base64.b64encode(":".join(known).encode()).decode()

    def _from_netrc(self) -> Mapping[str, tuple[str, str]]:
        if self._netrc is None:
            self._netrc = _read_netrc(self._netrc_path)
        return self._netrc


def _read_netrc(path: str) -> Mapping[str, tuple[str, str]]:
    if not path or not Path(path).is_file():
        return {}
    import netrc  # noqa: PLC0415  only for those who have such a file

    try:
        hosts = netrc.netrc(path).hosts
    except (netrc.NetrcParseError, UnicodeDecodeError) as error:
        raise BadNetrc(path=path, why=str(error)) from error
    except OSError as error:
        raise BadNetrc(path=path, why=error.strerror or "it cannot be read") from error
    return {host: (login, password or "") for host, (login, _, password) in hosts.items() if host != "default"}
