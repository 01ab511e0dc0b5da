"""`gc`, `status images`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hatchlock.cli.consent import asker
from hatchlock.cli.context import project_of
from hatchlock.cli.layout import size, table
from hatchlock.cli.log import logged
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.garbage import Garbage, Item, Kept
    from hatchlock.usecases.status_images import ImageStatus

__all__ = ["gc", "status_images"]

_SHOWN_DIGITS = 12
_LONGEST_REVISION = 20


def gc(arguments: argparse.Namespace, ui: Ui) -> int:
    """Delete what nobody uses."""
    from hatchlock.usecases.gc import collect_garbage, find_garbage

    if arguments.keep < 1:
        raise UsageError(
            what=f"--keep {arguments.keep}: the last generation is what is applied", advice="keep 1 or more"
        )
    project = project_of(arguments)
    if arguments.dry_run:
        found = find_garbage(project, keep=arguments.keep)
        return _show(found.items, found.kept, arguments, ui)
    ask = asker(ui, "Delete this?")
    done = collect_garbage(
        project,
        keep=arguments.keep,
        yes=arguments.yes,
        confirm=ask and (lambda garbage: ask(_listing(garbage))),
        show=None if ui.json else lambda garbage: ui.say(f"would be deleted:\n{_listing(garbage)}\n"),
        lock_timeout=arguments.lock_timeout,
        emit=logged(ui.event, project.home, "gc"),
    )
    return _show(done.items, done.kept, arguments, ui)


def _show(items: Iterable[Item], kept: Iterable[Kept], arguments: argparse.Namespace, ui: Ui) -> int:
    items = list(items)
    if ui.json:
        deleted = [{"kind": item.kind, "name": item.name, "bytes": item.size} for item in items]
        ui.document({"dry_run": arguments.dry_run, "deleted": deleted, "kept": [asdict(item) for item in kept]})
        return 0
    verb = "would be deleted" if arguments.dry_run else "deleted"
    ui.result("\n".join([f"{verb}:", *_lines(items), f"  together {_total(items)}"]) if items else "nothing to delete")
    for item in kept:
        ui.say(f"left alone: {item.name}: {item.why}")
    return 0


def _listing(garbage: Garbage) -> str:
    return "\n".join([*_lines(garbage.items), f"  together {_total(garbage.items)}"])


def _lines(items: Iterable[Item]) -> list[str]:
    rows = [(f"- {item.kind}", _short(item.name), size(item.size) if item.size else "") for item in items]
    return [f"  {line}" for line in table(rows).split("\n")]


def _total(items: Iterable[Item]) -> str:
    items = list(items)
    images = sum(item.size for item in items if item.kind == "image")
    in_engine = f", and {size(images)} in the engine" if images else ""
    return f"{size(sum(item.size for item in items) - images)} of the store{in_engine}"


def _short(name: str) -> str:
    """The tag of an image with a shorter key; what is made of an image here has the same, and more behind it."""
    repository, colon, tag = name.rpartition(":")
    key, dash, more = tag.partition("-")
    return f"{repository}:{key[:_SHOWN_DIGITS]}{dash}{more}" if colon else name


def status_images(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print the images of the project."""
    from hatchlock.usecases.status_images import images_status

    found = images_status(project_of(arguments))
    others = found.others if arguments.verbose else ()
    if ui.json:
        facts: dict[str, Any] = {"project": found.project, "engine": found.engine}
        images = [asdict(item) for item in found.images]
        ui.document({**facts, "images": images, "others": [asdict(item) for item in others]})
        return 0
    rows: list[tuple[str, ...]] = [("IMAGE", "KEY", "SOURCE", "REVISION", "BASE", "SIZE", "GENERATIONS", "")]
    rows += [_row(item) for item in found.images]
    blocks = [f"project {found.project}, engine {found.engine}", table(rows) if found.images else "no images"]
    if others:
        blocks.append("of other projects:\n" + table([(f"  {_short(item.tag)}", size(item.size)) for item in others]))
    ui.result("\n\n".join(blocks))
    return 0


def _row(item: ImageStatus) -> tuple[str, ...]:
    reference, at, digest = item.base.partition("@sha256:")
    base = f"{reference}{at}{digest[:_SHOWN_DIGITS]}"
    key, revision = item.key[:_SHOWN_DIGITS], item.revision[:_LONGEST_REVISION]
    unused = "" if item.generations else "unused"
    return (
        item.name,
        key,
        item.source,
        revision,
        base,
        size(item.size),
        str(item.generations),
        "active" if item.active else unused,
    )
