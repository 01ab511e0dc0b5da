"""`search`, and the part of `add` that asks what an entry of the MCP registry needs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hatchlock.cli.context import project_or_none
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import HatchlockError, UsageError

if TYPE_CHECKING:
    from hatchlock.sources.mcp_registry.render import Answer
    from hatchlock.sources.mcp_registry.variables import Variable
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.registry_servers import FoundServer, Given

__all__ = ["entry_server", "given_of", "search"]

_REFERENCE = re.compile(r"(env|file|keyring|command):\S.*")
_USUAL = "active"
_WARNED_OF = frozenset({"deprecated", "deleted"})


def search(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print the servers that the indexes list."""
    from dataclasses import asdict

    from hatchlock.usecases.registry_servers import search_servers

    if arguments.limit < 1:
        raise UsageError(what=f"--limit {arguments.limit}: nothing would be shown", advice="write a number above 0")
    found = search_servers(
        project_or_none(arguments),
        arguments.terms,
        kinds=arguments.kinds or (),
        limit=arguments.limit,
        offline=arguments.offline,
        emit=ui.event,
    )
    if ui.json:
        ui.document(
            {"servers": [asdict(item) for item in found.servers], "total": found.total, "notes": list(found.notes)}
        )
        return 0
    ui.result("\n".join(line for item in found.servers for line in _lines(item)))
    for note in found.notes:
        ui.say(f"note: {printable(note)}")
    if not found.total:
        ui.say(f"nothing that is listed has {' and '.join(arguments.terms)} in its name or description")
    elif found.total > len(found.servers):
        ui.say(f"{len(found.servers)} of {found.total} are shown; --limit {found.total} shows all")
    return 0


def _lines(item: FoundServer) -> list[str]:
    facts = [", ".join(map(printable, item.packages))]
    if item.status in _WARNED_OF:
        facts.append(item.status.upper() + (f": {item.message}" if item.message else ""))
    elif item.status != _USUAL:
        facts.append(item.status)
    head = f"{printable(item.source)}  {printable('  '.join(filter(None, facts)))}".rstrip()
    return [head, f"    {printable(' '.join(item.description.split()))}"] if item.description else [head]


def given_of(arguments: argparse.Namespace) -> Given:
    """Return what `--env`, `--secret` and `--arg` say.

    Raises:
        UsageError: One of them is not NAME=VALUE, is there twice, or a secret is no reference.
    """
    from hatchlock.usecases.registry_servers import Given

    env = _pairs("--env", arguments.env)
    secrets = _pairs("--secret", arguments.secrets)
    answers = _pairs("--arg", arguments.answers, several=True)
    names = Counter((*env, *secrets, *answers))
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise UsageError(what=f"{twice[0]} is given in two ways", advice="give it as one of --env, --secret and --arg")
    for name, (text, *_) in secrets.items():
        if _REFERENCE.fullmatch(text) is None:
            # it may be the secret itself, so it is not repeated
            advice = f"write --secret {name}=keyring:NAME, and set it with `hatchlock secret set NAME`; or env:VARIABLE, or file:PATH"
            raise UsageError(what=f"--secret {name}: what follows is no reference to a secret", advice=advice)
    return Given(
        env={name: values[0] for name, values in env.items()},
        secrets={name: values[0] for name, values in secrets.items()},
        arguments=answers,
        others=tuple(_other_words(arguments)),
    )


def _other_words(arguments: argparse.Namespace) -> Iterator[str]:
    named = [("--name", arguments.name), ("--runtime", arguments.runtime)]
    for option, value in (*named, *(("--client", client) for client in arguments.clients or ())):
        if value:
            yield from (option, value)


def _pairs(option: str, texts: Sequence[str] | None, *, several: bool = False) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            # a value without its name may be a secret
            raise UsageError(what=f"{option} takes NAME=VALUE", advice=f"write {option} NAME=VALUE")
        if name in found and not several:
            raise UsageError(what=f"{option} {name} is there twice", advice="give it once")
        found[name] = (*found.get(name, ()), value)
    return found


def entry_server(arguments: argparse.Namespace, ui: Ui, project: Project, given: Given) -> tuple[str, dict[str, Any]]:
    """Return the name and the keys of the server that `add mcp:NAME` means, and ask for what it needs if somebody is there.

    Raises:
        HatchlockError: See `usecases.registry_servers.server_from_entry`.
    """
    from hatchlock.usecases.registry_servers import server_from_entry

    return server_from_entry(
        arguments.source,
        project,
        given,
        runtime=arguments.runtime,
        ask=_asker(ui),
        offline=arguments.offline,
        emit=ui.event,
    )


def _asker(ui: Ui) -> Callable[[Sequence[Variable]], Mapping[str, Answer]] | None:
    if ui.json or not (sys.stdin.isatty() and sys.stderr.isatty()) or os.environ.get("CI") == "true":
        return None

    def ask(variables: Sequence[Variable]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        for variable in variables:
            ui.say(_question(variable))
            answer = _answer(variable, ui)
            if answer is None:
                break
            answers[variable.name] = answer
        return answers

    return ask


def _question(variable: Variable) -> str:
    from hatchlock.sources.mcp_registry.render import described

    text = printable(described(variable))
    return f"\n{printable(variable.name)}: {text}" if text else f"\n{printable(variable.name)}"


def _answer(variable: Variable, ui: Ui) -> Answer | None:
    """Ask until the answer is right; None when there is nobody any more."""
    from hatchlock.launch import SecretReference
    from hatchlock.sources.mcp_registry.render import check_answer, proposal

    proposed = proposal(variable)
    shown = f" [{printable(proposed)}]" if proposed else ""
    while True:
        ui.ask(f"{'where the secret is' if variable.secret else 'value'}{shown}: ")
        line = sys.stdin.readline()
        if not line:
            return None
        text = line.strip() or proposed
        if not text:
            ui.say("it is needed")
            continue
        if variable.secret and _REFERENCE.fullmatch(text) is None:
            ui.say("that is no reference, and was not kept: write keyring:NAME, env:VARIABLE or file:PATH")
            continue
        answer = SecretReference(secret=text) if variable.secret else text
        try:
            check_answer(variable, answer)
        except HatchlockError as error:
            ui.say(f"{error}: {error.hint}")
        else:
            return answer
