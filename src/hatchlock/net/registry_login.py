"""How a registry's `WWW-Authenticate` is met: HTTP's Basic (RFC 7617), or a token as the distribution project specifies it.

A login goes to its registry, and to the token service that this registry names, over https or on loopback alone.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from hatchlock.net.docker_credentials import Credentials, Lookup, find_login
from hatchlock.net.registry_errors import ImageUnreachable, LoginNeeded, NoAccess, WrongLogin
from hatchlock.net.registry_places import Place, is_loopback
from hatchlock.net.registry_wire import Answer, Wire

__all__ = ["Admission", "Logins"]

_SCHEME = re.compile(r"(?:^|,\s*)(basic|bearer)(?=\s|$)", re.IGNORECASE)
_FACT = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')
_TOKEN_AT_MOST = 1 << 20
_CLIENT = "hatchlock"
_OK = 200
_UNAUTHORIZED = 401
_FORBIDDEN = 403


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """What may be said to a registry about one of its repositories.

    Attributes:
        header: The value of `Authorization`.
        known: Whether it says who asks; a token can be got without a login, too.
        token: Whether the registry's token service has already accepted the login.
    """

    header: str
    known: bool
    token: bool


class Logins:
    """The user's logins, looked up when a registry asks for one. May be used from several threads.

    Args:
        environ: The user's variables; see `docker_credentials`.
        wire: Reaches token services.
        actions: What a token is for, where the registry does not say it: "pull" or "pull,push".
    """

    def __init__(self, environ: Mapping[str, str], wire: Wire, *, actions: str = "pull") -> None:
        self._environ = environ
        self._actions = actions
        self._wire = wire
        self._lock = threading.Lock()
        self._found: dict[str, Lookup] = {}
        self._admissions: dict[tuple[str, str], Admission] = {}

    def known(self, place: Place) -> Admission | None:
        """Return what was last said to a place."""
        return self._admissions.get((place.host, place.repository))

    def admit(self, place: Place, challenge: str, image: str) -> Admission:
        """Return what to say to a place that answered 401.

        Args:
            place: The registry, or a mirror.
            challenge: Its `WWW-Authenticate`.
            image: For messages.

        Raises:
            LoginNeeded: It wants a login, and there is none that may be given to it.
            WrongLogin, NoAccess: Its token service does not accept the login.
            ImageUnreachable: It asks for something else, or its token service does not answer as it should.
            urllib3.exceptions.HTTPError: Its token service does not answer at all.
            BadDockerConfig, PermissionProblem: The user's logins cannot be read.
        """
        asked = dict(_challenges(challenge))
        found = self._login(place)
        if "bearer" in asked:
            header = self._token(place, asked["bearer"], found, image)
            admission = Admission(header=header, known=found.credentials is not None, token=True)
        elif "basic" in asked:
            if found.credentials is None or not found.credentials.user:
                raise _needed(place, found, image)
            admission = Admission(header=_basic(found.credentials), known=True, token=False)
        else:
            why = f"it wants to be asked in a way that is not known ({challenge.partition(' ')[0] or 'it does not say how'})"
            raise ImageUnreachable(image=image, registry=place.host, why=why)
        self._admissions[place.host, place.repository] = admission
        return admission

    def refused(
        self, place: Place, admission: Admission | None, status: int, image: str
    ) -> LoginNeeded | WrongLogin | NoAccess:
        """Return what it means that a place answers 401 or 403 to what `admit` gave, or to nothing."""
        if admission is None or not admission.known:
            return _needed(place, self._login(place), image)
        if status == _UNAUTHORIZED and not admission.token:
            return WrongLogin(image=image, registry=place.host)
        return NoAccess(image=image, registry=place.host)

    def _login(self, place: Place) -> Lookup:
        if not place.private:
            return Lookup(problem="no login is sent over plain http")
        with self._lock:
            if place.host not in self._found:
                self._found[place.host] = find_login(place.host, self._environ)
            return self._found[place.host]

    def _token(self, place: Place, asked: Mapping[str, str], found: Lookup, image: str) -> str:
        realm = asked.get("realm", "")
        if not _may_be_told(realm, place):
            why = "its token service has no https address"
            raise ImageUnreachable(image=image, registry=place.host, why=why)
        query = {
            "service": asked.get("service", ""),
            "scope": asked.get("scope") or f"repository:{place.repository}:{self._actions}",
        }
        answer = self._ask(realm, {key: value for key, value in query.items() if value}, found.credentials)
        with contextlib.closing(answer):
            data = answer.read(_TOKEN_AT_MOST)
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            if found.credentials is None:
                raise _needed(place, found, image)
            wrong = WrongLogin if answer.status == _UNAUTHORIZED else NoAccess
            raise wrong(image=image, registry=place.host)
        token = _token_in(data) if answer.status == _OK else ""
        if not token:
            why = f"its token service {urlsplit(realm).netloc} gives no token (status {answer.status})"
            raise ImageUnreachable(image=image, registry=place.host, why=why)
        return f"Bearer {token}"

    def _ask(self, realm: str, asked: Mapping[str, str], credentials: Credentials | None) -> Answer:
        if credentials and credentials.identity_token:
            form = {**asked, "grant_type": "refresh_token", "client_id": _CLIENT}
            body = urlencode({**form, "refresh_token": credentials.identity_token})
            return self._wire.ask("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, body=body)
        headers = {"Authorization": _basic(credentials)} if credentials else {}
        join = "&" if "?" in realm else "?"
        return self._wire.ask("GET", f"{realm}{join}{urlencode(asked)}", headers)


def _challenges(text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    starts = list(_SCHEME.finditer(text))
    for number, match in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        facts = {name: quoted or plain for name, quoted, plain in _FACT.findall(text[match.end() : end])}
        yield match[1].lower(), facts


def _may_be_told(realm: str, place: Place) -> bool:
    try:
        parts = urlsplit(realm)
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    # without a login there is nothing to protect
    return parts.scheme == "http" and place.url.startswith("http:") and (is_loopback(parts.netloc) or not place.private)


def _needed(place: Place, found: Lookup, image: str) -> LoginNeeded:
    return LoginNeeded(image=image, registry=place.host, why_none=found.problem, login=place.private)


def _basic(credentials: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()


def _token_in(data: bytes) -> str:
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else ""
    return token if isinstance(token, str) and token.isascii() and token.isprintable() else ""
