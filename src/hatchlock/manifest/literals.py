"""Values of a manifest that are, or probably are, secrets; and secrets where there must be none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hatchlock.manifest.later import matches
from hatchlock.manifest.problem import Finding, KeyPath
from hatchlock.manifest.suspicion import is_credential_header, looks_secret, secret_arguments, surely_secret

__all__ = ["literal_cautions", "literal_findings"]

_TABLES = ("servers.*", "defaults")
_PLACEHOLDER = re.compile(r"\{secret(?::[^}]*)?\}|\$?\{(\w+)\}|\$(\w+)")
_BY_ARGUMENT = "everyone on this machine can read arguments"
_AS_VARIABLE = 'give it as a variable, env.NAME = { secret = … }, or as a file: as = "file"'


def literal_findings(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield secrets that stand in a manifest, and references where only literals can be. Paths are the manifest's."""
    for table in _TABLES:
        yield from _variables(document, table)
        yield from _remote(document, table)
        for key in ("args", "command"):
            for path, words in matches(document, f"{table}.{key}"):
                yield from _arguments(path, words, _secrets_of(document, path))


def literal_cautions(document: dict[str, Any]) -> Iterator[Finding]:
    """Yield values that may be secrets, by the name of their variable or option."""
    sure = {item.path for item in literal_findings(document)}
    for table in _TABLES:
        for path, value in matches(document, f"{table}.env.*"):
            if isinstance(value, str) and path not in sure and looks_secret(str(path[-1]), value):
                yield _literal(path)
        for key in ("args", "command"):
            for path, words in matches(document, f"{table}.{key}"):
                for index in secret_arguments(_texts(words)):
                    if (*path, index) not in sure:
                        yield _argument((*path, index))


def _texts(words: Any) -> list[str]:
    return [item if isinstance(item, str) else "" for item in words] if isinstance(words, list) else []


def _literal(path: KeyPath) -> Finding:
    name = path[-1]
    return Finding(
        path=path,
        what="the value looks like a secret, and a manifest is no place for one",
        advice=f'write {name} = {{ secret = "keyring:{name}" }}, and set it with `hatchlock secret set {name}`',
    )


def _argument(path: KeyPath) -> Finding:
    return Finding(path=path, what=f"the argument looks like a secret, and {_BY_ARGUMENT}", advice=_AS_VARIABLE)


def _variables(document: dict[str, Any], table: str) -> Iterator[Finding]:
    for path, value in matches(document, f"{table}.env.*"):
        if isinstance(value, str) and surely_secret(str(path[-1]), value):
            yield _literal(path)
        elif isinstance(value, dict):
            yield from _hidden_name(document, path, value)


def _remote(document: dict[str, Any], table: str) -> Iterator[Finding]:
    for path, value in matches(document, f"{table}.headers.*"):
        name = "token" if is_credential_header(str(path[-1])) else str(path[-1])
        if isinstance(value, str) and surely_secret(name, value):
            yield _literal(path)
    for path, value in matches(document, f"{table}.url"):
        if isinstance(value, str) and _has_secret(value):
            yield Finding(
                path=path,
                what="the address holds what looks like a secret, and a manifest is no place for one",
                advice="give it as a header: headers.NAME = { secret = … }",
            )


def _hidden_name(document: Any, path: KeyPath, value: dict[str, Any]) -> Iterator[Finding]:
    """A secret that is given as a file takes a second variable."""
    taken = f"{path[-1]}_FILE"
    siblings = document
    for key in path[:-1]:
        siblings = siblings[key]
    if value.get("as") == "file" and taken in siblings:
        yield Finding(
            path=(*path[:-1], taken),
            what=f"{taken} is where the server finds the file of {path[-1]}",
            advice="remove it, or rename one of them",
        )


def _secrets_of(document: Any, path: KeyPath) -> set[str]:
    """Return the variables with references that the server, or the defaults, at the beginning of a path has."""
    tables = [table for _, table in matches(document, "defaults.env")]
    if path[0] == "servers":
        tables += [table for _, table in matches(document["servers"][path[1]], "env")]
    named = [item for table in tables if isinstance(table, dict) for item in table.items()]
    return {str(name) for name, value in named if isinstance(value, dict)}


def _arguments(path: KeyPath, words: Any, names: set[str]) -> Iterator[Finding]:
    texts = _texts(words)
    for index in secret_arguments(texts, sure=True):
        yield _argument((*path, index))
    for index, text in enumerate(texts):
        for match in _PLACEHOLDER.finditer(text):
            name = match[1] or match[2]
            if name is None or name in names:
                yield Finding(
                    path=(*path, index),
                    what=f"{match[0]} is no place for a secret: {_BY_ARGUMENT}, and nothing is put in there",
                    advice=_AS_VARIABLE,
                )
                break


def _has_secret(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return any(surely_secret(name, value) for name, value in parse_qsl(parts.query)) or surely_secret("", url)
