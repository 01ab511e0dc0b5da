"""The arguments of `export`."""

from __future__ import annotations

import argparse

__all__ = ["export_arguments"]


def export_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `export`."""
    command.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="with --to: a server or environment with an image; else servers, all if not said",
    )
    command.add_argument(
        "--to",
        metavar="TARGET",
        help="write its image: oci:DIR, oci-archive:FILE, docker-archive:FILE, docker://HOST/REPO",
    )
    command.add_argument(
        "--format",
        dest="form",
        metavar="FORMAT",
        help="another tool's lock file: pylock.toml, requirements.txt, package-lock.json, constraints, mcp-pin.lock; "
        "or its file of servers: client:NAME, compose.yaml, toolhive, docker-mcp, managed-mcp.json, "
        "managed-settings.json, vscode-policy.json, devcontainer.json",
    )
    command.add_argument("--environment", metavar="NAME", help="an environment or server; the only one if not said")
    command.add_argument("--runtime", choices=["process", "container"], help="which of two environments of that name")
    command.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="OS/ARCH",
        help="for this platform only; with --to one or several, this machine's if not said",
    )
    command.add_argument(
        "--scope", choices=["user", "project"], help="with client:NAME: whose file; as the manifest says if not said"
    )
    command.add_argument(
        "--without-hatchlock",
        action="store_true",
        help="entries that npx, uvx or docker start, pinned as far as these can",
    )
    command.add_argument(
        "--image",
        action="append",
        default=[],
        dest="images",
        metavar="NAME=REF",
        help="where the image of a server or environment was pushed to: HOST/REPOSITORY@sha256:…",
    )
    command.add_argument("--output", "-o", metavar="PATH", help="a file or directory; stdout if not said")
