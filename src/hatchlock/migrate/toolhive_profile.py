"""ToolHive's permission profiles as what a sandbox is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import is_set, patterns, reachable, said, unread, words
from hatchlock.migrate.image_use import Mount
from hatchlock.migrate.model import Left

__all__ = ["Permitted", "permitted"]

_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*://(?P<name>[^:]+):(?P<target>/.*)")
_NAMED = "profile"
_READ = frozenset({"name", "read", "write", "network"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Permitted:
    """What a profile permits.

    Attributes:
        mounts: What it sees of this machine.
        hosts: What it may reach, as `HOST:PORT`.
        word: "internet" or "host", where it may reach everything; "none" where it may reach nothing; "" else.
        reason: Why.
        left: What of it has no counterpart.
        notes: What is to be said of it.
    """

    mounts: tuple[Mount, ...] = ()
    hosts: tuple[str, ...] = ()
    word: str = ""
    reason: str = ""
    left: tuple[Left, ...] = ()
    notes: tuple[str, ...] = ()


def permitted(profile: Part | None, volumes: tuple[str, ...]) -> Permitted:
    """Return what a permission profile permits.

    Args:
        profile: The profile; None for none.
        volumes: What is mounted besides, `SOURCE:TARGET[:ro]`. ToolHive adds these to the profile, too.

    Raises:
        Unreadable: It is none.
    """
    mounts = {mount.target: mount for mount in _mounts(profile, volumes)}
    reason = f"permitted by ToolHive's profile {_name(profile)}"
    if profile is None:
        return Permitted(mounts=tuple(mounts.values()), reason=reason)
    network = profile.get("network")
    outbound = network.get("outbound") if network else None
    on_host = network is not None and said(network, "mode") == "host"
    is_open = on_host or (outbound is not None and is_set(outbound, "insecure_allow_all"))
    ports = [int(item) for item in words(outbound, "allow_port") if item.isdigit()] if outbound else []
    named = words(outbound, "allow_host") if outbound and not is_open else ()
    hosts = reachable(named, ports)
    return Permitted(
        mounts=tuple(mounts.values()),
        hosts=hosts,
        word="host" if on_host else "internet" if is_open else "" if named or network is None else "none",
        reason=reason,
        left=(*_network_left(network, outbound, is_open=is_open), *_left(profile)),
        notes=("the profile names no ports, so it reaches its hosts at 443 alone",) if hosts and not ports else (),
    )


def _name(profile: Part | None) -> str:
    return (said(profile, "name") if profile else "") or "of its own"


def _mounts(profile: Part | None, volumes: tuple[str, ...]) -> Iterator[Mount]:
    """Yield what is mounted; of two at one place the later one counts, and it may be written."""
    for text in words(profile, "read") if profile else ():
        yield _declared(text, read_only=True)
    for text in volumes:
        yield Mount.parse(text)
    for text in words(profile, "write") if profile else ():
        yield _declared(text, read_only=False)


def _declared(text: str, *, read_only: bool) -> Mount:
    if match := _RESOURCE.fullmatch(text):
        return Mount(source=match["name"], target=match["target"], read_only=read_only)
    source, _, target = text.partition(":")
    return Mount(source=source, target=target or source, read_only=read_only)


def _network_left(network: Part | None, outbound: Part | None, *, is_open: bool) -> Iterator[Left]:
    if network is None:
        return
    if outbound is not None and not is_open:
        yield from patterns(outbound, "allow_host")
    if outbound is not None and words(outbound, "allow_port") and not words(outbound, "allow_host") and not is_open:
        yield outbound.need("allow_port").left(
            "it names no hosts, and each that is reached is named in full: sandbox.network"
        )
    mode = network.get("mode")
    if mode is not None and mode.text() not in {"", "host", "none", "bridge", "default"}:
        yield mode.left(f"the network {mode.text()}: name the hosts that it reaches there in sandbox.network")
    inbound = network.get("inbound")
    if inbound is not None and words(inbound, "allow_host"):
        yield inbound.left("nothing reaches it but through the engine's loopback")


def _left(profile: Part) -> Iterator[Left]:
    yield from unread(profile, _READ, {"privileged": "no server is privileged; name the capabilities that it needs"})
