"""`try --header`: what requests to a remote server have, from where the secret is."""

from __future__ import annotations

import argparse
import re
from typing import Any

from hatchlock.errors import UsageError

__all__ = ["header_arguments", "with_headers"]

# one word may stand before the reference; more could be the value itself
_WRITTEN = re.compile(
    r"(?P<name>[^\s=:]+)=(?:(?P<scheme>[A-Za-z][A-Za-z-]{0,19}) )?(?P<secret>(?:env|file|keyring|command):\S.*)"
)
_ADVICE = "write --header Authorization='Bearer env:TOKEN', or NAME=keyring:NAME, or NAME=file:PATH"


def header_arguments(command: argparse.ArgumentParser) -> None:
    """Add the argument that gives headers."""
    command.add_argument(
        "--header",
        action="append",
        dest="headers",
        metavar="NAME=REF",
        help="a header for a server at an address, and where its value is: Authorization='Bearer env:TOKEN'",
    )


def with_headers(fields: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return a server's keys, as in a manifest, with what `--header` says.

    Raises:
        UsageError: It is no server at an address, a header is there twice, or has no reference. What stands there may be a
            secret, so that is not repeated.
    """
    if not arguments.headers:
        return fields
    if "url" not in fields:
        raise UsageError(
            what="--header is for a server at an address, https://HOST/PATH",
            advice="--env and --secret give variables to a server that runs here",
        )
    given: dict[str, dict[str, str]] = {}
    for text in arguments.headers:
        match = _WRITTEN.fullmatch(text)
        if match is None:
            said = re.match(r"[\w-]+(?=[=:])", text)
            what = f"--header {said[0]}" if said else "--header"
            raise UsageError(what=f"{what}: what follows is no reference to a secret", advice=_ADVICE)
        name, scheme = match["name"], match["scheme"]
        if name.lower() in map(str.lower, given):
            raise UsageError(what=f"--header {name} is there twice", advice="give it once")
        given[name] = {"secret": match["secret"]} | ({"format": f"{scheme} {{}}"} if scheme else {})
    others = {
        name: value for name, value in fields.get("headers", {}).items() if name.lower() not in map(str.lower, given)
    }
    return {**fields, "headers": others | given}
