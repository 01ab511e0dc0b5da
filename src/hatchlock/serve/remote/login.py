"""Logging in at a remote server: OAuth by the MCP SDK, which finds the authorization server and registers us there.

Protected resource metadata (RFC 9728), authorization server metadata (RFC 8414), dynamic registration (RFC 7591) and PKCE are
the SDK's; the browser, the address it comes back to, and where tokens are kept are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.launch_parts import url_problem
from hatchlock.net.exchange import bare_address
from hatchlock.net.trust import tls_context
from hatchlock.security.secrets.logins import Login, end_of
from hatchlock.serve.remote.callback import Callback, callback
from hatchlock.surface import shown

__all__ = ["LoginFailed", "NoLoginWanted", "log_in"]

_STEP_SECONDS = 30.0
_LONGEST_WORDS = 200
_FIRST_REFUSAL = 400
_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "hatchlock", "version": "1"},
    },
}
_OURSELVES = {
    "client_name": "hatchlock",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
}
"""What the authorization server is told of its new client (RFC 7591)."""


@dataclass(kw_only=True, eq=False)
class LoginFailed(HatchlockError):
    """A login did not come about.

    Attributes:
        url: The server.
        why: As a clause.
        advice: The hint; "" for the usual one.
    """

    code: ClassVar[str] = "login-failed"

    url: str
    why: str
    advice: str = ""

    def __str__(self) -> str:
        return f"no login at {self.url}: {self.why}"

    def _hint(self) -> str:
        return self.advice or "run the command again; nothing was changed"


@dataclass(kw_only=True, eq=False)
class NoLoginWanted(HatchlockError):
    """A server answers without a login."""

    code: ClassVar[str] = "no-login-wanted"

    url: str

    def __str__(self) -> str:
        return f"{self.url} answers without a login"

    def _hint(self) -> str:
        return "there is nothing to do: `hatchlock run` works as it is"


def log_in(
    url: str,
    headers: Mapping[str, str],
    *,
    environ: Mapping[str, str],
    timeout: float,
    show: Callable[[str], None],
) -> Login:
    """Log in at a remote server, and return what it gave. A person takes part, in a browser.

    Args:
        url: The server's address.
        headers: What it is told besides.
        environ: The variables of proxies and certificates.
        timeout: Seconds for all of it.
        show: Gets the address that the person has to open; it may open it.

    Raises:
        NoLoginWanted: The server does not ask for one.
        LoginFailed: It did not come about.
        BadCertificates: A file of certificates cannot be used.
    """
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs each failure with a traceback, and raises it
    return asyncio.run(_log_in(url, headers, environ, timeout, show))


async def _log_in(
    url: str,
    headers: Mapping[str, str],
    environ: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109
    show: Callable[[str], None],
) -> Login:
    import mcp.client.auth  # noqa: F401, PLC0415  slow to import, which is not to be the servers' fault

    asked: list[str] = []
    try:
        async with asyncio.timeout(timeout), callback() as back:
            return await _flow(url, headers, environ, back, show, asked=asked)
    except TimeoutError:
        if back.is_expecting:
            why = f"nobody came back from the browser within {timeout:g} s"
            advice = "open the address in a browser of this machine; from elsewhere, lead its port there (ssh -L)"
        else:
            why = f"{_silent(url, asked)} did not answer within {timeout:g} s, so there is no address to open in a browser"
            advice = "try again later, or give it longer with --timeout"
        raise LoginFailed(url=bare_address(url), why=why, advice=advice) from None


def _silent(url: str, asked: Sequence[str]) -> str:
    """Return who was asked last."""
    last = bare_address(asked[-1] if asked else url)
    return "it" if last == bare_address(url) else f"the authorization server ({_words(last)})"


async def _flow(
    url: str,
    headers: Mapping[str, str],
    environ: Mapping[str, str],
    back: Callback,
    show: Callable[[str], None],
    *,
    asked: list[str],
) -> Login:
    from mcp.client.auth import OAuthClientProvider, OAuthFlowError  # noqa: PLC0415
    from mcp.shared.auth import OAuthClientMetadata  # noqa: PLC0415

    problems: list[HatchlockError] = []
    place = bare_address(url)

    async def begin(address: str) -> None:
        _check(address, place, problems)
        back.expect(address)
        show(address)

    async def wait() -> Any:
        brought = await back.answer()
        if "code" not in brought:
            said = ": ".join(brought[name] for name in ("error", "error_description") if name in brought)
            problems.append(LoginFailed(url=place, why=f"it was refused ({_words(said)})"))
            raise problems[-1]
        return _brought(brought)

    async def looked_at(request: Any) -> None:
        asked.append(str(request.url))
        _check(asked[-1], place, problems)

    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=OAuthClientMetadata.model_validate(_OURSELVES | {"redirect_uris": [back.url]}),
        storage=_Nothing(),
        redirect_handler=begin,
        callback_handler=wait,
    )
    http = import_module(_http_of(OAuthClientProvider))
    client = _client(http, provider, environ, looked_at)
    request_headers = {**headers, "Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    try:
        async with (
            client,
            client.stream("POST", url, headers=request_headers, content=json.dumps(_INITIALIZE)) as answer,
        ):
            status = answer.status_code
    except (http.HTTPError, http.InvalidURL, OAuthFlowError, ValueError) as error:
        if problems:
            raise problems[0] from error
        why, advice = _failure(error, http, url, asked)
        raise LoginFailed(url=place, why=why, advice=advice) from error
    return _outcome(url, provider, status)


def _failure(error: Exception, http: ModuleType, url: str, asked: Sequence[str]) -> tuple[str, str]:
    """Return why a login broke off, as a clause, and the hint; "" for the usual one."""
    from mcp.client.auth import OAuthRegistrationError  # noqa: PLC0415

    words = _words(str(error) or type(error).__name__)
    if isinstance(error, http.ConnectError):
        host = urlsplit(asked[-1] if asked else url).hostname
        why = f"the name {host} does not resolve" if _is_unknown_name(error) else words
        advice = "check the address and the network; behind a proxy, set HTTPS_PROXY"
        return f"{_silent(url, asked)} cannot be reached: {why}", advice
    if isinstance(error, OAuthRegistrationError):
        header = 'headers.Authorization = { secret = "keyring:NAME", format = "Bearer {}" }'
        return words, f"not every server that wants a token has a login: with one of yours write {header}"
    return words, ""


def _is_unknown_name(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def _client(
    http: ModuleType, provider: Any, environ: Mapping[str, str], before: Callable[[Any], Awaitable[None]]
) -> Any:
    """Return what asks: through proxies, each host's own, but never this machine; `before` is told of each request."""
    return http.AsyncClient(
        auth=provider,
        verify=tls_context(environ),
        trust_env=True,
        mounts=dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]")),
        timeout=_STEP_SECONDS,
        event_hooks={"request": [before]},
    )


def _outcome(url: str, provider: Any, status: int) -> Login:
    """Return what was got; `status` is the server's last answer.

    Raises:
        NoLoginWanted: It answers without a token.
        LoginFailed: It gave none, or refuses with it.
    """
    tokens, place = provider.context.current_tokens, bare_address(url)
    if tokens is None and status < _FIRST_REFUSAL:
        raise NoLoginWanted(url=place)
    if tokens is None:
        raise LoginFailed(url=place, why=f"it answers HTTP {status}, and asks for no login")
    if status >= _FIRST_REFUSAL:
        raise LoginFailed(url=place, why=f"with the token that was given it answers HTTP {status}")
    return _login(url, provider, tokens)


def _login(url: str, provider: Any, tokens: Any) -> Login:
    context, client = provider.context, provider.context.client_info
    metadata = context.oauth_metadata
    resource = context.get_resource_url() if context.should_include_resource_param(context.protocol_version) else ""
    base = context.get_authorization_base_url(url)
    return Login(
        url=url,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token or "",
        expires=end_of(tokens.expires_in, now=time.time()),
        scope=tokens.scope or "",
        resource=resource,
        token_endpoint=str(metadata.token_endpoint) if metadata else f"{base}/token",
        revocation_endpoint=str(metadata.revocation_endpoint or "") if metadata else "",
        client_id=client.client_id,
        client_secret=client.client_secret or "",
        client_auth=client.token_endpoint_auth_method or "none",
    )


class _Nothing:
    """The SDK's storage: each login is a new one, at a port of its own, and is kept by whoever asked for it."""

    async def get_tokens(self) -> None:
        return None

    async def set_tokens(self, tokens: Any) -> None:
        pass

    async def get_client_info(self) -> None:
        return None

    async def set_client_info(self, client_info: Any) -> None:
        pass


def _check(address: str, place: str, problems: list[HatchlockError]) -> None:
    """Refuse addresses, named by somebody else's documents, that a browser or a secret must not go to."""
    if why := url_problem(address.partition("#")[0]):
        problems.append(LoginFailed(url=place, why=f"it leads to {_words(bare_address(address))}: {why}"))
        raise problems[-1]


def _brought(brought: Mapping[str, str]) -> Any:
    """Return what the SDK's callback returns: since version 2 a value of its own, before a pair."""
    with contextlib.suppress(ImportError):
        from mcp.shared.auth import AuthorizationCodeResult  # noqa: PLC0415

        return AuthorizationCodeResult(code=brought["code"], state=brought["state"], iss=brought.get("iss"))
    return brought["code"], brought["state"]


def _http_of(provider: type) -> str:
    """Return the HTTP library that the SDK is made with: httpx2 since its version 2, before httpx."""
    return next(base.__module__ for base in provider.__mro__ if base.__name__ == "Auth").partition(".")[0]


def _words(text: str) -> str:
    short = text if len(text) <= _LONGEST_WORDS else f"{text[:_LONGEST_WORDS]}…"
    return shown(short)
