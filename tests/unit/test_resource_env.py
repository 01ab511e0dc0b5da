from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.digest import digest_file
from hatchlock.engines.process import find_interpreter
from hatchlock.paths import Home
from hatchlock.process import ProcessFailed
from hatchlock.realise.commands import CommandTaken
from hatchlock.reconcile.diff import diff
from hatchlock.resources.base import Artefact
from hatchlock.resources.env import EnvResource
from hatchlock.resources.env_parts import ProgramSpec, ProjectSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.blobs import Blobs, WrongHash
from hatchlock.store.receipts import RECEIPT_NAME
from support.archives import Item, make_tar
from support.wheels import make_wheel

PYTHON = find_interpreter(f"{sys.version_info.major}.{sys.version_info.minor}", os.environ)
FILES: Mapping[str, bytes] = {"demo/__init__.py": b"def main():\n    print('hello')\n"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path / "store", is_default=False)


def stored(home: Home, tmp_path: Path, *, entry_points: str = "[console_scripts]\ndemo = demo:main\n") -> Artefact:
    """Make a wheel and put it into the store."""
    wheel = make_wheel(tmp_path, files=FILES, entry_points=entry_points)
    name = digest_file(wheel)
    with Blobs(home.blobs).add(name) as writer:
        writer.write(wheel.read_bytes())
    return Artefact(package="pypi:demo@1.0", name=wheel.name, digest=name, size=wheel.stat().st_size)


def spec(*wheels: Artefact, name: str = "time") -> EnvSpec:
    return EnvSpec(name=name, python=PYTHON.path, python_version=PYTHON.version, wheels=wheels)


def resource(home: Home, *specs: EnvSpec) -> EnvResource:
    return EnvResource(specs, home=home, logs=home.root / "logs", purpose="apply", lock_timeout=5)


def build(found: EnvResource) -> None:
    for step in diff(found.desired(), found.observe()).steps:
        found.apply(step)


def test_it_is_built_from_the_store_under_its_digest_and_runs(home: Home, tmp_path: Path) -> None:
    wanted = spec(stored(home, tmp_path))
    found = resource(home, wanted)
    assert list(found.observe()) == []
    build(found)
    tree = home.envs / wanted.key
    assert [item.key for item in found.observe()] == [wanted.key]
    assert diff(found.desired(), found.observe()).steps == ()
    done = subprocess.run([tree / "bin" / "demo"], capture_output=True, check=True, env={}, cwd="/")
    assert done.stdout == b"hello\n"
    assert [path.name for path in home.envs.iterdir()] == [wanted.key], "nothing else is left there"
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755
    assert stat.S_IMODE(home.envs.stat().st_mode) == 0o700


def test_files_of_an_environment_are_its_own(home: Home, tmp_path: Path) -> None:
    wheel = stored(home, tmp_path)
    build(resource(home, spec(wheel)))
    links = {path.stat().st_nlink for path in home.envs.rglob("demo/*.py")}
    assert links == {1}


def test_it_counts_only_with_its_receipt_and_its_interpreter(home: Home) -> None:
    wanted = spec()
    found = resource(home, wanted)
    build(found)
    tree = home.envs / wanted.key
    for missing in (tree / RECEIPT_NAME, tree / "bin" / "python"):
        kept = missing.with_name("kept")
        missing.rename(kept)
        assert list(found.observe()) == []
        kept.rename(missing)
        assert len(list(found.observe())) == 1


def test_a_half_made_one_is_made_again(home: Home, tmp_path: Path) -> None:
    wanted = spec(stored(home, tmp_path))
    (home.envs / wanted.key / "lib" / "half").mkdir(parents=True)
    home.root.chmod(0o700)
    home.envs.chmod(0o700)
    found = resource(home, wanted)
    build(found)
    assert not (home.envs / wanted.key / "lib" / "half").exists()
    assert len(list(found.observe())) == 1


def test_a_damaged_blob_stops_it_and_leaves_nothing(home: Home, tmp_path: Path) -> None:
    wheel = stored(home, tmp_path)
    Blobs(home.blobs).path(wheel.digest).write_bytes(b"something else")
    with pytest.raises(WrongHash):
        build(resource(home, spec(wheel)))
    assert list(home.envs.iterdir()) == []


def test_a_build_that_fails_leaves_nothing_and_says_why(home: Home) -> None:
    wanted = EnvSpec(name="time", python="/nowhere/python3.11", python_version="3.11.0", wheels=())
    with pytest.raises(ProcessFailed, match=r"/nowhere/python3\.11"):
        build(resource(home, wanted))
    assert list(home.envs.iterdir()) == []


def test_the_name_is_short_enough_for_a_shebang_and_says_what_is_in_it() -> None:
    one, two = (Artefact(package="p", name=f"{name}-1-py3-none-any.whl", digest=name * 64) for name in "ab")
    assert len(spec().key) == 20
    assert spec(one).key == spec(one, name="other").key
    assert len({spec().key, spec(one).key, spec(two).key, spec(one, two).key}) == 4


def test_two_projects_share_what_is_the_same(home: Home) -> None:
    build(resource(home, spec()))
    other = resource(home, spec(name="other"))
    assert diff(other.desired(), other.observe()).steps == ()


def test_no_code_of_a_package_runs_while_it_is_installed(home: Home, tmp_path: Path) -> None:
    """Python runs the lines of `.pth` files that begin with `import` whenever it starts in their environment."""
    trace = tmp_path / "ran"
    files = {**FILES, "demo.pth": f"import pathlib; pathlib.Path({str(trace)!r}).touch()\n".encode()}
    wheel = make_wheel(tmp_path, files=files)
    name = digest_file(wheel)
    with Blobs(home.blobs).add(name) as writer:
        writer.write(wheel.read_bytes())
    wanted = spec(Artefact(package="pypi:demo@1.0", name=wheel.name, digest=name))
    build(resource(home, wanted))
    tree = home.envs / wanted.key
    assert list(tree.rglob("demo/__pycache__/*.pyc")), "it was compiled all the same"
    assert not trace.exists()
    subprocess.run([tree / "bin" / "python", "-c", ""], check=True)
    assert trace.exists(), "the wheel does what this test is about"


def test_two_servers_that_want_the_same_one_build_it_once_however_short_the_patience(
    home: Home, tmp_path: Path
) -> None:
    wheel = stored(home, tmp_path)
    specs = [spec(wheel, name="one"), spec(wheel, name="two")]
    found = EnvResource(specs, home=home, logs=home.root / "logs", purpose="apply", lock_timeout=0)
    steps = diff(found.desired(), found.observe()).steps
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(found.apply, steps))
    assert [item.name for item in home.envs.iterdir()] == [spec(wheel).key]


def put(home: Home, file: Path, package: str) -> Artefact:
    name = digest_file(file)
    with Blobs(home.blobs).add(name) as writer:
        writer.write(file.read_bytes())
    return Artefact(package=package, name=file.name, digest=name, size=file.stat().st_size)


def test_a_program_never_takes_the_place_of_a_command_nor_of_an_interpreter(home: Home, tmp_path: Path) -> None:
    script = b"#!/bin/sh\n"
    items = [Item(f"bin/{name}", script, mode=0o755) for name in ("node", "python", "extra")]
    archive = put(home, make_tar(tmp_path / "kit.tar.gz", [*items, Item("README", b"x", mode=0o755)]), "url:kit@1")
    again = put(home, make_tar(tmp_path / "b.tar.gz", [Item("README", b"y", mode=0o755), Item("z", b"")]), "url:b@1")
    wanted = replace(
        spec(), programs=(ProgramSpec(name="b", artefact=again), ProgramSpec(name="kit", artefact=archive))
    )
    build(resource(home, wanted))
    tree = home.envs / wanted.key / "bin"
    assert os.path.realpath(tree / "python") == os.path.realpath(PYTHON.path)
    assert not (tree / "node").exists()
    assert (tree / "extra").readlink() == Path("../programs/kit/bin/extra")
    assert (tree / "README").readlink() == Path("../programs/b/README")

    clash = put(home, make_tar(tmp_path / "c.tar.gz", [Item("bin/demo", script, mode=0o755)]), "url:c@1")
    taken = replace(spec(stored(home, tmp_path)), programs=(ProgramSpec(name="c", artefact=clash),))
    with pytest.raises(CommandTaken, match=r"bin/demo and programs/c/\S* both have a command 'demo'"):
        build(resource(home, taken))
    assert list(resource(home, taken).observe()) == []


def test_projects_of_python_and_node_may_have_one_name(home: Home, tmp_path: Path) -> None:
    python = make_tar(tmp_path / "py.tar", [Item("weather.py", b"def main():\n    print('py')\n")], compression="")
    node = make_tar(tmp_path / "js.tar", [Item("w.js", b"#!/bin/sh\necho js\n")], compression="")
    projects = (
        ProjectSpec(
            name="weather",
            version="1",
            ecosystem="node",
            artefact=put(home, node, "path:weather@1"),
            commands={"weather-js": "w.js"},
        ),
        ProjectSpec(
            name="weather",
            version="1",
            ecosystem="python",
            artefact=put(home, python, "path:weather@1"),
            import_root=".",
            commands={"weather": "weather:main"},
        ),
    )
    wanted = replace(spec(), projects=projects)
    build(resource(home, wanted))
    tree = home.envs / wanted.key
    for command, said in {"weather": b"py\n", "weather-js": b"js\n"}.items():
        assert subprocess.run([tree / "bin" / command], capture_output=True, check=True).stdout == said
    assert {path.name for path in (tree / "src").iterdir()} == {"weather", "weather.node"}
