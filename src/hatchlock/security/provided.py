"""What a session gives to its server besides what stands in the launch record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NOTHING", "RELAY_INSIDE", "SECRETS_INSIDE", "Provided"]

SECRETS_INSIDE = "/run/secrets"
"""Where secrets are that a server gets as files: memory, never a disk."""

RELAY_INSIDE = "/run/hatchlock/relay"
"""Where the socket is by which the relay beside a server meets our `run`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Provided:
    """Values that exist only while the server runs.

    Attributes:
        files: Absolute path inside -> content, which the server alone can read: secrets.
        secrets_directory: Container runtime: where in this machine's memory `files` are, to be shown at `SECRETS_INSIDE`.
        root: Process runtime: a directory of this machine that is its root, below everything else; "" for memory.
        hosts: Process runtime: name -> address inside of the listener that stands for it.
        shown: Container runtime: absolute path inside -> file of this machine that is shown there, read-only.
        joins: Container runtime: id of the container whose network it shares; "" for a network of its own.
        seccomp: The profile that `sandbox.seccomp` names, in Docker's form (JSON); empty for the usual one.
        seccomp_path: The file that holds it.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    secrets_directory: str = ""
    root: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    joins: str = ""
    seccomp: bytes = b""
    seccomp_path: str = ""


NOTHING = Provided()
