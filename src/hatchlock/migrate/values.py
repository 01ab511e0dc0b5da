"""Variables and headers of other tools' files: which are plain values, which are secrets, which name another place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hatchlock.manifest.suspicion import is_credential_header, looks_secret
from hatchlock.migrate.model import Left, Secret, Table

__all__ = ["Reference", "at_home", "holds_secret", "is_placeholder", "parted", "references", "unparted"]

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(
    rf"\$\{{(?:env:)?(?P<braced>{_VARIABLE})(?::?-(?P<default>[^}}]*))?\}}"
    r"|\$\{input:(?P<input>[^}]+)\}"
    rf"|\$\{{\{{\s*(?:secrets|inputs)\.(?P<continue>{_VARIABLE})\s*\}}\}}"
    rf"|\{{env:(?P<opencode>{_VARIABLE})\}}"
    r"|\{file:(?P<file>[^}]+)\}"
    rf"|(?<![\w$])\$(?P<bare>{_VARIABLE})"
)
_APPLICATIONS_OWN = re.compile(
    r"\$\{(?:workspaceFolder|workspaceRoot|file|command|config|extensionPath|user_config|__dirname)\w*(?:[:.][^}]*)?\}"
)
"""What an application itself puts in, and nobody else knows."""
_OF_A_SHELL = re.compile(r"(?<!\$)\$\([^()]+\)")
"""What Crush runs, and what others hand on as it stands."""
_HOME = re.compile(r"\$\{(?:env:)?HOME\}|\$\{userHome\}|\$HOME(?!\w)|\{env:HOME\}|^~(?=/|$)")
_SCHEME = re.compile(r"(?P<scheme>Bearer|Basic|Token|ApiKey)\s+(?P<value>\S.*)", re.IGNORECASE | re.DOTALL)
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\[[\w .-]+\]|\{\{?[\w .-]+\}?\}|(?:.*[-_ ])?your[-_ ].*|.*[-_ ]here|(?:insert|replace|enter|paste)[-_ ].*"
    r"|change-?me|[x*.•…]{3,}|(?:sk|pk|ghp|pat|xoxb|xapp|ntn)[-_][x*.…]{2,}|(?:api[-_ ]?key|token|secret|password)",
    re.IGNORECASE,
)
_WITHIN = re.compile(
    r"\b(?:Bearer|Basic)\s+[\w.~+/=-]{6,}"
    r"|(?:authorization|api[_-]?key|token|secret|password)[\"']?\s*[:=]\s*[\"']?[^\s\"'<>$&]{6,}",
    re.IGNORECASE,
)
"""A secret in a longer text: JSON with headers, a query."""
_PROBE = "Ab1Cd2Ef3Gh4Ij5Kl6"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A place in a text where an application puts something in.

    Attributes:
        text: What stands there.
        place: Where its value is to be looked for, as a manifest says it: `env:TOKEN`, `file:PATH`; "" where the application
            asks a person.
        default: What is put in where there is nothing; None where nothing is said of it.
        asked: What the application calls it where it asks; "" where it does not.
    """

    text: str
    place: str
    default: str | None = None
    asked: str = ""


def references(text: str) -> tuple[Reference, ...]:
    """Return the places of a text, in any application's spelling, where something is put in."""
    return tuple(_reference(match) for match in _REFERENCE.finditer(text) if not _APPLICATIONS_OWN.match(match[0]))


def _reference(match: re.Match[str]) -> Reference:
    variable = match["braced"] or match["opencode"] or match["bare"]
    place = f"env:{variable}" if variable else f"file:{match['file']}" if match["file"] else ""
    return Reference(
        text=match[0], place=place, default=match["default"], asked=match["input"] or match["continue"] or ""
    )


def at_home(text: str) -> str:
    """Return a text with the user's home directory in the place of what applications and shells call it."""
    return _HOME.sub(lambda _: str(Path.home()), text)


def is_placeholder(text: str) -> bool:
    """Return whether a value stands in for one that a person is to write: `<YOUR_TOKEN>`, `your-api-key`, `xxx`."""
    return _PLACEHOLDER.fullmatch(text.strip()) is not None


def holds_secret(text: str) -> bool:
    """Return whether a longer text, such as JSON or an address, has what looks like a secret in it."""
    return _WITHIN.search(text) is not None


def parted(
    table: Table, values: Mapping[str, str], *, expands: bool = True
) -> tuple[dict[str, str], tuple[Secret, ...]]:
    """Return what a manifest can hold of a server's variables or headers, and what it must refer to.

    A value that names another place, alone or with text around it, becomes a reference to that place, unless it says its default
    and that is no secret. One that looks like a
    secret becomes a secret with its value. One that stands in for a secret that was never written becomes a secret without.
    One that cannot be written as a reference (of two parts) becomes a reference to the variable of its own name, and one that
    a manifest cannot have is left out: `unparted` says of both that they were something else.

    Args:
        table: Which of the two they are.
        values: Name -> value, as the file has them.
        expands: Whether whoever reads the file puts in what values name; if not, a dollar sign is one.
    """
    literals: dict[str, str] = {}
    secrets: list[Secret] = []
    for key, value in values.items():
        found = _value(table, key, value, expands=expands)
        if isinstance(found, Secret):
            secrets.append(found)
        elif found is not None:
            literals[key] = found
    return literals, tuple(secrets)


def unparted(table: Table, values: Mapping[str, str], *, line: int = 0, expands: bool = True) -> tuple[Left, ...]:
    """Return what of a server's variables or headers `parted` could not keep as it was.

    Args:
        table: Which of the two they are.
        values: Name -> value, as the file has them.
        line: Where the server begins.
        expands: As above.
    """
    found = ((key, _lost(table, key, value, expands=expands)) for key, value in values.items())
    return tuple(Left(line=line, what=f"`{key}`: {why}") for key, why in found if why)


def _value(table: Table, key: str, value: str, *, expands: bool) -> str | Secret | None:
    if _is_impossible(table, key, value, expands=expands):
        return None
    found = references(value) if expands else ()
    if len(found) == 1 and found[0].default and found[0].text == value:
        plain = _plain(table, key, found[0].default)
        if isinstance(plain, str):
            return plain
    if len(found) == 1:
        reference = found[0]
        before, _, after = value.partition(reference.text)
        if not set("{}") & set(before + after):
            around = f"{before}{{}}{after}" if before or after else ""
            return Secret(table=table, key=key, reference=reference.place, format=around, asked=reference.asked)
    if found:
        return Secret(table=table, key=key, reference=f"env:{_as_variable(key)}")
    return _plain(table, key, value)


def _plain(table: Table, key: str, value: str) -> str | Secret:
    name = "token" if table == "headers" and is_credential_header(key) else key
    scheme = _SCHEME.fullmatch(value) if table == "headers" else None
    own, shown = (scheme["value"], f"{scheme['scheme']} {{}}") if scheme else (value, "")
    if looks_secret(name, _PROBE) and is_placeholder(own):
        return Secret(table=table, key=key, format=shown)
    if looks_secret(name, own) or holds_secret(own):
        return Secret(table=table, key=key, value=own, format=shown)
    return value


def _lost(table: Table, key: str, value: str, *, expands: bool) -> str:
    if why := _is_impossible(table, key, value, expands=expands):
        return why
    found = references(value) if expands else ()
    if len(found) > 1 or (len(found) == 1 and set("{}") & set(value.replace(found[0].text, ""))):
        variable = _as_variable(key)
        return f"it is put together from several parts; set the variable {variable} to the whole value"
    if found and found[0].default:
        variable = found[0].place.removeprefix("env:")
        if isinstance(_value(table, key, value, expands=True), str):
            return f"it has its default now, whatever the variable {variable} says"
        return f"the value that it has without the variable {variable} is not kept: set it"
    return ""


def _is_impossible(table: Table, key: str, value: str, *, expands: bool) -> str:
    """Return why a manifest cannot have it, "" where it can."""
    if "\0" in value:
        return "it holds a NUL character"
    if re.search(r"[\ud800-\udfff]", value):
        return "it holds half of a character, which is no text"
    if expands and (why := _put_in_by_others(table, key, value)):
        return why
    if table == "env" and re.fullmatch(_VARIABLE, key) is None:
        return "that is no name of a variable"
    if table == "headers" and re.fullmatch(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", value) is None:
        return "a header cannot have that value: it is empty, or holds a line break or a character outside of ASCII"
    return ""


def _put_in_by_others(table: Table, key: str, value: str) -> str:
    if match := _APPLICATIONS_OWN.search(value):
        return f"{match[0]} is known to the application alone; write what it stands for"
    if _OF_A_SHELL.search(value):
        where = key if table == "env" else f"headers.{key}"
        return f'a command of a shell is run by nobody here: {where} = {{ secret = "command:PROGRAM ARGUMENT…" }} has what it prints'
    return ""


def _as_variable(key: str) -> str:
    return re.sub(r"\W", "_", key, flags=re.ASCII).upper() if "-" in key else key
