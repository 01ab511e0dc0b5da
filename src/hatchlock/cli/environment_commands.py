"""`env`, `exec`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hatchlock.cli.context import home_of, project_of
from hatchlock.cli.layout import size, table
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.environments import EnvironmentDetails, EnvironmentView

__all__ = ["env", "exec"]

_LONGEST = 40


def env(arguments: argparse.Namespace, ui: Ui) -> int:
    """List the environments, or print everything about one."""
    return _show(arguments, ui) if arguments.action == "show" else _list(arguments, ui)


def _list(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.environments import list_environments

    if arguments.name or arguments.runtime or arguments.platform or arguments.verify:
        raise UsageError(
            what="env list takes no name and no options of its own", advice="see `hatchlock env show NAME`"
        )
    views = list_environments(project_of(arguments))
    if ui.json:
        ui.document({"environments": [asdict(view) for view in views]})
        return 0
    if not views:
        ui.say("the lock has no environments")
        return 0
    rows: list[tuple[str, ...]] = [
        ("ENVIRONMENT", "RUNTIME", "KIND", "INTERPRETER", "PACKAGES", "TRUST", "STATE", "USED BY")
    ]
    rows += [_row(view) for view in views]
    ui.result(table(rows))
    for view in views:
        for detail in view.details:
            ui.say(f"note: {view.name}: {detail}")
    return 0


def _row(view: EnvironmentView) -> tuple[str, ...]:
    return (
        view.name,
        view.runtime,
        "private" if view.private else "shared",
        _interpreters(view),
        _counts(view) or "none",
        printable(view.trust) or "-",
        view.state,
        ", ".join(view.servers) or "nobody",
    )


def _interpreters(view: EnvironmentView) -> str:
    words = {"python": view.python, "node": view.node}
    return ", ".join(f"{name} {version}" for name, version in words.items() if version) or "-"


def _counts(view: EnvironmentView) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in view.counts.items())


def _show(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.environments import show_environment

    if not arguments.name:
        raise UsageError(what="env show needs a name", advice="see `hatchlock env list`")
    found = show_environment(
        project_of(arguments),
        arguments.name,
        runtime=arguments.runtime,
        platform=arguments.platform,
        verify=arguments.verify,
    )
    if ui.json:
        ui.document(_details_document(found))
    else:
        ui.result("\n".join([*_facts(found), "", *_packages(found)]))
        if found.view.state == "damaged":
            ui.say(f"\nhint: delete {found.path}, then run `hatchlock apply`: it builds it again")
        elif found.verified is not None and not found.verified.is_whole:
            ui.say(f"\nhint: `hatchlock apply --replace env:{found.view.name}` makes it anew")
    is_bad = found.view.state == "damaged" or (found.verified is not None and not found.verified.is_whole)
    return 1 if arguments.verify and is_bad else 0


def _details_document(found: EnvironmentDetails) -> dict[str, Any]:
    values = asdict(found)
    return {**values.pop("view"), **values}


def _facts(found: EnvironmentDetails) -> list[str]:
    view = found.view
    state = " ".join("; ".join([view.state, *view.details]).split())  # some reasons are lists of lines
    users = [_user(server, clients) for server, clients in found.clients.items()]
    facts = {
        "description": found.description,
        "runtime": f"{view.runtime}, {'private' if view.private else 'shared'}",
        "trust": view.trust,
        "python": view.python,
        "node": view.node,
        "base": _base(found),
        "requires": ", ".join(found.requirements),
        "constraints": ", ".join(found.constraints),
        "overrides": ", ".join(found.overrides),
        "used by": ", ".join(users) or "nobody",
        "state": state,
        "where": found.path,
        "on disk": "" if found.size is None else size(found.size),
        "verified": _verified(found),
        "to fetch": f"{size(found.download)} for {found.platform}",
    }
    return [view.name, *(f"  {name:<13}{printable(text)}" for name, text in facts.items() if text)]


def _user(server: str, clients: Sequence[str]) -> str:
    return f"{server} (in {', '.join(clients)})" if clients else server


def _base(found: EnvironmentDetails) -> str:
    base = found.base
    if base is None:
        return ""
    facts = [f"Python {base.python}" if base.python else "", base.libc, f"{base.packages} packages", size(base.size)]
    return f"{base.reference}, {base.digest}; {', '.join(fact for fact in facts if fact)}"


def _verified(found: EnvironmentDetails) -> str:
    if found.verified is None:
        return ""
    altered, count = found.verified.altered, found.verified.files
    said = f"{len(altered)} altered: {', '.join(altered)}" if altered else "none altered"
    compared = f"{count} {'file' if count == 1 else 'files'} compared, {said}"
    return "; ".join(filter(None, (compared, *found.verified.damaged, found.verified.unknown)))


def _packages(found: EnvironmentDetails) -> Iterator[str]:
    if not found.packages:
        yield "  no packages"
        return
    rows = [("PACKAGE", "VERSION", "LICENCE", "SIZE", "FROM")]
    rows += [
        (
            printable(f"{item.kind}:{item.name}"),
            printable(item.version),
            _cut(printable(item.licence)) or "not said",
            size(item.size) if item.size else "not said",
            item.source_class,
        )
        for item in found.packages
    ]
    yield from table(rows).splitlines()


def _cut(text: str) -> str:
    """Some packages give the whole text of their licence."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def exec(arguments: argparse.Namespace, _: Ui) -> int:  # noqa: A001  the command's own name
    """Run a command in an environment, under its sandbox."""
    from hatchlock.usecases.execute import execute

    if not arguments.words:
        raise UsageError(what="exec needs a command", advice="write it behind --: hatchlock exec NAME -- python -V")
    # a project that is only named may have no manifest here: then its servers are known, and nothing else
    project = None if arguments.project else project_of(arguments)
    return execute(
        home_of(arguments),
        arguments.name,
        arguments.words,
        project=project or arguments.project,
        runtime=arguments.runtime,
        environ=os.environ,
    )
