"""A list of hosts that a server may reach, as names and addresses inside of its own network. Pure.

Inside there is a loopback and nothing else. Each name that is listed gets an address there, and each of its ports a listener,
which hands what comes on to us; so a program uses name and port as it always does, and there is no route to anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hatchlock.launch import LaunchRecord, Sandbox

__all__ = [
    "CA_INSIDE",
    "HOSTNAME",
    "LOCALHOST",
    "Way",
    "ca_environment",
    "has_own_network",
    "hosts_of",
    "is_listed",
    "published",
    "resolver_files",
    "ways",
]

CA_INSIDE = "/run/hatchlock/ca.pem"
"""Where a server finds the certificates that this machine trusts."""
HOSTNAME = "hatchlock"
"""The host's own name inside, where its network is ours."""
LOCALHOST = "localhost"
"""In a list it stands for this machine."""

_WORDS = {"none", "internet", "host"}
_FIRST = 2
_WHOLE_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_ADDED_BUNDLE = "NODE_EXTRA_CA_CERTS"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Way:
    """One port of one host that a server may reach.

    Attributes:
        name: The host's name, in lower case.
        port: The port, there and inside.
        address: The name's address inside, of the loopback.
    """

    name: str
    port: int
    address: str

    def __str__(self) -> str:
        """`name:port`, as in the manifest."""
        return f"{self.name}:{self.port}"


def is_listed(sandbox: Sandbox) -> bool:
    """Whether a server's network is a list of hosts."""
    return not _WORDS.issuperset(sandbox.network)


def has_own_network(sandbox: Sandbox) -> bool:
    """Whether a server's network is its own loopback, with a list of hosts or with nothing."""
    return sandbox.network == ("none",) or is_listed(sandbox)


def published(record: LaunchRecord) -> dict[int, int]:
    """Return port of this machine's loopback -> port of the server's own, as far as we lead from one to the other.

    That is so for a network of its own. A container among others on a bridge is reached through its engine, and what shares
    this machine's network listens there by itself.
    """
    if not record.endpoint or not record.endpoint.port or not has_own_network(record.sandbox):
        return {}
    return {record.endpoint.host_port: record.endpoint.port}


def ways(sandbox: Sandbox) -> tuple[Way, ...]:
    """Return what a server may reach, sorted; () if its network is no list.

    The same list gives the same addresses, one for each name: two names may have the same port.
    """
    if not is_listed(sandbox):
        return ()
    pairs = sorted({_pair(item) for item in sandbox.network})
    names = [name for name in dict.fromkeys(name for name, _ in pairs) if name != LOCALHOST]
    addresses = {LOCALHOST: "127.0.0.1"} | {
        name: f"127.0.{number >> 8}.{number & 255}" for number, name in enumerate(names, _FIRST)
    }
    return tuple(Way(name=name, port=port, address=addresses[name]) for name, port in pairs)


def _pair(text: str) -> tuple[str, int]:
    name, _, port = text.rpartition(":")
    return name.lower(), int(port)


def hosts_of(found: Iterable[Way]) -> dict[str, str]:
    """Return name -> address inside, of everything but `localhost`, which every system knows."""
    return {way.name: way.address for way in found if way.name != LOCALHOST}


def resolver_files(hosts: Mapping[str, str], *, own: str = "") -> dict[str, str]:
    """Return path -> content of the files by which the names of a list get their addresses, and no other name any.

    Args:
        hosts: Name -> address inside.
        own: The host's own name inside, by which many servers ask who they are; "" for none.
    """
    # in both families, or the one that is missing is asked for elsewhere
    known = ("127.0.0.1", "::1") if own and own not in {*hosts, LOCALHOST} else ()
    lines = [f"127.0.0.1 {LOCALHOST}", *(f"{address} {name}" for name, address in sorted(hosts.items()))]
    lines += [f"{address} {own}" for address in known]
    return {
        "/etc/hosts": "".join(f"{line}\n" for line in lines),
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    }


def ca_environment(path: str, *, adds: bool) -> dict[str, str]:
    """Return the variables by which programs find certificates.

    Args:
        path: Where they are.
        adds: Whether they are only added to a trust store: then those who would take them for a whole one are told nothing.
    """
    return dict.fromkeys((_ADDED_BUNDLE,) if adds else (*_WHOLE_BUNDLES, _ADDED_BUNDLE), path)
