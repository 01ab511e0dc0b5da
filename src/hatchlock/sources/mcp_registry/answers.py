"""What was said on a command line, as answers to what an entry asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hatchlock.launch import SecretReference
from hatchlock.sources.mcp_registry.launch import EntryLaunch
from hatchlock.sources.mcp_registry.render import Answer, SecretAsText

__all__ = ["Told", "told"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What was said.

    Attributes:
        launch: What the entry says, without what was said of a whole environment variable.
        answers: By the name of the variable.
        env: Whole environment variables, whatever the entry says of them.
    """

    launch: EntryLaunch
    answers: Mapping[str, Answer]
    env: Mapping[str, str | SecretReference]


def told(
    launch: EntryLaunch,
    *,
    env: Mapping[str, str],
    secrets: Mapping[str, SecretReference],
    arguments: Mapping[str, tuple[str, ...]],
) -> Told:
    """Sort what was said.

    What has the name of a variable of the entry is its answer. Other `env` and `secrets` are environment variables of
    the server: the entry's own, which then need no answers any more, or further ones.

    Args:
        launch: What the entry says.
        env: Name -> value.
        secrets: Name -> where it is.
        arguments: Name -> its values, at least one.

    Raises:
        SecretAsText: A whole variable that holds a secret was given as a value.
    """
    names = {variable.name for variable in launch.variables}
    given: dict[str, str | SecretReference] = {**env, **secrets}
    answers: dict[str, Answer] = {name: value for name, value in given.items() if name in names}
    answers |= {name: values if len(values) > 1 else values[0] for name, values in arguments.items()}
    whole = {name: value for name, value in given.items() if name not in names}
    secret = {variable.name for variable in launch.variables if variable.secret}
    for slot in launch.slots:
        if slot.where == "env" and isinstance(whole.get(slot.name), str) and secret & set(slot.variables):
            raise SecretAsText(name=slot.name)
    return Told(launch=_without(launch, whole), answers=answers, env=whole)


def _without(launch: EntryLaunch, names: Mapping[str, object]) -> EntryLaunch:
    slots = tuple(slot for slot in launch.slots if slot.where != "env" or slot.name not in names)
    dropped = {name for slot in launch.slots for name in slot.variables}
    dropped -= {name for slot in slots for name in slot.variables}
    variables = tuple(variable for variable in launch.variables if variable.name not in dropped)
    return replace(launch, slots=slots, variables=variables)
