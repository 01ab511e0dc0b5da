"""An engine that has no range of addresses for one more network, which happens to people with a VPN or many networks."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hatchlock.engines.api import Engine, EngineError
from hatchlock.security.container import bridge_config
from support.engine import OwnEngine
from support.hosts import World

pytestmark = pytest.mark.engine

_ALL_OF_DOCKERS = ("172.16.0.0/12", "dev", "lo")


def test_it_says_what_helps(world: World, tmp_path: Path) -> None:
    """On a machine of its own, where a route takes all of them."""
    route = ("ip", "-n", world.machine, "route")
    wanted = bridge_config("tried", podman=False)
    with OwnEngine(tmp_path, prefix=world.enter) as own:
        engine = Engine(own.address)
        subprocess.run([*route, "add", *_ALL_OF_DOCKERS], check=True)
        try:
            with pytest.raises(EngineError) as refused:
                engine.ask("POST", "/networks/create", wanted)
        finally:
            subprocess.run([*route, "del", *_ALL_OF_DOCKERS], check=True)
        assert "docker network prune" in str(refused.value.hint)
        engine.ask("POST", "/networks/create", wanted)
        engine.ask("DELETE", f"/networks/{wanted['Name']}")
