"""Whom to trust and which way to go: certificates and proxies, from the user's environment."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from hatchlock.errors import HatchlockError

__all__ = ["BadCertificates", "Certificates", "child_environment", "own_certificates", "proxy_for", "tls_context"]

# In the order in which they count where only one can. All but the last stand for a whole trust store in the programs that
# know them; the last adds to one.
_WHOLE_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
_ADDED_BUNDLE = "NODE_EXTRA_CA_CERTS"
_CA_VARIABLES = (*_WHOLE_BUNDLES, _ADDED_BUNDLE)
_BUNDLES_OF_CHILDREN = (*_WHOLE_BUNDLES, "GIT_SSL_CAINFO")
_DIRECTORIES_OF_CHILDREN = ("SSL_CERT_DIR", "GIT_SSL_CAPATH")
_SYSTEM_STORE_OF_UV = ("UV_NATIVE_TLS", "UV_SYSTEM_CERTS")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# Where systems keep their trust store, for interpreters that were built with another system's path.
_SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(kw_only=True, eq=False)
class BadCertificates(HatchlockError):
    """A file of trusted certificates that a variable names cannot be used."""

    code: ClassVar[str] = "bad-certificates"

    path: str
    why: str

    def __str__(self) -> str:
        return f"the file of trusted certificates {self.path} cannot be used: {self.why}"

    def _hint(self) -> str:
        return f"correct the variable that names it: {', '.join(_CA_VARIABLES)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificates:
    """A file of certificates (PEM) that the user's variables name.

    Attributes:
        path: The real, absolute path; "" for none.
        adds: Whether it is only added to what is trusted otherwise.
    """

    path: str = ""
    adds: bool = False


def own_certificates(environ: Mapping[str, str]) -> Certificates:
    """Return the certificates that this machine is told to trust; none where no variable names a file that is there."""
    for name in _CA_VARIABLES:
        path = Path(environ.get(name) or "/nowhere")
        if path.is_file():
            return Certificates(path=str(path.resolve()), adds=name == _ADDED_BUNDLE)
    return Certificates()


def tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that trusts the system's store and the files named by the variables, for TLS 1.2 and newer.

    Args:
        environ: SSL_CERT_FILE, REQUESTS_CA_BUNDLE, PIP_CERT, CURL_CA_BUNDLE, NODE_EXTRA_CA_CERTS and SSL_CERT_DIR are
            looked at.

    Raises:
        BadCertificates: A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    system = paths.cafile or next((path for path in _SYSTEM_BUNDLES if Path(path).is_file()), None)
    named = [environ[name] for name in _CA_VARIABLES if environ.get(name)]
    # The variables usually all name one file: loading it takes 45 ms each time.
    for path in dict.fromkeys(str(Path(item).resolve()) for item in [*([system] if system else []), *named]):
        try:
            context.load_verify_locations(path)
        except OSError as error:  # ssl.SSLError is one
            raise BadCertificates(path=path, why=error.strerror or str(error)) from error
    directory = environ.get("SSL_CERT_DIR") or paths.capath
    if directory and Path(directory).is_dir():
        context.load_verify_locations(capath=directory)
    return context


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """Return the proxy for an address, or "": HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, save for hosts of NO_PROXY.

    Args:
        url: http or https.
        environ: The variables, in either case.
    """
    parts = urlsplit(url)
    if _bypassed(parts.hostname or "", parts.port, _variable(environ, "NO_PROXY")):
        return ""
    proxy = _variable(environ, f"{parts.scheme.upper()}_PROXY") or _variable(environ, "ALL_PROXY")
    if not proxy:
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what npm, git, uv and pip need to reach the network as we do: proxies, and whom to trust. Nothing else.

    Each child reads variables of its own, and the user set some of them: the proxies are given in both cases, and the first
    file of certificates that is named under any of its names. A variable that the user did set is passed on as it is.
    `NODE_EXTRA_CA_CERTS`, which adds to a trust store, is never given to programs that would take it for all of one.

    Args:
        environ: The user's variables.
    """
    child: dict[str, str] = {}
    for name in _PROXIES:
        if value := _variable(environ, name):
            child |= {name: value, name.lower(): value}
    bundle = next((environ[name] for name in _BUNDLES_OF_CHILDREN if environ.get(name)), "")
    directory = next((environ[name] for name in _DIRECTORIES_OF_CHILDREN if environ.get(name)), "")
    derived = {
        **dict.fromkeys((*_BUNDLES_OF_CHILDREN, _ADDED_BUNDLE), bundle),
        **dict.fromkeys(_DIRECTORIES_OF_CHILDREN, directory),
        **dict.fromkeys(_SYSTEM_STORE_OF_UV, ""),
    }
    for name, value in derived.items():
        if chosen := environ.get(name) or value:
            child[name] = chosen
    return child


def _variable(environ: Mapping[str, str], name: str) -> str:
    # A CGI server turns a request's "Proxy:" header into HTTP_PROXY; the lower-case name is the safe one there.
    return environ.get(name.lower()) or environ.get(name) or ""


def _bypassed(host: str, port: int | None, no_proxy: str) -> bool:
    for entry in (item.strip().lower() for item in no_proxy.split(",")):
        name = entry.lstrip("*").lstrip(".")
        if entry == "*" or (name and (host in {name, name.rpartition(":")[0]} or host.endswith(f".{name}"))):
            _, colon, wanted = name.partition(":")
            if not colon or not wanted.isdigit() or (port is not None and int(wanted) == port):
                return True
    return False
