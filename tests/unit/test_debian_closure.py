"""What is chosen over a base: as apt would, and with the way to what fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from hatchlock.sources.debian.choice import (
    AmbiguousDeb,
    DebChoice,
    DebConflict,
    NoSuchDeb,
    NoSuchDebVersion,
    WantedDeb,
)
from hatchlock.sources.debian.closure import choose_debs
from hatchlock.sources.debian.declared import declared_deb
from hatchlock.sources.debian.package import INSTALLED_PIN, DebPackage
from hatchlock.sources.debian.versions import DebVersion


def package(
    name: str, version: str = "1.0-1", *, pin: int = 500, suite: str = "debian/bookworm", **fields: str
) -> DebPackage:
    facts = {key.replace("_", "-"): value for key, value in fields.items()}
    return DebPackage.of({"package": name, "version": version, "architecture": "amd64", **facts}, suite=suite, pin=pin)


class Listed:
    """A universe of packages in a list."""

    def __init__(self, *packages: DebPackage) -> None:
        self.packages = packages

    @property
    def releases(self) -> Sequence[str]:
        return tuple(dict.fromkeys(item.suite for item in self.packages))

    def named(self, name: str) -> Sequence[DebPackage]:
        return [item for item in self.packages if item.name == name]

    def providing(self, name: str) -> Sequence[DebPackage]:
        return [item for item in self.packages if any(one.name == name for one in item.provides)]

    def rank(self, name: str) -> int:
        return next(number for number, item in enumerate(self.packages) if item.name == name)


def choose(
    spec: str,
    packages: Sequence[DebPackage],
    *base: DebPackage,
    preferred: Mapping[str, str] | None = None,
) -> DebChoice:
    wanted = [wanted_of(item) for item in spec.split()]
    liked = {name: DebVersion.parse(text) for name, text in (preferred or {}).items()}
    return choose_debs(wanted, Listed(*packages), base, architecture="amd64", preferred=liked)


def wanted_of(spec: str) -> WantedDeb:
    name, bounds = declared_deb(spec)
    return WantedDeb(name=name, bounds=bounds, requirer="server:time")


def chosen(choice: DebChoice) -> list[str]:
    return [f"{item.name}={item.version}" for item in choice.packages]


def names(choice: DebChoice) -> list[str]:
    return [item.name for item in choice.packages]


def installed(name: str, version: str = "1.0-1", **fields: str) -> DebPackage:
    return package(name, version, pin=INSTALLED_PIN, suite="", **fields)


def test_the_closure_is_followed_through_cycles_and_stops_at_the_base() -> None:
    universe = [
        package("app", depends="liba (>= 1), libc6", pre_depends="init"),
        package("liba", depends="app, libb"),
        package("libb"),
        package("init"),
        package("libc6", "2.36-9"),
    ]
    found = choose("app", universe, installed("libc6", "2.36-9"))
    assert names(found) == ["app", "init", "liba", "libb"]
    assert found.edges["app"] == ("deb:init", "deb:liba>=1")
    assert found.base_edges["app"] == ("deb:libc6",)
    assert found.roots == {"app": "app"}


def test_the_newest_version_of_all_suites_is_taken_unless_its_suite_steps_back() -> None:
    universe = [
        package("app", "1.0-1"),
        package("app", "1.0-1+deb12u1", suite="debian/bookworm-security"),
        package("app", "2.0-1~bpo12+1", suite="debian/bookworm-backports", pin=100),
    ]
    assert chosen(choose("app", universe)) == ["app=1.0-1+deb12u1"]
    assert chosen(choose("app>=2.0~", universe)) == ["app=2.0-1~bpo12+1"]
    assert chosen(choose("app==1.0,!=1.0-1+deb12u1", universe)) == ["app=1.0-1"]


def test_a_suite_of_the_lowest_priority_replaces_nothing_unless_it_is_asked_for() -> None:
    universe = [package("app", breaks="tool (<< 2)"), package("tool", "2", suite="debian/experimental", pin=1)]
    with pytest.raises(DebConflict):
        choose("app", universe, installed("tool", "1"))
    assert chosen(choose("app tool>=2", universe, installed("tool", "1"))) == ["app=1.0-1", "tool=2"]


def test_the_first_alternative_is_taken_unless_another_one_is_there() -> None:
    universe = [package("app", depends="one | two | three"), package("one"), package("two"), package("three")]
    assert names(choose("app", universe)) == ["app", "one"]
    assert names(choose("app", universe, installed("two"))) == ["app"]
    # what is asked for too counts before any dependency is looked at
    assert names(choose("app three", universe)) == ["app", "three"]
    # an installed package that serves only in a newer version goes before a new one
    newer = [package("app", depends="one | two (>= 2)"), package("one"), package("two", "2")]
    assert names(choose("app", newer, installed("two", "1"))) == ["app", "two"]


def test_an_alternative_that_fails_is_taken_back_with_all_that_it_brought() -> None:
    universe = [
        package("app", depends="one | two"),
        package("one", depends="helper, missing"),
        package("helper"),
        package("two"),
    ]
    assert names(choose("app", universe)) == ["app", "two"]


def test_virtual_names_are_served_by_priority_then_by_who_was_mentioned_last() -> None:
    first, second = (
        package("mta-a", provides="mta", priority="optional"),
        package("mta-b", provides="mta", priority="optional"),
    )
    app = package("app", depends="mta")
    assert names(choose("app", [app, first, second])) == ["app", "mta-b"]
    assert names(choose("app", [app, second, first])) == ["app", "mta-a"]
    important = package("mta-a", provides="mta", priority="important")
    assert names(choose("app", [app, important, second])) == ["app", "mta-a"]
    assert names(choose("app", [app, package("mta"), important])) == ["app", "mta"]
    assert choose("app", [app, first]).edges["app"] == ("deb:mta-a",)


def test_a_provided_version_has_to_keep_the_bound() -> None:
    plain, versioned = package("lib-a", provides="api"), package("lib-b", provides="api (= 3)")
    app = package("app", depends="api (>= 2)")
    assert names(choose("app", [app, plain, versioned])) == ["app", "lib-b"]
    with pytest.raises(DebConflict):
        choose("app", [app, plain])


def test_a_virtual_name_that_is_asked_for_is_taken_from_the_only_one_that_provides_it() -> None:
    one, two = package("mta-a", provides="mta"), package("mta-b", provides="mta")
    assert choose("mta", [one]).roots == {"mta": "mta-a"}
    assert choose("mta", [one, two], installed("mta-b", provides="mta")).in_base == ("mta",)
    assert choose("mta mta-b", [one, two]).roots == {"mta": "mta-b", "mta-b": "mta-b"}
    with pytest.raises(AmbiguousDeb) as caught:
        choose("mta", [one, two])
    assert "mta-a, mta-b" in str(caught.value)
    assert "server:time" in str(caught.value)


@pytest.mark.parametrize(
    ("relation", "multi_arch", "fits"),
    [
        ("perl:any", "allowed", True),
        ("perl:any", "foreign", False),
        ("perl:native", "no", True),
        ("perl:amd64", "no", True),
        ("perl:arm64", "foreign", False),
        ("perl [arm64], app2", "no", True),
    ],
)
def test_qualified_dependencies_are_served_by_the_one_architecture(relation: str, multi_arch: str, fits: bool) -> None:
    universe = [package("app", depends=relation), package("app2"), package("perl", multi_arch=multi_arch)]
    if fits:
        assert "app" in names(choose("app", universe))
    else:
        with pytest.raises(DebConflict):
            choose("app", universe)


def test_the_base_is_upgraded_where_a_dependency_or_a_conflict_needs_it_and_only_there() -> None:
    universe = [
        package("app", depends="liba (>= 2)", breaks="tool (<< 2)"),
        package("liba", "2"),
        package("tool", "2"),
        package("other", "2"),
    ]
    found = choose("app", universe, *(installed(name, "1") for name in ("liba", "tool", "other")))
    assert [(item.name, str(item.old), str(item.new)) for item in found.upgrades] == [
        ("liba", "1", "2"),
        ("tool", "1", "2"),
    ]
    assert names(found) == ["app", "liba", "tool"]


def test_what_is_tied_to_an_upgraded_package_is_upgraded_along() -> None:
    universe = [
        package("app", depends="liba (>= 2)"),
        package("liba", "2", source="a"),
        package("liba-tool", "2", depends="liba (= 2)"),
        package("liba-data", "2", source="a"),
    ]
    base = [
        installed("liba", "1", source="a"),
        installed("liba-tool", "1", depends="liba (= 1)"),
        installed("liba-data", "1", source="a"),
    ]
    assert names(choose("app", universe, *base)) == ["app", "liba", "liba-data", "liba-tool"]


def test_a_wanted_package_that_the_base_has_is_left_as_it_is() -> None:
    found = choose("tool", [package("tool", "2")], installed("tool", "1"))
    assert (found.packages, found.in_base, found.roots) == ((), ("tool",), {"tool": "tool"})
    assert chosen(choose("tool>=2", [package("tool", "2")], installed("tool", "1"))) == ["tool=2"]


def conflicts() -> Iterator[tuple[str, list[DebPackage], list[DebPackage], str]]:
    yield (
        "app",
        [package("app", depends="liba"), package("liba", depends="libb (>= 2)"), package("libb", "1.5-1")],
        [],
        "server:time → deb:app → liba: liba 1.0-1 needs libb (>= 2), but libb is 1.5-1",
    )
    yield (
        "app",
        [package("app", depends="gone | lost")],
        [],
        "server:time → deb:app: app 1.0-1 needs gone | lost, but no release has it",
    )
    yield (
        "app",
        [package("app", conflicts="old")],
        [installed("old")],
        "server:time → deb:app: app 1.0-1 cannot be with old 1.0-1 of the base (conflicts with old)",
    )
    yield (
        "app",
        [package("app"), package("old", "2", breaks="app")],
        [installed("old", breaks="app")],
        "server:time → deb:app → old: old 2 cannot be with app 1.0-1 of the rest (conflicts with app)",
    )
    yield (
        "one two",
        [package("one", conflicts="mta", provides="mta"), package("two", provides="mta")],
        [],
        "server:time → deb:one: one 1.0-1 cannot be with two 1.0-1 of the rest (conflicts with mta)",
    )
    yield (
        "app",
        [package("app", depends="liba (>= 2)"), package("liba", "2")],
        [installed("liba", "1"), installed("tied", depends="liba (<< 2)")],
        "tied 1.0-1 needs liba (<< 2), and liba becomes 2",
    )


@pytest.mark.parametrize(("spec", "universe", "base", "said"), list(conflicts()))
def test_what_cannot_be_is_said_with_the_way_to_it(
    spec: str, universe: list[DebPackage], base: list[DebPackage], said: str
) -> None:
    with pytest.raises(DebConflict) as caught:
        choose(spec, universe, *base)
    assert said in str(caught.value)


def test_one_of_several_alternatives_gives_way_to_what_has_none() -> None:
    universe = [
        package("app", depends="light | full, extra"),
        package("light", conflicts="full"),
        package("full", conflicts="light"),
        package("extra", depends="full"),
    ]
    assert names(choose("app", universe)) == ["app", "extra", "full"]


def test_preferred_versions_stay_until_they_are_what_makes_it_impossible() -> None:
    universe = [
        package("liba", "1"),
        package("liba", "2"),
        package("libb", "1"),
        package("libb", "2", depends="liba (>= 2)"),
    ]
    liked = {"liba": "1", "libb": "1", "unknown": "7"}
    assert chosen(choose("libb liba", universe, preferred=liked)) == ["liba=1", "libb=1"]
    assert chosen(choose("libb>=2 liba", universe, preferred=liked)) == ["liba=2", "libb=2"]
    # never older than the base
    assert chosen(choose("libb>=2", universe, installed("liba", "1"), preferred=liked)) == ["liba=2", "libb=2"]


def test_an_exact_version_takes_what_belongs_to_it_though_there_is_something_newer() -> None:
    universe = [
        package("lib-dev", "1", depends="lib (= 1)"),
        package("lib-dev", "2", depends="lib (= 2)"),
        package("lib", "1"),
        package("lib", "2"),
    ]
    assert chosen(choose("lib-dev=1", universe)) == ["lib=1", "lib-dev=1"]


def test_nobody_having_the_name_is_said_with_where_it_was_looked_for() -> None:
    with pytest.raises(NoSuchDeb) as caught:
        choose("gti", [package("git")])
    assert str(caught.value) == "there is no Debian package 'gti', which server:time requires, in debian/bookworm"


def test_no_fitting_version_is_said_with_those_that_there_are() -> None:
    with pytest.raises(NoSuchDebVersion) as caught:
        choose("git>=2.30,<<3", [package("git", "1:2.39.5-0+deb12u2"), package("git", "1:2.39.2-1.1")])
    assert "deb:git>=2.30,<<3 (server:time)" in str(caught.value)
    assert "there is 1:2.39.5-0+deb12u2, 1:2.39.2-1.1" in str(caught.value)
    assert "the 1: in front belongs to the version" in caught.value.hint
    with pytest.raises(NoSuchDebVersion, match="the base has 2, and does not go back"):
        choose("tool<<2", [package("tool", "1")], installed("tool", "2"))


def test_deep_chains_do_not_end_the_interpreter() -> None:
    universe = [package(f"p{number}", depends=f"p{number + 1}") for number in range(1200)]
    assert len(choose("p0", [*universe, package("p1200")]).packages) == 1201


def test_the_order_of_what_is_asked_for_does_not_matter() -> None:
    universe = [package("aa", depends="x1 | y1"), package("bb", depends="y1 | x1"), package("x1"), package("y1")]
    assert choose("aa bb", universe) == choose("bb aa", universe)
