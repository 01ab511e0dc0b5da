"""Paths below a project are relative in its manifest, whichever key they stand in."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import pytest

from hatchlock.migrate.model import Proposed
from hatchlock.migrate.relative import relative_to


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"source": "path:/p/a#as=files"}, {"source": "path:./a#as=files"}),
        ({"source": "path:/p"}, {"source": "path:."}),
        ({"source": "path:/q/a"}, {"source": "path:/q/a"}),
        ({"source": "hatch:/p/kit"}, {"source": "hatch:./kit"}),
        ({"source": "hatch:kit==1.0"}, {"source": "hatch:kit==1.0"}),
        ({"source": "npm:/p/a"}, {"source": "npm:/p/a"}),
        ({"build": "/p/docker"}, {"build": "./docker"}),
        ({"build": {"context": "/p/a", "target": "/p/b"}}, {"build": {"context": "./a", "target": "/p/b"}}),
        (
            {
                "env": {
                    "A": "/p/x",
                    "B": {"secret": "file:/p/.env#B"},
                    "C": {"secret": "file:/q/c"},
                    "D": {"secret": "env:D"},
                }
            },
            {
                "env": {
                    "A": "/p/x",
                    "B": {"secret": "file:./.env#B"},
                    "C": {"secret": "file:/q/c"},
                    "D": {"secret": "env:D"},
                }
            },
        ),
        (
            {"sandbox": {"mounts": [{"source": "/p/d", "target": "/p/d"}, {"source": "~/x", "target": "/x"}]}},
            {"sandbox": {"mounts": [{"source": "./d", "target": "/p/d"}, {"source": "~/x", "target": "/x"}]}},
        ),
    ],
)
def test_a_path_in_the_directory_is_relative(given: dict[str, Any], expected: dict[str, Any]) -> None:
    server = Proposed(name="a", found_as="a", line=1, fields=given)
    assert relative_to(server, PurePath("/p")).fields == expected
