"""`client diff`, `restore`, `clean`, `sync`, `remove`: what is, or would be, changed in the files of applications."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from hatchlock.address import scoped
from hatchlock.cli.client_words import matcher
from hatchlock.cli.consent import asker
from hatchlock.cli.context import home_of, project_of, project_or_none
from hatchlock.cli.layout import printable
from hatchlock.cli.plan_commands import tell_hints, tell_problems
from hatchlock.cli.ui import Ui, error_to_dict
from hatchlock.errors import HatchlockError, UsageError

if TYPE_CHECKING:
    from hatchlock.resources.base import Problem
    from hatchlock.usecases.client_clean import Emptied, Surplus
    from hatchlock.usecases.client_diff import EntryDiff
    from hatchlock.usecases.client_sync import CopyStep, Transfer

__all__ = ["clean", "diff", "remove", "restore", "sync"]

_SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-"}


def diff(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what an apply would change in the files of applications."""
    from hatchlock.usecases.client_diff import client_diff
    from hatchlock.usecases.client_names import known_application

    for word in arguments.names:
        known_application(word)
    found = client_diff(project_of(arguments), arguments.names)
    is_meant = matcher(arguments.servers)
    entries = [item for item in found.entries if is_meant(item.address.rpartition("/")[2])]
    if ui.json:
        ui.document(
            {"entries": [_diff_to_dict(item) for item in entries], "problems": _problems_to_list(found.problems)}
        )
    else:
        ui.result("\n\n".join("\n".join(_diff_lines(item)) for item in entries))
        if not entries and not found.problems:
            ui.say("an apply would change nothing there")
        for problem in found.problems:
            ui.say(f"{problem.address}: {problem.what}")
        tell_hints((problem.hint for problem in found.problems), ui)
    return 1 if found.problems else 0


def _diff_to_dict(item: EntryDiff) -> dict[str, Any]:
    return {
        "address": item.address,
        "action": item.action,
        "cause": item.cause,
        "path": item.path,
        "diff": list(item.lines),
        "loss": item.loss,
    }


def _diff_lines(item: EntryDiff) -> Iterator[str]:
    yield f"{_SIGNS[item.action]} {item.address}  {item.cause}"
    if item.loss:
        yield f"! {item.loss}"
    yield from map(printable, item.lines or ("only what is hidden here differs",))


def restore(arguments: argparse.Namespace, ui: Ui) -> int:
    """Put back what stood in an application's file before this project wrote into it."""
    from hatchlock.cli.carrying import outcome_to_dict, show_unfinished
    from hatchlock.usecases.client_names import known_application
    from hatchlock.usecases.client_restore import plan_restore
    from hatchlock.usecases.client_restore import restore as put_back
    from hatchlock.usecases.consent import Consent

    name, entry = _one_entry(arguments)
    client, scope = known_application(name)
    project = project_of(arguments)
    planned = plan_restore(project, client=client, scope=scope, entry=entry)
    if arguments.dry_run:
        if ui.json:
            entries = [str(step.address) for step in planned.plan.steps]
            ui.document({"dry_run": True, "entries": entries, "problems": _problems_to_list(planned.plan.problems)})
        else:
            ui.result(str(planned.plan))
            tell_hints((problem.hint for problem in planned.plan.problems), ui)
        return 1 if planned.plan.problems else 0
    ask = asker(ui, "Put back what stood there?")
    done = put_back(
        project,
        client=client,
        scope=scope,
        entry=entry,
        consent=Consent(yes=arguments.yes, destructive=arguments.allow_destructive),
        confirm=ask and (lambda now: ask(str(now.plan))),
        lock_timeout=arguments.lock_timeout,
        emit=ui.event,
    )
    outcome, problems = done.outcome, done.planned.plan.problems
    if ui.json:
        facts = {"client": client, **outcome_to_dict(outcome), "problems": _problems_to_list(problems)}
        ui.document({"dry_run": False, **facts})
    else:
        tell_problems(done.planned.plan, ui)
        show_unfinished(outcome, ui, debug=arguments.debug)
        ui.result(f"Restored: {len(outcome.done)} of {len(outcome.done) + len(outcome.failed)}")
        if outcome.done:
            ui.say(
                "note: the manifest still has them: the next apply writes them again, unless `clients` says otherwise by then"
            )
    return 0 if outcome.is_complete and not problems else 1


def _problems_to_list(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [{"address": str(item.address), "what": item.what, "hint": item.hint} for item in problems]


def _one_entry(arguments: argparse.Namespace) -> tuple[str, str]:
    match [*arguments.names, *(arguments.servers or ())]:
        case [name]:
            return name, ""
        case [name, entry]:
            return name, entry
    raise UsageError(
        what="restore takes an application, and one server of it or none", advice="hatchlock client restore cursor time"
    )


def clean(arguments: argparse.Namespace, ui: Ui) -> int:
    """Take out entries of ours whose project, store or server is gone."""
    from hatchlock.usecases.client_clean import orphaned_entries
    from hatchlock.usecases.client_names import known_application

    named = [known_application(word) for word in arguments.names]
    is_meant = matcher(arguments.servers)
    found, problems = orphaned_entries(
        project_or_none(arguments),
        lambda client, scope: not named or not {(client, ""), (client, scope)}.isdisjoint(named),
    )
    found = tuple(item for item in found if is_meant(item.name))
    for problem in problems:
        ui.say(f"! not looked at: {printable(problem)}")
    return max(
        _take_out(arguments, ui, found, "every entry of hatchlock's that is there starts something"), bool(problems)
    )


def remove(arguments: argparse.Namespace, ui: Ui) -> int:
    """Take out entries that are not ours, for good."""
    from hatchlock.errors import RefusedError
    from hatchlock.usecases.client_clean import chosen_entries
    from hatchlock.usecases.client_names import NoSuchEntry, known_application

    name, *servers = arguments.names or [""]
    patterns = [*servers, *(arguments.servers or ())]
    if not name or not patterns:
        raise UsageError(
            what="remove takes an application, and servers that it lists",
            advice="hatchlock client remove cursor github",
        )
    client, scope = known_application(name)
    found = chosen_entries(project_or_none(arguments), client, scope, matcher(patterns))
    if not found:
        raise NoSuchEntry(client=name, servers=tuple(patterns))
    if arguments.yes and not arguments.allow_destructive and not arguments.dry_run:
        raise RefusedError(
            what="what stands there would be lost: nothing remakes what hatchlock did not write; nothing was done",
            needs="agree with --allow-destructive, or `hatchlock import` it first",
        )
    return _take_out(arguments, ui, found, "")


def _take_out(arguments: argparse.Namespace, ui: Ui, found: tuple[Surplus, ...], nothing: str) -> int:
    from hatchlock.usecases.client_clean import take_out

    if not found or arguments.dry_run:
        _tell_out(arguments, ui, found, None, nothing)
        return 0
    _agreed(arguments, ui, "Take these out?", "\n".join(map(_surplus_line, found)))
    done = take_out(home_of(arguments), f"client {arguments.action}", found, emit=ui.event)
    _tell_out(arguments, ui, found, done, nothing)
    return 1 if done.failed else 0


def _tell_out(
    arguments: argparse.Namespace, ui: Ui, found: tuple[Surplus, ...], done: Emptied | None, nothing: str
) -> None:
    if ui.json:
        gone = found if done is None else done.gone
        ui.document(
            {
                "dry_run": arguments.dry_run,
                "removed": [_surplus_to_dict(item) for item in gone],
                "failed": _failures(done.failed) if done else [],
            }
        )
    elif done is None:
        ui.result("\n".join(map(_surplus_line, found)) or nothing)
    else:
        _tell_failed(done.failed, ui)
        ui.result(f"Removed: {len(done.gone)} of {len(found)}")


def _surplus_line(item: Surplus) -> str:
    why = f"  {printable(item.why)}" if item.why else ""
    return f"- {scoped(item.client, item.scope, printable(item.name))}{why}  ({printable(item.path)})"


def _surplus_to_dict(item: Surplus) -> dict[str, Any]:
    return {
        "client": item.client,
        "scope": item.scope,
        "path": item.path,
        "name": item.name,
        "why": item.why,
        "entry": item.shown,
    }


def sync(arguments: argparse.Namespace, ui: Ui) -> int:
    """Copy servers that are not ours from one application into others."""
    from hatchlock.usecases.client_sync import plan_sync
    from hatchlock.usecases.client_sync import sync as copy

    source, *targets = arguments.names or [""]
    if not source or not targets:
        raise UsageError(
            what="sync takes an application to copy from, and others to copy into",
            advice="hatchlock client sync cursor zed",
        )
    transfer = plan_sync(
        project_or_none(arguments), source, targets, matches=matcher(arguments.servers), replace=arguments.replace
    )
    wanted = [step for step in transfer.steps if step.is_done]
    is_partial = any(step.action in {"conflict", "refused"} for step in transfer.steps)
    if arguments.dry_run or not wanted:
        _tell_transfer(arguments, ui, transfer)
        return 1 if is_partial else 0
    _agreed(arguments, ui, "Copy these?", "\n".join(_transfer_lines(transfer)))
    done = copy(home_of(arguments), transfer, emit=ui.event)
    if ui.json:
        ui.document({**_transfer_to_dict(arguments, transfer), "failed": _failures(done.failed)})
    else:
        _tell_failed(done.failed, ui)
        ui.result(f"Copied: {len(done.done)} of {sum(step.action != 'unchanged' for step in transfer.steps)}")
        _tell_after(done.done, ui)
    return 1 if is_partial or done.failed else 0


def _tell_transfer(arguments: argparse.Namespace, ui: Ui, transfer: Transfer) -> None:
    if ui.json:
        ui.document({**_transfer_to_dict(arguments, transfer), "failed": []})
    else:
        ui.result("\n".join(_transfer_lines(transfer)) or "nothing to copy")


def _transfer_to_dict(arguments: argparse.Namespace, transfer: Transfer) -> dict[str, Any]:
    return {
        "dry_run": arguments.dry_run,
        "source": transfer.source,
        "ours": list(transfer.ours),
        "absent": list(transfer.absent),
        "steps": [
            {
                "client": step.client,
                "scope": step.scope,
                "path": step.path,
                "name": step.name,
                "action": step.action,
                "why": step.why,
                "left": list(step.left),
                "notes": list(step.notes),
                "entry": step.shown,
            }
            for step in transfer.steps
        ],
    }


def _transfer_lines(transfer: Transfer) -> Iterator[str]:
    for step in transfer.steps:
        yield _step_line(step)
        if step.left and step.is_done:
            yield f"    not carried over: {', '.join(map(printable, step.left))}"
        yield from (f"    {note}" for note in step.notes)
    for title in transfer.absent:
        yield f"  {title} was not found on this machine; what it shall have is written all the same"
    for name in transfer.ours:
        yield f"  {printable(name)}  is hatchlock's, and is not copied: add the application to its `clients`"


def _step_line(step: CopyStep) -> str:
    sign = {"create": "+", "replace": "±", "unchanged": " "}.get(step.action, "!")
    why = f": {printable(step.why)}" if step.why else ""
    return f"{sign} {scoped(step.client, step.scope, printable(step.name))}  {step.action}{why}"


def _tell_after(done: Iterable[CopyStep], ui: Ui) -> None:
    from hatchlock.usecases.client_notes import notes_of

    for note in notes_of((step.client, step.scope) for step in done):
        ui.say(f"note: {note}")


def _agreed(arguments: argparse.Namespace, ui: Ui, question: str, text: str) -> None:
    """Ask, unless that was agreed to beforehand; where nobody can be asked, show what would have been done.

    Raises:
        RefusedError: Nobody agrees.
    """
    from hatchlock.usecases.consent import check_agreed

    ask = asker(ui, question)
    if not ui.json and (ask is None or arguments.yes):
        ui.say(text)
    check_agreed(yes=arguments.yes, confirm=partial(ask, text) if ask else None)


def _failures(failed: Iterable[tuple[Any, HatchlockError]]) -> list[dict[str, Any]]:
    return [{"entry": scoped(item.client, item.scope, item.name), **error_to_dict(error)} for item, error in failed]


def _tell_failed(failed: Iterable[tuple[Any, HatchlockError]], ui: Ui) -> None:
    for item, error in failed:
        error.address = error.address or f"client:{item.client}/{printable(item.name)}"
        ui.error(error)
        ui.say("")
