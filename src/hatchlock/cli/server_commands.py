"""`run`, `logs`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchlock.cli.context import directory_of, home_of, project_name_of, working_directory
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError

__all__ = ["logs", "run"]


def run(arguments: argparse.Namespace, _: Ui) -> int:
    """Serve a server, or a group of servers, over stdio."""
    if arguments.group or not arguments.name:
        return _run_group(arguments)
    from hatchlock.usecases.run import run as serve

    named = arguments.project or arguments.manifest or arguments.use_global
    # started by an application, there may be no working directory any more: then --project names the project
    start = Path("/") if named else directory_of(arguments).resolve()
    workspace = Path(os.path.realpath(arguments.directory or working_directory()))
    project = project_name_of(arguments) if named else None
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


def _run_group(arguments: argparse.Namespace) -> int:
    from hatchlock.usecases.group import run_group

    if arguments.name and arguments.group:
        raise UsageError(what="name a server or a group, and not both", advice="see `hatchlock run --help`")
    if not arguments.group:
        raise UsageError(what="name a server, or a group with --group", advice="see `hatchlock run --help`")
    if arguments.dev or arguments.learn or arguments.without_pins:
        raise UsageError(what="--dev and --learn are for one server", advice="see `hatchlock run --help`")
    return run_group(home_of(arguments), project_name_of(arguments), arguments.group, os.environ)


def logs(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print the end of what a server wrote to stderr, or a build to its log; or what an apply did."""
    from hatchlock.cli.audit_log_command import last_lines, show_audit, start_of
    from hatchlock.usecases.server_log import last, read_log

    if arguments.follow or arguments.others:
        return _follow(arguments, ui)
    if arguments.audit or arguments.verify or arguments.expect:
        return show_audit(arguments, ui, home_of(arguments))
    if arguments.since and (arguments.build or arguments.run is not None):
        raise UsageError(what="--since is not for --apply and --build", advice="hatchlock logs --since 2h NAME")
    if arguments.run is not None:
        from hatchlock.cli.run_log_command import show_run

        if arguments.name:
            raise UsageError(what="--apply is about the project, not a server", advice="see `hatchlock logs --help`")
        return show_run(home_of(arguments), project_name_of(arguments), arguments.run, ui)
    if not arguments.name:
        advice = "name a server, or say --apply for what the last apply did, or --audit for what every command did"
        raise UsageError(what="whose log?", advice=advice)
    if arguments.network:
        return _network_log(arguments, ui)
    path = _build_log(arguments) if arguments.build else _server_log(arguments)
    lines = [printable(line) for line in last(read_log(path, start=start_of(arguments)), last_lines(arguments))]
    if ui.json:
        ui.document({"path": str(path), "lines": lines})
    else:
        ui.result("\n".join(lines))
        if not lines:
            since = f" since {printable(arguments.since)}" if arguments.since else ""
            ui.say(f"{arguments.name} has written nothing to {path}{since}")
    return 0


def _follow(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.cli.keeper_commands import follow

    if not arguments.follow:
        raise UsageError(what="one server at a time", advice="say -f to go on with what several write")
    if arguments.audit or arguments.run is not None or arguments.build or arguments.network:
        raise UsageError(what="-f goes on with what servers write, and nothing else", advice="hatchlock logs -f NAME")
    return follow(arguments, ui)


def _network_log(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.cli.audit_log_command import last_lines, start_of
    from hatchlock.usecases.network_log import network_log

    path, passages = network_log(
        home_of(arguments),
        project_name_of(arguments),
        arguments.name,
        most=last_lines(arguments),
        since=start_of(arguments),
    )
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
    record = find_record(home, project_name_of(arguments), arguments.name)
    return log_path(home, record.project, record.server)


def _build_log(arguments: argparse.Namespace) -> Path:
    from hatchlock.usecases.build_log import build_log

    return build_log(home_of(arguments), project_name_of(arguments), arguments.name)
