"""Programs that do nothing but lead to a server at an address: mcp-remote, supergateway, mcp-proxy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from hatchlock.clients.shape import Address
from hatchlock.manifest.takeover import CannotTakeOver
from hatchlock.migrate.options import Options, Split

__all__ = ["BRIDGES_BY_PROGRAM", "Bridged", "bridged"]

BRIDGES_BY_PROGRAM = {"mcp-remote": "npm:mcp-remote", "supergateway": "npm:supergateway", "mcp-proxy": "pypi:mcp-proxy"}
"""Their commands, where they are installed, and what brings them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bridged:
    """A server at an address, that a program leads to.

    Attributes:
        address: Where it is.
        fields: Keys of `[servers.NAME]` besides.
        lost: What of the program's options cannot be carried over, as clauses.
        notes: What was guessed.
    """

    address: Address
    fields: Mapping[str, Any] = field(default_factory=dict)
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_GUESSED = (
    'its address ends in /sse, so it is taken for a server of the older kind: remove transport = "sse" if it is not one'
)
_NOBODY = "no program runs that would read it: hatchlock speaks to the server itself"
_READ = frozenset({"API_ACCESS_TOKEN", "SSE_URL", "npm_config_yes", "PATH", "NODE_PATH"})
_LOGIN = "`hatchlock login NAME` logs in by itself"
_MCP_REMOTE = Options(
    program="mcp-remote",
    flags=frozenset(
        {"--allow-http", "--debug", "--silent", "--enable-proxy", "--disable-resource-parameter", "--clean"}
    ),
    values=frozenset(
        {
            *("--header", "--transport", "--host", "--auth-timeout", "--callback-path", "--resource", "--ignore-tool"),
            *("--static-oauth-client-info", "--static-oauth-client-metadata"),
        }
    ),
    lost=dict.fromkeys(("--resource", "--static-oauth-client-info", "--static-oauth-client-metadata"), _LOGIN),
)
_SUPERGATEWAY = Options(
    program="supergateway",
    flags=frozenset({"--stateful"}),
    values=frozenset({"--sse", "--streamableHttp", "--header", "--oauth2Bearer", "--logLevel", "--outputTransport"}),
)
_MCP_PROXY = Options(
    program="mcp-proxy",
    flags=frozenset({"--debug", "--no-verify-ssl", "--stateless", "--no-stateless"}),
    values=frozenset({"--transport", "--log-level", "--client-id", "--client-secret", "--token-url", "--verify-ssl"}),
    lost=dict.fromkeys(("--client-id", "--client-secret", "--token-url"), _LOGIN)
    | dict.fromkeys(("--no-verify-ssl", "--verify-ssl"), "certificates are checked; trust one more by SSL_CERT_FILE"),
)


def bridged(source: str, args: Sequence[str], env: Mapping[str, str]) -> Bridged | None:
    """Return the server that a program leads to; None if it is no such program, or leads the other way.

    Args:
        source: Where the program comes from, `npm:…` or `pypi:…`.
        args: Its arguments.
        env: Its variables; what its arguments take from there is put in.

    Raises:
        CannotTakeOver: It has an option without counterpart, or names no address.
    """
    read = _BRIDGES.get(re.sub(r"(?<=[a-z])(?:@|[=<>!~]=?)[^/]*$", "", source))
    if read is None:
        return None
    found = read([_filled(word, env) for word in args], env)
    if found is None:
        return None
    text = " ".join(args)
    unread = [name for name in env if name not in text and name not in _READ]
    return replace(found, lost=(*found.lost, *(f"`{name}`: {_NOBODY}" for name in unread)))


def _filled(word: str, env: Mapping[str, str]) -> str:
    return re.sub(r"\$\{(?:env:)?([A-Za-z_]\w*)\}", lambda match: env.get(match[1], match[0]), word)


def _mcp_remote(args: Sequence[str], _: Mapping[str, str]) -> Bridged:
    address = _options_anywhere(args, _MCP_REMOTE)
    if not address.rest:
        raise CannotTakeOver(what="`mcp-remote` does not say where the server is")
    url = address.rest[0]
    strategy = address.last("--transport") or "http-first"
    is_sse = strategy == "sse-only" or (strategy.endswith("-first") and _is_sse(url))
    denied = address.all("--ignore-tool")
    return Bridged(
        address=Address(url=url, transport="sse" if is_sse else "http", headers=_headers(address.all("--header"))),
        fields={"tools": {"deny": denied}} if denied else {},
        lost=address.lost,
        notes=(_GUESSED,) if is_sse and strategy != "sse-only" else (),
    )


def _options_anywhere(args: Sequence[str], options: Options) -> Split:
    """Return the words of a program whose options may stand before and behind them."""
    words: list[str] = []
    found = options.split(args, needs_rest=False)
    while found.rest:
        words.append(found.rest[0])
        more = options.split(found.rest[1:], needs_rest=False)
        found = Split(pairs=(*found.pairs, *more.pairs), rest=more.rest, lost=(*found.lost, *more.lost))
    return replace(found, rest=tuple(words), lost=tuple(dict.fromkeys(found.lost)))


def _supergateway(args: Sequence[str], _: Mapping[str, str]) -> Bridged | None:
    if not any(word.partition("=")[0] in {"--sse", "--streamableHttp"} for word in args):
        return None
    found = _SUPERGATEWAY.split(args, needs_rest=False)
    if found.last("--outputTransport") not in {"", "stdio"}:
        return None
    headers = _headers(found.all("--header"))
    if bearer := found.last("--oauth2Bearer"):
        headers["Authorization"] = f"Bearer {bearer}"
    http = found.last("--streamableHttp")
    return Bridged(
        address=Address(url=http or found.last("--sse"), transport="http" if http else "sse", headers=headers)
    )


def _mcp_proxy(args: Sequence[str], env: Mapping[str, str]) -> Bridged | None:
    words, headers = _without_headers(args)
    if not words and (url := env.get("SSE_URL")):
        words = [url]
    found = _options_anywhere(words, _MCP_PROXY) if any(re.match("https?://", word) for word in words) else None
    if found is None or not re.match("https?://", found.rest[0]):
        return None
    if token := env.get("API_ACCESS_TOKEN"):
        headers.setdefault("Authorization", f"Bearer {token}")
    how = "http" if found.last("--transport") in {"streamablehttp", "streamable_http"} else "sse"
    return Bridged(
        address=Address(url=found.rest[0], transport="http" if how == "http" else "sse", headers=headers),
        lost=found.lost,
    )


def _without_headers(args: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """`-H NAME VALUE` and `--headers NAME VALUE` have two words, as no other option has."""
    words, headers = list(args), dict[str, str]()
    for option in ("-H", "--headers"):
        while option in words[:-2]:
            at = words.index(option)
            headers[words[at + 1]] = words[at + 2]
            del words[at : at + 3]
    return words, headers


def _headers(texts: Sequence[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon:
            raise CannotTakeOver(what="a header is not NAME: VALUE")
        headers[name.strip()] = value.strip()
    return headers


def _is_sse(url: str) -> bool:
    return urlsplit(url).path.rstrip("/").endswith("/sse")


_BRIDGES: dict[str, Callable[[Sequence[str], Mapping[str, str]], Bridged | None]] = {
    "npm:mcp-remote": _mcp_remote,
    "npm:supergateway": _supergateway,
    "pypi:mcp-proxy": _mcp_proxy,
}
