"""User names and passwords for hosts: from a URL that the user wrote, else from netrc, else from the keyring."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote, urlsplit, urlunsplit

from hatchlock.errors import HatchlockError
from hatchlock.process import ProcessFailed, run

__all__ = ["BadNetrc", "Credentials", "without_userinfo"]

_KEYRING_SECONDS = 20.0


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
    try:
        parts = urlsplit(url)
    except ValueError:  # no address at all, but there may be a password in it
        return re.sub(r"(?<=//)[^/]*@", "", url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class Credentials:
    """What is known about hosts. Thread safe. Nothing of it is ever shown or written.

    Args:
        environ: `NETRC` names the file; without it, `$HOME/.netrc`. The program `keyring` is looked for on `PATH`, and runs
            with all of it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._asking = threading.Lock()
        self._keyring: dict[tuple[str, str], str | None] = {}
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
        return _basic(*known)

    def ask_keyring(self, url: str) -> str | None:
        """Return an `Authorization` header from the user's keyring, or None; for a server that answered 401.

        It is asked as pip does: `keyring get URL USER`, then with the host for the URL, where the user wrote a login into the
        address; otherwise for login and password. Once for a host and login, and never if a password is known otherwise. It
        has no terminal to prompt on, and little time.
        """
        parts = urlsplit(url)
        user, password = self._learnt.get(parts.netloc, ("", ""))
        if password or parts.hostname in self._from_netrc():
            return None
        with self._asking:
            key = (parts.netloc, user)
            if key not in self._keyring:
                services = (f"{parts.scheme}://{parts.netloc}/", parts.netloc)
                found = next((answer for service in services if (answer := self._get(service, user))), None)
                self._keyring[key] = found and _basic(*found)
                if found:
                    self._learnt[parts.netloc] = found
            return self._keyring[key]

    def _get(self, service: str, user: str) -> tuple[str, str] | None:
        program = shutil.which("keyring", path=self._environ.get("PATH", ""))
        if program is None or not Path(program).is_absolute():
            return None
        words = ["get", service, user] if user else ["--mode", "creds", "--output", "json", "get", service]
        try:
            answer = run([program, *words], env=self._environ, timeout=_KEYRING_SECONDS, new_session=True).decode()
            if user:
                password = answer.rstrip("\r\n")
                return (user, password) if password else None
            facts = json.loads(answer)
            return str(facts["username"]), str(facts["password"])
        except (ProcessFailed, ValueError, KeyError, TypeError):
            return None  # it has nothing, or is too old for this question

    def _from_netrc(self) -> Mapping[str, tuple[str, str]]:
        if self._netrc is None:
            self._netrc = _read_netrc(self._netrc_path)
        return self._netrc


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


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
