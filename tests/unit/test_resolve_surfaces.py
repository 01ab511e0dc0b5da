"""What of a pin stays when the lock is made anew."""

from __future__ import annotations

from dataclasses import replace

from hatchlock.lock.artefact import artefact_of, is_stale
from hatchlock.lock.model import Lock, Server
from hatchlock.lock.surfaces import Definition, Surface, readable, surface_of
from hatchlock.manifest.handover import NO_HANDOVER, Handover
from hatchlock.resolve.surfaces import surface_warnings, with_surfaces
from hatchlock.surface import definition_hash


def tool(name: str) -> Definition:
    value = {"name": name}
    return Definition(name=name, sha256=definition_hash(value), text=readable(value))


def lock(*servers: Server, **pins: Surface) -> Lock:
    return Lock(project="p", platforms=("linux/amd64",), servers=servers, surfaces=tuple(pins.values()))


def server(name: str, *args: str) -> Server:
    return Server(name=name, source="", runtime="process", command=("cat",), args=args)


def pin(of: Server, *tools: str) -> Surface:
    return surface_of(of.name, artefact=artefact_of(lock(of), of.name), tools=map(tool, tools))


OLD = lock(server("a"), server("b"), a=pin(server("a"), "get"))


def test_a_pin_stays_with_its_server_and_goes_with_it() -> None:
    assert with_surfaces(lock(server("a")), [OLD], NO_HANDOVER).surfaces == OLD.surfaces
    assert with_surfaces(lock(server("b")), [OLD], NO_HANDOVER).surfaces == ()
    assert with_surfaces(lock(server("a")), [], NO_HANDOVER).surfaces == ()
    assert list(surface_warnings(OLD, [OLD], NO_HANDOVER)) == []


def test_a_pin_goes_along_when_its_server_gets_another_name() -> None:
    moved = Handover(moved={"a": "b", "b": "c"})
    now = with_surfaces(lock(server("c")), [OLD], moved)
    assert now.surfaces == (replace(OLD.surfaces[0], server="c"),)
    assert not is_stale(now, "c")
    assert list(surface_warnings(now, [OLD], moved)) == []


def test_a_pin_of_something_else_stays_and_is_told_of_once() -> None:
    now = with_surfaces(lock(server("a", "--new")), [OLD], NO_HANDOVER)
    assert now.surfaces == OLD.surfaces
    assert is_stale(now, "a")
    (told,) = surface_warnings(now, [OLD], NO_HANDOVER)
    assert "server:a is made of has changed" in told
    assert "`hatchlock pin a`" in told
    assert list(surface_warnings(now, [now], NO_HANDOVER)) == []


def test_of_two_sides_the_one_that_is_of_what_is_locked_counts() -> None:
    ours, theirs = server("a"), server("a", "--new")
    sides = [lock(ours, a=pin(ours, "get")), lock(theirs, a=pin(theirs, "get", "put"))]
    now = with_surfaces(lock(theirs), sides, NO_HANDOVER)
    assert now.surfaces == sides[1].surfaces
    assert any("other tools of server:a" in told for told in surface_warnings(now, sides, NO_HANDOVER))
    neither = with_surfaces(lock(server("a", "--third")), sides, NO_HANDOVER)
    assert neither.surfaces == sides[0].surfaces
