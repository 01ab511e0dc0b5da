"""`probe`."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hatchlock.cli.context import home_of, project_name_of
from hatchlock.cli.health_views import noise_words, stopped_to_dict
from hatchlock.cli.ui import Ui, error_to_dict
from hatchlock.errors import RefusedError, UsageError
from hatchlock.events import Event

if TYPE_CHECKING:
    from hatchlock.serve.probe import Call, ProbedDefinition, ProbeResult
    from hatchlock.usecases.probe import Probed

__all__ = ["probe", "tell_unkept"]


def probe(arguments: argparse.Namespace, ui: Ui) -> int:
    """Speak MCP with servers, and print what they say of themselves."""
    from hatchlock.usecases.probe import probe_server
    from hatchlock.usecases.run import applied_servers

    call, one = _call(arguments), arguments.names[0] if len(arguments.names) == 1 else ""
    home, project = home_of(arguments), project_name_of(arguments)
    if arguments.learn:
        from hatchlock.cli.learn_command import learn

        return learn(arguments, ui, home=home, project=project, name=one, call=call)
    names = arguments.names or sorted(applied_servers(home, project))
    probed: list[Probed] = []
    for name in names:
        ui.progress.heard(Event(name="probe.start", address=f"server:{name}"))
        probed.append(probe_server(home, project, name, environ=os.environ, timeout=arguments.timeout, call=call))
        if not ui.json:
            # a trial says at its end what its sandbox has stopped, whether it was probed or not
            _show(probed[-1], ui, named=not one, explained=arguments.command != "try")
        tell_unkept(probed[-1], ui)
    if ui.json and one:
        _show_document(probed[0], ui)
    elif ui.json:
        ui.document({"probes": [{"name": item.server, **_document(item), "error": _error(item)} for item in probed]})
    elif not names:
        ui.say(f"{project} has no applied server")
    refused = [isinstance(item.error, RefusedError) for item in probed if item.error]
    return (3 if all(refused) else 1) if refused else 0


def tell_unkept(probed: Probed, ui: Ui) -> None:
    """Say that nothing of a probe is remembered, if that is so."""
    if probed.unkept:
        ui.say(f"note: `status` will not know of this probe of {probed.server}: {probed.unkept}")


def _call(arguments: argparse.Namespace) -> Call | None:
    from hatchlock.serve.probe import Call

    if (arguments.learn or arguments.tool) and len(arguments.names) != 1:
        what = "--learn" if arguments.learn else "--call"
        raise UsageError(what=f"{what} is about one server", advice="name it: hatchlock probe NAME …")
    if not arguments.tool:
        if arguments.tool_arguments:
            raise UsageError(what="--args is for a tool, and none is named", advice="name it with --call TOOL")
        return None
    try:
        given = json.loads(arguments.tool_arguments or "{}")
    except ValueError as error:
        raise UsageError(
            what=f"--args is no JSON: {error}", advice="""write an object: --args '{"path": "/data"}'"""
        ) from None
    if not isinstance(given, dict):
        raise UsageError(what="--args is no JSON object", advice="""write one: --args '{"path": "/data"}'""")
    return Call(tool=arguments.tool, arguments=given)


def _show(probed: Probed, ui: Ui, *, named: bool, explained: bool) -> None:
    from hatchlock.usecases.no_such_tool import NoSuchTool

    if probed.result:
        title = [f"{probed.server}:"] if named else []
        ui.result("\n".join([*title, *_lines(probed.result, probed)]))
        if isinstance(probed.error, NoSuchTool):  # any other failure of a tool stands in what it said
            ui.error(probed.error)
        if explained and probed.explained:
            ui.say(probed.explained)
    elif probed.error:
        ui.error(probed.error)
    if named:
        ui.say("")


def _show_document(probed: Probed, ui: Ui) -> None:
    if probed.result:
        ui.document(_document(probed) | {"error": _error(probed)})
    elif probed.error:
        ui.error(probed.error)


def _lines(result: ProbeResult, probed: Probed) -> Iterator[str]:
    from hatchlock.usecases.withheld import idle_sentences

    noise, pins = probed.noise, probed.surface
    yield f"server    {_shown(f'{result.server} {result.version}'.strip())}"
    yield f"protocol  {result.protocol}"
    yield f"tools     {len(result.tools)}, answered in {result.seconds:.2f} s"
    yield from (_line(item, probed.withheld.get(item.name, "")) for item in result.tools)
    for idle in idle_sentences(probed.unmatched, [item.name for item in result.tools]):
        yield f"{'rules':<10}{_shown(idle)}"
    for title, items in (("prompts", result.prompts), ("resources", result.resources), ("templates", result.templates)):
        if items:
            yield f"{title:<10}{len(items)}"
            yield from map(_line, items)
    if result.instructions:
        yield "instructions"
        yield from (f"  {_shown(line)}" for line in result.instructions.split("\n"))
    if pins:
        differences = "".join(f"; {sort}: {', '.join(names)}" for sort, names in pins.differs.items())
        yield f"pins      {pins.state}{differences}"
    if noise:
        yield f"noise     {noise_words(noise)}: see its log"
    if result.called or result.failed:
        first, *more = result.called.split("\n")
        yield f"{'failed' if result.failed else 'called':<10}{_shown(first)}"
        yield from (f"{'':<10}{_shown(line)}" for line in more)


def _shown(text: str) -> str:
    from hatchlock.surface import shown

    return shown(text)


def _line(item: ProbedDefinition, withheld_by: str = "") -> str:
    first_line = next(iter(item.description.strip().splitlines()), "")
    address = item.definition.get("uri") or item.definition.get("uriTemplate") or ""
    where = f" {_shown(str(address))}" if address else ""
    unknown = f" (no hash: {_shown(item.problem)})" if item.problem else ""
    about = f": {_shown(first_line)}" if first_line else ""
    withheld = f" (not offered: tools.{withheld_by})" if withheld_by else ""
    return f"  {_shown(item.name)}{where}{withheld}{about}{unknown}"


def _document(probed: Probed) -> dict[str, Any]:
    result = probed.result
    if result is None:
        return {"skipped": probed.skipped, "noise": probed.noise}
    return {
        "server": result.server,
        "version": result.version,
        "protocol": result.protocol,
        "instructions": result.instructions,
        "tools": _definitions(result.tools),
        "prompts": _definitions(result.prompts),
        "resources": _definitions(result.resources),
        "templates": _definitions(result.templates),
        "hashes": {"tools": _hashes(result.tools), "prompts": _hashes(result.prompts)},
        "seconds": round(result.seconds, 3),
        "called": result.called,
        "failed": result.failed,
        "skipped": probed.skipped,
        "noise": probed.noise,
        "surface": asdict(probed.surface) if probed.surface else None,
        "stopped": [stopped_to_dict(what) for what in probed.stopped],
        "withheld": dict(probed.withheld),
        "unmatched": [{"rule": key, "pattern": text} for key, text in probed.unmatched],
    }


def _definitions(items: Sequence[ProbedDefinition]) -> list[dict[str, Any]]:
    return [dict(item.definition) for item in items]


def _hashes(items: Sequence[ProbedDefinition]) -> list[dict[str, str]]:
    return [{"name": item.name, "sha256": item.sha256, "problem": item.problem} for item in items]


def _error(probed: Probed) -> dict[str, Any] | None:
    return error_to_dict(probed.error) if probed.error else None
