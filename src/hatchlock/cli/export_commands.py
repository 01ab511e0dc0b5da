"""`export`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hatchlock.cli.context import project_of
from hatchlock.cli.ui import Ui

__all__ = ["export"]


def export(arguments: argparse.Namespace, ui: Ui) -> int:
    """Print or write a locked environment in another tool's format."""
    from hatchlock.usecases.export import ExportRequest, export_environment, write_export

    output = Path(arguments.output) if arguments.output else None
    is_file = output is not None and arguments.form != "package-lock.json" and not output.is_dir()
    request = ExportRequest(
        form=arguments.form,
        environment=arguments.environment,
        runtime=arguments.runtime,
        platform=arguments.platform,
        beside=output and (output.absolute().parent if is_file else output.absolute()),
    )
    exported = export_environment(project_of(arguments), request, offline=arguments.offline, emit=ui.event)
    written = write_export(exported, output, form=arguments.form) if output else []
    if ui.json:
        left_out = dict(exported.left_out)
        ui.document({"files": dict(exported.files), "left_out": left_out, "written": list(map(str, written))})
        return 0
    if exported.left_out:
        counted = ", ".join(f"{number} of {kind}:" for kind, number in exported.left_out.items())
        ui.say(f"note: {arguments.form} has no place for everything; left out: {counted}")
    if output is None:
        first, *others = exported.files
        sys.stdout.write(exported.files[first])
        sys.stdout.flush()
        if others:
            ui.say(f"note: it goes with {', '.join(others)}; `--output DIR` writes both")
    ui.result("\n".join(f"+ {path}" for path in written))
    return 0
