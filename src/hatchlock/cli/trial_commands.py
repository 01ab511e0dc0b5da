"""`try`: a server out of nothing, served at once, and gone afterwards."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hatchlock.cli.context import home_of, project_of, project_or_none, working_directory
from hatchlock.cli.headers import with_headers
from hatchlock.cli.registry_commands import entry_server, given_of
from hatchlock.cli.trial_signals import SIGNALS, Signalled, heeding
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.registry_servers import Given
    from hatchlock.usecases.trial import Keep, Prepared, Trial

__all__ = ["try_"]

_REASON = "tried with it"


def try_(arguments: argparse.Namespace, ui: Ui) -> int:
    """Serve a server that is in no manifest, or probe it; nothing but what is named by its content stays."""
    from hatchlock.usecases.trial import begin_trial, end_trial, prepare_trial, sweep_trials

    if not arguments.source and not arguments.words:
        raise UsageError(
            what="`try` takes a SOURCE, or a command line behind `--`",
            advice="hatchlock try pypi:mcp-server-time, or hatchlock try -- uvx mcp-server-time",
        )
    if (arguments.tool or arguments.tool_arguments) and not arguments.probe:
        raise UsageError(what="--call and --args are for --probe", advice="hatchlock try --probe --call TOOL SOURCE")
    heeding()
    trial = None
    try:
        around = project_of(arguments) if arguments.keep else project_or_none(arguments)
        home = home_of(arguments)
        for problem in sweep_trials(home, environ=os.environ):
            ui.say(f"note: {problem}")
        name, fields, text = _declared(arguments, ui, around)
        keep = _keep(arguments, around, name, fields)
        trial = begin_trial(home, name, text, what=arguments.source or arguments.words[0], keep=keep)
        prepared = prepare_trial(trial, environ=os.environ, offline=arguments.offline, emit=ui.event)
        _tell(prepared, arguments, ui)
        if arguments.probe:
            return _probed(trial, arguments, ui)
        _serve(trial, debug=arguments.debug)
    except Signalled as ended:
        ui.say("interrupted")
        return ended.status
    finally:
        if trial is not None:
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            end_trial(trial, environ=os.environ)


def _serve(trial: Trial, *, debug: bool) -> NoReturn:
    """Go on as a process that has loaded nothing of all this, under the same number: it serves, and tidies up."""
    words = [sys.executable, "-I", "-m", "hatchlock.cli.tried", str(trial.home.root), trial.id]
    sys.stdout.flush()
    sys.stderr.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # they wait until it heeds them
    os.execv(sys.executable, [*words, "--debug"] if debug else words)  # noqa: S606  no shell has any part in it


def _declared(arguments: argparse.Namespace, ui: Ui, around: Project) -> tuple[str, dict[str, Any], Any]:
    """Return the name of the server, its keys as they are written here, and what makes the manifest of the trial."""
    from hatchlock.cli.said_options import said_of_options, server_options
    from hatchlock.manifest.trial import absolute, trial_manifest, with_paths
    from hatchlock.usecases.manifest import this_platforms

    given = given_of(arguments)
    name, fields = _server(arguments, ui, around, given)
    name = arguments.keep or name
    if arguments.also:
        fields["with"] = [*fields.get("with", ()), *arguments.also]
    if arguments.python:
        fields["python"] = arguments.python
    fields = with_headers(_with_sandbox(fields, arguments), arguments)
    here = Path(os.path.realpath(arguments.directory or working_directory()))
    fields = with_paths(fields, absolute(here))
    platforms = _platforms(around) or this_platforms()
    if runtime := arguments.runtime or _runtime(fields, around):
        fields["runtime"] = runtime

    def text(project: str) -> str:
        return trial_manifest(around.manifest_bytes, name=project, platforms=platforms, server=name, fields=fields)

    with said_of_options(server_options(arguments), "servers", name):
        _check(text("trial"))
    return name, fields, text


def _server(arguments: argparse.Namespace, ui: Ui, around: Project, given: Given) -> tuple[str, dict[str, Any]]:
    from hatchlock.manifest.trial import source_word
    from hatchlock.usecases import manifest

    words: Sequence[str] = arguments.words
    if not arguments.source:
        name, fields = manifest.server_from_command(words)
        return name, _with_env(fields, given)
    text = source_word(arguments.source, is_directory=lambda path: (Path(arguments.directory) / path).is_dir())
    arguments.source = text
    if text.startswith("mcp:"):
        name, fields = entry_server(arguments, ui, around, given)
    else:
        name, fields = manifest.server_from_source(text)
        fields = _with_env(fields, given)
    if own := [*arguments.server_arguments, *words]:
        fields = {**fields, "args": [*fields.get("args", ()), *own]}
    return name, fields


def _with_env(fields: dict[str, Any], given: Given) -> dict[str, Any]:
    return fields | {key: {**fields.get(key, {}), **value} for key, value in given.keys().items()}


def _with_sandbox(fields: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    sandbox: dict[str, Any] = dict(fields.get("sandbox", {}))
    if network := arguments.network:
        sandbox["network"] = network[0] if network in (["internet"], ["none"], ["host"]) else network
    if arguments.mount:
        said = [_mount(text) for text in arguments.mount]
        targets = {mount["target"] for mount in said}
        proposed = (mount for mount in sandbox.get("mounts", ()) if mount["target"] not in targets)
        sandbox["mounts"] = [*proposed, *said]
    if not sandbox:
        return fields
    return {**fields, "sandbox": {**sandbox, "reason": sandbox.get("reason") or _REASON}}


def _mount(text: str) -> dict[str, str]:
    source, colon, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not colon or not source or not target or mode not in {"", "ro", "rw"}:
        raise UsageError(
            what=f"--mount {text}: it is not SOURCE:TARGET, with :rw at most", advice="--mount ./data:/data:rw"
        )
    return {"source": source, "target": target, "mode": mode or "ro"}


def _platforms(around: Project) -> tuple[str, ...]:
    from hatchlock.usecases.manifest import manifest_or_empty

    return manifest_or_empty(around).project.platforms


def _runtime(fields: dict[str, Any], around: Project) -> str:
    """Return where a server runs of which nobody says it: as the manifest would have it, or where there is no engine a process."""
    import tomllib

    from hatchlock.engines.locate import EngineNotFound, find_engine

    source = str(fields.get("source", ""))
    said = "runtime" in tomllib.loads(around.manifest_bytes.decode()).get("defaults", {})
    if said or not source or source.startswith("oci:") or "runtime" in fields:
        return ""
    try:
        find_engine(os.environ)
    except EngineNotFound:
        return "process"
    return ""


def _check(text: str) -> None:
    """Refuse what no manifest may say; where in the trial's own it stands is nobody's business."""
    from hatchlock.errors import ManyErrors
    from hatchlock.manifest.load import loads

    try:
        loads(text, shown="try")
    except ManyErrors as found:
        raise ManyErrors(errors=tuple(replace(error, place=None) for error in found.errors)) from None


def _keep(arguments: argparse.Namespace, around: Project, name: str, fields: dict[str, Any]) -> Keep | None:
    """Return what is to be added, found to be possible before anything is tried."""
    if not arguments.keep:
        return None
    from hatchlock.manifest.trial import relative, with_paths
    from hatchlock.usecases import manifest
    from hatchlock.usecases.trial import Keep

    own = with_paths(fields, relative(around.directory))
    manifest.add(around.manifest_text, name, own)
    return Keep(manifest=str(around.manifest), fields=own, lock_timeout=60.0, offline=arguments.offline)


def _tell(prepared: Prepared, arguments: argparse.Namespace, ui: Ui) -> None:
    """Say what was resolved, and in what it runs; on stderr, as everything is that we say ourselves."""
    from hatchlock.engines.cgroups import bound_here
    from hatchlock.security.sandbox import profile_line, relaxations

    record = prepared.record
    what = arguments.source or " ".join(arguments.words)
    ui.say(f"trying {printable(what)}: {printable(prepared.resolved)}")
    if record.remote is not None:
        ui.say(
            "! it does not run here, and nothing confines it; it gets what it is asked for, and the secrets of its headers"
        )
        return
    profile = profile_line(record.sandbox, runtime=record.runtime, together=bound_here())
    ui.say(f"{record.runtime}: {printable(profile)}")
    for note in (*relaxations(record.sandbox, runtime=record.runtime), *prepared.notes, *_unseen(record)):
        ui.say(f"! {printable(note)}")


def _unseen(record: LaunchRecord) -> Iterator[str]:
    """Yield what a program of this machine names, or is itself, that its sandbox does not have."""
    from hatchlock.serve.denials import named_paths

    if record.key or record.isolation != "required":
        return
    program = record.argv[0]
    itself = dict.fromkeys((program, os.path.realpath(program)))  # that of a virtual environment leads to another one
    for path in dict.fromkeys(named_paths(replace(record, argv=(program, *itself, *record.argv)))):
        if os.path.exists(path):  # noqa: PTH110  a stranger's text
            place = path if os.path.isdir(path) else os.path.dirname(path)  # noqa: PTH112, PTH120
            if path in itself:
                place = place.removesuffix("/bin") or place  # what it loads lies beside
            yield f"{path} is not in its sandbox: --mount {place}:{place} lets it read that"


def _probed(trial: Trial, arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.cli.probe_command import probe
    from hatchlock.cli.tried import finish
    from hatchlock.usecases.launcher import launcher_problem, write_launcher

    if launcher_problem(trial.home):
        write_launcher(trial.home)  # the prober starts what an application would
    arguments.names, arguments.learn, arguments.project = [trial.server], False, trial.project
    return finish(trial, probe(arguments, ui), ui)
