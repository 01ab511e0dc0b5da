"""A login as what a server is told: the token that there is, and another one in time.

Several sessions, in processes of their own, may use one login at once, and a refresh token is often good for one use only. So
who refreshes holds a lease, and looks first whether somebody else has done it.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hatchlock.errors import HatchlockError
from hatchlock.launch_parts import url_problem
from hatchlock.net.exchange import Exchanges
from hatchlock.security.secrets.logins import Login, Logins, end_of

__all__ = ["LoggedIn", "give_back", "refreshed"]

_BEFORE = 60.0
_LEASE_SECONDS = 60.0
_ANSWER = 1 << 20
_SECONDS = 30.0
_OK = 200
_FORM = "application/x-www-form-urlencoded"


class LoggedIn:
    """An `Authority`: somebody who has logged in.

    Args:
        headers: What the manifest says besides.
        server: The server's name.
        login: What there is.
        logins: Where it is kept.
        lease: The file of the lease for refreshing it.
        environ: The variables of proxies and certificates.
        hide: Told of new secrets, before they are used.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        server: str,
        login: Login,
        logins: Logins,
        lease: Path,
        environ: Mapping[str, str],
        hide: Callable[[Iterable[str]], None],
    ) -> None:
        self._headers = headers
        self._server = server
        self._login = login
        self._logins = logins
        self._lease = lease
        self._environ = environ
        self._hide = hide
        self._lock = threading.Lock()

    @property
    def told(self) -> str:
        """The login."""
        return "the login"

    def headers(self) -> Mapping[str, str]:
        """Return the manifest's headers and the token, refreshed if it is about to end.

        Raises:
            HatchlockError: It has ended, and the authorization server cannot be asked for another one.
        """
        with self._lock:
            if self._login.refresh_token and not self._login.lasts(time.time() + _BEFORE):
                try:
                    self._refresh(self._login.access_token)
                except HatchlockError:
                    if not self._login.lasts(time.time()):
                        raise
            return {**self._headers, "Authorization": f"Bearer {self._login.access_token}"}

    def renewed(self, refused: Mapping[str, str]) -> bool:
        """Whether there is another token than the refused one; if not yet, one is asked for.

        Raises:
            HatchlockError: The authorization server cannot be asked.
        """
        token = refused.get("Authorization", "").removeprefix("Bearer ")
        with self._lock:
            return self._login.access_token != token or self._refresh(token)

    def _refresh(self, refused: str) -> bool:
        from hatchlock.state.lease import lease  # noqa: PLC0415  most sessions end before their token

        with lease(self._lease, what=f"the login at {self._server}", purpose="run", timeout=_LEASE_SECONDS):
            kept = self._logins.get(self._server)
            if kept is None or kept.url != self._login.url:
                return False  # it was logged out
            if kept.access_token != refused:
                self._take(kept)
                return True
            fresh = refreshed(kept, self._environ)
            if fresh is None:
                return False
            self._take(fresh)
            self._logins.set(self._server, fresh)
            return True

    def _take(self, login: Login) -> None:
        self._hide(login.hidden)
        self._login = login


def refreshed(login: Login, environ: Mapping[str, str]) -> Login | None:
    """Return a login with a new token; None if the authorization server gives none any more.

    Raises:
        HatchlockError: It cannot be asked.
    """
    if not login.refresh_token or url_problem(login.token_endpoint):
        return None
    form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token}
    answer = _posted(
        login.token_endpoint, {**form, **({"resource": login.resource} if login.resource else {})}, login, environ
    )
    if answer is None:
        return None
    token, new = answer.get("access_token"), answer.get("refresh_token")
    if not isinstance(token, str) or not token:
        return None
    lasting, scope = answer.get("expires_in"), answer.get("scope")
    return replace(
        login,
        access_token=token,
        refresh_token=new if isinstance(new, str) and new else login.refresh_token,
        expires=end_of(lasting, now=time.time()),
        scope=scope if isinstance(scope, str) else login.scope,
    )


def give_back(login: Login, environ: Mapping[str, str]) -> bool:
    """Ask the authorization server to forget the tokens (RFC 7009), and return whether it has.

    Raises:
        HatchlockError: It does not answer.
    """
    if url_problem(login.revocation_endpoint):
        return False
    token = login.refresh_token or login.access_token
    return _posted(login.revocation_endpoint, {"token": token}, login, environ) is not None


def _posted(url: str, form: Mapping[str, str], login: Login, environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return what an authorization server answers; None where it refuses."""
    fields, headers = {**form, "client_id": login.client_id}, {"Content-Type": _FORM, "Accept": "application/json"}
    if login.client_auth == "client_secret_basic":
        both = f"{quote(login.client_id, safe='')}:{quote(login.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(both.encode()).decode()}"
    elif login.client_auth == "client_secret_post":
        fields["client_secret"] = login.client_secret
    exchanges = Exchanges(url, environ)
    try:
        with exchanges.ask("POST", headers, urlencode(fields).encode(), within=_SECONDS) as answer:
            if answer.status != _OK:
                return None
            value: Any = json.loads(answer.read(_ANSWER) or b"{}")
            return value if isinstance(value, dict) else None
    except ValueError:
        return None
    finally:
        exchanges.close()
