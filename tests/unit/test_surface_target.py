"""From a lock's pins to the rules of a launch record, and when a pin is stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.lock.artefact import artefact_of, is_stale
from hatchlock.lock.model import File, Lock
from hatchlock.lock.surfaces import Definition, readable, surface_of
from hatchlock.paths import Home
from hatchlock.resources.compile import compile_target
from hatchlock.resources.machine import Machine
from hatchlock.resources.surface_target import surface_rules
from hatchlock.resources.surface_words import surface_words
from hatchlock.surface import Pins, SurfaceRules, definition_hash, instructions_hash
from support.locks import EVERYTHING, manifest_of, world

LOCK = world().lock(EVERYTHING)
MACHINE = Machine(
    platform="linux/amd64",
    system="linux",
    home=Home(root=Path("/store"), is_default=False),
    user_home=Path("/home/ada"),
    directory=Path("/srv/acme"),
    environ={},
    interpreters={},
    programs={"/bin/cat": "/bin/cat"},
    engine="unix:///run/engine.sock",
)
TOOL = {"name": "get", "description": "Gets."}
GET = Definition(name="get", sha256=definition_hash(TOOL), text=readable(TOOL))


def pinned(lock: Lock, server: str) -> Lock:
    surface = surface_of(server, artefact=artefact_of(lock, server), instructions="Ask.", tools=[GET], prompts=[GET])
    return replace(lock, surfaces=(surface,))


def changed_server(server: str, **fields: Any) -> Lock:
    return replace(LOCK, servers=tuple(replace(i, **fields) if i.name == server else i for i in LOCK.servers))


def test_rules_of_the_manifest_and_pins_of_the_lock_come_together() -> None:
    declared = SurfaceRules(allow=("g*",), changed="warn")
    rules = surface_rules(declared, pinned(LOCK, "demo"), "demo", MACHINE.platform)
    assert rules is not None
    assert rules.pins is not None
    assert rules == replace(declared, pins=rules.pins)
    listed = {"get": GET.sha256}
    assert rules.pins == Pins(tools=listed, prompts=listed, instructions=instructions_hash("Ask."))
    assert surface_words(rules) == (
        "only g*; 1 tool (be05e679cce3), 1 prompt (be05e679cce3), instructions (59140b07d35f) pinned,"
        " what differs is told of"
    )


@pytest.mark.parametrize("declared", [SurfaceRules(), SurfaceRules(changed="warn")])
def test_a_server_without_rules_and_pins_has_the_launch_record_that_it_had(declared: SurfaceRules) -> None:
    assert surface_rules(declared, pinned(LOCK, "demo"), "host", MACHINE.platform) is None


def test_what_a_server_is_made_of_makes_its_pin_stale() -> None:
    lock = pinned(LOCK, "demo")
    assert not is_stale(lock, "demo")
    assert not is_stale(lock, "host")
    for other in (
        changed_server("demo", args=("--zone", "CET")),
        changed_server("demo", command=("other",)),
        changed_server("demo", env={"GREETING": "moin"}),
        changed_server("demo", url="https://mcp.example.com/mcp"),
        replace(
            LOCK,
            packages=tuple(
                replace(i, files=(*i.files, File(name="x.whl", sha256="9" * 64))) if i.name == "demo-core" else i
                for i in LOCK.packages
            ),
        ),
    ):
        assert is_stale(replace(other, surfaces=lock.surfaces), "demo")


def test_where_a_server_runs_and_what_its_packages_say_does_not() -> None:
    lock = pinned(LOCK, "demo")
    same = changed_server("demo", cwd="/", startup_timeout=1.0, trust="x", secrets={})
    told = replace(same, packages=tuple(replace(i, licence="other", publisher="other") for i in LOCK.packages))
    assert artefact_of(told, "demo") == artefact_of(lock, "demo")


def test_an_image_counts_by_its_digest_on_every_platform() -> None:
    lock = pinned(LOCK, "shop")
    images = tuple(
        replace(i, platforms={n: replace(p, digest=f"sha256:{'7' * 64}") for n, p in i.platforms.items()})
        for i in LOCK.images
    )
    assert is_stale(replace(lock, images=images), "shop")
    assert not is_stale(replace(lock, images=tuple(reversed(lock.images))), "shop")


def test_the_launch_record_of_a_program_has_its_pins() -> None:
    text = '[project]\nname = "acme"\nplatforms = ["linux/amd64"]\n[servers.host]\ncommand = ["/bin/cat"]\n'
    lock = pinned(world().lock(text), "host")
    found = compile_target(manifest_of(text), lock, MACHINE)
    (server,) = found.servers
    assert server.record.surface == surface_rules(SurfaceRules(), lock, "host", MACHINE.platform)
    assert server.record.surface is not None
