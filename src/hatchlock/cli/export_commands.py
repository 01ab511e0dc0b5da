"""`export`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hatchlock.cli.context import project_of
from hatchlock.cli.layout import size
from hatchlock.cli.ui import Ui

__all__ = ["export"]


def export(arguments: argparse.Namespace, ui: Ui) -> int:
    """Write the image of a server or environment, or print or write an environment in another tool's format."""
    from hatchlock.errors import UsageError

    if bool(arguments.form) == bool(arguments.to):
        raise UsageError(what="`export` needs one of --format and --to", advice="see `hatchlock export --help`")
    return _image(arguments, ui) if arguments.to else _file(arguments, ui)


def _image(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.errors import UsageError
    from hatchlock.usecases.export_image import export_image, image_target

    for option in ("environment", "runtime", "output"):
        if getattr(arguments, option):
            raise UsageError(
                what=f"--{option} does not go with --to", advice="write `hatchlock export NAME --to TARGET`"
            )
    if not arguments.name:
        raise UsageError(
            what="--to needs the name of a server or environment", advice="write `export NAME --to TARGET`"
        )
    made = export_image(
        project_of(arguments),
        arguments.name,
        image_target(arguments.to),
        platforms=arguments.platform,
        offline=arguments.offline,
        emit=ui.event,
    )
    if ui.json:
        facts = {"target": made.target, "reference": made.reference, "digest": made.digest}
        ui.document({**facts, "platforms": list(made.platforms), "sent": dict(made.sent)})
        return 0
    if made.sent:
        ui.say(f"{made.sent['blobs']} blobs sent, {size(made.sent['bytes'])}; {made.sent['documents']} manifests")
    ui.result(made.reference)
    return 0


def _file(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.errors import UsageError
    from hatchlock.usecases.export import ExportRequest, export_environment, write_export

    if arguments.name:
        what = f"--format takes no {arguments.name!r}"
        raise UsageError(what=what, advice=f"write --environment {arguments.name}")
    if len(arguments.platform) > 1:
        raise UsageError(what="--format takes one --platform", advice="leave it out for all that are locked")
    output = Path(arguments.output) if arguments.output else None
    is_file = output is not None and arguments.form != "package-lock.json" and not output.is_dir()
    request = ExportRequest(
        form=arguments.form,
        environment=arguments.environment,
        runtime=arguments.runtime,
        platform=next(iter(arguments.platform), None),
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
