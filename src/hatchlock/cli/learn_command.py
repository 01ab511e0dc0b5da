"""`probe --learn`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hatchlock.cli.ui import Ui, printable

if TYPE_CHECKING:
    from hatchlock.paths import Home
    from hatchlock.security.learned import Observed
    from hatchlock.serve.probe import Call
    from hatchlock.usecases.learn import Learned

__all__ = ["learn"]

_MEBIBYTE = 1 << 20
_SHOWN = 200


def learn(arguments: argparse.Namespace, ui: Ui, *, home: Home, project: str, name: str, call: Call | None) -> int:
    """Print what a server tries, and the smallest profile that permits it: TOML, with the rest as comments."""
    from hatchlock.usecases.learn import learn_server

    learned = learn_server(home, project, name, environ=os.environ, timeout=arguments.timeout, call=call)
    if ui.json:
        ui.document(_document(learned))
    else:
        facts = [f"# {printable(line)}" for line in _lines(learned, call)]
        ui.result("\n".join((*facts, learned.toml or f"# {_nothing_new(learned)}")))
    if learned.error:
        ui.error(learned.error)
    return 1 if learned.error else 0


def _lines(learned: Learned, call: Call | None) -> Iterator[str]:
    observed, result = learned.observed, learned.result
    work = ", ".join(("initialize", "tools/list", *((call.tool,) if call else ())))
    outcome = f"answered, {len(result.tools)} tool{'s' * (len(result.tools) != 1)}" if result else "did not answer"
    yield f"{learned.server}, watched for {observed.seconds:.1f} s ({work}): {outcome}"
    if call and result:
        yield f"{call.tool} {'failed' if result.failed else 'answered'}: {_in_one_line(result.called) or 'nothing'}"
    for title, items in _seen(observed):
        for item in items:
            yield f"{title:<14}{item}"
    yield f"{'used':<14}{_usage(observed)}"
    for item in observed.unknown:
        yield f"{'not watched':<14}{item}"
    for item in learned.remarks:
        yield f"{'note':<14}{item}"
    if learned.toml:
        yield "nothing was written; the smallest profile that permits this:"


def _nothing_new(learned: Learned) -> str:
    if learned.result is None or learned.result.failed:
        return "its profile has all that was seen; nothing less is proposed, since it did not do what it was asked to"
    return "its profile is the smallest already"


def _in_one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _seen(observed: Observed) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "connects to", observed.connections
    yield "looks up", tuple(f"{name} (and does not connect)" for name in observed.lookups)
    yield "writes", observed.written
    yield "was denied", tuple(f"{item.kind}: {item.what}" for item in observed.denied)


def _usage(observed: Observed) -> str:
    return (
        f"{observed.memory / _MEBIBYTE:.0f} MiB of memory, {observed.processes} processes and threads,"
        f" {observed.files} open files, {observed.tmp / _MEBIBYTE:.0f} MiB of temporary space"
    )


def _document(learned: Learned) -> dict[str, Any]:
    result = learned.result
    return {
        "server": learned.server,
        "answered": result is not None,
        "tools": [tool.name for tool in result.tools] if result else [],
        "called": result.called if result else "",
        "failed": result is not None and result.failed,
        "observed": learned.observed.to_dict(),
        "profile": dict(learned.profile),
        "toml": learned.toml,
        "remarks": list(learned.remarks),
    }
