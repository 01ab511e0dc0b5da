"""Servers that other tools run from an image: what a command line or a compose file says of the container."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hatchlock.errors import HatchlockError
from hatchlock.manifest.takeover import server_from_source
from hatchlock.migrate.finish import finished
from hatchlock.migrate.model import Left, Proposed
from hatchlock.migrate.names import server_name
from hatchlock.migrate.values import at_home, parted, unparted

__all__ = ["ImageUse", "Mount", "proposed_image"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """Something that a container sees.

    Attributes:
        source: A path of this machine; or the name of a volume, "" for one without a name.
        target: Where it is inside.
        read_only: Whether it cannot be written there.
        relabel: SELinux: "shared" or "private" where it gets a label for containers; "" if not.
    """

    source: str
    target: str
    read_only: bool = False
    relabel: str = ""

    @classmethod
    def parse(cls, text: str) -> Mount:
        """Read what stands behind `docker run --volume`, and in a compose file: `SOURCE:TARGET[:OPTIONS]`, or `TARGET`."""
        variable = re.match(r"\$\{[^}]*\}", text)  # there may be a colon in it
        at = text.find(":", variable.end() if variable else 0)
        if at < 0:
            return cls(source="", target=text)
        target, _, words = text[at + 1 :].partition(":")
        options = words.split(",")
        label = "private" if "Z" in options else "shared" if "z" in options else ""
        return cls(source=text[:at], target=target, read_only="ro" in options, relabel=label)

    def table(self) -> dict[str, str]:
        """Return it as a manifest has it."""
        label = {"relabel": self.relabel} if self.relabel else {}
        return {"source": self.source, "target": self.target, "mode": "ro" if self.read_only else "rw"} | label


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageUse:
    """What another tool says of a server that it runs from an image; what it does not say is empty.

    Attributes:
        image: The image's reference.
        entrypoint: What is started instead of the image's own.
        args: Its arguments.
        env: Variables; a value may refer to others (see `values.parted`).
        mounts: What it sees of this machine.
        network: What `docker run --network` says: "", "none", "bridge", "host", or a network's name.
        hosts: HOST:PORT that it may reach, where the tool names these; they win over `network`.
        ports: What is published of it, as behind `docker run --publish`.
        cwd: Its working directory.
        user: Who it runs as.
        limits: Keys of a manifest's sandbox with what stands there: memory, cpus, pids.
        capabilities: What it has besides the default.
        writable: Directories that keep what it writes, with nothing of what they hold so far.
    """

    image: str
    entrypoint: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    network: str = ""
    hosts: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    capabilities: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()


def proposed_image(use: ImageUse, *, name: str, line: int = 0) -> Proposed | Left:
    """Return the server that another tool runs from an image.

    Args:
        use: What the tool says.
        name: The server's name in the file; "" where it has none.
        line: Where it begins; 0 where the file has no lines.

    Returns:
        The server, with what of it cannot be carried over; or why nothing of it can be.
    """
    try:
        own, fields = server_from_source(f"oci:{use.image}")
    except HatchlockError as error:
        return Left(line=line, what=f"`{name}`: {error}")
    literals, secrets = parted("env", use.env)
    sandbox, lost = _sandbox(use)
    fields |= {
        key: value
        for key, value in {
            "command": list(use.entrypoint),
            "args": list(use.args),
            "cwd": use.cwd,
            **_endpoint(use.ports),
            "env": literals,
            "sandbox": sandbox,
        }.items()
        if value
    }
    return finished(
        Proposed(
            name=server_name(name) if name else own,
            found_as=name,
            line=line,
            fields=fields,
            secrets=secrets,
            left=(*unparted("env", use.env, line=line), *(Left(line=line, what=what) for what in lost)),
        )
    )


def _endpoint(ports: Sequence[str]) -> dict[str, Any]:
    """A server whose port is published speaks HTTP there; of several the first is taken for its own."""
    if not ports:
        return {}
    host, _, inside = ports[0].partition("/")[0].rpartition(":")
    if not inside.isdigit():
        return {"transport": "http"}
    outside = host.rpartition(":")[2]
    return {"transport": "http", "port": int(inside)} | ({"host-port": int(outside)} if outside.isdigit() else {})


def _sandbox(use: ImageUse) -> tuple[dict[str, Any], list[str]]:
    """Return a server's `sandbox`, and what of a container's has no counterpart there."""
    lost: list[str] = []
    mounts: list[dict[str, str]] = []
    for mount in use.mounts:
        source = mount.source if mount.source.startswith("~") else at_home(mount.source)
        if source.startswith(("/", ".", "~")) and "$" not in source:
            mounts.append(replace(mount, source=source).table())
        elif "$" in source:
            lost.append(f"the mount of {source}: write what it stands for into sandbox.mounts")
        else:
            lost.append(
                f"the volume {mount.source or mount.target}: what is in it stays there; "
                f"write sandbox.writable = [{mount.target!r}], and adopt it: "
                f'[[adopt]] address = "volume:NAME{mount.target}"'
            )
    network: Any = list(use.hosts) if use.hosts else use.network
    if isinstance(network, str) and network not in {"host", "none", ""}:
        if network not in {"bridge", "default"}:
            lost.append(f"the network {network}: name the hosts that it reaches there in sandbox.network")
        network = ""
    user = use.user if re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", use.user) else ""
    if use.user and not user:
        lost.append(f"the user {use.user}: no server runs as root, or as a name that only the image knows")
    sandbox = {
        "network": network,
        "user": user,
        **use.limits,
        "mounts": mounts,
        "writable": list(use.writable),
        "capabilities": list(use.capabilities),
    }
    kept = {key: value for key, value in sandbox.items() if value}
    return kept, lost
