"""What an entry asks of whoever sets its server up, and where the answers go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hatchlock.manifest.suspicion import looks_secret
from hatchlock.sources.mcp_registry.document import Input
from hatchlock.sources.mcp_registry.template import names_in, rewrite

__all__ = ["Collected", "Slot", "Variable", "Where"]

Where = Literal["env", "argument", "header", "url"]
_NO_VALUE = "?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A value that somebody may, or has to, give.

    Attributes:
        name: What it is called; of options without their dashes.
        description: For people, on one line; "" if there is none.
        required: Whether the server cannot be set up without it.
        secret: Whether it may only be given as a reference.
        default: Proposed; "" if there is none.
        choices: What is allowed; empty: anything.
        format: "string", "number", "boolean", "filepath", or a word of its publisher.
        placeholder: An example; "" if there is none.
        where: Where it is used first.
    """

    name: str
    description: str = ""
    required: bool = False
    secret: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    format: str = "string"
    placeholder: str = ""
    where: Where = "env"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A place that answers go to.

    Attributes:
        where: What it is.
        name: The environment variable or header; of an argument its option, or "" if it is a word.
        template: The value, with `{name}` for each of `variables`; braces around anything else are text.
        variables: Names of those that it needs. It stays empty unless all of them have an answer.
        is_flag: Whether the option stands alone, and only if the answer is "true".
        repeated: Whether it is there once for each of several answers.
        after: Fixed words that have to stand behind it.
    """

    where: Where
    name: str
    template: str
    variables: tuple[str, ...]
    is_flag: bool = False
    repeated: bool = False
    after: tuple[str, ...] = ()


class Collected:
    """Variables and slots, as they are found in an entry. Not for several threads.

    Args:
        scope: What names in values can stand for, beside the variables of the value itself: the package's environment
            variables and arguments, by name.
    """

    def __init__(self, scope: Mapping[str, Input]) -> None:
        self._scope = scope
        self.variables: dict[str, Variable] = {}
        self.slots: list[Slot] = []
        self.notes: list[str] = []

    def value(self, given: Input, where: Where, name: str) -> str:
        """Return a value as far as it is known, with `{name}` for the variables that it needs, which are remembered.

        Args:
            given: A fixed value, a default, or none.
            where: Where it is used.
            name: What it is called.
        """
        text = given.value
        secret = given.is_secret or (where != "argument" and not text and _looks_secret(name, given.default))
        if not text and not secret and all(self._known(given, item) for item in names_in(given.default)):
            text = given.default
        if secret and text and not names_in(text):
            self.notes.append(f"the entry holds a value for the secret {name}; it is not used")
            text = ""
        if not text:
            return f"{{{self._variable(name, given, where, required=given.is_required, secret=secret)}}}"
        return self._resolved(text, given, where, name, secret=secret)

    def _known(self, given: Input, name: str) -> bool:
        return name in given.variables or name in self._scope

    def _resolved(self, text: str, given: Input, where: Where, name: str, *, secret: bool) -> str:
        secrets = [item for item in names_in(text) if secret or self._input(given, item).is_secret]
        braces = rewrite(text, lambda _: "")
        if len(secrets) > 1 or (secrets and ("{" in braces or "}" in braces)):
            # a reference has one secret in one place: the whole value is it
            whole = given.model_copy(update={"description": f"{given.description} (the whole value, {text})".strip()})
            return f"{{{self._variable(name, whole, where, required=True, secret=True)}}}"

        def replaced(item: str) -> str:
            inner = self._input(given, item)
            is_secret = secret or inner.is_secret
            if not is_secret and (known := inner.value or inner.default) and not names_in(known):
                return known
            required = inner.is_required or given.is_required
            return f"{{{self._variable(item, inner, where, required=required, secret=is_secret)}}}"

        return rewrite(text, replaced)

    def _input(self, given: Input, name: str) -> Input:
        found = given.variables.get(name) or self._scope.get(name)
        return found or Input(is_required=True, description=f"what {{{name}}} stands for; the entry does not say")

    def _variable(self, name: str, given: Input, where: Where, *, required: bool, secret: bool) -> str:
        name = _variable_name(name)
        found = Variable(
            name=name,
            description=" ".join(given.description.split()),
            required=required,
            secret=secret,
            default="" if secret or given.value else given.default,
            choices=given.choices,
            format=given.format,
            placeholder="" if secret else given.placeholder,
            where=where,
        )
        number = 2
        while (known := self.variables.get(found.name)) and not _same(known, found):
            found = replace(found, name=f"{name}-{number}")
            number += 1
        if known:
            found = replace(known, required=known.required or required, secret=known.secret or secret)
        self.variables[found.name] = found
        return found.name


def _variable_name(text: str) -> str:
    """What can stand between braces, and in front of `=` in an option."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip("0123456789.-").rstrip("-.")
    return name or "value"


def _looks_secret(name: str, default: str) -> bool:
    """What a publisher forgot to mark: by its name, or, where there is a default for all to read, by the form of that."""
    return looks_secret("", default) if default else looks_secret(name, _NO_VALUE)


def _same(one: Variable, other: Variable) -> bool:
    return (one.description, one.choices, one.format) == (other.description, other.choices, other.format)
