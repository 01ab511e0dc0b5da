from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Address, Kind
from hatchlock.engines.debian_host import HostSystem
from hatchlock.engines.facts import Lack
from hatchlock.errors import HatchlockError
from hatchlock.lock.model import File, Package
from hatchlock.paths import Home
from hatchlock.resources.compile import compile_target
from hatchlock.resources.env_target import InterpreterFacts
from hatchlock.resources.machine import Machine
from hatchlock.resources.target import Target, target_from_dict, target_to_dict
from hatchlock.resources.unplaced import ProgramMissing
from hatchlock.security.sandbox import private_uid
from support.locks import EVERYTHING, manifest_of, package, world

LOCK = world().lock(EVERYTHING)
DIRECTORY = Path(tempfile.mkdtemp(prefix="hatchlock-acme-")).resolve()
atexit.register(shutil.rmtree, DIRECTORY)
(DIRECTORY / "data").mkdir()  # mounts are looked at
MACHINE = Machine(
    platform="linux/amd64",
    system="linux",
    home=Home(root=Path("/store"), is_default=False),
    user_home=Path("/home/ada"),
    directory=DIRECTORY,
    environ={},
    interpreters={"3.11": InterpreterFacts(path="/usr/bin/python3.11", version="3.11.2", prefixes=("/usr",))},
    programs={"/bin/cat": "/bin/cat"},
    engine="unix:///run/engine.sock",
)


def target(text: str = EVERYTHING, **machine: Any) -> Target:
    return compile_target(manifest_of(text), world().lock(text), replace(MACHINE, **machine))


def problems(found: Target) -> dict[str, str]:
    return {str(item.address): item.what for item in found.problems}


def test_everything_has_its_place() -> None:
    found = target()
    assert found.project == "acme"
    assert found.problems == ()
    assert [str(item.address) for item in found.environments] == ["env:demo", "env:shared"]
    assert [str(item.address) for item in found.images] == ["image:boxed", "image:shop"]
    assert {str(item.address): str(item.needs) for item in found.servers} == {
        "server:boxed": "image:boxed",
        "server:demo": "env:demo",
        "server:host": "None",
        "server:member": "env:shared",
        "server:shop": "image:shop",
    }


def test_what_an_engine_lacks_is_told_once_or_keeps_servers_from_it() -> None:
    limits = Lack(about="limits", what="memory would not be limited", mend="give it control groups")
    found = target(lacks=(limits,))
    assert (found.notes, found.problems) == (("memory would not be limited; give it control groups",), ())
    assert target_from_dict(json.loads(json.dumps(target_to_dict(found)))).notes == found.notes
    fatal = Lack(about="API", what="it takes no stdin", mend="use another", is_fatal=True)
    told = problems(target(lacks=(fatal,)))
    assert set(told) == {"server:boxed", "server:shop"}
    assert told["server:boxed"] == "the container engine at unix:///run/engine.sock cannot serve it: it takes no stdin"


def test_an_engine_elsewhere_gets_no_server_that_needs_this_machine() -> None:
    mounted = EVERYTHING + '\n[servers.boxed.sandbox]\nmounts = [{ source = ".", target = "/d" }]\nreason = "files"\n'
    told = problems(target(mounted, engine="ssh://me@build"))
    assert set(told) == {"server:boxed"}
    assert "ssh://me@build is another machine, and cannot have its mounts" in told["server:boxed"]
    assert problems(target(mounted)) == {}


BUILDING = """\
[project]
name = "acme"
platforms = ["linux/amd64", "linux/arm64"]

[environments.web]
python = "3.11"
dependencies = ["pypi:demo-server"]
allow-build = ["demo-server"]
"""


def test_where_nothing_can_be_isolated_what_has_to_be_built_is_a_problem_of_the_plan() -> None:
    lock = world().lock(BUILDING)
    (web,) = lock.environments
    (server,) = [item for item in lock.packages if item.name == "demo-server"]
    source = replace(server, files=(replace(server.files[0], name="demo-server-1.tar.gz"),))
    where = replace(web, name="web/build/demo-server", packages=(), requirements=(), makes=server.id)
    packages = tuple(source if item is server else item for item in lock.packages)
    lock = replace(lock, packages=packages, environments=(replace(web, builds={server.id: where.name}), where))
    manifest = manifest_of(BUILDING)
    found = compile_target(manifest, lock, replace(MACHINE, isolation="there is no bubblewrap"))
    (problem,) = found.problems
    assert (str(problem.address), problem.code) == ("env:web", "build-not-isolated")
    assert "nothing is built outside of a sandbox, and there is none here: there is no bubblewrap" in problem.what
    assert compile_target(manifest, lock, MACHINE).problems == ()
    assert compile_target(manifest, world().lock(BUILDING), replace(MACHINE, isolation="none")).problems == ()


def record(found: Target, server: str) -> Any:
    return next(item.record for item in found.servers if item.record.server == server)


def test_a_process_that_root_starts_is_a_user_of_its_own_unless_one_is_declared() -> None:
    uid = private_uid("acme", "demo")
    assert record(target(is_root=True), "demo").sandbox.user == f"{uid}:{uid}"
    assert record(target(is_root=False), "demo").sandbox.user == "10001:10001"
    assert record(target(is_root=True), "boxed").sandbox.user == "10001:10001"
    declared = EVERYTHING.replace('memory = "1g"', 'memory = "1g"\nuser = "2000:2000"', 1)
    assert record(target(declared, is_root=True), "demo").sandbox.user == "2000:2000"


def test_a_process_starts_its_environments_script_by_its_absolute_path() -> None:
    found = target()
    (environment, _) = found.environments
    demo = record(found, "demo")
    assert len(environment.key) == 20
    assert demo.argv == (f"/store/envs/{environment.key}/bin/demo-server", "--zone", "UTC")
    assert demo.read_only_paths == (f"/store/envs/{environment.key}", "/usr")
    assert (demo.cwd, demo.directory, demo.startup_timeout) == ("/tmp", str(DIRECTORY), 12.5)
    assert demo.sandbox.mounts[0].source == f"{DIRECTORY}/data"
    assert demo.secrets["TOKEN"].secret == "env:DEMO_TOKEN"
    assert (demo.image, demo.engine) == ("", "")


def test_a_container_starts_its_image_on_the_engine_that_was_found() -> None:
    boxed = record(target(), "boxed")
    key = LOCK.environment("boxed", "container").keys["linux/amd64"]
    assert boxed.image == f"hatchlock/acme/boxed:{key}-local"
    assert boxed.engine == "unix:///run/engine.sock"
    assert boxed.argv == ("/opt/hatchlock/bin/demo-server",)


def test_an_image_that_is_a_server_starts_as_its_config_says() -> None:
    shop = record(target(), "shop")
    assert shop.argv == ("/shop", "serve")
    text = EVERYTHING.replace('shop:1"\n', 'shop:1"\nargs = ["--port", "1"]\n')
    assert record(target(text), "shop").argv == ("/shop", "--port", "1")


def test_a_program_of_this_machine_is_said_to_be_unpinned() -> None:
    found = next(item for item in target().servers if item.record.server == "host")
    assert found.record.argv == ("/bin/cat", "-u")
    assert found.notes == ("not pinned: /bin/cat is a program of this machine",)


def test_relaxations_and_visible_secrets_are_notes() -> None:
    found = next(item for item in target().servers if item.record.server == "demo")
    assert "memory = 1g, default 512m (reason: it keeps its notes)" in found.notes
    assert "TOKEN will be visible in the running server's environment" in found.notes


def test_a_variable_for_a_desktop_application_is_noted_and_a_file_is_not_visible() -> None:
    def notes(text: str) -> tuple[str, ...]:
        return next(item for item in target(text).servers if item.record.server == "demo").notes

    missing = (
        "TOKEN comes from the variable DEMO_TOKEN, and Cursor, started from a desktop, has none of a shell's:"
        " keyring:DEMO_TOKEN would be there"
    )
    assert missing in notes(EVERYTHING)
    assert missing not in notes(EVERYTHING.replace('"claude-code", "cursor"', '"claude-code"'))
    as_file = EVERYTHING.replace('"env:DEMO_TOKEN"', '"keyring:demo", as = "file"')
    assert not any("TOKEN" in note for note in notes(as_file))


def test_an_environments_name_depends_on_interpreter_and_files_alone() -> None:
    def key(**machine: Any) -> str:
        return target(**machine).environments[0].key

    assert key() == key(directory=Path("/elsewhere"), engine="unix:///other")
    other = {"3.11": InterpreterFacts(path="/usr/bin/python3.11", version="3.11.3", prefixes=("/usr",))}
    moved = {"3.11": InterpreterFacts(path="/opt/python3.11", version="3.11.2", prefixes=("/usr",))}
    assert len({key(), key(interpreters=other), key(interpreters=moved)}) == 3
    assert target(EVERYTHING.replace("UTC", "CET")).environments == target().environments


def test_of_a_packages_files_the_one_for_this_machine_is_taken() -> None:
    found = world()
    core = found.packages["demo-core"]
    (wheel,) = core.files
    names = [f"demo_core-1.5-cp311-cp311-manylinux_2_17_{machine}.whl" for machine in ("x86_64", "aarch64")]
    files = tuple(replace(wheel, name=name, sha256=digit * 64) for name, digit in zip(names, "ab", strict=True))
    found.packages["demo-core"] = package("demo-core", "1.5", files=files)
    lock = found.lock(EVERYTHING)
    for platform, digit in (("linux/amd64", "a"), ("linux/arm64", "b")):
        placed = compile_target(manifest_of(EVERYTHING), lock, replace(MACHINE, platform=platform))
        boxed = placed.images[0].environment
        assert boxed
        for wheels in (placed.environments[0].wheels, placed.environments[1].wheels, boxed.wheels):
            assert [wheel.digest[0] for wheel in wheels if wheel.name.startswith("demo_core")] == [digit]


BOOKWORM = HostSystem(title="Debian GNU/Linux 12", families=frozenset({"debian"}), codename="bookworm")


def on_host(host: HostSystem) -> Target:
    """The target when the environment of `demo` needs git of a Debian host."""
    file = File(name="git_2.39.5-1_amd64.deb", sha256="d" * 64, size=1, platform="linux/amd64")
    git = Package(kind=Kind.DEB, name="git", version="1:2.39.5-1", index="debian/bookworm", files=(file,))
    environments = tuple(
        replace(item, packages=(*item.packages, git.id), requirements=(*item.requirements, "deb:git>=1:2"))
        if item.name == "demo"
        else item
        for item in LOCK.environments
    )
    lock = replace(LOCK, packages=(*LOCK.packages, git), environments=environments)
    return compile_target(manifest_of(EVERYTHING), lock, replace(MACHINE, host=host))


def test_packages_of_the_host_come_before_the_servers_of_their_environment() -> None:
    found = on_host(BOOKWORM)
    assert found.problems == ()
    assert [(str(item.address), [one.name for one in item.packages]) for item in found.systems] == [
        ("system:demo", ["git"])
    ]
    waits = {item.record.server: [str(address) for address in item.depends_on] for item in found.servers}
    assert waits["demo"] == ["env:demo", "system:demo"]
    assert waits["member"] == ["env:shared"]
    assert found.packages.privileges["root"] == 1
    assert target_from_dict(json.loads(json.dumps(target_to_dict(found)))) == found


def test_a_host_that_cannot_have_them_is_a_problem_of_that_environments_servers_alone() -> None:
    found = on_host(HostSystem(title="Fedora Linux 42", families=frozenset({"fedora"})))
    assert problems(found) == {"server:demo": "it needs git of bookworm on this machine, which is Fedora Linux 42"}
    assert 'runtime = "container"' in found.problems[0].hint
    assert found.systems == ()
    assert [str(item.address) for item in found.environments] == ["env:shared"]
    assert {item.record.server for item in found.servers} == {"boxed", "host", "member", "shop"}


def test_entries_name_the_launcher_and_bind_to_scope() -> None:
    found = target()
    assert [(str(item.address), item.file.path) for item in found.entries] == [
        ("client:claude-code/demo", "/home/ada/.claude.json"),
        ("client:cursor/demo", "/home/ada/.cursor/mcp.json"),
    ]
    assert found.entries[0].value == {
        "type": "stdio",
        "command": "/store/bin/hatchlock",
        "args": ["run", "--home", "/store", "--project", "acme", "demo"],
    }
    project = target(EVERYTHING + '[clients.cursor]\nscope = "project"\n[clients.claude-code]\npath = "~/x/c.json"\n')
    assert [item.file.path for item in project.entries] == ["/home/ada/x/c.json", f"{DIRECTORY}/.cursor/mcp.json"]
    assert project.entries[1].value["args"] == ["run", "demo"]


def test_what_cannot_be_placed_is_a_problem_of_its_server_alone() -> None:
    class NoEngine(HatchlockError):
        code = "no-engine"

        def __str__(self) -> str:
            return "no engine answers"

    missing = ProgramMissing(program="/bin/cat")
    found = target(engine=NoEngine(), programs={"/bin/cat": missing})
    assert problems(found) == {
        "server:boxed": "no engine answers",
        "server:host": "there is no program '/bin/cat' on PATH",
        "server:shop": "no engine answers",
    }
    assert [item.record.server for item in found.servers] == ["demo", "member"]
    assert found.images == ()


def test_a_machine_that_the_lock_is_not_for_says_how_to_lock_for_it() -> None:
    found = target(platform="darwin/arm64")
    assert problems(found)["server:demo"] == (
        "the lock is for linux/amd64, linux/arm64, and this machine is darwin/arm64"
    )
    assert 'add "darwin/arm64" to [project] platforms' in found.problems[0].hint
    assert record(found, "boxed").image, "a container runs Linux there, too"


def test_several_scripts_are_told_and_none_is_guessed() -> None:
    found = world()
    found.packages["demo-server"] = package("demo-server", "1.2", scripts={"b": "m:b", "a": "m:a"})
    lock = found.lock(EVERYTHING)
    placed = compile_target(manifest_of(EVERYTHING), lock, MACHINE)
    assert problems(placed)["server:demo"] == "pypi:demo-server>=1 has several scripts: a, b"
    assert placed.problems[0].hint == 'choose one: command = "a"'


def test_what_must_be_isolated_and_cannot_be_is_a_problem() -> None:
    reason = "bubblewrap (bwrap) is not installed"
    found = target(isolation=reason)
    assert f"not isolated: {reason}" in next(item for item in found.servers if item.record.server == "host").notes
    strict = target(EVERYTHING.replace("best-effort", "required"), isolation=reason)
    assert reason in problems(strict)["server:host"]
    assert [item.record.server for item in strict.servers] == ["boxed", "shop"]


def test_another_runtime_in_the_overlay_needs_a_lock_for_it() -> None:
    manifest = manifest_of(EVERYTHING)
    demo = replace(manifest.servers["demo"], runtime="container")
    placed = compile_target(replace(manifest, servers={"demo": demo}), LOCK, MACHINE)
    assert problems(placed) == {"server:demo": "the lock has no container environment for it"}


@pytest.mark.parametrize("machine", [{}, {"platform": "darwin/arm64"}, {"isolation": "no bubblewrap"}])
def test_a_target_survives_the_memo(machine: dict[str, Any]) -> None:
    found = target(EVERYTHING.replace("best-effort", "required"), **machine)
    again = target_from_dict(json.loads(json.dumps(target_to_dict(found))))
    assert again == found
    assert [list(item.value) for item in again.entries] == [list(item.value) for item in found.entries]


def test_addresses_of_specs_are_those_of_their_kind() -> None:
    found = target()
    assert found.environments[0].address == Address.parse("env:demo")
    assert found.images[0].address == Address.parse("image:boxed")
    assert found.images[0].is_assembled
    assert not found.images[1].is_assembled


def test_a_container_needs_a_lock_for_its_platform_too() -> None:
    text = EVERYTHING.replace('"linux/amd64", ', "", 1)
    found = target(text)
    assert problems(found)["server:boxed"] == "the lock is for linux/arm64, and this machine is linux/amd64"
    assert problems(found)["server:shop"] == problems(found)["server:boxed"]


def test_a_package_without_a_file_that_runs_here_is_a_problem_and_not_left_out() -> None:
    found = world()
    (wheel,) = found.packages["demo-core"].files
    names = [f"demo_core-1.5-cp311-cp311-manylinux_2_28_{machine}.whl" for machine in ("x86_64", "aarch64")]
    files = tuple(replace(wheel, name=name) for name in names)
    found.packages["demo-core"] = package("demo-core", "1.5", files=files)
    older = EVERYTHING.replace("[project]", '[project]\nmin-glibc = "2.17"', 1)
    placed = compile_target(manifest_of(older), found.lock(EVERYTHING), MACHINE)
    assert problems(placed)["server:demo"] == (
        "the lock has no file of pypi:demo-core@1.5 that runs on linux/amd64 under this manifest"
    )
    assert "run `hatchlock lock`" in placed.problems[0].hint
    assert placed.environments == ()


@pytest.mark.parametrize("keys", [{}, {"linux/amd64": "a" * 64}])
def test_an_image_whose_locked_key_is_not_that_of_its_files_is_a_problem(keys: dict[str, str]) -> None:
    environments = tuple(replace(item, keys=keys) for item in LOCK.environments)
    lock = replace(LOCK, environments=environments)
    placed = compile_target(manifest_of(EVERYTHING), lock, MACHINE)
    assert "is not that of the files in it" in problems(placed)["server:boxed"]
    assert world().lock(EVERYTHING, lock) == LOCK, "locking again mends it"


TOOLS = """
[environments.tools]
python = "3.11"
trust = "internal"
dependencies = ["pypi:demo-lib"]

[environments.box]
python = "3.11"
base = "oci:base.example.com/python:3.11"
dependencies = ["pypi:demo-server>=1"]
"""


def test_environments_that_no_server_uses_are_made_too() -> None:
    found = target(EVERYTHING + TOOLS)
    assert [str(item.address) for item in found.environments] == ["env:demo", "env:shared", "env:tools"]
    assert [str(item.address) for item in found.images] == ["image:box", "image:boxed", "image:shop"]
    tools = found.environments[2]
    assert (tools.trust, tools.prefixes, len(tools.wheels)) == ("internal", ("/usr",), 2)
    assert found.images[0].key == found.images[1].key, "what is in it names it, not who uses it"
    assert {item.record.server for item in found.servers} == {"boxed", "demo", "host", "member", "shop"}
    assert target_from_dict(json.loads(json.dumps(target_to_dict(found)))) == found


def test_environments_alone_are_enough_for_an_engine() -> None:
    head = EVERYTHING.partition("[defaults]")[0]
    found = compile_target(manifest_of(head + TOOLS), world().lock(head + TOOLS), MACHINE)
    assert (found.engine, found.servers, found.problems) == ("unix:///run/engine.sock", (), ())
    assert [str(item.address) for item in found.environments] == ["env:tools"]
    assert [str(item.address) for item in found.images] == ["image:box"]


def test_an_environment_that_cannot_be_placed_is_a_problem_of_its_own() -> None:
    class NoEngine(HatchlockError):
        code = "no-engine"

        def __str__(self) -> str:
            return "no engine answers"

    assert problems(target(EVERYTHING + TOOLS, engine=NoEngine()))["image:box"] == "no engine answers"
    elsewhere = problems(target(EVERYTHING + TOOLS, platform="darwin/arm64"))
    assert elsewhere["env:tools"] == "the lock is for linux/amd64, linux/arm64, and this machine is darwin/arm64"


def test_an_image_of_an_environment_does_not_take_a_servers_name() -> None:
    text = EVERYTHING + TOOLS.replace("[environments.box]", "[environments.shop]")
    found = target(text)
    assert "its image would be called like that of [servers.shop]" in problems(found)["image:shop"]
    assert 'environment = "shop"' in found.problems[0].hint


def test_servers_that_share_a_container_environment_share_the_key_of_its_image() -> None:
    servers = "".join(
        f'[servers.{name}]\nsource = "pypi:demo-server"\nenvironment = "box"\nruntime = "container"\n'
        for name in ("first", "second")
    )
    found = target(EVERYTHING + TOOLS + servers)
    images = {item.server: item.key for item in found.images}
    assert images["first"] == images["second"] == images["boxed"]
    assert "box" not in images, "its servers have it"


def test_a_label_is_in_the_launch_record_and_in_nothing_that_is_built() -> None:
    plain, labelled = target(), target(EVERYTHING.replace("[servers.demo]", '[servers.demo]\ntrust = "vetted"'))
    assert record(labelled, "demo").trust == "vetted"
    assert record(labelled, "demo").digest != record(plain, "demo").digest
    assert [item.key for item in labelled.environments] == [item.key for item in plain.environments]
    assert record(labelled, "host").digest == record(plain, "host").digest
    assert b"trust" not in record(plain, "demo").to_json()
