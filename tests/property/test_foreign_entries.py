"""Whatever stands beside our entries in applications' files stays byte for byte, whatever is declared, moved, adopted or given up."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.clients.catalogue import CLIENTS
from hatchlock.clients.owners import start_for
from hatchlock.manifest.handover import Handover
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.resources.client import ClientFile, ClientResource, EntrySpec
from hatchlock.state.project import ProjectState

MCP_SERVERS = CLIENTS["cursor"].dialect
NAMES = ("a", "b", "c", "d")
CLIENT = CLIENTS["cursor"]
values = st.sampled_from(
    [
        {"command": "npx", "args": ["x"], "env": {"KEY": "s3cret"}},
        {"url": "https://example.invalid/mcp"},
        {"command": "hatchlock", "args": ["run", "a"]},
        {"command": "/opt/hatchlock", "args": ["run", "--project", "other", "a"]},
        {"command": "/opt/hatchlock", "args": ["run", "--home", "/other", "--project", "p", "a"]},
        "nonsense",
        None,
        7,
    ]
)
others = st.dictionaries(st.sampled_from([*NAMES, "x", "y\\u00e9"]), values, max_size=5)
wanted = st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=4)
indents = st.sampled_from([None, 2, "\t"])


class World:
    def __init__(self, root: Path, text: str) -> None:
        self.home = Home(root=root / "store", is_default=False)
        self.file = ClientFile(client="cursor", scope="user", path=str(root / "mcp.json"))
        self.path = Path(self.file.path)
        self.path.write_text(text)

    def value(self, server: str) -> dict[str, Any]:
        launcher = str(self.home.bin / "hatchlock")
        return CLIENT.shape.written(
            start_for(scope="user", launcher=launcher, home=self.home, project="p", server=server)
        )

    def apply(self, servers: set[str], moved: dict[str, str]) -> None:
        specs = [EntrySpec(file=self.file, server=name, value=self.value(name)) for name in servers]
        resource = ClientResource(
            specs,
            state=ProjectState(self.home.project("p")),
            home=self.home,
            project="p",
            usual=[self.file],
            handover=Handover(moved=moved),
        )
        observed = list(resource.observe())
        for step in diff(resource.desired(), observed, resource.problems).steps:
            resource.apply(step)

    def foreign(self) -> dict[str, bytes]:
        """Return the text of each entry that is not ours."""
        data = self.path.read_bytes()
        found = MCP_SERVERS.read(data)
        return {name: data[slice(*item.span)] for name, item in found.items() if item.value != self.value(name)}


@settings(max_examples=60, deadline=None)
@given(others, wanted, indents, st.booleans())
def test_what_is_not_ours_stays(beside: dict[str, Any], rounds: list[set[str]], indent: Any, is_moved: bool) -> None:
    text = json.dumps(
        {"before": [1, {"mcpServers": {"a": 1}}], "mcpServers": beside, "after": {"k": "v"}}, indent=indent
    )
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), text)
        before = world.foreign()
        last: set[str] = set()
        for servers in rounds:
            gone = sorted(last - servers)
            new = sorted(servers - last)
            world.apply(servers, dict(zip(gone, new, strict=False)) if is_moved else {})
            assert {name: part for name, part in world.foreign().items() if name in before} == before
            assert world.foreign().keys() == before.keys()
            ours = servers - before.keys()
            assert {name for name in NAMES if name in MCP_SERVERS.read(world.path.read_bytes())} - before.keys() == ours
            last = servers
        world.apply(set(), {})  # as `destroy` does
        # of several entries in an object that was empty, and on one line, a blank may stay
        assert world.path.read_text().replace("{ }", "{}") == text
