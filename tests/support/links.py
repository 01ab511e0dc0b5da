"""Servers in an image that is nearly empty (`support.links_image`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hatchlock.launch import LaunchRecord, Sandbox
from support.links_image import programs
from support.runs import python_record

__all__ = ["links_record"]


def links_record(engine: str, image: str, project: str, *options: str, **fields: Any) -> LaunchRecord:
    """Return the record of a server from `fixtures/servers` in such an image: the programs are this machine's own."""
    process = python_record(*options, project=project, script=fields.pop("script", "echo.py"))
    mounts = programs(*process.read_only_paths)
    sandbox = fields.pop("sandbox", Sandbox(stop_grace=0.3))
    return replace(
        process,
        runtime="container",
        read_only_paths=(),
        image=image,
        engine=engine,
        sandbox=replace(sandbox, mounts=(*mounts, *sandbox.mounts), reason="the image is empty"),
        **fields,
    )
