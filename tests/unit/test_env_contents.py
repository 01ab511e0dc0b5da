"""An environment is not what was installed once a file of any kind in it was changed; what nobody can compare is said."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hatchlock.digest import digest_file
from hatchlock.engines.process import find_interpreter
from hatchlock.paths import Home
from hatchlock.reconcile.diff import diff
from hatchlock.resources.base import Action, Artefact
from hatchlock.resources.env import EnvironmentInUse, EnvResource
from hatchlock.resources.env_health import Contents, contents_of
from hatchlock.resources.env_parts import CondaSpec, ModuleSpec, ProgramSpec, ProjectSpec
from hatchlock.resources.env_shared import discard_altered
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.store.blobs import Blobs
from hatchlock.store.contents import CONTENTS_NAME, record_contents
from hatchlock.store.receipts import RECEIPT_NAME, using
from support.archives import Item, make_tar
from support.wheels import make_wheel

PYTHON = find_interpreter(f"{sys.version_info.major}.{sys.version_info.minor}", os.environ)
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
FILES = [
    f"{SITE}/demo/__init__.py",
    "src/dice/dice.py",
    "src/kit.hatch/server.py",
    "node_modules/memory/index.js",
    "programs/tool/run.sh",
    "bin/python",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnvSpec, Home]:
    root = tmp_path_factory.mktemp("contents")
    home = Home(root=root / "store", is_default=False)
    wheel = put(home, make_wheel(root, files={"demo/__init__.py": b"x = 1\n"}), "pypi:demo@1.0")
    python = make_tar(root / "dice.tar", [Item("dice.py", b"import random\n")], compression="")
    hatch = make_tar(
        root / "kit.tar", [Item("server.py", b"x = 1\n"), Item("hatch_metadata.json", b"{}")], compression=""
    )
    node = make_tar(root / "memory.tgz", [Item("package/package.json", b"{}"), Item("package/index.js", b"1\n")])
    tool = make_tar(root / "tool.tar.gz", [Item("run.sh", b"#!/bin/sh\n", mode=0o755), Item("README")])
    spec = EnvSpec(
        name="all",
        python=PYTHON.path,
        python_version=PYTHON.version,
        wheels=(wheel,),
        modules=(ModuleSpec(path="node_modules/memory", artefact=put(home, node, "npm:memory@1")),),
        projects=(
            ProjectSpec(
                name="dice",
                version="1",
                ecosystem="python",
                import_root=".",
                artefact=put(home, python, "path:dice@1"),
            ),
            ProjectSpec(name="kit", version="1", ecosystem="hatch", artefact=put(home, hatch, "hatch:kit@1")),
        ),
        programs=(ProgramSpec(name="tool", artefact=put(home, tool, "url:tool@1")),),
    )
    apply(spec, home)
    return spec, home


def put(home: Home, file: Path, package: str) -> Artefact:
    name = digest_file(file)
    with Blobs(home.blobs).add(name) as writer:
        writer.write(file.read_bytes())
    return Artefact(package=package, name=file.name, digest=name, size=file.stat().st_size)


def resource(spec: EnvSpec, home: Home) -> EnvResource:
    return EnvResource([spec], home=home, logs=home.root / "logs", purpose="apply", lock_timeout=5)


def apply(spec: EnvSpec, home: Home) -> list[str]:
    found = resource(spec, home)
    steps = diff(found.desired(), found.observe(), applied={spec.address: spec.key}).steps
    for step in steps:
        found.apply(step)
    return [f"{step.action} {step.cause}" for step in steps]


def contents(built: tuple[EnvSpec, Home]) -> Contents:
    spec, home = built
    return contents_of(spec, home.envs / spec.key, Blobs(home.blobs))


@pytest.mark.parametrize("path", FILES)
def test_a_changed_file_of_any_kind_is_found(built: tuple[EnvSpec, Home], path: str) -> None:
    assert contents(built) == Contents(files=contents(built).files)
    file = built[1].envs / built[0].key / path
    kept = file.with_name("kept")
    file.rename(kept)
    try:
        assert contents(built).altered == (path,)
        file.write_text("changed\n")
        assert contents(built).differences == (
            f"its file {path} is not what was installed",
            f"its file {kept.relative_to(built[1].envs / built[0].key)} was not installed, but added",
        )
    finally:
        kept.rename(file)


def test_what_an_earlier_version_has_built_is_not_called_whole(built: tuple[EnvSpec, Home]) -> None:
    tree = built[1].envs / built[0].key
    contents_file = tree / CONTENTS_NAME
    kept = contents_file.read_bytes()
    contents_file.unlink()
    try:
        assert "files of Python packages could be compared: it was built before" in contents(built).unknown
        (tree / SITE / "demo" / "__init__.py").write_text("x = 2\n")
        assert contents(built).altered == (f"{SITE}/demo/__init__.py",), "as far as it can be compared, it is"
    finally:
        (tree / SITE / "demo" / "__init__.py").write_text("x = 1\n")
        contents_file.write_bytes(kept)


@pytest.mark.parametrize(
    ("receipt", "why"),
    [
        ("x", "its receipt cannot be read"),
        ("[]", "its receipt cannot be read"),
        ('{"files": []}', "its receipt is that of another environment"),
    ],
)
def test_a_damaged_receipt_is_drift_that_apply_puts_right(tmp_path: Path, receipt: str, why: str) -> None:
    home = Home(root=tmp_path / "store", is_default=False)
    archive = make_tar(tmp_path / "tool.tar.gz", [Item("run.sh", b"#!/bin/sh\n", mode=0o755), Item("README")])
    spec = EnvSpec(name="one", programs=(ProgramSpec(name="tool", artefact=put(home, archive, "url:tool@1")),))
    apply(spec, home)
    file = home.envs / spec.key / RECEIPT_NAME
    whole = file.read_bytes()
    file.write_text(receipt)
    assert apply(spec, home) == [f"{Action.UPDATE} differs ({why}) since it was applied"]
    assert file.read_bytes() == whole
    assert apply(spec, home) == []


def test_one_that_a_server_runs_from_is_left_though_its_receipt_is_damaged(built: tuple[EnvSpec, Home]) -> None:
    spec, home = built
    file = home.envs / spec.key / RECEIPT_NAME
    whole = file.read_bytes()
    file.write_text("x")
    try:
        with using([home.envs / spec.key]), pytest.raises(EnvironmentInUse):
            apply(spec, home)
        assert file.read_text() == "x"
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize("is_listed", [True, False])
def test_what_environments_share_is_compared_and_made_anew_too(tmp_path: Path, *, is_listed: bool) -> None:
    root = tmp_path / "conda"
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "a.so").write_text("a")
    if is_listed:
        record_contents(root)
    (root / RECEIPT_NAME).write_text("{}")
    spec = EnvSpec(name="one", conda=CondaSpec(root=str(root), platform="linux/amd64", artefacts=()))
    tree = tmp_path / "tree"
    tree.mkdir()
    record_contents(tree)
    blobs = Blobs(tmp_path / "blobs")
    why = "" if is_listed else f"{root} cannot be compared: it was built before hatchlock wrote down what is in one"
    assert contents_of(spec, tree, blobs) == Contents(files=int(is_listed), unknown=why)
    assert not is_listed or (discard_altered(root) and root.exists()), "nobody changed it"
    (root / "lib" / "a.so").write_text("b")
    assert contents_of(spec, tree, blobs).altered == ((f"{root}/lib/a.so",) if is_listed else ())
    with using([root]):
        assert discard_altered(root) is not is_listed
        assert root.exists()
    assert discard_altered(root)
    assert not root.exists()
