"""`report`."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.cli.context import home_of, project_of
from hatchlock.cli.layout import size, table
from hatchlock.cli.ui import Ui, printable
from hatchlock.errors import UsageError

if TYPE_CHECKING:
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.report import Report

__all__ = ["report", "report_arguments"]

_USUAL = "-"


def report_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `report`."""
    command.add_argument(
        "--bundle",
        nargs="?",
        const=_USUAL,
        metavar="FILE",
        help="write it all into one file, hatchlock-report-TIME.tar.gz if not said",
    )


def report(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print what a bug report needs, or write all of it into a file."""
    from hatchlock.usecases.report import make_report

    target = _target(arguments)
    home, project = home_of(arguments), _project(arguments)
    made = make_report(project, home, os.environ)
    written = ""
    if target is not None:
        if not ui.json:
            _list(made, ui)
        _write(target, made)
        written = str(target)
    if ui.json:
        files = [{"name": part.name, "size": part.size} for part in made.parts]
        addresses = [
            {"what": item.what, "address": item.address, "servers": list(item.servers)} for item in made.addresses
        ]
        ui.document(
            {"project": made.project, "files": files, "written": written, "addresses": addresses}
            | {"hatchlock": made.own, "unknown": list(made.unknown)}
        )
        return 0
    if target is None:
        for name in ("report.txt", "doctor.txt", "plan.txt"):
            for part in made.parts:
                if part.name == name:
                    ui.result(f"{part.text.rstrip()}\n")
        ui.say("next: hatchlock report --bundle writes this, manifest, lock, states and logs into one file")
    _tell_addresses(made, ui)
    if written:
        ui.result(f"written: {written}; read it before you give it to anybody")
    return 0


def _list(made: Report, ui: Ui) -> None:
    ui.result("\n".join(["what is in it:", table([(f"  {part.name}", size(part.size)) for part in made.parts])]))
    ui.say("secrets, tokens, your home, your name and this machine's are left out, as far as they were known")
    for reference in made.unknown:
        ui.say(f"! nobody here knows the value of {printable(reference)}, so it could not be looked for")


def _tell_addresses(made: Report, ui: Ui) -> None:
    own = [item for item in made.addresses if item.servers]
    rows = [(f"  {', '.join(item.servers)}", item.what, item.address or "nobody says where") for item in own]
    if made.own:
        rows.append(("  hatchlock", "", made.own))
    if not rows:
        return
    ui.result("\n".join(["where to tell of a mistake:", table([tuple(map(printable, row)) for row in rows])]))


def _target(arguments: argparse.Namespace) -> Path | None:
    if arguments.bundle is None:
        return None
    name = time.strftime("hatchlock-report-%Y%m%d-%H%M%S.tar.gz") if arguments.bundle == _USUAL else arguments.bundle
    path = Path(name)
    if not path.absolute().parent.is_dir():
        raise UsageError(what=f"--bundle {path}: there is no such directory", advice="make it first")
    if path.exists() or path.is_symlink():
        raise UsageError(what=f"--bundle {path}: there is something of that name", advice="name another file")
    return path


def _write(path: Path, made: Report) -> None:
    from hatchlock.files import atomic_write
    from hatchlock.usecases.report import bundle_bytes

    atomic_write(path.absolute(), bundle_bytes(made))


def _project(arguments: argparse.Namespace) -> Project | None:
    from hatchlock.usecases.project import NoManifest

    try:
        return project_of(arguments)
    except NoManifest:
        if arguments.manifest or arguments.use_global:
            raise
        return None
