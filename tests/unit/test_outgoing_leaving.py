"""What of a lock other tools are given: an image by digest, a command line that pins what it can, an address, or a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.clients.shape import Start
from hatchlock.errors import UsageError
from hatchlock.lock.model import Environment, Lock, Package, Server
from hatchlock.lock.surfaces import Definition, Surface
from hatchlock.migrate.model import Proposed
from hatchlock.migrate.outgoing.leaving import Leaving, images_of
from hatchlock.migrate.outgoing.model import Addressed, Contained, Started, Withheld
from hatchlock.migrate.outgoing.setting import Setting
from hatchlock.migrate.translate import translated
from hatchlock.resolve.declared_by_lock import declared_by
from hatchlock.resources.machine import Machine
from hatchlock.resources.placing import Placing
from hatchlock.usecases.assume import assumed_home
from support.locks import EVERYTHING, manifest_of, package, world

SETTING = Setting(project="acme", directory=Path("/srv/acme"), user_home=Path("/home/ada"), beside=Path("/srv/acme"))
DIGEST = f"sha256:{'c' * 64}"
REMOTE = """
[servers.tracker]
url = "https://mcp.example.com/mcp"
headers.Authorization = { secret = "env:TRACKER_TOKEN", format = "Bearer {}" }
"""
COMMIT = "1a" * 20


def leaving(text: str, lock: Lock, **images: str) -> Leaving:
    manifest = manifest_of(text)
    machine = Machine(
        platform="linux/amd64",
        system="linux",
        home=assumed_home(),
        user_home=SETTING.user_home,
        directory=SETTING.directory,
        environ={},
        interpreters={},
        programs={},
        engine="unix:///nowhere",
        is_assumed=True,
    )
    return Leaving(
        manifest=manifest,
        lock=lock,
        images=images,
        setting=SETTING,
        platform="linux/amd64",
        placed=Placing(manifest=declared_by(lock, manifest), lock=lock, machine=machine).server,
    )


def everything(extra: str = "", **images: str) -> Leaving:
    text = EVERYTHING + REMOTE + extra
    return leaving(text, world().lock(text), **images)


def test_an_image_of_a_registry_is_named_by_the_locks_digest() -> None:
    shop = everything().served("shop")
    assert isinstance(shop, Contained)
    assert shop.image == f"shop.example.com/shop@{world().images['shop.example.com/shop:1'].digest}"
    assert shop.argv == ("/shop", "serve")
    assert shop.after_own == ()


def test_another_program_in_an_image_is_nothing_that_follows_its_own() -> None:
    text = EVERYTHING.replace(
        'source = "oci:shop.example.com/shop:1"\n',
        'source = "oci:shop.example.com/shop:1"\ncommand = ["/other", "-v"]\n',
    )
    shop = leaving(text, world().lock(text)).served("shop")
    assert isinstance(shop, Contained)
    assert shop.argv[:2] == ("/other", "-v")
    assert shop.after_own is None


def test_what_hatchlock_puts_together_has_to_be_pushed_first() -> None:
    withheld = everything().served("boxed")
    assert isinstance(withheld, Withheld)
    assert "in no registry" in withheld.why
    assert "hatchlock export boxed --to docker://" in withheld.hint
    boxed = everything(boxed=f"ghcr.io/acme/boxed@{DIGEST}").served("boxed")
    assert isinstance(boxed, Contained)
    assert (boxed.image, boxed.argv) == (f"ghcr.io/acme/boxed@{DIGEST}", ("/opt/hatchlock/bin/demo-server",))
    assert boxed.after_own == boxed.argv


def test_a_process_is_no_container_and_a_remote_server_is_its_address() -> None:
    demo = everything().served("demo")
    assert isinstance(demo, Withheld)
    assert "runs as a process" in demo.why
    tracker = everything().served("tracker")
    assert isinstance(tracker, Addressed)
    assert tracker.secrets["Authorization"].secret == "env:TRACKER_TOKEN"
    assert tracker == everything().pinned("tracker")


def words(found: Any) -> tuple[str, ...]:
    assert isinstance(found, Started), found
    return found.words


def test_a_package_of_python_is_pinned_by_uvx_and_what_is_beside_it_too() -> None:
    assert words(everything().pinned("demo")) == (
        *("uvx", "--python", "3.11", "--from", "demo-server==1.2", "demo-server"),
        *("--zone", "UTC"),
    )
    assert (
        words(everything().pinned("member"))[3:9]
        == (*("--from", "demo-server==1.2", "--with", "demo-lib==2.0", "demo-server"),)[:6]
    )
    assert [note.what for note in everything().notes("demo", pinned=True)] == [
        "demo-server 1.2 is pinned, and nothing of the 2 packages below it",
        "it runs without any sandbox there",
    ]


def test_extras_are_pinned_as_well() -> None:
    text = EVERYTHING.replace(
        '[servers.demo]\nsource = "pypi:demo-server>=1"', '[servers.demo]\nsource = "pypi:demo-server[fast,big]>=1"'
    )
    assert "demo-server[big,fast]==1.2" in words(leaving(text, world().lock(text)).pinned("demo"))


def test_a_program_of_the_machine_is_said_to_be_unpinned() -> None:
    assert words(everything().pinned("host")) == ("/bin/cat", "-u")
    assert "nothing of it is pinned" in next(everything().notes("host", pinned=True)).what


def test_an_image_is_started_by_docker_run_and_so_is_what_was_pushed() -> None:
    shop = words(everything().pinned("shop"))
    assert shop[:2] == ("docker", "run")
    assert shop[-1].startswith("shop.example.com/shop@sha256:")
    boxed = words(everything(boxed=f"ghcr.io/acme/boxed@{DIGEST}").pinned("boxed"))
    assert boxed[-2:] == (f"ghcr.io/acme/boxed@{DIGEST}", "/opt/hatchlock/bin/demo-server")
    assert words(everything().pinned("boxed"))[0] == "uvx"


def node(item: Package, command: str, *args: str) -> Leaving:
    source = item.source or f"{item.kind}:{item.name}@^1"
    locked = Environment(
        name="tool",
        private=True,
        runtime="process",
        node="22",
        requirements=(source,),
        packages=(item.id,),
        tree={f"node_modules/{item.name}": item.id},
    )
    server = Server(name="tool", source=source, runtime="process", environment="tool", command=(command,), args=args)
    lock = Lock(project="acme", platforms=("linux/amd64",), packages=(item,), environments=(locked,), servers=(server,))
    return leaving(f'[project]\nname = "acme"\n[servers.tool]\nsource = "{source}"\nruntime = "process"\n', lock)


def npm(**scripts: str) -> Package:
    return package("@acme/tool", "1.2.3", kind=Kind.NPM, index="npm", scripts=scripts)


@pytest.mark.parametrize(
    ("scripts", "command", "expected"),
    [
        ({"tool": "t.js"}, "tool", ("npx", "-y", "@acme/tool@1.2.3", "-q")),
        ({"only": "t.js"}, "only", ("npx", "-y", "@acme/tool@1.2.3", "-q")),
        ({"tool": "t.js", "more": "m.js"}, "tool", ("npx", "-y", "@acme/tool@1.2.3", "-q")),
        ({"tool": "t.js", "more": "m.js"}, "more", ("npx", "-y", "-p", "@acme/tool@1.2.3", "more", "-q")),
    ],
)
def test_a_package_of_npm_is_pinned_by_npx(scripts: dict[str, str], command: str, expected: tuple[str, ...]) -> None:
    found = words(node(npm(**scripts), command, "-q").pinned("tool"))
    assert found == expected
    back = translated(Start(command=found[0], args=found[1:]), name="tool")
    assert isinstance(back, Proposed)
    assert (back.fields["source"], back.fields["args"]) == ("npm:@acme/tool@1.2.3", ["-q"])


def test_a_repository_is_pinned_by_its_commit() -> None:
    item = Package(
        kind=Kind.GIT,
        name="tool",
        version="1.0",
        ecosystem="node",
        source="git:https://git.example.com/acme/tool@main",
        location="https://git.example.com/acme/tool",
        commit=COMMIT,
        scripts={"tool": "t.js"},
    )
    assert words(node(item, "tool").pinned("tool")) == ("npx", "-y", f"git+https://git.example.com/acme/tool#{COMMIT}")


def test_a_directory_and_a_command_of_nobodys_are_reasons() -> None:
    local = Package(
        kind=Kind.PATH,
        name="tool",
        version="1.0",
        ecosystem="node",
        source="path:./tool",
        location="tool",
        scripts={"tool": "t.js"},
    )
    withheld = node(local, "tool").pinned("tool")
    assert isinstance(withheld, Withheld)
    assert "directory of this project" in withheld.why
    other = node(npm(tool="t.js"), "./run.sh").pinned("tool")
    assert isinstance(other, Withheld)
    assert "none of its package's own commands" in other.why


def test_rules_for_tools_become_the_names_of_those_that_pass() -> None:
    text = EVERYTHING.replace(
        "[servers.shop]\n", '[servers.shop]\ntools = { allow = ["list*"], deny = ["list_all"] }\n'
    )
    lock = world().lock(text)
    assert everything().served("shop").tools is None  # type: ignore[union-attr]  # it is one
    unknown = leaving(text, lock)
    assert unknown.served("shop").tools is None  # type: ignore[union-attr]
    assert [note.what for note in unknown.notes("shop", pinned=False)] == [
        "all of its tools pass there: its rules are not carried over"
    ]
    tools = tuple(
        Definition(name=name, sha256="0" * 64, text="{}") for name in ("get", "list", "list_all", "list_some")
    )
    known = leaving(text, replace(lock, surfaces=(Surface(server="shop", artefact="", tools=tools),)))
    assert known.served("shop").tools == ("list", "list_some")  # type: ignore[union-attr]
    assert list(known.notes("shop", pinned=False)) == []


def test_a_name_of_a_pushed_image_is_its_digest() -> None:
    assert images_of((f"time=ghcr.io/acme/time:1@{DIGEST}",)) == {"time": f"ghcr.io/acme/time@{DIGEST}"}
    for text in ("time", "time=ghcr.io/acme/time:1", "time=./here", f"time=docker-daemon:time@{DIGEST}"):
        with pytest.raises(UsageError, match="no image with a digest"):
            images_of((text,))
