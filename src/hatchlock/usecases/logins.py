"""`login` and `logout`: who is logged in at a project's remote servers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from hatchlock.errors import HatchlockError, UsageError

if TYPE_CHECKING:
    from hatchlock.launch import SecretReference
    from hatchlock.paths import Home
    from hatchlock.security.secrets.logins import Logins
    from hatchlock.security.secrets.store import Where
    from hatchlock.usecases.project import Project

__all__ = [
    "LoginView",
    "NotLoggedIn",
    "RemoteServer",
    "declared_remotes",
    "list_logins",
    "log_in",
    "log_out",
    "remote_of",
]

_REFRESH_SECONDS = 60.0
"""What a session may take to refresh a login."""


@dataclass(kw_only=True, eq=False)
class NotLoggedIn(HatchlockError):
    """There is no login to forget."""

    code: ClassVar[str] = "not-logged-in"

    server: str

    def __str__(self) -> str:
        return f"nobody is logged in at {self.server}"

    def _hint(self) -> str:
        return "see `hatchlock login --status`"


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteServer:
    """A remote server, as far as a login is about it.

    Attributes:
        project: Its project.
        directory: Where files of its secrets are.
        name: Its name.
        url: Where it is.
        headers: What it is told, literally.
        secrets: Header -> reference.
    """

    project: str
    directory: str
    name: str
    url: str
    headers: Mapping[str, str]
    secrets: Mapping[str, SecretReference]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoginView:
    """A login as it may be shown.

    Attributes:
        server: The server.
        url: Where it is.
        state: `in`; `ended`: its token is over and nothing gets another; `elsewhere`: it is for another address than the
            server's; `header`: the manifest says who asks; `out`.
        expires: When the token ends, in seconds since 1970; 0 if nobody says.
        refreshed: Whether another token is got then.
        scope: What it permits.
    """

    server: str
    url: str
    state: Literal["in", "ended", "elsewhere", "header", "out"]
    expires: float = 0.0
    refreshed: bool = False
    scope: str = ""


def declared_remotes(project: Project) -> tuple[RemoteServer, ...]:
    """Return the remote servers of a manifest, by name.

    Raises:
        ManyErrors: The manifest has mistakes.
    """
    from hatchlock.manifest.load import load_bytes

    manifest = load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest
    return tuple(
        RemoteServer(
            project=manifest.project.name,
            directory=str(project.directory),
            name=name,
            url=server.url,
            headers=server.headers,
            secrets=server.header_secrets,
        )
        for name, server in sorted(manifest.servers.items())
        if server.url
    )


def remote_of(remotes: tuple[RemoteServer, ...], name: str) -> RemoteServer:
    """Return one of them.

    Raises:
        UsageError: There is none of that name.
    """
    known = {item.name: item for item in remotes}
    if name not in known:
        listed = f"remote servers are {', '.join(known)}" if known else "none of its servers has a url"
        raise UsageError(what=f"the manifest has no remote server {name!r}", advice=listed)
    return known[name]


def log_in(
    remote: RemoteServer,
    home: Home,
    environ: Mapping[str, str],
    *,
    timeout: float,
    show: Callable[[str], None],
) -> tuple[LoginView, Where]:
    """Log in at a remote server, and return what that gave and where it is kept.

    Args:
        remote: The server.
        home: The store.
        environ: For secrets, the keyring, proxies and certificates.
        timeout: Seconds for all of it.
        show: Gets the address that has to be opened in a browser.

    Raises:
        UsageError: Its headers say already who asks.
        LoginFailed: It did not come about.
        NoLoginWanted: The server asks for none.
        MissingSecret: A header has no value.
        AuditNotWritten: It cannot be written down; nothing was kept.
    """
    from hatchlock.net.exchange import bare_address
    from hatchlock.security.secrets.logins import Logins
    from hatchlock.security.secrets.resolve import Places, resolve
    from hatchlock.serve.remote.login import log_in as begin
    from hatchlock.usecases.audit_trail import begin as begin_entry

    if _says_who(remote):
        what = f"{remote.name} has a header Authorization, which says who asks"
        raise UsageError(what=what, advice="remove the header, or set its secret")
    places = Places(environ=environ, directory=remote.directory, project=remote.project, store=home.root)
    secrets = resolve(remote.secrets, places).variables
    login = begin(remote.url, {**remote.headers, **secrets}, environ=environ, timeout=timeout, show=show)
    begin_entry(home.root, "login", project=remote.project, server=remote.name, url=bare_address(remote.url))
    logins = Logins(home.root, remote.project, environ)
    with _alone(logins, remote.name, purpose="login"):
        where = logins.set(remote.name, login)
    return _view(remote, home, environ), where


def list_logins(remotes: tuple[RemoteServer, ...], home: Home, environ: Mapping[str, str]) -> tuple[LoginView, ...]:
    """Return who is logged in where, from the store and the keyring alone.

    Raises:
        PermissionProblem: The store of secrets could be read by somebody else.
    """
    return tuple(_view(remote, home, environ) for remote in remotes)


def log_out(project: str, server: str, home: Home, environ: Mapping[str, str]) -> bool:
    """Forget a login, and return whether its server was told to forget it, too.

    Raises:
        NotLoggedIn: There is none.
        PermissionProblem: The store of secrets cannot be written, or could be read by somebody else.
        LeaseHeld: Another process is changing it.
    """
    from hatchlock.security.secrets.logins import Logins
    from hatchlock.serve.remote.logged_in import give_back
    from hatchlock.usecases.audit_trail import note

    logins = Logins(home.root, project, environ)
    if logins.get(server) is None and not logins.forget(server):
        raise NotLoggedIn(server=server)
    with _alone(logins, server, purpose="logout"):
        login = logins.get(server)
        logins.forget(server)
    note(home.root, "logout", project=project, server=server)
    try:
        return login is not None and give_back(login, environ)
    except HatchlockError:
        return False  # what is kept here is gone all the same


def _alone(logins: Logins, server: str, *, purpose: str) -> contextlib.AbstractContextManager[None]:
    """Wait until no session refreshes a login: what it writes would come after us, and be the one that was to go."""
    from hatchlock.state.lease import lease

    return lease(logins.lease_path(server), what=f"the login at {server}", purpose=purpose, timeout=_REFRESH_SECONDS)


def _says_who(remote: RemoteServer) -> bool:
    return any(name.lower() == "authorization" for name in (*remote.headers, *remote.secrets))


def _view(remote: RemoteServer, home: Home, environ: Mapping[str, str]) -> LoginView:
    from hatchlock.security.secrets.logins import Logins

    if _says_who(remote):
        return LoginView(server=remote.name, url=remote.url, state="header")
    login = Logins(home.root, remote.project, environ).get(remote.name)
    if login is None:
        return LoginView(server=remote.name, url=remote.url, state="out")
    if login.url != remote.url:
        return LoginView(server=remote.name, url=remote.url, state="elsewhere")
    over = not login.lasts(time.time()) and not login.refresh_token
    return LoginView(
        server=remote.name,
        url=remote.url,
        state="ended" if over else "in",
        expires=login.expires,
        refreshed=bool(login.refresh_token),
        scope=login.scope,
    )
