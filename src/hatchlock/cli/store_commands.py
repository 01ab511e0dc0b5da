"""`fetch`, `cache`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchlock.cli.context import home_of, project_of
from hatchlock.cli.layout import size
from hatchlock.cli.log import logged
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.cache import Share, Stats, Swept, Verified

__all__ = ["cache", "fetch"]


def fetch(arguments: argparse.Namespace, ui: Ui) -> int:
    """Fill the store from the lock."""
    from hatchlock.usecases.fetch import fetch_project

    project = project_of(arguments)
    done = fetch_project(
        project,
        platforms=arguments.platforms or (),
        all_platforms=arguments.all_platforms,
        source=Path(arguments.source) if arguments.source else None,
        target=Path(arguments.target) if arguments.target else None,
        offline=arguments.offline,
        lock_timeout=arguments.lock_timeout,
        emit=logged(ui.event, project.home, "fetch"),
    )
    if ui.json:
        taken = done.imported
        imported = {"files": taken.files, "bytes": taken.size, "builds": taken.builds} if taken else None
        facts: dict[str, Any] = {"platforms": list(done.platforms), "files": done.files, "bytes": done.size}
        written = {"bytes": done.bundle_size, "builds": done.builds}
        bundle = {"path": str(Path(arguments.target).absolute()), **written} if arguments.target else None
        notes = list(done.notes)
        ui.document({**facts, "fetched": done.fetched, "imported": imported, "bundle": bundle, "notes": notes})
        return 0
    for note in done.notes:
        ui.say(f"note: {note}")
    if done.imported:
        built = _with_builds(done.imported.builds)
        ui.result(f"{_files(done.imported.files)} from {arguments.source} ({size(done.imported.size)}{built})")
    news = f"{done.fetched} of them new" if done.fetched else "nothing to fetch"
    ui.result(f"{_files(done.files)} for {', '.join(done.platforms)} in the store ({size(done.size)}), {news}")
    if arguments.target:
        ui.result(f"{arguments.target} ({size(done.bundle_size)}{_with_builds(done.builds)})")
    return 0


def _with_builds(number: int) -> str:
    """Return what is said of results of builds, behind a size."""
    return f", what {number} {'build' if number == 1 else 'builds'} gave" if number else ""


def cache(arguments: argparse.Namespace, ui: Ui) -> int:
    """Look after what was fetched."""
    _check_options(arguments)
    return {"stats": _stats, "verify": _verify, "gc": _gc, "clear": _clear, "path": _path}[arguments.action](
        arguments, ui
    )


def _check_options(arguments: argparse.Namespace) -> None:
    if arguments.older_than is not None and arguments.action != "gc":
        raise UsageError(what="--older-than is for `cache gc`", advice="see `hatchlock cache --help`")
    if arguments.dry_run and arguments.action not in {"gc", "clear"}:
        raise UsageError(what="--dry-run is for `cache gc` and `cache clear`", advice="see `hatchlock cache --help`")


def _stats(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.cache import cache_stats

    home = home_of(arguments)
    stats = cache_stats(home)
    if ui.json:
        ui.document(_stats_document(stats, str(home.cache), str(home.blobs)))
        return 0
    for path, shares in ((home.cache, stats.cache), (home.blobs, stats.store)):
        ui.result(f"{path}\n" + _table(shares))
    return 0


def _stats_document(stats: Stats, cache_path: str, store_path: str) -> dict[str, Any]:
    return {
        "cache": {"path": cache_path, "kinds": _documents(stats.cache)},
        "store": {"path": store_path, "kinds": _documents(stats.store)},
    }


def _verify(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.cache import verify_store

    home = home_of(arguments)
    found = verify_store(home, emit=ui.event)
    if ui.json:
        ui.document(
            {"checked": found.checked, "bytes": found.size, "damaged": [asdict(item) for item in found.damaged]}
        )
    else:
        _show_verified(found, ui)
    return 1 if found.damaged else 0


def _show_verified(found: Verified, ui: Ui) -> None:
    for item in found.damaged:
        ui.result(f"- {item.digest}: {item.why}; removed")
    if found.damaged:
        were = "was damaged and is" if len(found.damaged) == 1 else "were damaged and are"
        ui.result(f"{len(found.damaged)} of {_files(found.checked)} {were} gone")
        ui.say("\nhint: `hatchlock fetch` or `hatchlock apply` fetches them again; look at that disk")
    else:
        are = "is as it" if found.checked == 1 else "are as they"
        ui.result(f"{_files(found.checked)} {are} should be ({size(found.size)})")


def _gc(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.cache import collect

    home = home_of(arguments)
    swept = collect(
        home,
        older_than=_seconds("30d" if arguments.older_than is None else arguments.older_than),
        dry_run=arguments.dry_run,
        lock_timeout=arguments.lock_timeout,
        emit=ui.event if arguments.dry_run else logged(ui.event, home, "cache gc"),
    )
    return _show_swept(swept, arguments, ui)


def _clear(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.cache import clear_cache

    swept = clear_cache(
        home_of(arguments), dry_run=arguments.dry_run, lock_timeout=arguments.lock_timeout, emit=ui.event
    )
    return _show_swept(swept, arguments, ui)


def _show_swept(swept: Swept, arguments: argparse.Namespace, ui: Ui) -> int:
    if ui.json:
        deleted = _documents(swept.shares)
        ui.document({"dry_run": arguments.dry_run, "deleted": deleted, "busy": list(swept.busy)})
        return 0
    verb = "would be deleted" if arguments.dry_run else "deleted"
    ui.result(f"{verb}:\n{_table(swept.shares)}" if swept.shares else "nothing to delete")
    for reason in swept.busy:
        ui.say(f"left alone: {reason}")
    return 0


def _path(arguments: argparse.Namespace, ui: Ui) -> int:
    home = home_of(arguments)
    if ui.json:
        ui.document({"path": str(home.cache), "store": str(home.root)})
    else:
        ui.result(str(home.cache))
    return 0


def _seconds(text: str) -> float:
    from hatchlock.manifest.model import seconds

    try:
        return seconds(text)
    except ValueError:
        raise UsageError(
            what=f"--older-than {text}: that is no duration", advice="write for example 7d or 12h"
        ) from None


def _documents(shares: Iterable[Share]) -> list[dict[str, Any]]:
    return [{"kind": share.kind, "files": share.files, "bytes": share.size} for share in shares]


def _table(shares: Iterable[Share]) -> str:
    rows = list(shares)
    rows_and_total = [(share.kind, share.files, share.size) for share in rows]
    rows_and_total.append(("together", sum(share.files for share in rows), sum(share.size for share in rows)))
    return "\n".join(f"  {kind:<16}{files:>8} files{size(taken):>12}" for kind, files, taken in rows_and_total)


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"
