"""`export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hatchlock.cli.context import project_of
from hatchlock.cli.layout import size
from hatchlock.cli.ui import Ui

if TYPE_CHECKING:
    from hatchlock.migrate.outgoing.model import Withheld

__all__ = ["export"]

_OF_SERVERS = ("scope", "without_hatchlock", "images")


def export(arguments: argparse.Namespace, ui: Ui) -> int:
    """Write the image of a server or environment, or print or write what is locked in another tool's format."""
    from hatchlock.errors import UsageError
    from hatchlock.usecases.export import FORMATS

    if bool(arguments.form) == bool(arguments.to):
        raise UsageError(what="`export` needs one of --format and --to", advice="see `hatchlock export --help`")
    if arguments.to:
        _refuse(arguments, ("environment", "runtime", "output", *_OF_SERVERS), "--to")
        return _image(arguments, ui)
    if arguments.form in FORMATS:
        _refuse(arguments, _OF_SERVERS, f"--format {arguments.form}")
        return _file(arguments, ui)
    _refuse(arguments, ("environment", "runtime", "platform"), f"--format {arguments.form}")
    return _servers(arguments, ui)


def _refuse(arguments: argparse.Namespace, options: Iterable[str], chosen: str) -> None:
    from hatchlock.errors import UsageError

    for option in options:
        if getattr(arguments, option):
            said = option.replace("_", "-").replace("images", "image")
            raise UsageError(what=f"--{said} does not go with {chosen}", advice="see `hatchlock export --help`")


def _servers(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.errors import UsageError
    from hatchlock.migrate.outgoing.leaving import images_of
    from hatchlock.usecases.export_servers import ServerRequest, export_servers, write_servers

    _known(arguments.form)
    output = Path(arguments.output) if arguments.output else None
    request = ServerRequest(
        form=arguments.form,
        names=tuple(arguments.names),
        scope=arguments.scope,
        without_hatchlock=arguments.without_hatchlock,
        images=images_of(tuple(arguments.images)),
        beside=output and (output.absolute() if output.is_dir() else output.absolute().parent),
    )
    made = export_servers(project_of(arguments), request)
    if len(made.files) > 1 and output is None and not ui.json:
        raise UsageError(
            what=f"{len(made.files)} files do not fit on stdout", advice="name a directory: --output DIR; or one server"
        )
    written = write_servers(made, output, form=arguments.form) if output else []
    if ui.json:
        ui.document(
            {
                "files": dict(made.files),
                "servers": list(made.servers),
                "withheld": [asdict(item) for item in made.withheld],
                "notes": [asdict(item) for item in made.notes],
                "written": list(map(str, written)),
            }
        )
        return 0
    for line in _left_out(made.withheld):
        ui.say(line)
    for note in made.notes:
        ui.say(f"note: {note}")
    if output is None:
        sys.stdout.write("".join(made.files.values()))
        sys.stdout.flush()
    ui.result("\n".join(f"+ {path}" for path in written))
    return 0


def _known(form: str) -> None:
    from difflib import get_close_matches

    from hatchlock.clients.catalogue import CLIENTS
    from hatchlock.errors import UsageError
    from hatchlock.migrate.outgoing.forms import CLIENT
    from hatchlock.usecases.export import FORMATS
    from hatchlock.usecases.export_servers import server_formats

    known = (*FORMATS, *server_formats())
    if form in known:
        return
    if form in {CLIENT, CLIENT.rstrip(":")}:
        raise UsageError(
            what=f"--format {form} needs the name of an application", advice=f"one of {', '.join(CLIENTS)}"
        )
    close = get_close_matches(form, known, n=1)
    raise UsageError(
        what=f"--format {form}: there is no such format",
        advice=f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}",
    )


def _left_out(withheld: Iterable[Withheld]) -> Iterable[str]:
    """Yield a line for each reason, with the servers that have it."""
    from hatchlock.migrate.outgoing.model import by_reason

    for (why, hint), names in by_reason(withheld).items():
        yield f"left out: {', '.join(names)}: {why}"
        if hint:
            yield f"  {hint}"


def _image(arguments: argparse.Namespace, ui: Ui) -> int:
    from hatchlock.errors import UsageError
    from hatchlock.usecases.export_image import export_image, image_target

    if len(arguments.names) != 1:
        raise UsageError(
            what="--to needs the name of one server or environment", advice="write `export NAME --to TARGET`"
        )
    name = arguments.names[0]
    made = export_image(
        project_of(arguments),
        name,
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

    if arguments.names:
        what = f"--format {arguments.form} takes no {arguments.names[0]!r}"
        raise UsageError(what=what, advice=f"write --environment {arguments.names[0]}")
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
