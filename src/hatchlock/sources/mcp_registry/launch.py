"""How a registry's entry says that its server is started: what is fixed, and what somebody has to say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hatchlock.sources.mcp_registry.choose import Choice, image_of
from hatchlock.sources.mcp_registry.document import Argument, Input, NamedInput, Package, Transport
from hatchlock.sources.mcp_registry.entry import Entry
from hatchlock.sources.mcp_registry.runtime_arguments import split_runtime
from hatchlock.sources.mcp_registry.template import fill, names_in
from hatchlock.sources.mcp_registry.variables import Collected, Slot, Variable, Where

__all__ = ["EntryLaunch", "launch"]

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TRUE = frozenset({"true", "1", "yes"})


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryLaunch:
    """How the server of an entry is started.

    Attributes:
        args: Its fixed and defaulted arguments, in order.
        env: Its fixed and defaulted variables.
        headers: Of a remote, its fixed and defaulted headers.
        transport: "stdio", "streamable-http" or "sse".
        url: Where it answers, unless it is stdio; may hold `{name}` of a variable.
        command: What to start, where it is not the package's own command: ("serena",), ("python", "-m", "server").
        python: The version of Python that it asks for; "" for any.
        with_: Further Python packages that it asks for: `pypi:NAME==1.2`.
        variables: What can be said, in the entry's order.
        slots: Where the answers go.
        notes: What the entry asks for and does not get, as sentences.
    """

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    transport: str = "stdio"
    url: str = ""
    command: tuple[str, ...] = ()
    python: str = ""
    with_: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    slots: tuple[Slot, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The environment variables that have to be set, sorted, since the entry says no value for them."""
        required = {variable.name for variable in self.variables if variable.required}
        slots = (slot for slot in self.slots if slot.where == "env")
        return tuple(sorted({slot.name for slot in slots if required & set(slot.variables)}))


def launch(entry: Entry, choice: Choice) -> EntryLaunch:
    """Return how the chosen package, or remote, of an entry is started.

    Args:
        entry: From the registry.
        choice: What was chosen of it.
    """
    if choice.remote is not None:
        return _remote(choice.remote)
    package = entry.server.packages[choice.index]
    runtime = split_runtime(package, image_of(package) if package.registry_type == "oci" else "")
    arguments = (*runtime.arguments, *package.package_arguments)
    environment = _merged(package.environment_variables, runtime.environment)
    collected = Collected(_scope(environment, arguments))
    env = _named_values(collected, environment, "env")
    args = _arguments(collected, arguments)
    url = _own_url(package, environment, arguments)
    return EntryLaunch(
        args=tuple(args),
        env=env,
        transport=package.transport.type,
        url=url,
        command=runtime.command,
        python=runtime.python,
        with_=tuple(f"pypi:{item}" for item in runtime.with_),
        variables=tuple(collected.variables.values()),
        slots=tuple(collected.slots),
        notes=(*_notes(package.transport.type, url), *runtime.notes, *collected.notes),
    )


def _remote(remote: Transport) -> EntryLaunch:
    collected = Collected({})
    url = collected.value(Input(value=remote.url, variables=remote.variables, is_required=True), "url", "url")
    if needed := names_in(url):
        collected.slots.append(Slot(where="url", name="url", template=url, variables=needed))
    headers = _named_values(collected, remote.headers, "header")
    return EntryLaunch(
        headers=headers,
        transport=remote.type,
        url=url,
        variables=tuple(collected.variables.values()),
        slots=tuple(collected.slots),
        notes=tuple(collected.notes),
    )


def _notes(transport: str, url: str) -> tuple[str, ...]:
    if transport == "stdio":
        return ()
    return (f"it speaks {transport} at {url or 'an address that it does not say'}, not stdio",)


def _merged(listed: Sequence[NamedInput], set_by_options: Sequence[NamedInput]) -> tuple[NamedInput, ...]:
    """What `-e` of the starting program says of a variable holds; where it says the name only, the list does."""
    found = {item.name: item for item in listed}
    for item in set_by_options:
        if item.value or item.name not in found:
            known = found.get(item.name)
            described = {"description": known.description} if known and not item.description else {}
            found[item.name] = item.model_copy(update=described)
    return tuple(found.values())


def _scope(environment: Iterable[NamedInput], arguments: Iterable[Argument]) -> dict[str, Input]:
    scope: dict[str, Input] = {_called(argument): argument for argument in arguments if not names_in(argument.value)}
    return scope | {item.name: item for item in environment}


def _called(argument: Argument) -> str:
    name = argument.name.lstrip("-").rstrip("=") if argument.type == "named" else argument.value_hint
    return name or "argument"


def _own_url(package: Package, environment: Iterable[NamedInput], arguments: Iterable[Argument]) -> str:
    known = {name: item.value or item.default for name, item in _scope(environment, arguments).items()}
    known |= {name: item.value or item.default for name, item in package.transport.variables.items()}
    return fill(package.transport.url, {name: text for name, text in known.items() if text})


def _named_values(collected: Collected, items: Iterable[NamedInput], where: Where) -> dict[str, str]:
    values: dict[str, str] = {}
    for item in items:
        if where == "env" and _ENV_NAME.fullmatch(item.name) is None:
            collected.notes.append(f"{item.name!r} is no name of an environment variable, and is left out")
            continue
        value = collected.value(item, where, item.name)
        needed = tuple(name for name in names_in(value) if name in collected.variables)
        if needed:
            collected.slots.append(Slot(where=where, name=item.name, template=value, variables=needed))
        else:
            values[item.name] = value
    return dict(sorted(values.items()))


def _arguments(collected: Collected, arguments: Iterable[Argument]) -> list[str]:
    """Return what is fixed. What is to be said comes behind it; words that must not come before an answer go with it."""
    fixed: list[str] = []
    waits_at: int | None = None
    for argument in arguments:
        value = collected.value(argument, "argument", _called(argument))
        needed = tuple(name for name in names_in(value) if name in collected.variables)
        is_flag = argument.type == "named" and argument.format == "boolean"
        if not needed:
            # publishers write "true" for a flag that stands alone, and mostly forget its format
            alone = is_flag or (argument.type == "named" and argument.value == "true")
            words = _words(argument.name, value, is_flag=alone)
            if argument.type == "positional" and waits_at is not None:
                slot = collected.slots[waits_at]
                collected.slots[waits_at] = replace(slot, after=(*slot.after, *words))
            else:
                fixed += words
            continue
        if argument.type == "positional" and any(collected.variables[name].required for name in needed):
            waits_at = len(collected.slots)
        collected.slots.append(
            Slot(
                where="argument",
                name=argument.name if argument.type == "named" else "",
                template=value,
                variables=needed,
                is_flag=is_flag,
                repeated=argument.is_repeated,
            )
        )
    return fixed


def _words(option: str, value: str, *, is_flag: bool) -> tuple[str, ...]:
    if is_flag:
        return (option,) if value.lower() in _TRUE else ()
    if option.endswith("="):
        return (f"{option}{value}",)
    return (option, value) if option and value else (option or value,)
