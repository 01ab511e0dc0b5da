"""From answers to the keys of a server in a manifest. No secret becomes text: only references do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.launch import SecretReference
from hatchlock.manifest.problem import did_you_mean
from hatchlock.sources.mcp_registry.launch import EntryLaunch
from hatchlock.sources.mcp_registry.template import fill
from hatchlock.sources.mcp_registry.variables import Slot, Variable

__all__ = [
    "Answer",
    "MissingVariables",
    "SecretArgument",
    "SecretAsText",
    "UnknownVariable",
    "WrongAnswer",
    "check_answer",
    "described",
    "option_for",
    "proposal",
    "render",
]

Answer = str | tuple[str, ...] | SecretReference
"""What was said of a variable: a text, several of them, or where a secret is."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_FLAG = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_PLACES = {"header": "headers", "env": "env"}


@dataclass(kw_only=True, eq=False)
class MissingVariables(HatchlockError):
    """An entry needs values that nobody gave.

    Attributes:
        source: The entry, as `add` takes it.
        variables: Those that are missing, in the entry's order.
        given: The options that were given, as they were typed.
    """

    code: ClassVar[str] = "missing-variables"

    source: str
    variables: tuple[Variable, ...]
    given: tuple[str, ...] = ()

    def __str__(self) -> str:
        width = max(len(variable.name) for variable in self.variables)
        lines = [f"  {variable.name:<{width}}  {described(variable)}".rstrip() for variable in self.variables]
        return "\n".join([f"{self.source} needs what it was not told:", *lines])

    def _hint(self) -> str:
        options = [word for variable in self.variables for word in option_for(variable)]
        return shlex.join(["hatchlock", "add", self.source, *self.given, *options])


@dataclass(kw_only=True, eq=False)
class UnknownVariable(HatchlockError):
    """An answer to something that an entry does not ask."""

    code: ClassVar[str] = "unknown-variable"

    name: str
    source: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source} does not ask for {self.name!r}"

    def _hint(self) -> str:
        listed = f"it asks for {', '.join(self.known)}" if self.known else "it asks for nothing"
        return did_you_mean(self.name, self.known, listed)


@dataclass(kw_only=True, eq=False)
class SecretAsText(HatchlockError):
    """A secret was given as a value."""

    code: ClassVar[str] = "secret-as-text"

    name: str

    def __str__(self) -> str:
        return f"{self.name} is a secret, and a manifest is no place for its value"

    def _hint(self) -> str:
        return f"say where it is: --secret {self.name}=env:{_variable_name(self.name)}, or =file:PATH"


@dataclass(kw_only=True, eq=False)
class SecretArgument(HatchlockError):
    """An entry wants a secret among its arguments, which everybody on the machine can read."""

    code: ClassVar[str] = "secret-argument"

    name: str
    source: str

    def __str__(self) -> str:
        return (
            f"{self.source} wants the secret {self.name} as an argument, and everyone on the machine can read arguments"
        )

    def _hint(self) -> str:
        return "leave it out, or choose a server that reads it from a variable"


@dataclass(kw_only=True, eq=False)
class WrongAnswer(HatchlockError):
    """An answer that is not among the choices, or is no number where one is wanted."""

    code: ClassVar[str] = "wrong-answer"

    name: str
    value: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.name} cannot be {self.value!r}"

    def _hint(self) -> str:
        return f"give {self.wanted}"


def render(launch: EntryLaunch, answers: Mapping[str, Answer], *, source: str = "") -> dict[str, Any]:
    """Return what a server of the manifest has to say beside its source: the answers, and nothing that the entry says.

    Args:
        launch: What the entry says.
        answers: By the name of the variable.
        source: The entry, for messages.

    Returns:
        Keys of a server, each only if it has something: `args` (they come behind the entry's own), `env`, `headers`
        and `url`.

    Raises:
        UnknownVariable: An answer is to nothing.
        WrongAnswer, SecretAsText: An answer is not allowed.
        SecretArgument: A secret would become an argument.
        MissingVariables: Something that is required has no answer; all of it is named.
    """
    known = {variable.name: variable for variable in launch.variables}
    for name, answer in answers.items():
        if name not in known:
            raise UnknownVariable(name=name, source=source, known=tuple(known))
        check_answer(known[name], answer)
    missing = tuple(variable for variable in launch.variables if variable.required and variable.name not in answers)
    _check_places(launch, answers, {*answers, *(variable.name for variable in missing)}, source)
    if missing:
        raise MissingVariables(source=source, variables=missing)
    fields: dict[str, Any] = {}
    for slot in launch.slots:
        if not all(name in answers for name in slot.variables):
            continue
        if slot.where == "argument":
            fields.setdefault("args", []).extend(_words(slot, answers))
        elif slot.where == "url":
            fields["url"] = fill(slot.template, _texts(slot, answers))
        else:
            fields.setdefault(_PLACES[slot.where], {})[slot.name] = _value(slot, answers)
    return {key: value for key, value in fields.items() if value}


def check_answer(variable: Variable, answer: Answer) -> None:
    """Check one answer by itself.

    Raises:
        SecretAsText: It is the value of a secret.
        WrongAnswer: It is not what the variable allows.
    """
    if isinstance(answer, SecretReference):
        if variable.where == "url":
            raise WrongAnswer(name=variable.name, value=answer.secret, wanted="a value: addresses hold no secrets")
        return
    if variable.secret:
        raise SecretAsText(name=variable.name)
    for value in (answer,) if isinstance(answer, str) else answer:
        if variable.choices and value not in variable.choices:
            raise WrongAnswer(name=variable.name, value=value, wanted=f"one of {', '.join(variable.choices)}")
        if variable.format == "number" and _NUMBER.fullmatch(value) is None:
            raise WrongAnswer(name=variable.name, value=value, wanted="a number")
        if variable.format == "boolean" and value.lower() not in _FLAG:
            raise WrongAnswer(name=variable.name, value=value, wanted="true or false")


def option_for(variable: Variable) -> tuple[str, str]:
    """Return the option of `add` that answers a variable, with something in place of the value."""
    if variable.secret:
        return ("--secret", f"{variable.name}={proposal(variable)}")
    example = variable.default or variable.placeholder or (variable.choices[0] if variable.choices else "VALUE")
    return ("--env" if variable.where == "env" else "--arg", f"{variable.name}={example}")


def proposal(variable: Variable) -> str:
    """Return what to propose as the answer: of a secret where it could be, never what it is; "" for nothing."""
    return f"env:{_variable_name(variable.name)}" if variable.secret else variable.default


def described(variable: Variable) -> str:
    """Return what people have to know to answer, on one line; "" if there is nothing to say."""
    facts = [
        "a secret" if variable.secret else "",
        f"one of {', '.join(variable.choices)}" if variable.choices else "",
        f"such as {variable.placeholder}" if variable.placeholder else "",
    ]
    told = ", ".join(filter(None, facts))
    return f"{variable.description} ({told})".strip() if told else variable.description


def _variable_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").upper() or "SECRET"


def _check_places(launch: EntryLaunch, answers: Mapping[str, Answer], used: set[str], source: str) -> None:
    """An argument or address has no place for a secret, a variable or header for one."""
    secrets = {variable.name for variable in launch.variables if variable.secret}
    secrets |= {name for name, answer in answers.items() if isinstance(answer, SecretReference)}
    for slot in launch.slots:
        hidden = [name for name in slot.variables if name in secrets]
        if slot.where in {"argument", "url"} and hidden and set(slot.variables) <= used:
            raise SecretArgument(name=hidden[0], source=source)
        if len(hidden) > 1:
            raise WrongAnswer(name=hidden[1], value="a secret", wanted=f"a value: {slot.name} has place for one secret")


def _texts(slot: Slot, answers: Mapping[str, Answer]) -> dict[str, str]:
    given = {name: answers[name] for name in slot.variables}
    single = {name: answer for name, answer in given.items() if isinstance(answer, str)}
    return single | {name: ",".join(answer) for name, answer in given.items() if isinstance(answer, tuple)}


def _words(slot: Slot, answers: Mapping[str, Answer]) -> list[str]:
    words: list[str] = []
    for values in _each(slot, answers):
        text = fill(slot.template, values)
        if slot.is_flag:
            words += [slot.name] if _FLAG.get(text.lower()) else []
        elif slot.name.endswith("="):
            words.append(f"{slot.name}{text}")
        else:
            words += [word for word in (slot.name, text) if word]
    return [*words, *slot.after]


def _each(slot: Slot, answers: Mapping[str, Answer]) -> list[dict[str, str]]:
    """Once for each of several answers, if the slot has one variable and may be repeated."""
    if slot.repeated and len(slot.variables) == 1:
        (name,) = slot.variables
        answer = answers[name]
        if isinstance(answer, tuple):
            return [{name: value} for value in answer]
    return [_texts(slot, answers)]


def _value(slot: Slot, answers: Mapping[str, Answer]) -> str | dict[str, str]:
    secrets = {name: answer for name in slot.variables if isinstance(answer := answers[name], SecretReference)}
    if not secrets:
        return fill(slot.template, _texts(slot, answers))
    ((name, reference),) = secrets.items()
    shape = fill(slot.template, {**_texts(slot, answers), name: reference.format})
    return {"secret": reference.secret} | ({"format": shape} if shape != "{}" else {})
