"""Our mark in an entry: what starts a server through us, and whose an entry is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS, Client
from hatchlock.clients.owners import mark_of, owner_of, start_for
from hatchlock.clients.shape import Address, Shape, Start, UrlShape
from hatchlock.paths import Home

TYPED = CLIENTS["cursor"].shape
HOMES = [Home(root=Path("/h/.local/share/hatchlock"), is_default=True), Home(root=Path("/srv/store"), is_default=False)]


@pytest.mark.parametrize("home", HOMES, ids=["default", "other"])
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_an_entry_of_the_user_names_store_project_and_server(home: Home, client: Client) -> None:
    launcher = str(home.bin / "hatchlock")
    entry = client.shape.written(start_for(scope="user", launcher=launcher, home=home, project="acme", server="time"))
    named = [] if home.is_default else ["--home", "/srv/store"]
    found = client.shape.read(entry)
    assert found == Start(command=launcher, args=("run", *named, "--project", "acme", "time"))
    assert owner_of(found, scope="user", home=home) == ("acme", "time")
    assert owner_of(found, scope="project", home=home) is None


@pytest.mark.parametrize("name", ["claude-code", "cursor"])
def test_entries_keep_their_bytes(name: str) -> None:
    start = start_for(scope="user", launcher="/s/bin/hatchlock", home=HOMES[0], project="acme", server="time")
    entry = CLIENTS[name].shape.written(start)
    args = ["run", "--project", "acme", "time"]
    assert json.dumps(entry) == json.dumps({"type": "stdio", "command": "/s/bin/hatchlock", "args": args})


def test_an_entry_of_a_project_holds_nothing_of_this_machine() -> None:
    entry = TYPED.written(
        start_for(
            scope="project",
            launcher="/srv/store/bin/hatchlock",
            home=HOMES[1],
            project="acme",
            server="time",
        )
    )
    assert entry == {"type": "stdio", "command": "hatchlock", "args": ["run", "time"]}
    assert owner_of(TYPED.read(entry), scope="project", home=HOMES[1]) == ("", "time")
    assert owner_of(TYPED.read(entry), scope="user", home=HOMES[0]) is None


def test_an_entry_of_another_store_is_not_ours() -> None:
    here, there = HOMES
    for mine, theirs in ((here, there), (there, here)):
        entry = TYPED.written(
            start_for(
                scope="user",
                launcher=str(theirs.bin / "hatchlock"),
                home=theirs,
                project="acme",
                server="time",
            )
        )
        assert owner_of(TYPED.read(entry), scope="user", home=mine) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "hatchlock",
        {},
        {"command": "npx", "args": ["run", "--project", "acme", "time"]},
        {"command": "hatchlock"},
        {"command": "hatchlock", "args": "run"},
        {"command": "hatchlock", "args": ["run"]},
        {"command": "hatchlock", "args": ["run", 5]},
        {"command": "hatchlock", "args": ["probe", "time"]},
        {"command": "hatchlock", "args": ["run", "--project", "acme", "time", "--more"]},
        {"command": ["hatchlock"], "args": ["run", "time"]},
        {"url": "https://mcp.example.com/mcp"},
    ],
)
def test_what_others_wrote_is_not_ours(value: object) -> None:
    for scope in ("user", "project"):
        assert owner_of(TYPED.read(value), scope=scope, home=HOMES[0]) is None


SHAPES = {
    "typed": TYPED,
    "words in one list": Shape(command="command", args="", env="environment", cwd="", fixed={"type": "local"}),
    "an address for each": Shape(http=UrlShape(url="httpUrl"), sse=UrlShape(url="url")),
    "other names": Shape(command="cmd", env="envs", http=UrlShape(url="uri", fixed={"type": "streamable_http"})),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_is_written_is_read_back(shape: Shape) -> None:
    cwd = "/srv" if shape.cwd else ""
    start = Start(command="a", args=("b", "c d"), env={"E": "1"}, cwd=cwd)
    assert shape.read(shape.written(start)) == start
    assert shape.read(shape.written(Start(command="a"))) == Start(command="a")
    for transport, there in (("http", shape.http), ("sse", shape.sse)):
        address = Address(url="https://mcp.example/x", transport=transport, headers={"A": "b"})  # type: ignore[arg-type]
        if there:
            assert shape.read(shape.written(address)) == address
        else:
            with pytest.raises(ValueError, match="it connects to no server over"):
                shape.written(address)


def test_an_entry_that_does_not_say_its_transport_is_streamable_http() -> None:
    assert TYPED.read({"url": "https://mcp.example/x"}) == Address(url="https://mcp.example/x")


def test_a_working_directory_that_an_application_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="a directory of its own choice"):
        SHAPES["words in one list"].written(Start(command="a", cwd="/srv"))


@pytest.mark.parametrize("home", HOMES, ids=["default", "other"])
def test_options_before_the_mark_leave_an_entry_of_our_launcher_ours(home: Home) -> None:
    launcher = str(home.bin / "hatchlock")
    named = () if home.is_default else ("--home", "/srv/store")
    mark = ("--project", "acme", "time")

    def of(command: str, *args: str) -> tuple[str, str] | None:
        return owner_of(Start(command=command, args=args), scope="user", home=home)

    for args in (("-v", *named), (*named, "-v"), (f"--home={home.root}",), ("-v", "--home", str(home.root), "-q")):
        assert of(launcher, "run", *args, *mark) == ("acme", "time"), args
        assert mark_of(Start(command=launcher, args=("run", *args, *mark)), scope="user") is not None, args
    for args in (("--home", "/else"), (*named, "--home=/else"), (*named, "--"), ("-v", *named, *mark, "-v")):
        assert of(launcher, "run", *args, *mark[: 3 if args[-1] != "-v" else 0]) is None, args
    assert of("/elsewhere/bin/hatchlock", "run", "-v", *named, *mark) is None
    assert of("hatchlock", "run", "-v", *named, *mark) is None
    assert owner_of(Start(command=launcher, args=("run", "-v", *mark)), scope="project", home=home) is None
