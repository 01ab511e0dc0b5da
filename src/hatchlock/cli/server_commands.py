"""`run`, `probe`, `logs`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchlock.cli.context import directory_of, home_of, project_of, working_directory
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError

__all__ = ["logs", "probe", "run"]


def run(arguments: argparse.Namespace, _: Ui) -> int:
    """Serve a server over stdio."""
    from hatchlock.usecases.run import run as serve

    named = arguments.project or arguments.manifest or arguments.use_global
    # started by an application, there may be no working directory any more: then --project names the project
    start = Path("/") if named else directory_of(arguments).resolve()
    workspace = Path(os.path.realpath(arguments.directory or working_directory()))
    project = _project_name(arguments) if named else None
    learn = Path(os.path.abspath(arguments.learn)) if arguments.learn else None  # noqa: PTH100  links stay
    return serve(
        home_of(arguments),
        project,
        arguments.name,
        start,
        os.environ,
        workspace=workspace,
        dev=arguments.dev,
        learn=learn,
        without_pins=arguments.without_pins,
    )


def _project_name(arguments: argparse.Namespace) -> str:
    if arguments.project:
        return str(arguments.project)
    from hatchlock.usecases.run import project_name

    return project_name(project_of(arguments).manifest)


def probe(arguments: argparse.Namespace, ui: Ui) -> int:
    """Speak MCP with a server, and print what it says of itself."""
    if arguments.learn:
        from hatchlock.cli.learn_command import learn

        return learn(arguments, ui, home=home_of(arguments), project=_project_name(arguments))
    if arguments.tool or arguments.tool_arguments:
        raise UsageError(what="--call and --args are for --learn", advice="see `hatchlock probe --help`")
    from hatchlock.usecases.probe import probe_server

    found = probe_server(
        home_of(arguments), _project_name(arguments), arguments.name, environ=os.environ, timeout=arguments.timeout
    )
    if found.error or found.result is None:
        if found.error:
            ui.error(found.error)
        return 1
    result = found.result
    if ui.json:
        tools = [dict(tool.definition) for tool in result.tools]
        ui.document(
            {"server": result.server, "version": result.version, "protocol": result.protocol, "tools": tools}
            | {"seconds": round(result.seconds, 3)}
        )
        return 0
    name = printable(f"{result.server} {result.version}".strip())
    lines = [f"server    {name}", f"protocol  {result.protocol}"]
    lines.append(f"tools     {len(result.tools)}, answered in {result.seconds:.2f} s")
    for tool in result.tools:
        first_line = next(iter(tool.description.strip().splitlines()), "")
        lines.append(f"  {printable(tool.name)}: {printable(first_line)}")
    ui.result("\n".join(lines))
    return 0


def logs(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print the end of what a server wrote to stderr, or a build to its log; or what an apply did."""
    from hatchlock.files import read_optional

    if arguments.run is not None:
        from hatchlock.cli.run_log_command import show_run

        if arguments.name:
            raise UsageError(what="--apply is about the project, not a server", advice="see `hatchlock logs --help`")
        return show_run(home_of(arguments), _project_name(arguments), arguments.run, ui)
    if not arguments.name:
        raise UsageError(what="whose log?", advice="name a server, or say --apply for what the last apply did")
    if arguments.network:
        return _network_log(arguments, ui)
    path = _build_log(arguments) if arguments.build else _server_log(arguments)
    older = path.with_name(f"{path.name}.1")
    data = b"".join(read_optional(file) or b"" for file in (older, path))
    lines = [printable(line) for line in data.decode(errors="replace").splitlines()]
    lines = lines[max(len(lines) - max(arguments.lines, 0), 0) :]
    if ui.json:
        ui.document({"path": str(path), "lines": lines})
    else:
        ui.result("\n".join(lines))
        if not lines:
            ui.say(f"{arguments.name} has written nothing to {path}")
    return 0


def _network_log(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.usecases.network_log import network_log

    path, passages = network_log(home_of(arguments), _project_name(arguments), arguments.name, most=arguments.lines)
    if ui.json:
        ui.document({"path": str(path), "connections": [dict(item) for item in passages]})
        return 0
    ui.result("\n".join(_passage(item) for item in passages))
    if not passages:
        ui.say(f"{arguments.name} has made no connections that are noted down in {path}")
    return 0


def _passage(item: Mapping[str, Any]) -> str:
    where = f"{item['host']}:{item['port']}" if item["port"] else item["host"]
    carried = f", {item['sent']} bytes sent, {item['received']} received, {item['seconds']:.2f} s"
    return printable(f"{item['time']}  {where}  {item['outcome']}{carried if item['outcome'] == 'carried' else ''}")


def _server_log(arguments: argparse.Namespace) -> Path:
    from hatchlock.usecases.run import find_record, log_path

    home = home_of(arguments)
    record = find_record(home, _project_name(arguments), arguments.name)
    return log_path(home, record.project, record.server)


def _build_log(arguments: argparse.Namespace) -> Path:
    from hatchlock.usecases.build_log import build_log

    return build_log(home_of(arguments), _project_name(arguments), arguments.name)
