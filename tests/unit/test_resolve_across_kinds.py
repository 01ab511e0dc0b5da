"""Environments of several kinds at once: real indexes on loopback, real npm, projects in directories and in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import BadSource, Kind
from hatchlock.events import Event
from hatchlock.lock.model import File, Package
from hatchlock.net.http import Http
from hatchlock.resolve.direct import ClaimedName, Direct, DirectCandidate, SameIdentity, is_direct
from hatchlock.resolve.environments import resolve_environments
from hatchlock.resolve.explain import NoVersion, ResolutionConflict
from hatchlock.resolve.loading import Loader
from hatchlock.resolve.npm_requirements import declared_npm, is_exact
from hatchlock.resolve.request import EnvironmentRequest, Resolution
from hatchlock.resolve.requirements import DirectUrl
from hatchlock.resolve.uses import Uses
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.npm.indexes import NpmIndex
from hatchlock.sources.npm.placement import NotForPlatform
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.projects.git import GitSource
from hatchlock.sources.python.direct_wheel import BadDirectUrl
from hatchlock.sources.python.indexes import PythonIndex
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.targets import process_target
from hatchlock.sources.url import UrlSource
from support.index import Index, Release, serving
from support.indexes import indexes_of
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.trees import plant

LINUX, MAC = "linux/amd64", "darwin/arm64"
BOTH = {platform: process_target(platform, "3.11") for platform in (LINUX, MAC)}
R, N = Release, NpmRelease


def direct(name: str, *needs: str, kind: Kind = Kind.PATH, ecosystem: str = "python", **more: Any) -> Direct:
    """Return a project without files; `version`, `extras`, `pins`, `says_version` as they are named."""
    version = more.pop("version", "1.0")
    text = f"{kind}:./{name}"
    package = Package(
        kind=kind,
        name=name,
        version=version,
        ecosystem=ecosystem,
        source=text,
        dependencies=needs,
        files=(File(name="x.tar", sha256="0" * 64),),
    )
    return Direct(text=text, package=package, **more)


class World:
    """What there is: two indexes, a directory for projects, and projects that are nowhere."""

    def __init__(self, root: Path, python: Index, npm: NpmRegistry) -> None:
        self.root = root
        self.python = python
        self.npm = npm
        self.directs: list[Direct] = []
        self.said: list[str] = []

    def address(self, release: Release) -> str:
        return f"{self.python.url.removesuffix('simple/')}files/{release.file_name}"

    def resolve(self, *requirements: str, **request: Any) -> Resolution:
        """Resolve one environment."""
        values: dict[str, Any] = {"name": "e", "platforms": BOTH, "requirements": requirements, **request}
        return self.resolve_all([EnvironmentRequest(**values)])

    def resolve_all(self, requests: Sequence[EnvironmentRequest]) -> Resolution:
        def hear(event: Event) -> None:
            self.said.extend([event.message] if event.name == "resolve.note" else [])

        environ = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        cache = self.root / "cache"
        with (
            Http(environ={}) as http,
            PypiSource(http=http, cache_dir=cache, indexes=[PythonIndex(name="pypi", url=self.python.url)]) as python,
            NpmSource(
                http=http, cache_dir=cache, environ=environ, indexes=[NpmIndex(name="npm", url=self.npm.url)]
            ) as npm,
        ):
            loader = Loader(
                place=self.root.joinpath,
                scratch=lambda: self.root,
                git=lambda: GitSource(cache_dir=cache, environ=environ),
                url=lambda: UrlSource(http=http),
                python=lambda: python,
            )
            known = {item.text: item for item in self.directs}

            def load(text: str, pinned: Package | None) -> Direct:
                return known.get(text) or loader(text, pinned)

            indexes = indexes_of(python, npm=lambda: npm, load=load, scratch=lambda: self.root / "scratch")
            return resolve_environments(requests, indexes=indexes, emit=hear)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    with serving() as python, serving_npm() as npm:
        yield World(tmp_path, python, npm)


def ids(resolution: Resolution, platform: str = LINUX) -> list[str]:
    return list(resolution.environments[0].packages[platform])


def tree(resolution: Resolution) -> dict[str, str]:
    return {path.removeprefix("node_modules/"): found for path, found in resolution.environments[0].tree.items()}


def package(resolution: Resolution, name: str) -> Package:
    return next(item for item in resolution.packages if item.name == name)


# npm: what an environment asks for


def test_an_alias_is_a_name_of_its_own(world: World) -> None:
    world.npm.releases += [N(name="real", version=version) for version in ("1.0.0", "1.5.0", "2.0.0")]
    found = world.resolve("npm:old@npm:real@^1", "npm:real", "npm:@acme/it@npm:real@1.0.0")
    assert tree(found) == {"@acme/it": "npm:real@1.0.0", "old": "npm:real@1.5.0", "real": "npm:real@2.0.0"}
    assert ids(found) == ["npm:real@1.0.0", "npm:real@1.5.0", "npm:real@2.0.0"]


def test_a_tag_is_followed_and_latest_comes_before_what_is_newer(world: World) -> None:
    world.npm.releases += [
        N(name=name, version=item) for name in ("a", "b") for item in ("1.0.0", "2.0.0", "3.0.0-rc.1")
    ]
    world.npm.tags = {"a": {"latest": "1.0.0", "next": "3.0.0-rc.1"}, "b": {"latest": "1.0.0", "next": "3.0.0-rc.1"}}
    assert tree(world.resolve("npm:a@next", "npm:b")) == {"a": "npm:a@3.0.0-rc.1", "b": "npm:b@1.0.0"}
    assert tree(world.resolve("npm:a@>=1", "npm:b@>1")) == {"a": "npm:a@1.0.0", "b": "npm:b@2.0.0"}


def test_two_requirements_on_one_name_are_both_kept(world: World) -> None:
    world.npm.releases += [N(name="a", version=version) for version in ("1.0.0", "1.5.0", "2.0.0")]
    assert tree(world.resolve("npm:a@>=1", "npm:a@<2")) == {"a": "npm:a@1.5.0"}
    with pytest.raises(ResolutionConflict) as caught:
        world.resolve("npm:a@^1", "npm:a@^2")
    assert "the manifest requires a@^1 (1.5.0 or 1.0.0 would do)" in str(caught.value)
    assert "change a@^" in caught.value.hint


def test_an_override_counts_alone_wherever_the_name_stands(world: World) -> None:
    world.npm.releases += [
        *(N(name="deep", version=version) for version in ("1.0.0", "2.0.0", "3.0.0")),
        N(name="a", dependencies={"deep": "^1.0.0"}),
    ]
    found = world.resolve("npm:a", "npm:deep@^3", overrides=("npm:deep@2.0.0",))
    assert tree(found) == {"a": "npm:a@1.0.0", "deep": "npm:deep@2.0.0"}
    assert tree(world.resolve("npm:a", overrides=("npm:deep@2.0.0",)))["deep"] == "npm:deep@2.0.0"


def test_a_constraint_limits_what_is_asked_for_and_brings_nothing(world: World) -> None:
    world.npm.releases += [N(name=name, version=version) for name in ("a", "b") for version in ("1.0.0", "2.0.0")]
    assert tree(world.resolve("npm:a", constraints=("npm:a@<2", "npm:b@^1"))) == {"a": "npm:a@1.0.0"}
    with pytest.raises(NoVersion):
        world.resolve("npm:a@^2", constraints=("npm:a@<2",))


def test_pins_are_kept_at_every_depth_as_long_as_they_fit(world: World) -> None:
    world.npm.releases += [
        *(N(name="deep", version=version) for version in ("1.0.0", "1.1.0", "2.0.0")),
        *(N(name="a", version=version, dependencies={"deep": "^1.0.0"}) for version in ("1.0.0", "1.1.0")),
    ]
    assert tree(world.resolve("npm:a")) == {"a": "npm:a@1.1.0", "deep": "npm:deep@1.1.0"}
    kept = {"npm:a": ("1.0.0",), "npm:deep": ("1.0.0",)}
    assert tree(world.resolve("npm:a", preferred=kept)) == {"a": "npm:a@1.0.0", "deep": "npm:deep@1.0.0"}
    assert world.said == []
    moved = {"npm:a": ("0.9.0",), "npm:deep": ("2.0.0",)}
    assert tree(world.resolve("npm:a", preferred=moved)) == {"a": "npm:a@1.1.0", "deep": "npm:deep@1.1.0"}
    assert world.said == ["npm could not keep deep: its locked version does not fit any more"]


def test_what_no_registry_has_is_told_with_who_wants_it(world: World) -> None:
    with pytest.raises(UnknownPackage, match="missing") as caught:
        world.resolve("npm:missing@^1")
    assert caught.value.requirer == "the manifest"
    world.npm.releases += [N(name="a", version="1.0.0")]
    with pytest.raises(NoVersion, match=r"no version of a, which the manifest requires, satisfies a@\^7"):
        world.resolve("npm:a@^7")


def test_what_a_declared_platform_cannot_run_is_refused_by_name(world: World) -> None:
    world.npm.releases += [N(name="mac", manifest={"os": ["darwin"]}), N(name="a", dependencies={"mac": "*"})]
    with pytest.raises(NotForPlatform, match=r"npm:mac@1\.0\.0 does not run on linux/amd64: it wants darwin"):
        world.resolve("npm:a")
    only = {MAC: BOTH[MAC]}
    assert ids(world.resolve("npm:a", platforms=only), MAC) == ["npm:a@1.0.0", "npm:mac@1.0.0"]


@pytest.mark.parametrize(
    ("spec", "name", "bounds", "real"),
    [
        ("a", "a", "", ""),
        ("a@*", "a", "", ""),
        ("a@^1.2 || 3", "a", "^1.2 || 3", ""),
        ("@acme/a", "@acme/a", "", ""),
        ("@acme/a@next", "@acme/a", "next", ""),
        ("x@npm:@acme/a@^1", "x", "^1", "@acme/a"),
        ("@acme/x@npm:a", "@acme/x", "", "a"),
    ],
)
def test_npm_requirements_are_read(spec: str, name: str, bounds: str, real: str) -> None:
    found, limits = declared_npm(spec)
    assert (found, limits.text, limits.real) == (name, bounds, real)


@pytest.mark.parametrize("spec", ["", "@", ".hidden", "_private", "a b@1", "@^1"])
def test_what_names_no_npm_package_is_refused(spec: str) -> None:
    with pytest.raises(BadSource, match="names no package"):
        declared_npm(spec)


def test_a_pin_is_a_whole_version() -> None:
    assert [is_exact(text) for text in ("1.2.3", "v1.2.3-rc.1", "1.2", "^1.2.3", "latest", "")] == [
        *(True, True),
        *(False, False, False, False),
    ]


# projects


def test_a_project_stands_for_its_name_whatever_the_index_has(world: World) -> None:
    world.python.releases += [R(name="core", version="9.0"), R(name="a", version="1.0", requires=["core"])]
    world.directs = [direct("core", "pypi:b")]
    world.python.releases += [R(name="b", version="2.0")]
    found = world.resolve("path:./core", "pypi:a")
    assert ids(found) == ["path:core@1.0", "pypi:a@1.0", "pypi:b@2.0"]
    assert package(found, "core").dependencies == ("pypi:b",)


def test_its_version_counts_unless_it_cannot_be_read(world: World) -> None:
    world.python.releases += [R(name="a", version="1.0", requires=["core>=2"])]
    world.directs = [direct("core", version="1.0")]
    with pytest.raises((NoVersion, ResolutionConflict), match="core"):
        world.resolve("path:./core", "pypi:a")
    world.directs = [direct("core", version="0", says_version=False)]
    assert ids(world.resolve("path:./core", "pypi:a")) == ["path:core@0", "pypi:a@1.0"]


def test_extras_of_a_project_come_when_somebody_asks_for_them(world: World) -> None:
    world.python.releases += [R(name=name, version="1.0") for name in ("plain", "more")]
    extras = {"fast": ("pypi:more",)}
    world.directs = [direct("core", "pypi:plain", extras=extras), direct("app", "pypi:core[fast]", "path:./core")]
    assert ids(world.resolve("path:./core")) == ["path:core@1.0", "pypi:plain@1.0"]
    found = world.resolve("path:./app")
    assert ids(found) == ["path:app@1.0", "path:core@1.0", "pypi:more@1.0", "pypi:plain@1.0"]
    assert package(found, "core").dependencies == ("pypi:more", "pypi:plain")


def test_markers_of_a_project_decide_for_each_platform(world: World) -> None:
    world.python.releases += [R(name=name, version="1.0") for name in ("apple", "penguin")]
    needs = ('pypi:apple ; sys_platform == "darwin"', 'pypi:penguin ; sys_platform == "linux"')
    world.directs = [direct("core", *needs)]
    found = world.resolve("path:./core")
    assert (ids(found, MAC), ids(found)) == (["path:core@1.0", "pypi:apple@1.0"], ["path:core@1.0", "pypi:penguin@1.0"])
    assert package(found, "core").dependencies == needs, "the lock has what holds anywhere"


def test_what_a_project_needs_may_be_of_another_kind(world: World) -> None:
    world.npm.releases += [N(name="ui", version=version) for version in ("1.0.0", "2.0.0")]
    world.python.releases += [R(name="b", version="1.0")]
    world.directs = [
        direct("app", "npm:ui@^1", "path:./page", "pypi:b"),
        direct("page", "npm:ui", ecosystem="node", version="1.0.0"),
    ]
    found = world.resolve("path:./app")
    assert ids(found) == ["npm:ui@1.0.0", "path:app@1.0", "path:page@1.0.0", "pypi:b@1.0"]
    assert package(found, "app").dependencies == ("npm:ui@^1", "path:./page", "pypi:b")
    world.directs[1] = direct("page", "npm:ui@^2", ecosystem="node", version="1.0.0")
    with pytest.raises(ResolutionConflict) as caught:
        world.resolve("path:./app")
    assert "path:./page requires ui@^2" in str(caught.value)
    assert "path:./app requires ui@^1" in str(caught.value)


def test_the_pins_of_a_project_come_after_those_of_the_lock(world: World) -> None:
    world.python.releases += [R(name="a", version=version) for version in ("1.0", "2.0", "3.0")]
    world.directs = [direct("core", "pypi:a", pins={"pypi:a": ("1.0",)})]
    assert ids(world.resolve("path:./core"))[1] == "pypi:a@1.0"
    assert ids(world.resolve("path:./core", preferred={"pypi:a": ("2.0",)}))[1] == "pypi:a@2.0"
    assert ids(world.resolve("path:./core", "pypi:a>2"))[1] == "pypi:a@3.0"


def test_a_project_gets_the_package_that_the_lock_has_of_it(world: World) -> None:
    seen: list[Package | None] = []
    pinned = replace(direct("core").package, commit="c" * 40)

    with serving() as python, Http(environ={}) as http:
        index = PypiSource(http=http, cache_dir=world.root / "c", indexes=[PythonIndex(name="pypi", url=python.url)])

        def load(_: str, known: Package | None) -> Direct:
            seen.append(known)
            return direct("core")

        with index:
            request = EnvironmentRequest(
                name="e", platforms=BOTH, requirements=("path:./core",), pinned={"path:./core": pinned}
            )
            resolve_environments([request], indexes=indexes_of(index, load=load), emit=print)
    assert seen == [pinned]


def test_one_name_is_one_thing_in_an_environment(world: World) -> None:
    world.directs = [direct("core"), replace(direct("core"), text="path:./other")]
    with pytest.raises(ClaimedName) as caught:
        world.resolve("path:./core", "path:./other")
    assert str(caught.value) == "the name core is claimed by path:./core and by path:./other"
    assert "two environments" in caught.value.hint
    requests = [
        EnvironmentRequest(name=name, platforms=BOTH, requirements=(text,))
        for name, text in (("one", "path:./core"), ("two", "path:./other"))
    ]
    with pytest.raises(SameIdentity, match=r"path:\./core and path:\./other are both path:core@1\.0") as same:
        world.resolve_all(requests)
    assert "another version" in same.value.hint
    another = replace(direct("core", version="2.0"), text="path:./other")
    world.directs = [direct("core"), another]
    assert len(world.resolve_all(requests).environments) == 2, "each environment is for itself"


def test_a_python_and_a_node_project_may_be_called_alike(world: World) -> None:
    world.directs = [direct("core"), replace(direct("core", ecosystem="node", version="1.0.0"), text="path:./js")]
    assert ids(world.resolve("path:./core", "path:./js")) == ["path:core@1.0", "path:core@1.0.0"]


def test_projects_in_directories_bring_their_siblings(world: World) -> None:
    plant(
        world.root,
        {
            "app/pyproject.toml": """
                [project]
                name = "app"
                version = "2.0"
                dependencies = ["core>=1", "b ; sys_platform == 'win32'"]
                optional-dependencies = { more = ["core[x]"] }
                [tool.uv.sources]
                core = { path = "../libs/core" }
                """,
            "app/app.py": "",
            "libs/core/pyproject.toml": "[project]\nname = 'core'\nversion = '1.5'\ndependencies = ['a']\n",
            "libs/core/core.py": "",
        },
    )
    world.python.releases += [R(name="a", version="1.0")]
    found = world.resolve("path:./app")
    assert [item.partition("+s")[0] for item in ids(found)] == ["path:app@2.0", "path:core@1.5", "pypi:a@1.0"]
    core = package(found, "core")
    assert (core.location, core.source) == ("./libs/core", "path:./libs/core")
    assert {"path:./app is pyproject.toml", "path:./libs/core is pyproject.toml"} <= set(world.said)


def test_a_program_is_what_it_is(world: World) -> None:
    text = f"url:https://example.com/tool-1.0.tar.gz#sha256={'a' * 64}"
    world.python.releases += [R(name="a", version="1.0")]
    found = world.resolve(text, "pypi:a")
    assert [item.rpartition("@")[0] for item in ids(found)] == ["pypi:a", "url:tool"]
    assert package(found, "tool").source == text


# wheels by address

WHEEL = Release(name="thing", version="1.0", requires=["a", 'b ; extra == "more"'], extras=["more"])
DIGEST = hashlib.sha256(WHEEL.data).hexdigest()


@pytest.fixture
def wheel(world: World) -> str:
    """The address of a wheel that the manifest may name."""
    world.python.releases += [
        WHEEL,
        R(name="a", version="1.0"),
        R(name="b", version="1.0"),
        R(name="thing", version="9.0"),
    ]
    return f"{world.address(WHEEL)}#sha256={DIGEST}"


def test_the_manifest_may_name_a_wheel_by_its_address(world: World, wheel: str) -> None:
    found = world.resolve(f"pypi:thing @ {wheel}")
    assert ids(found) == ["pypi:a@1.0", "pypi:thing@1.0"]
    thing = package(found, "thing")
    assert (thing.location, thing.source_class, thing.source) == (
        wheel.partition("#")[0],
        "url",
        f"pypi:thing @ {wheel}",
    )
    assert [file.sha256 for file in thing.files] == [DIGEST]
    assert world.python.asked_for("/simple/thing") == []


def test_its_extras_are_those_that_are_named(world: World, wheel: str) -> None:
    found = world.resolve(f"pypi:thing[more] @ {wheel}")
    assert ids(found) == ["pypi:a@1.0", "pypi:b@1.0", "pypi:thing@1.0"]


def test_a_package_may_not_name_an_address_that_the_manifest_does_not_list(world: World, wheel: str) -> None:
    world.python.releases += [R(name="user", version="1.0", requires=[f"thing @ {wheel}"])]
    with pytest.raises(DirectUrl, match=r"user 1\.0 requires thing @ http"):
        world.resolve("pypi:user")
    assert ids(world.resolve("pypi:user", f"pypi:thing @ {wheel}")) == ["pypi:a@1.0", "pypi:thing@1.0", "pypi:user@1.0"]
    other = Release(name="thing", version="2.0")
    world.python.releases += [other]
    with pytest.raises(DirectUrl):
        world.resolve("pypi:user", f"pypi:thing @ {world.address(other)}")


def test_a_wheel_by_address_has_to_run_on_every_platform(world: World) -> None:
    linux = Release(name="thing", version="1.0", tag="cp311-cp311-manylinux_2_17_x86_64")
    world.python.releases += [linux]
    requirement = f"pypi:thing @ {world.address(linux)}"
    with pytest.raises(NoVersion, match=r"thing has no wheel for darwin/arm64 at that address"):
        world.resolve(requirement)
    assert ids(world.resolve(requirement, platforms={LINUX: BOTH[LINUX]})) == ["pypi:thing@1.0"]


def test_a_wheel_by_address_takes_its_name_from_everybody(world: World, wheel: str) -> None:
    world.python.releases += [R(name="user", version="1.0", requires=["thing>=2"])]
    with pytest.raises((NoVersion, ResolutionConflict), match="thing"):
        world.resolve("pypi:user", f"pypi:thing @ {wheel}")
    world.directs = [direct("thing")]
    with pytest.raises(ClaimedName, match="thing"):
        world.resolve("path:./thing", f"pypi:thing @ {wheel}")


def test_a_wheel_of_another_project_is_refused(world: World, wheel: str) -> None:
    with pytest.raises(BadDirectUrl, match="it is thing, not other"):
        world.resolve(f"pypi:other @ {wheel}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path:./a", True),
        ("git:https://example.com/a", True),
        ("url:https://example.com/a", True),
        ("pypi:a @ https://example.com/a-1-py3-none-any.whl", True),
        ("pypi:a>=1", False),
        ('pypi:a ; platform_version == "x@y"', False),
        ("npm:@acme/a@^1", False),
    ],
)
def test_which_requirements_name_themselves_what_they_mean(text: str, *, expected: bool) -> None:
    assert is_direct(text) is expected


# all of it together


def test_neither_the_order_nor_the_company_matters(world: World) -> None:
    world.npm.releases += [N(name="ui", version="1.0.0"), N(name="deep"), N(name="x", dependencies={"deep": "*"})]
    world.python.releases += [R(name="a", version="1.0", requires=["b"]), R(name="b", version="1.0")]
    world.directs = [direct("core", "pypi:b", "npm:ui")]
    wanted = ("npm:x", "path:./core", "pypi:a")
    both = [EnvironmentRequest(name=name, platforms=BOTH, requirements=wanted) for name in "ef"]
    alone = world.resolve(*wanted)
    assert world.resolve(*reversed(wanted)) == alone
    together = world.resolve_all(both)
    assert together.environments[0] == alone.environments[0]
    assert together.packages == alone.packages


def test_edges_that_only_one_environment_has_are_edges_of_the_package() -> None:
    uses = Uses()
    one, two = (
        Package(kind=Kind.NPM, name="a", version="1", dependencies=edges) for edges in (("npm:b",), ("npm:c", "npm:b"))
    )
    uses.add([one])
    uses.add([two])

    class Unasked:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    index: Any = Unasked()
    (merged,) = uses.packages(index, with_scripts=())
    assert merged.dependencies == ("npm:b", "npm:c")


def test_a_candidate_is_only_equal_to_itself() -> None:
    item = direct("core")
    first, second = (DirectCandidate(direct=item, version="1") for _ in range(2))
    candidates: Mapping[DirectCandidate, int] = {first: 1, second: 2}
    assert len(candidates) == 2
    assert (str(first), first.id) == ("path:./core", "path:core@1.0")
