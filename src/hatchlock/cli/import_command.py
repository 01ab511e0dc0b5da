"""`import`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import TYPE_CHECKING

from hatchlock.cli.consent import asker
from hatchlock.cli.context import directory_of, home_of, project_of
from hatchlock.cli.ui import Ui
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.migrate.deciding import Wishes
    from hatchlock.usecases.import_servers import ImportPlan
    from hatchlock.usecases.project import Project

__all__ = ["import_"]

_LARGEST = 32 << 20


def import_(arguments: argparse.Namespace, ui: Ui) -> int:
    """Write what applications and other tools have into the manifest; whatever cannot be read stops nothing else."""
    from hatchlock.cli.import_views import show_import
    from hatchlock.usecases.import_reading import read_sources
    from hatchlock.usecases.import_servers import carry_out, plan_import
    from hatchlock.usecases.leases import manifest_lease

    wishes, project = _wishes(arguments, ui), _project(arguments)
    sources = read_sources(
        project, arguments.sources, directory=directory_of(arguments), as_name=arguments.form, stdin=_stdin
    )
    plan = plan_import(project, sources, wishes)
    status = 1 if sources.errors or plan.has_conflicts or plan.is_in_vain else 0
    if arguments.dry_run:
        show_import(sources, plan, ui, kept=None, written=(), again="")
        return status
    keep = _keep(arguments, plan, ui)
    held = manifest_lease(
        project.home, project.manifest, purpose="import", timeout=arguments.lock_timeout, emit=ui.event
    )
    with held:
        plan = plan_import(_by_now(project), sources, wishes)
        written = carry_out(plan, keep=keep, lock_timeout=arguments.lock_timeout, emit=ui.event)
    show_import(sources, plan, ui, kept=keep, written=written, again=_again(arguments))
    return status


def _wishes(arguments: argparse.Namespace, ui: Ui) -> Wishes:
    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.manifest.problem import did_you_mean
    from hatchlock.migrate.deciding import Wishes

    for name in arguments.clients:
        if name not in CLIENTS:
            advice = did_you_mean(name, CLIENTS, f"known are {', '.join(CLIENTS)}")
            raise UsageError(what=f"--client {name}: there is no such application", advice=advice)
    renames = dict(_rename(text) for text in arguments.rename)
    return Wishes(renames=renames, clients=tuple(arguments.clients), runtime=arguments.runtime or _runtime(ui))


def _rename(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not equals or not old or not new:
        raise UsageError(what=f"--rename {text}: it is not OLD=NEW", advice="--rename github=github-work")
    return old, new


def _runtime(ui: Ui) -> str:
    """Return where servers run of which nobody says it: where there is no engine as processes."""
    from hatchlock.engines.locate import EngineNotFound, find_engine

    try:
        find_engine(os.environ)
    except EngineNotFound:
        if ui.verbose:
            ui.say("no container engine answers, so servers that may run as processes do")
        return "process"
    return ""


def _project(arguments: argparse.Namespace) -> Project:
    """Return the project that there is, or the one that its first server makes: here, or the user's own."""
    from hatchlock.paths import MANIFEST_NAME, global_manifest
    from hatchlock.usecases.project import NoManifest, Project

    try:
        return project_of(arguments)
    except NoManifest:
        if arguments.manifest:
            raise
    usual = directory_of(arguments).resolve() / MANIFEST_NAME
    manifest = global_manifest(os.environ).absolute() if arguments.use_global else usual
    return Project(
        manifest=manifest,
        home=home_of(arguments),
        environ=os.environ,
        manifest_bytes=b"",
        overlay_bytes=b"",
        lock_bytes=None,
    )


def _by_now(project: Project) -> Project:
    from hatchlock.usecases.project import reread

    return reread(project) if project.manifest.exists() else project


def _stdin() -> bytes:
    if sys.stdin.isatty():
        sys.stderr.write("paste it, and end with ctrl-D\n")
    data = sys.stdin.buffer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise UsageError(what="stdin holds more than 32 MiB", advice="name a file")
    return data


def _again(arguments: argparse.Namespace) -> str:
    """Return the command that reads the same once more; "" where stdin was read, which is gone."""
    if "-" in arguments.sources:
        return ""
    words = ["hatchlock", "import", *arguments.sources]
    words += ["--as", arguments.form] if arguments.form else []
    return shlex.join([*words, *(["-g"] if arguments.use_global else [])])


def _keep(arguments: argparse.Namespace, plan: ImportPlan, ui: Ui) -> bool:
    """Return whether values of secrets are kept: as it was said, else as the user answers, else not."""
    if arguments.keep is not None or not plan.keepable:
        return bool(arguments.keep)
    ask = asker(ui, "keep them, in the keyring of this system or else in the store, which only you can read?")
    if ask is None:
        return False
    listed = "\n".join(f"  {', '.join(item.used_by)}" for item in plan.keepable)
    return ask(f"values of secrets were found:\n{listed}")
