"""The ways in which asking an address fails, as errors that say what to do."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError
from hatchlock.net.credentials import without_userinfo

__all__ = ["Offline", "Refused", "Unreachable", "failure_of"]


@dataclass(kw_only=True, eq=False)
class Unreachable(HatchlockError):
    """An address could not be asked, or did not answer as it should, also after retries.

    Attributes:
        url: The address, without userinfo.
        why: As a clause.
        advice: The hint; "" for the usual one.
        answered: Whether it did answer, though not as it should.
        transient: Whether it may answer properly when it is asked again soon.
        retry_after: Seconds after which it says that it may be asked again; 0 if it does not say.
    """

    code: ClassVar[str] = "unreachable"

    url: str
    why: str
    advice: str = ""
    answered: bool = False
    transient: bool = False
    retry_after: float = 0.0

    def __str__(self) -> str:
        return f"{self.url} cannot be reached: {self.why}"

    def _hint(self) -> str:
        return self.advice or "check the network, and HTTPS_PROXY and NO_PROXY if you use a proxy; then run it again"


@dataclass(kw_only=True, eq=False)
class Offline(Unreachable):
    """An address was not asked, since the network may not be used."""

    why: str = "--offline was asked for"
    advice: str = "run it once without --offline"


@dataclass(kw_only=True, eq=False)
class Refused(HatchlockError):
    """A server wants credentials that it did not get, or does not accept those that it got."""

    code: ClassVar[str] = "access-denied"

    url: str
    status: int

    def __str__(self) -> str:
        return f"{self.url} refuses access (HTTP {self.status})"

    def _hint(self) -> str:
        return (
            "put the host's login and password into ~/.netrc, or into your keyring with `keyring set HOST LOGIN`; "
            "for npm, a token into ~/.npmrc"
        )


def failure_of(url: str, error: Exception) -> Unreachable:
    """Return what one of urllib3's errors means, without anything secret.

    Args:
        url: The address that was asked.
        error: A `urllib3.exceptions.HTTPError`.
    """
    shown = without_userinfo(url)
    cause = _innermost(error)
    return _connection_failure(url, shown, error, cause) or _body_failure(shown, cause)


def _innermost(error: Exception) -> BaseException:
    import urllib3.exceptions as kinds  # noqa: PLC0415  loaded: it raised this

    cause: BaseException = error
    while isinstance(cause, kinds.MaxRetryError | kinds.ProxyError) and isinstance(
        inner := getattr(cause, "reason", None) or getattr(cause, "original_error", None), BaseException
    ):
        cause = inner
    return cause


def _connection_failure(url: str, shown: str, error: Exception, cause: BaseException) -> Unreachable | None:
    import urllib3.exceptions as kinds  # noqa: PLC0415  see _innermost

    if isinstance(cause, kinds.NameResolutionError):
        return Unreachable(
            url=shown,
            why=f"the name {urlsplit(url).hostname} does not resolve",
            advice="check the address and the network; behind a proxy, set HTTPS_PROXY",
            transient=_is_busy_name_server(cause),
        )
    if isinstance(cause, kinds.SSLError):
        return _tls_failure(shown, cause)
    # NewConnectionError is a kind of time-out there, for old reasons
    if isinstance(cause, kinds.TimeoutError) and not isinstance(cause, kinds.NewConnectionError):
        return Unreachable(url=shown, why="it takes too long to answer", transient=True)
    if isinstance(cause, kinds.ProxySchemeUnknown):
        advice = "name an http or https proxy in HTTPS_PROXY"
        return Unreachable(url=shown, why="the proxy is of a kind that is not supported", advice=advice)
    if isinstance(error, kinds.ProxyError) or isinstance(getattr(error, "reason", None), kinds.ProxyError):
        advice = "check HTTPS_PROXY and NO_PROXY"
        return Unreachable(url=shown, why="the proxy does not answer", advice=advice, transient=True)
    return None


def _body_failure(shown: str, cause: BaseException) -> Unreachable:
    import urllib3.exceptions as kinds  # noqa: PLC0415  see _innermost

    if isinstance(cause, kinds.LocationValueError):
        return Unreachable(url=shown, why="it is no http(s) address", advice="mend the address")
    broken = next((item for item in (cause, *cause.args) if isinstance(item, kinds.IncompleteRead)), None)
    if broken is not None:
        return Unreachable(url=shown, why=f"it broke off {_amount(broken)}", transient=True)
    if isinstance(cause, kinds.DecodeError):
        return Unreachable(url=shown, why="its answer cannot be decompressed", transient=True)
    return Unreachable(url=shown, why=_system_words(cause), transient=True)


def _is_busy_name_server(error: BaseException) -> bool:
    reason = error.__cause__
    return isinstance(reason, socket.gaierror) and reason.errno == socket.EAI_AGAIN


def _tls_failure(shown: str, error: BaseException) -> Unreachable:
    found = next((item for item in error.args if isinstance(item, ssl.SSLError)), None)
    if isinstance(found, ssl.SSLCertVerificationError):
        return Unreachable(
            url=shown,
            why=f"its certificate is not trusted ({found.verify_message or found.reason})",
            advice="if your network uses its own certificate authority, set SSL_CERT_FILE to its file",
        )
    reason = (found.reason if found is not None else "") or str(error)
    return Unreachable(
        url=shown,
        why=f"TLS fails ({reason.lower().replace('_', ' ')})",
        advice="check that the address is right, and that nothing between here and there changes what is sent",
        transient=isinstance(found, ssl.SSLEOFError),
    )


def _amount(error: BaseException) -> str:
    had, missing = (getattr(error, name, None) for name in ("partial", "expected"))
    if isinstance(had, int) and isinstance(missing, int) and missing > 0:
        return f"after {had} of {had + missing} bytes"
    return "before its end"


def _system_words(cause: BaseException) -> str:
    # urllib3 puts the object's address in front of the reason, the operating system its number
    inner = next((item for item in cause.args if isinstance(item, OSError)), None)
    words = inner.strerror if inner is not None and inner.strerror else str(cause).rpartition(": ")[2]
    return re.sub(r"^\[Errno \d+\] ", "", words) or type(cause).__name__
