"""`gc`: the bridge of a project whose servers reach every host, when there are none any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hatchlock.files import read_optional
from hatchlock.launch import LaunchRecord

if TYPE_CHECKING:
    from hatchlock.state.project import ProjectState

__all__ = ["networks_of", "remove_network", "unused_networks"]

_NOT_FOUND = 404


def unused_networks(state: ProjectState, project: str, engine: str) -> Iterator[str]:
    """Yield the networks in an engine that are a project's and that no active server of it needs.

    Raises:
        EngineError: The engine refuses.
        EngineUnreachable: The engine does not answer.
    """
    if not any(_is_online(state, digest) for digest in state.active().values()):
        yield from networks_of(project, engine)


def networks_of(project: str, engine: str) -> Iterator[str]:
    """Yield the networks in an engine that are a project's.

    Raises:
        EngineError, EngineUnreachable: As `unused_networks`.
    """
    from hatchlock.engines.api import Engine
    from hatchlock.security.container import LABEL

    filters = json.dumps({"label": [f"{LABEL}.project={project}"]})
    for found in Engine(engine).ask("GET", f"/networks?{urlencode({'filters': filters})}"):
        yield str(found["Name"])


def remove_network(engine: str, name: str) -> str:
    """Remove a network; return why it had to stay, or "" when it is gone."""
    from hatchlock.engines.api import Engine, EngineError

    try:
        Engine(engine).ask("DELETE", f"/networks/{name}")
    except EngineError as error:
        return "" if error.status == _NOT_FOUND else error.message
    return ""


def _is_online(state: ProjectState, digest: str) -> bool:
    data = read_optional(state.record_path(digest))
    try:
        return data is not None and LaunchRecord.from_json(data).sandbox.network == ("internet",)
    except (ValueError, KeyError, TypeError):
        return True  # nobody knows what it needs
