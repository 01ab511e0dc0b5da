"""An environment as a value: its name, its way through JSON, and how it comes from a lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hatchlock.address import Address, Kind
from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.launch import LaunchRecord, SourceTree
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.paths import Home
from hatchlock.realise.commands import CommandTaken
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_spec import ProjectBuildSpec
from hatchlock.resources.env_parts import ModuleSpec, NodeSpec, ProgramSpec, ProjectSpec, directory_name
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.env_target import InterpreterFacts, check_command, environment_spec
from hatchlock.resources.server import ServerSpec
from hatchlock.resources.target import Target, target_from_dict, target_to_dict
from hatchlock.resources.unplaced import FileNotLocked, ProgramNotOffered
from hatchlock.sources.python.targets import process_target

HOME = Home(root=Path("/store"), is_default=False)
PYTHON = InterpreterFacts(path="/usr/bin/python3.11", version="3.11.2", prefixes=("/usr",))
NODE = InterpreterFacts(path="/opt/node/bin/node", version="22.4.1", prefixes=("/opt/node", "/usr"))


def artefact(name: str, digest: str = "a" * 64, **more: Any) -> Artefact:
    return Artefact(package=f"pypi:{name}@1", name=name, digest=digest, **more)


FULL = EnvSpec(
    name="all",
    python=PYTHON.path,
    python_version=PYTHON.version,
    interpreter=artefact("cpython.tar.gz", size=9),
    wheels=(artefact("a-1-py3-none-any.whl"),),
    node=NodeSpec(path=NODE.path, version=NODE.version),
    modules=(
        ModuleSpec(path="node_modules/a", artefact=artefact("a.tgz", "b" * 128), commands={"a": "x.js"}, offered=True),
    ),
    projects=(
        ProjectSpec(
            name="@acme/p",
            version="1",
            ecosystem="python",
            artefact=artefact("p.tar"),
            import_root="src",
            commands={"p": "p:main"},
            requires=("anyio>=4",),
        ),
    ),
    programs=(ProgramSpec(name="tool", artefact=artefact("tool-here.gz")),),
)


# names


def test_the_name_of_an_environment_of_wheels_is_what_it_always_was() -> None:
    wheels = (artefact("a-1-py3-none-any.whl"), artefact("b-2-py3-none-any.whl", "b" * 64, size=7))
    spec = EnvSpec(name="e", python=PYTHON.path, python_version=PYTHON.version, wheels=wheels)
    # stores have environments under this name: another one would build all of them anew
    assert spec.key == "43f163094d92ba0e4541"
    assert replace(spec, name="other").key == spec.key


@given(
    st.lists(st.tuples(st.text("ab-.", min_size=1, max_size=4), st.text("01", min_size=64, max_size=64)), max_size=3)
)
def test_so_is_that_of_any_wheels(wheels: list[tuple[str, str]]) -> None:
    artefacts = tuple(artefact(name, digest) for name, digest in wheels)
    spec = EnvSpec(name="e", python="/p", python_version="3.11.2", wheels=artefacts)
    parts = ["env:1", "/p", "3.11.2", *(f"{name} {digest}" for name, digest in wheels)]
    assert spec.key == sha256_bytes(canonical_json(parts))[:20]


def module(**changes: Any) -> EnvSpec:
    return replace(FULL, modules=(replace(FULL.modules[0], **changes),))


def project(**changes: Any) -> EnvSpec:
    return replace(FULL, projects=(replace(FULL.projects[0], **changes),))


def program(**changes: Any) -> EnvSpec:
    return replace(FULL, programs=(replace(FULL.programs[0], **changes),))


BUILT = ProjectBuildSpec(
    package="path:p@1", archive=artefact("p.tar"), entries=("x.js",), modules=(), siblings=(), key="b" * 64
)
OTHERS = {
    "python": replace(FULL, python="/other"),
    "version": replace(FULL, python_version="3.11.9"),
    "no wheels": replace(FULL, wheels=()),
    "wheel's name": replace(FULL, wheels=(artefact("b-1-py3-none-any.whl"),)),
    "wheel's bytes": replace(FULL, wheels=(artefact("a-1-py3-none-any.whl", "c" * 64),)),
    "no node": replace(FULL, node=None),
    "node's path": replace(FULL, node=NodeSpec(path="/other", version=NODE.version)),
    "node's version": replace(FULL, node=NodeSpec(path=NODE.path, version="22.4.2")),
    "no modules": replace(FULL, modules=()),
    "module's place": module(path="node_modules/b"),
    "module's bytes": module(artefact=artefact("a.tgz", "c" * 128)),
    "module's commands": module(commands={"a": "y.js"}),
    "module's standing": module(offered=False),
    "no projects": replace(FULL, projects=()),
    "project's name": project(name="q"),
    "project's version": project(version="2"),
    "project's kind": project(ecosystem="node"),
    "project's bytes": project(artefact=artefact("p.tar", "c" * 64)),
    "project's root": project(import_root="."),
    "project's commands": project(commands={"p": "p:other"}),
    "project's requirements": project(requires=("anyio>=3",)),
    "a project that is built": replace(FULL, project_builds=(BUILT,)),
    "a project that is built from something else": replace(FULL, project_builds=(replace(BUILT, key="c" * 64),)),
    "no programs": replace(FULL, programs=()),
    "program's name": program(name="other"),
    "program's file": program(artefact=artefact("tool-there.gz")),
    "program's bytes": program(artefact=artefact("tool-here.gz", "c" * 64)),
}


def test_whatever_goes_into_it_is_in_its_name() -> None:
    keys = {name: spec.key for name, spec in {"": FULL, **OTHERS}.items()}
    assert len(set(keys.values())) == len(keys)


def test_what_makes_no_difference_to_its_files_is_not_in_its_name() -> None:
    same = replace(
        FULL,
        name="other",
        wheels=(replace(FULL.wheels[0], package="pypi:else@1", size=5),),
        modules=(replace(FULL.modules[0], artefact=artefact("renamed.tgz", "b" * 128)),),
    )
    assert same.key == FULL.key


WORD = st.text("a b", min_size=1, max_size=3)
DIGEST = st.sampled_from(["a" * 64, "b" * 64])
COMMANDS = st.dictionaries(WORD, WORD, max_size=1)
ARTEFACTS = st.builds(Artefact, package=WORD, name=WORD, digest=DIGEST, size=st.integers(0, 9))
WHEELS = st.builds(Artefact, package=WORD, name=st.sampled_from(["a-1.whl", "b-1.whl"]), digest=DIGEST)
SPECS = st.builds(
    EnvSpec,
    name=WORD,
    python=st.sampled_from(["", "/p"]),
    python_version=st.sampled_from(["", "3.11.2"]),
    interpreter=st.none() | ARTEFACTS,
    wheels=st.lists(WHEELS, max_size=2).map(tuple),
    node=st.none() | st.builds(NodeSpec, path=st.just("/n"), version=st.sampled_from(["22.1.0", "22.2.0"])),
    modules=st.lists(
        st.builds(ModuleSpec, path=WORD, artefact=ARTEFACTS, commands=COMMANDS, offered=st.booleans()), max_size=1
    ).map(tuple),
    projects=st.lists(
        st.builds(
            ProjectSpec,
            name=WORD,
            version=WORD,
            ecosystem=st.sampled_from(["", "python", "node"]),
            artefact=ARTEFACTS,
            import_root=st.sampled_from(["", "src"]),
            commands=COMMANDS,
            requires=st.lists(WORD, max_size=1).map(tuple),
        ),
        max_size=1,
    ).map(tuple),
    programs=st.lists(st.builds(ProgramSpec, name=WORD, artefact=ARTEFACTS), max_size=2).map(tuple),
    project_builds=st.lists(
        st.builds(
            ProjectBuildSpec,
            package=WORD,
            archive=ARTEFACTS,
            entries=st.just(("x.js",)),
            modules=st.builds(ModuleSpec, path=WORD, artefact=ARTEFACTS).map(lambda item: (item,)),
            siblings=st.builds(ProjectSpec, name=WORD, version=WORD, ecosystem=st.just("node"), artefact=ARTEFACTS).map(
                lambda item: (item,)
            ),
            key=DIGEST,
        ),
        max_size=1,
    ).map(tuple),
)


def content(spec: EnvSpec) -> tuple[object, ...]:
    """What an environment's files depend on."""
    return (
        (spec.python, spec.python_version, spec.node),
        tuple((item.name, item.digest) for item in spec.wheels),
        tuple((item.path, item.artefact.digest, item.offered, tuple(item.commands.items())) for item in spec.modules),
        tuple(
            (item.name, item.version, item.ecosystem, item.artefact.digest, item.import_root, item.requires)
            for item in spec.projects
        ),
        tuple(tuple(item.commands.items()) for item in spec.projects),
        tuple((item.name, item.artefact.name, item.artefact.digest) for item in spec.programs),
    )


def test_where_one_name_ends_and_the_next_begins_is_told_apart() -> None:
    pairs = [program(name=name, artefact=artefact(file)) for name, file in (("a b", "c"), ("a", "b c"))]
    assert pairs[0].key != pairs[1].key


@given(st.lists(SPECS, min_size=2, max_size=8))
def test_two_environments_with_one_name_have_the_same_files(specs: list[EnvSpec]) -> None:
    by_key: dict[str, object] = {}
    for spec in specs:
        assert by_key.setdefault(spec.key, content(spec)) == content(spec)


# through JSON


@given(SPECS)
def test_it_comes_back_from_json_as_it_was(spec: EnvSpec) -> None:
    again = EnvSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec
    assert (again.key, again.artefacts, again.facts) == (spec.key, spec.artefacts, spec.facts)


@pytest.mark.parametrize("name", ["wheels", "node", "modules", "projects", "programs", "interpreter"])
def test_what_is_none_is_refused(name: str) -> None:
    data = FULL.to_dict()
    with pytest.raises((KeyError, TypeError)):
        EnvSpec.from_dict({**data, name: [{"surprise": 1}]})
    del data[name]
    with pytest.raises(KeyError):
        EnvSpec.from_dict(data)


def test_a_target_with_environments_of_every_kind_comes_back_as_it_was() -> None:
    tree = SourceTree(directory=f"/store/envs/{FULL.key}/src/acme-p", live="/srv/p", sha256="a" * 64)
    record = LaunchRecord(project="p", server="all", runtime="process", argv=("/x",), key=FULL.key, source=tree)
    server = ServerSpec(record=record, needs=Address.parse("env:all"), notes=("careful",))
    target = Target(project="p", environments=(FULL, EnvSpec(name="empty")), servers=(server,))
    again = target_from_dict(json.loads(json.dumps(target_to_dict(target))))
    assert again == target
    assert again.servers[0].record.digest == record.digest


def test_a_directory_is_called_by_one_word() -> None:
    assert [directory_name(name) for name in ("core", "@acme/p", "my.tool")] == ["core", "acme-p", "my.tool"]
    assert (FULL.projects[0].path, FULL.programs[0].path) == ("src/acme-p", "programs/tool")


def test_every_project_has_a_directory_of_its_own() -> None:
    of = FULL.projects[0]
    names = [("weather", "python"), ("weather", "node"), ("weather", ""), ("@a/b", "node"), ("a-b", "node")]
    names += [("x" * 90, "node"), ("x" * 91, "node"), ("x" * 90, "python")]
    paths = [replace(of, name=name, ecosystem=ecosystem).path for name, ecosystem in names]
    other = replace(of, name="weather", ecosystem="", artefact=artefact("w.tar", "d" * 64))
    assert paths[:5] == ["src/weather", "src/weather.node", f"src/weather.{'a' * 12}", "src/a+b.node", "src/a-b.node"]
    assert len({*paths, other.path}) == len(paths) + 1
    assert max(map(len, paths)) == len("src/") + 60


# from a lock


def npm(name: str, version: str = "1.0.0", **more: Any) -> Package:
    file = File(name=f"{name}-{version}.tgz", sha512=sha256_bytes(f"{name}{version}".encode()) * 2)
    return Package(kind=Kind.NPM, name=name, version=version, index="npm", files=(file,), **more)


PACKAGES = (
    npm("asked", scripts={"asked": "cli.js"}),
    npm("below", scripts={"below": "cli.js"}),
    npm("mac-only", systems=("darwin",)),
    npm("real", "2.0.0", scripts={"real": "cli.js"}),
    Package(
        kind=Kind.PATH,
        name="core",
        version="1",
        ecosystem="python",
        source="path:./core",
        location="./core",
        files=(File(name="core-1.tar", sha256="1" * 64),),
        dependencies=("npm:asked@^1", "pypi:anyio>=4"),
        scripts={"core": "core:main"},
        import_root="src",
    ),
    Package(kind=Kind.PYPI, name="anyio", version="4", files=(File(name="anyio-4-py3-none-any.whl", sha256="2" * 64),)),
    Package(
        kind=Kind.URL,
        name="tool",
        version="0" * 12,
        source="url:…",
        files=(
            File(name="tool-arm", sha256="3" * 64, platform="linux/arm64"),
            File(name="tool-x86", sha256="4" * 64, size=7, platform="linux/amd64"),
        ),
    ),
)
TREE = {
    "node_modules/alias": "npm:real@2.0.0",
    "node_modules/asked": "npm:asked@1.0.0",
    "node_modules/asked/node_modules/below": "npm:below@1.0.0",
    "node_modules/mac-only": "npm:mac-only@1.0.0",
    "node_modules/mac-only/node_modules/below": "npm:below@1.0.0",
}
LOCKED = Environment(
    name="all",
    private=False,
    runtime="process",
    python="3.11",
    node="22",
    requirements=("npm:alias@npm:real@^2", "npm:asked@^1", "path:./core", "url:…"),
    packages=tuple(package.id for package in PACKAGES if package.name != "mac-only"),
    platform_packages={"darwin/arm64": ("npm:mac-only@1.0.0",)},
    tree=TREE,
)
LOCK = Lock(project="p", platforms=("darwin/arm64", "linux/amd64"), packages=PACKAGES, environments=(LOCKED,))


def never(version: str) -> InterpreterFacts:
    raise AssertionError(version)


def placed(
    locked: Environment = LOCKED,
    platform: str = "linux/amd64",
    python: Callable[[str], InterpreterFacts] = lambda _: PYTHON,
    node: Callable[[str], InterpreterFacts] = lambda _: NODE,
) -> tuple[EnvSpec, tuple[str, ...]]:
    target = process_target(platform, locked.python) if locked.python else None
    return environment_spec(LOCK, locked, platform, home=HOME, python=python, node=node, target=target)


def test_a_lock_gives_every_kind_its_place() -> None:
    spec, prefixes = placed()
    assert prefixes == ("/usr", "/opt/node")
    assert (spec.python, spec.python_version, spec.interpreter) == (PYTHON.path, PYTHON.version, None)
    assert spec.node == NodeSpec(path=NODE.path, version=NODE.version)
    assert [wheel.name for wheel in spec.wheels] == ["anyio-4-py3-none-any.whl"]
    assert [(item.name, item.path, item.requires) for item in spec.projects] == [("core", "src/core", ("anyio>=4",))]
    assert spec.projects[0].commands == {"core": "core:main"}
    assert [(item.path, item.artefact) for item in spec.programs] == [
        ("programs/tool", Artefact(package="url:tool@000000000000", name="tool-x86", digest="4" * 64, size=7))
    ]
    assert len(spec.artefacts) == 6


def test_only_what_was_asked_for_by_name_offers_its_commands() -> None:
    spec, _ = placed()
    assert [(item.path, item.offered) for item in spec.modules] == [
        ("node_modules/alias", True),
        ("node_modules/asked", True),
        ("node_modules/asked/node_modules/below", False),
    ]


def test_what_is_for_another_platform_is_left_out_with_what_is_below_it() -> None:
    own = replace(LOCKED, packages=tuple(name for name in LOCKED.packages if not name.startswith("url:")))
    spec, _ = placed(own, "darwin/arm64")
    assert [item.path for item in spec.modules][-2:] == [
        "node_modules/mac-only",
        "node_modules/mac-only/node_modules/below",
    ]


def python(name: str, **scripts: str) -> Package:
    return Package(kind=Kind.PYPI, name=name, version="1", files=(File(name=f"{name}.whl"),), scripts=scripts)


def refused(command: str, *requirements: str, packages: tuple[Package, ...] = ()) -> tuple[str, ...]:
    lock = replace(LOCK, packages=(*PACKAGES, *packages))
    own = (*LOCKED.packages, *(package.id for package in packages if package.kind is not Kind.NPM))
    tree = {**TREE, **{f"node_modules/{item.name}": item.id for item in packages if item.kind is Kind.NPM}}
    asked = (*LOCKED.requirements, *requirements)
    try:
        check_command(lock, replace(LOCKED, requirements=asked, packages=own, tree=tree), "linux/amd64", command)
    except CommandTaken as error:
        return error.owners
    return ()


def test_a_command_of_several_packages_is_not_started_by_its_name() -> None:
    other = npm("other", scripts={"asked": "x.js", "core": "x.js", "tool": "x.js", "node": "x.js"})
    for command, owner in {"asked": "npm:asked@1.0.0", "core": "path:core@1", "tool": "url:tool@000000000000"}.items():
        assert refused(command, "npm:other", packages=(other,)) == tuple(sorted([owner, other.id]))
        assert refused(command, packages=(other,)) == ()
    assert refused("node", "npm:other", packages=(other,)) == ()
    assert refused("./asked", "npm:other", packages=(other,)) == ()


def test_of_wheels_those_count_that_were_asked_for_and_with_them_all() -> None:
    first, second, same = python("first", serve="a:b"), python("second", serve="c:d"), python("third", serve="a:b")
    assert refused("serve", packages=(first, second)) == ()
    assert refused("serve", "pypi:first", packages=(first, second)) == (first.id, second.id)
    assert refused("serve", "pypi:first", packages=(first, same)) == ()
    asked = python("first", asked="a:b")
    assert refused("asked", packages=(asked,)) == ()
    assert refused("asked", "pypi:first", packages=(asked,)) == ("npm:asked@1.0.0", "pypi:first@1")


def test_a_program_without_a_file_for_this_platform_is_said() -> None:
    with pytest.raises(ProgramNotOffered, match=r"url:tool@000000000000 is for .*, and this machine is darwin/arm64"):
        placed(platform="darwin/arm64")


def test_an_interpreter_is_looked_for_only_if_it_is_needed() -> None:
    npm_only = replace(LOCKED, python="", packages=("npm:asked@1.0.0",), tree={"node_modules/asked": "npm:asked@1.0.0"})
    assert placed(npm_only, python=never)[1] == ("/opt/node", "/usr")
    assert placed(replace(LOCKED, node="", tree={}), node=never)[0].node is None


def test_a_managed_interpreter_is_named_by_its_archive() -> None:
    def managed(digest: str) -> EnvSpec:
        file = File(name="cpython-3.11.9+20260101-x86_64-unknown-linux-gnu.tar.gz", sha256=digest)
        return placed(replace(LOCKED, managed={"linux/amd64": file}), python=never)[0]

    spec = managed("5" * 64)
    root = f"/store/pythons/{'5' * 20}"
    assert (spec.python, spec.python_version) == (f"{root}/bin/python3.11", "3.11.9")
    assert spec.interpreter_root == root
    assert spec.artefacts[0].digest == "5" * 64
    assert spec.key != managed("6" * 64).key
    strong = File(name="cpython-3.11.9+20260101.tar.gz", sha512="7" * 128)
    assert placed(replace(LOCKED, managed={"linux/amd64": strong}), python=never)[0].interpreter_root == (
        f"/store/pythons/{'7' * 20}"
    )
    for nothing in ({"linux/amd64": File(name="cpython-3.11.9+20260101.tar.gz")},):
        with pytest.raises(FileNotLocked, match=r"python@3\.11"):
            placed(replace(LOCKED, managed=nothing), python=never)
    with pytest.raises(FileNotLocked, match=r"python@3\.11"):
        placed(replace(LOCKED, managed={"linux/arm64": File(name="x", sha256="5" * 64)}), python=never)
