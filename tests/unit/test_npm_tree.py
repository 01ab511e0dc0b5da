"""The tree that npm's own resolver makes over our registries: real npm, a registry on loopback."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hatchlock.errors import HatchlockError
from hatchlock.net.http import Http, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.sources.base import BadAnswer, MissingHash, UnknownPackage
from hatchlock.sources.npm.names import BadNpmName, parse_wanted
from hatchlock.sources.npm.program import NpmNotFound
from hatchlock.sources.npm.registry import NpmSource
from hatchlock.sources.npm.relay import Question, Relay, relaying
from hatchlock.sources.npm.tree import NpmTree, resolve_tree
from hatchlock.sources.npm.trouble import ForeignDependency, NoNpmVersion, NpmConflict, NpmFailed, NpmReport
from support.npm_registry import NpmRegistry, NpmRelease, make_tarball, serving_npm


@contextmanager
def asking(
    registry: NpmRegistry, cache: Path, *, variables: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> Iterator[NpmSource]:
    environ = {"PATH": os.environ["PATH"], "npm_config_registry": registry.url}
    with (
        Http(environ={}, patience=Patience(repeats=0)) as http,
        NpmSource(http=http, cache_dir=cache, environ={**environ, **variables}, **options) as source,
    ):
        yield source


def resolve(source: NpmSource, scratch: Path, roots: Mapping[str, str], **options: Any) -> NpmTree:
    given: dict[str, Any] = {"overrides": {}, "preferred": {}, "node": "", **options}
    return resolve_tree(roots, source=source, scratch=scratch, **given)


def tree_of(*releases: NpmRelease, roots: Mapping[str, str], tmp_path: Path, **options: Any) -> NpmTree:
    with serving_npm(*releases) as registry, asking(registry, tmp_path / "cache") as source:
        found = resolve(source, tmp_path / "scratch", roots, **options)
    assert list((tmp_path / "scratch").iterdir()) == []
    return found


def failure_of(*releases: NpmRelease, roots: Mapping[str, str], tmp_path: Path, **options: Any) -> HatchlockError:
    with pytest.raises(HatchlockError) as caught:
        tree_of(*releases, roots=roots, tmp_path=tmp_path, **options)
    assert caught.value.hint
    assert "npm error" not in str(caught.value)
    return caught.value


def shared(*versions: str) -> list[NpmRelease]:
    return [NpmRelease(name="shared", version=version) for version in versions]


TOOL = NpmRelease(
    name="@acme/tool",
    version="2.1.0",
    dependencies={"shared": "^1.0.0", "old": "1.x", "renamed": "npm:shared@^2.0.0"},
    manifest={
        "bin": "./bin/../cli.js",
        "engines": {"node": ">=18"},
        "license": "MIT",
        "optionalDependencies": {"on-mac": "^1.0.0", "nowhere": "^1.0.0"},
        "peerDependencies": {"beside": ">=1", "perhaps": "^1.0.0"},
        "peerDependenciesMeta": {"perhaps": {"optional": True}},
        "devDependencies": {"not-asked-for": "^1.0.0"},
    },
    publisher="anna",
)
WORLD = [
    TOOL,
    *shared("1.0.0", "1.5.0", "2.0.0"),
    NpmRelease(name="old", version="1.3.0", dependencies={"shared": "~1.0.0"}),
    NpmRelease(name="on-mac", manifest={"os": ["darwin"], "cpu": ["arm64", "x64"], "scripts": {"install": "make"}}),
    NpmRelease(name="beside", version="4.0.0"),
    NpmRelease(name="perhaps"),
]


def test_a_tree_has_every_package_of_every_platform_at_its_place(tmp_path: Path) -> None:
    tree = tree_of(*WORLD, roots={"@acme/tool": "^2"}, tmp_path=tmp_path)
    assert tree.paths == {
        "node_modules/@acme/tool": "npm:@acme/tool@2.1.0",
        "node_modules/beside": "npm:beside@4.0.0",
        "node_modules/old": "npm:old@1.3.0",
        "node_modules/old/node_modules/shared": "npm:shared@1.0.0",
        "node_modules/on-mac": "npm:on-mac@1.0.0",
        "node_modules/renamed": "npm:shared@2.0.0",
        "node_modules/shared": "npm:shared@1.5.0",
    }
    assert list(tree.paths) == sorted(tree.paths)
    assert tree.optional == {"node_modules/on-mac"}
    assert [package.id for package in tree.packages] == sorted(set(tree.paths.values()))
    tool, mac = tree.packages[0], next(package for package in tree.packages if package.name == "on-mac")
    assert tool.dependencies == (
        *("npm:beside@>=1", "npm:old@1.x", "npm:on-mac@^1.0.0", "npm:renamed@npm:shared@^2.0.0", "npm:shared@^1.0.0"),
    )
    assert (tool.scripts, tool.requires_node, tool.licence, tool.publisher) == (
        {"tool": "cli.js"},
        ">=18",
        "MIT",
        "anna",
    )
    assert [(file.name, file.sha512) for file in tool.files] == [("acme-tool-2.1.0.tgz", TOOL.sha512)]
    assert (tool.index, tool.source_class, tool.signature) == ("npm", "registry", "unsigned")
    assert (mac.systems, mac.processors, mac.install_script) == (("darwin",), ("arm64", "x64"), True)


def test_the_tree_does_not_depend_on_the_order_of_its_roots(tmp_path: Path) -> None:
    roots = {"old": "*", "shared": "2.0.0", "@acme/tool": "*"}
    with serving_npm(*WORLD) as registry:
        found = []
        for number, chosen in enumerate((roots, dict(reversed(roots.items())))):
            with asking(registry, tmp_path / f"cache{number}") as source:
                found.append(resolve(source, tmp_path / "scratch", chosen))
    assert found[0] == found[1]
    assert found[0].paths["node_modules/shared"] == "npm:shared@2.0.0"


def test_a_tag_as_root_and_nothing_but_documents_is_fetched(tmp_path: Path) -> None:
    with (
        serving_npm(*shared("1.0.0", "2.0.0"), tags={"shared": {"old": "1.0.0"}}) as registry,
        asking(registry, tmp_path) as source,
    ):
        tree = resolve(source, tmp_path / "scratch", {"shared": "old"})
    assert tree.paths == {"node_modules/shared": "npm:shared@1.0.0"}
    assert registry.asked == ["/shared", "/shared/1.0.0"]


def test_offline_the_cache_is_enough(tmp_path: Path) -> None:
    with serving_npm(*WORLD) as registry:
        with asking(registry, tmp_path / "cache") as source:
            first = resolve(source, tmp_path / "scratch", {"@acme/tool": "*"})
        asked = len(registry.asked)
        with asking(registry, tmp_path / "cache", offline=True) as source:
            assert resolve(source, tmp_path / "scratch", {"@acme/tool": "*"}) == first
    assert len(registry.asked) == asked


def without_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_run(*_: object, **__: object) -> bytes:
        pytest.fail("npm was run")

    monkeypatch.setattr("hatchlock.sources.npm.tree.run_until", no_run)


def test_the_same_question_is_not_asked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = {"@acme/tool": "*"}
    with serving_npm(*WORLD) as registry:
        with asking(registry, tmp_path / "cache") as source:
            first = resolve(source, tmp_path / "scratch", roots)
        with monkeypatch.context() as patch:
            without_npm(patch)
            with asking(registry, tmp_path / "cache", refresh=True) as source:
                assert resolve(source, tmp_path / "scratch", roots) == first
        registry.releases.append(NpmRelease(name="shared", version="1.6.0"))
        registry.tags["shared"] = {"latest": "2.0.0"}
        with asking(registry, tmp_path / "cache", refresh=True) as source:
            assert resolve(source, tmp_path / "scratch", roots).paths["node_modules/shared"] == "npm:shared@1.6.0"


def test_overrides_settle_what_is_taken(tmp_path: Path) -> None:
    tree = tree_of(*WORLD, roots={"@acme/tool": "*", "old": "*"}, overrides={"shared": "2.0.0"}, tmp_path=tmp_path)
    assert {found for found in tree.paths.values() if "shared" in found} == {"npm:shared@2.0.0"}
    old = next(package for package in tree.packages if package.name == "old")
    assert old.dependencies == ("npm:shared@~1.0.0",)
    direct = tree_of(*WORLD, roots={"shared": "^1"}, overrides={"shared": "2.0.0"}, tmp_path=tmp_path)
    assert direct.paths == {"node_modules/shared": "npm:shared@2.0.0"}


def test_constraints_hold_wherever_a_package_stands(tmp_path: Path) -> None:
    tree = tree_of(
        *WORLD,
        roots={"@acme/tool": "*"},
        constraints={"shared": (">=1.0.0", "<1.5.0 || >=2"), "perhaps": ("<1",)},
        preferred={"shared": ("1.5.0",)},
        tmp_path=tmp_path,
    )
    assert {place for place, found in tree.paths.items() if found == "npm:shared@1.5.0"} == set()
    assert tree.paths["node_modules/shared"] == "npm:shared@1.0.0"
    assert tree.paths["node_modules/renamed"] == "npm:shared@2.0.0"


def test_a_constraint_that_leaves_nothing_is_named(tmp_path: Path) -> None:
    error = failure_of(*WORLD, roots={"@acme/tool": "*"}, constraints={"shared": ("<2",)}, tmp_path=tmp_path)
    assert isinstance(error, NoNpmVersion)
    assert "@acme/tool 2.1.0 requires shared@^2.0.0" in str(error)
    assert "no such version within the constraint shared@<2: the newest is 1.5.0" in str(error)


def test_what_can_be_done_without_is_left_out_where_it_cannot_be_had(tmp_path: Path) -> None:
    optional = {"on-mac": "*", "nowhere": "*", "beside": "^9", "old": "*"}
    tree = tree_of(*WORLD, roots={"shared": "1.0.0"}, optional=optional, tmp_path=tmp_path)
    assert tree.paths.keys() == {"node_modules/shared", "node_modules/on-mac", "node_modules/old"}
    assert tree.optional == {"node_modules/on-mac", "node_modules/old"}


def test_a_project_around_it_has_no_say(tmp_path: Path) -> None:
    around = tmp_path / "around"
    around.mkdir()
    trace = tmp_path / "trace"
    (around / ".npmrc").write_text("registry=http://127.0.0.1:1/\nignore-scripts=false\npackage-lock-only=false\n")
    (around / "package.json").write_text(json.dumps({"workspaces": ["*/*/tree"], "dependencies": {"shared": "2.0.0"}}))
    a = NpmRelease(name="a", dependencies={"shared": "^1"}, manifest={"scripts": {"install": f"touch {trace}"}})
    with serving_npm(a, *shared("1.0.0", "2.0.0")) as registry, asking(registry, tmp_path / "cache") as source:
        tree = resolve(source, around / "scratch", {"a": "*"})
    assert tree.paths == {"node_modules/a": "npm:a@1.0.0", "node_modules/shared": "npm:shared@1.0.0"}
    assert sorted(path.name for path in around.iterdir()) == [".npmrc", "package.json", "scratch"]
    assert not trace.exists()


def test_npm_ends_with_its_source(tmp_path: Path) -> None:
    with serving_npm(*WORLD) as registry, asking(registry, tmp_path / "cache") as source:
        source.packument("old")
        source.closed.set()
        with pytest.raises(CancelledError):
            resolve(source, tmp_path / "scratch", {"old": "*"})
    assert list((tmp_path / "scratch").iterdir()) == []


def test_preferred_versions_are_kept(tmp_path: Path) -> None:
    tree = tree_of(
        *shared("1.0.0", "1.1.0", "1.2.0"),
        NpmRelease(name="a", dependencies={"shared": "^1.0.0", "b": "*"}),
        *(NpmRelease(name="b", version=version) for version in ("1.0.0", "2.0.0")),
        roots={"a": "*"},
        preferred={"shared": ("1.1.0", "0.9.0"), "b": ("7.0.0",), "elsewhere": ("1.0.0",)},
        tmp_path=tmp_path,
    )
    assert tree.paths["node_modules/shared"] == "npm:shared@1.1.0"
    assert tree.paths["node_modules/b"] == "npm:b@2.0.0"
    assert tree.ignored_pins == ()


def test_preferred_versions_that_do_not_fit_are_given_up_one_by_one(tmp_path: Path) -> None:
    tree = tree_of(
        *shared("1.0.0", "2.0.0", "2.1.0"),
        *(NpmRelease(name="b", version=version) for version in ("1.0.0", "2.0.0")),
        NpmRelease(name="a", dependencies={"shared": "^2.0.0", "b": "*"}),
        roots={"a": "*"},
        preferred={"shared": ("1.0.0",), "b": ("1.0.0",)},
        tmp_path=tmp_path,
    )
    assert tree.paths["node_modules/shared"] == "npm:shared@2.1.0"
    assert tree.paths["node_modules/b"] == "npm:b@1.0.0"
    assert tree.ignored_pins == ("shared",)


def test_preferred_versions_that_conflict_are_all_given_up(tmp_path: Path) -> None:
    tree = tree_of(
        *(NpmRelease(name="core", version=version) for version in ("1.0.0", "2.0.0")),
        NpmRelease(name="plugin", version="1.0.0", manifest={"peerDependencies": {"core": "^1.0.0"}}),
        NpmRelease(name="plugin", version="2.0.0", manifest={"peerDependencies": {"core": "^2.0.0"}}),
        roots={"core": "^2.0.0", "plugin": "*"},
        preferred={"plugin": ("1.0.0",)},
        tmp_path=tmp_path,
    )
    assert tree.paths["node_modules/plugin"] == "npm:plugin@2.0.0"
    assert tree.ignored_pins == ("plugin",)


def test_the_node_of_the_environment_decides_and_not_this_machines(tmp_path: Path) -> None:
    releases = [
        NpmRelease(name="a", version="1.0.0", manifest={"engines": {"node": ">=4"}}),
        NpmRelease(name="a", version="2.0.0", manifest={"engines": {"node": ">=18.12 <19"}}),
        NpmRelease(name="a", version="3.0.0", manifest={"engines": {"node": ">=9999"}}),
    ]
    for node, version in (("18", "2.0.0"), ("18.1.0", "1.0.0"), ("9999", "3.0.0")):
        tree = tree_of(*releases, roots={"a": "*"}, node=node, tmp_path=tmp_path)
        assert tree.paths == {"node_modules/a": f"npm:a@{version}"}, node


def test_what_is_too_new_is_not_in_the_tree(tmp_path: Path) -> None:
    releases = [
        NpmRelease(name="a", dependencies={"shared": "^1.0.0"}),
        *shared("1.0.0"),
        NpmRelease(name="shared", version="1.1.0", uploaded="2026-07-01T00:00:00Z"),
    ]
    limit = datetime(2026, 6, 1, tzinfo=UTC)
    with serving_npm(*releases) as registry, asking(registry, tmp_path, exclude_newer=limit) as source:
        tree = resolve(source, tmp_path / "scratch", {"a": "*"})
        assert tree.paths["node_modules/shared"] == "npm:shared@1.0.0"
        with pytest.raises(NoNpmVersion, match=r"shared@\^1\.1\.0.*the newest is 1\.0\.0.*exclude-newer hides 1\.1\.0"):
            resolve(source, tmp_path / "scratch", {"shared": "^1.1.0"})


def test_a_package_that_is_on_no_index_is_named_with_its_requirer(tmp_path: Path) -> None:
    middle = NpmRelease(name="middle", dependencies={"nowhere": "^1.0.0"})
    error = failure_of(NpmRelease(name="a", dependencies={"middle": "*"}), middle, roots={"a": "*"}, tmp_path=tmp_path)
    assert isinstance(error, UnknownPackage)
    assert (error.name, error.requirer) == ("nowhere", "middle 1.0.0")


def test_a_range_that_nothing_satisfies_is_named_with_its_requirer(tmp_path: Path) -> None:
    releases = [
        NpmRelease(name="a", dependencies={"b": "*"}),
        NpmRelease(name="b", dependencies={"shared": "^9 || >10"}),
    ]
    error = failure_of(*releases, *shared("1.0.0", "2.0.0"), roots={"a": "*"}, tmp_path=tmp_path)
    assert isinstance(error, NoNpmVersion)
    assert str(error) == "b 1.0.0 requires shared@^9 || >10, but there is no such version: the newest is 2.0.0"
    error = failure_of(*shared("1.0.0"), roots={"shared": "no-such-tag"}, tmp_path=tmp_path)
    assert str(error).startswith("the manifest requires shared@no-such-tag")


def test_a_conflict_of_peers_names_both_sides(tmp_path: Path) -> None:
    error = failure_of(
        *(NpmRelease(name="core", version=version) for version in ("1.0.0", "2.0.0")),
        NpmRelease(name="plugin", manifest={"peerDependencies": {"core": "^1.0.0"}}),
        roots={"core": "2.0.0", "plugin": "*"},
        tmp_path=tmp_path,
    )
    assert isinstance(error, NpmConflict)
    assert str(error) == (
        "plugin@1.0.0 requires core@^1.0.0 beside it, but core@2.0.0 (for the manifest, which requires 2.0.0) is there"
    )


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("dependencies", "git+https://git.example.com/a/b.git"),
        ("optionalDependencies", "https://files.example.com/b-1.0.0.tgz"),
        ("peerDependencies", "acme/b#v1"),
    ],
)
def test_what_is_not_from_a_registry_is_named_with_its_requirer(tmp_path: Path, field: str, spec: str) -> None:
    middle = NpmRelease(name="middle", manifest={field: {"b": spec, "shared": "*"}})
    error = failure_of(
        *(NpmRelease(name="a", dependencies={"middle": "*"}), middle, *shared("1.0.0"), NpmRelease(name="b")),
        roots={"a": "*"},
        tmp_path=tmp_path,
    )
    assert isinstance(error, ForeignDependency)
    assert (error.requirer, error.name, error.spec) == ("middle 1.0.0", "b", spec)
    assert 'overrides = ["npm:b@VERSION"]' in error.hint


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("git+https://user:secret@git.example.com/a/b.git#v1", "git+https://git.example.com/a/b.git#v1"),
        ("https://secret@files.example.com/b.tgz?token=secret", "https://files.example.com/b.tgz"),
        ("git+ssh://git:secret@git.example.com/a/b.git", "git+ssh://git.example.com/a/b.git"),
        ("git+ssh://git@git.example.com/a/b.git", "git+ssh://git@git.example.com/a/b.git"),
        ("gitlab:user:secret@a/b", "gitlab:a/b"),
        ("npm:@acme/b@^1", "npm:@acme/b@^1"),
    ],
)
def test_no_message_shows_what_opens_an_address(spec: str, shown: str) -> None:
    assert f"requires b from {shown}, which" in str(ForeignDependency(requirer="a", name="b", spec=spec))
    assert f"requires b@{shown}, but" in str(NoNpmVersion(requirer="a", name="b", wanted=spec))


@pytest.mark.parametrize(
    "spec",
    [
        *("git+https://git.example.com/a/b.git", "git://git.example.com/a/b", "github:a/b", "a/b", "a/b#semver:^1"),
        *(
            "git@git.example.com:a/b.git",
            "ssh://git@git.example.com/a/b",
            "gist:0123",
            "https://files.example.com/b.tgz",
        ),
        *("file:../b", "../b", "./b", "/b", "~/b", "b.tgz", "b.tar.gz", "workspace:*", "link:../b", "catalog:"),
        *("npm:a@file:../b", "npm:a@npm:c@1", "npm:../a@1", "npm:", "portal:../b"),
    ],
)
def test_what_asks_no_registry(spec: str) -> None:
    assert parse_wanted("b", spec) is None
    assert parse_wanted("../b", "^1") is None


@pytest.mark.parametrize(
    ("spec", "name", "inner", "form"),
    [
        *(("^1.0.0", "b", "^1.0.0", "range"), ("", "b", "*", "range"), (" 1 - 2 ", "b", "1 - 2", "range")),
        *(("latest", "b", "latest", "tag"), ("next-11", "b", "next-11", "tag"), ("npm:c", "c", "*", "range")),
        *(("npm:@acme/c@^1 || 2", "@acme/c", "^1 || 2", "range"), ("npm:@acme/c", "@acme/c", "*", "range")),
        ("NPM:c@next", "c", "next", "tag"),
    ],
)
def test_what_asks_a_registry(spec: str, name: str, inner: str, form: str) -> None:
    wanted = parse_wanted("b", spec)
    assert wanted is not None
    assert (wanted.name, wanted.spec, wanted.form) == (name, inner, form)


def test_what_is_not_from_a_registry_matters_only_where_it_is_needed(tmp_path: Path) -> None:
    git = "git+https://git.example.com/a/b.git"
    releases = [
        NpmRelease(name="a", version="1.0.0", dependencies={"b": git}),
        NpmRelease(name="a", version="2.0.0", dependencies={"b": "^1.0.0"}),
        NpmRelease(name="b"),
    ]
    assert tree_of(*releases, roots={"a": "^2"}, tmp_path=tmp_path).paths.keys() == {"node_modules/a", "node_modules/b"}
    overridden = tree_of(*releases, roots={"a": "^1"}, overrides={"b": "1.0.0"}, tmp_path=tmp_path)
    assert overridden.paths == {"node_modules/a": "npm:a@1.0.0", "node_modules/b": "npm:b@1.0.0"}
    with pytest.raises(ForeignDependency, match="the manifest requires b"):
        tree_of(*releases, roots={"b": git}, tmp_path=tmp_path)


def test_bundled_packages_come_inside_their_parent(tmp_path: Path) -> None:
    inner = {"name": "inner", "version": "3.0.0"}
    outer = NpmRelease(
        name="outer",
        dependencies={"inner": "^3.0.0", "shared": "*"},
        manifest={"bundleDependencies": ["inner"]},
        files={"node_modules/inner/package.json": json.dumps(inner)},
    )
    with serving_npm(outer, *shared("1.4.0")) as registry:
        with asking(registry, tmp_path / "cache") as source:
            tree = resolve(source, tmp_path / "scratch", {"outer": "*"})
        with asking(registry, tmp_path / "cache", offline=True) as source:
            assert resolve(source, tmp_path / "scratch", {"outer": "*"}) == tree
    assert tree.paths == {"node_modules/outer": "npm:outer@1.0.0", "node_modules/shared": "npm:shared@1.4.0"}
    assert tree.packages[0].dependencies == ("npm:shared@*",)
    assert len(registry.asked_for(".tgz")) == 1


def test_a_shrinkwrap_inside_a_package_decides_below_it_and_cannot_name_other_bytes(tmp_path: Path) -> None:
    def wrapped(version: str, integrity: str) -> NpmRelease:
        node = {"version": version, "resolved": "https://npm.example.com/s.tgz", "integrity": integrity}
        packages = {"": {"name": "outer", "version": "1.0.0"}, "node_modules/shared": node}
        shrinkwrap = {"name": "outer", "version": "1.0.0", "lockfileVersion": 3, "packages": packages}
        return NpmRelease(
            name="outer",
            dependencies={"shared": "^1.0.0"},
            files={"npm-shrinkwrap.json": json.dumps(shrinkwrap)},
            shrinkwrapped=True,
        )

    releases = shared("1.0.0", "1.5.0")
    integrity = releases[0].document("")["dist"]["integrity"]
    tree = tree_of(wrapped("1.0.0", integrity), *releases, roots={"outer": "*"}, tmp_path=tmp_path)
    assert tree.paths["node_modules/outer/node_modules/shared"] == "npm:shared@1.0.0"
    other = releases[1].document("")["dist"]["integrity"]
    with pytest.raises(BadAnswer, match="shared@1"):
        tree_of(wrapped("1.0.0", other), *releases, roots={"outer": "*"}, tmp_path=tmp_path / "other")


def test_an_optional_package_that_could_not_be_asked_for_stops_it(tmp_path: Path) -> None:
    release = NpmRelease(name="a", manifest={"optionalDependencies": {"shared": "*"}})
    with serving_npm(release, *shared("1.0.0")) as registry, asking(registry, tmp_path) as source:
        registry.failures["/shared"] = 9
        with pytest.raises(Unreachable, match="shared"):
            resolve(source, tmp_path / "scratch", {"a": "*"})


def test_a_package_without_a_strong_hash_stops_it(tmp_path: Path) -> None:
    error = failure_of(NpmRelease(name="a", integrity=""), roots={"a": "*"}, tmp_path=tmp_path)
    assert isinstance(error, MissingHash)


def test_names_and_places_that_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    assert isinstance(failure_of(roots={"../a": "*"}, tmp_path=tmp_path), BadNpmName)
    evil = NpmRelease(name="a", dependencies={"../../evil": "1.0.0"})
    assert isinstance(failure_of(evil, roots={"a": "*"}, tmp_path=tmp_path), ForeignDependency)


def test_without_npm_that_is_said(tmp_path: Path) -> None:
    with (
        serving_npm() as registry,
        asking(registry, tmp_path, variables={"PATH": str(tmp_path)}) as source,
        pytest.raises(NpmNotFound),
    ):
        resolve(source, tmp_path / "scratch", {"a": "*"})


def test_nothing_of_a_package_and_nothing_of_the_users_configuration_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".npmrc").write_text("legacy-peer-deps=true\nregistry=http://127.0.0.1:1/\nomit[]=optional\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    monkeypatch.setenv("NODE_OPTIONS", "--require=/nonexistent.js")
    monkeypatch.setenv("NODE_ENV", "production")
    touched = tmp_path / "touched"
    release = NpmRelease(
        name="a", manifest={"scripts": {"preinstall": f"touch {touched}", "install": f"touch {touched}"}}
    )
    tree = tree_of(release, roots={"a": "*"}, tmp_path=tmp_path)
    assert tree.packages[0].install_script
    assert not touched.exists()
    assert list(home.iterdir()) == [home / ".npmrc"]


def test_the_relay_answers_only_who_knows_its_address(tmp_path: Path) -> None:
    question = Question(roots={}, overrides={}, preferred={}, node="")
    with serving_npm(*shared("1.0.0"), token="s3cret") as registry:
        variables = {f"npm_config_{registry.url.removeprefix('http:')}:_authToken": "s3cret"}
        with asking(registry, tmp_path, variables=variables) as source, relaying(Relay(source, question)) as address:
            with urllib.request.urlopen(f"{address}shared") as answer:
                document = json.load(answer)
            tarball = document["versions"]["1.0.0"]["dist"]["tarball"]
            assert tarball.startswith(address)
            host = address[: address.index("/", len("http://"))]
            for refused in (tarball, f"{host}/shared", f"{host}/0000/shared"):
                with pytest.raises(urllib.error.HTTPError, match="404"):
                    urllib.request.urlopen(refused)
    assert "s3cret" not in json.dumps(document)
    assert registry.asked == ["/shared"]


def test_a_report_that_is_not_understood_is_given_in_one_line() -> None:
    report = NpmReport.parse("some\nwords of\n  a crash\n")
    error = report.error({})
    assert isinstance(error, NpmFailed)
    assert str(error) == "npm's resolver gives up: a crash"
    assert NpmReport.parse('{"error":{"code":"EWHAT","summary":"no","detail":""}}').error({}).hint


def test_a_tarball_is_as_npm_makes_it() -> None:
    assert make_tarball({"name": "a"}, {"b": "c"}) == make_tarball({"name": "a"}, {"b": b"c"})
