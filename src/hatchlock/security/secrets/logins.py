"""Who is logged in at which remote server: tokens, kept where `secret set` keeps secrets, as `PROJECT/login.SERVER`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hatchlock.security.secrets.programs import Keyring
from hatchlock.security.secrets.store import SecretStore, Where

__all__ = ["Login", "Logins", "end_of"]

_PREFIX = "login."
_LONGEST_SECONDS = 100 * 365 * 86400.0
"""What lasts longer is taken to last as long as it is not refused; no calendar has an end for it either."""


def end_of(lasting: object, *, now: float) -> float:
    """Return when a token ends, in seconds since 1970, by what its authorization server says of it; 0 where that is no time.

    Args:
        lasting: Its `expires_in`, any JSON value.
        now: The time.
    """
    if isinstance(lasting, bool) or not isinstance(lasting, (int, float)):
        return 0.0
    return now + lasting if 0 < lasting < _LONGEST_SECONDS else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What an authorization server has given for one remote server. Nothing of it is shown but times and scopes.

    Attributes:
        url: The remote server, to which alone the token goes.
        access_token: What requests carry.
        refresh_token: What gets another one; "" if nothing does.
        expires: Seconds since 1970 after which the access token is refused; 0 if nobody says.
        scope: What it permits, as the authorization server says it.
        resource: What the tokens are for (RFC 8707); "" where the authorization server does not ask.
        token_endpoint: Where tokens are got.
        revocation_endpoint: Where they are given back; "" where they cannot be.
        client_id: Who we are there.
        client_secret: By what we prove that; "" for nothing.
        client_auth: How: `none`, `client_secret_basic` or `client_secret_post`.
    """

    url: str
    access_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    expires: float = 0.0
    scope: str = ""
    resource: str = ""
    token_endpoint: str = ""
    revocation_endpoint: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_auth: str = "none"

    @property
    def hidden(self) -> tuple[str, ...]:
        """What must not appear anywhere."""
        return tuple(item for item in (self.access_token, self.refresh_token, self.client_secret) if item)

    def lasts(self, now: float) -> bool:
        """Whether the access token is good for a while, as far as is known."""
        return not self.expires or now < self.expires

    @classmethod
    def from_json(cls, text: str) -> Login | None:
        """Return what was kept; None if it is nothing that this version knows."""
        try:
            values: Any = json.loads(text)
            known = {item.name for item in fields(cls)}
            return cls(**{name: value for name, value in values.items() if name in known})
        except (ValueError, TypeError, AttributeError):
            return None


class Logins:
    """The logins of one project.

    Args:
        root: The store.
        project: The project's name.
        environ: The variables of the keyring's program.
    """

    def __init__(self, root: Path, project: str, environ: Mapping[str, str]) -> None:
        self._root = root
        self._store = SecretStore(root)
        self._project = project
        self._environ = environ

    def get(self, server: str) -> Login | None:
        """Return who is logged in at a server; without a login nothing but one file is looked at.

        Raises:
            PermissionProblem: The store of secrets could be another user's, or be read by one.
        """
        name = self._name(server)
        if name not in self._store.names():
            return None
        text = self._store.get(f"{_PREFIX}{server}", self._project, Keyring(self._environ))
        return None if text is None else Login.from_json(text)

    def set(self, server: str, login: Login) -> Where:
        """Keep a login, and return where.

        Raises:
            PermissionProblem: As `get`, or the store cannot be written.
            LeaseHeld: Another process is changing the store of secrets.
        """
        return self._store.set(self._name(server), json.dumps(asdict(login)), Keyring(self._environ))

    def forget(self, server: str) -> bool:
        """Delete a login, and return whether there was one.

        Raises:
            PermissionProblem: As `set`.
            LeaseHeld: As `set`.
        """
        return self._store.forget(self._name(server), Keyring(self._environ))

    def lease_path(self, server: str) -> Path:
        """Return the file of the lease that whoever gets, refreshes or forgets a login holds meanwhile."""
        return self._root / "projects" / self._project / "logins" / f"{server}.lock"

    def _name(self, server: str) -> str:
        return f"{self._project}/{_PREFIX}{server}"
