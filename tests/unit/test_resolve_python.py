from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import BadSource
from hatchlock.events import Event, Sink, discard
from hatchlock.lock.model import Package
from hatchlock.net.http import Http
from hatchlock.resolve.choice import Choice
from hatchlock.resolve.environments import resolve_environments
from hatchlock.resolve.explain import NoVersion, ResolutionConflict, Unusable
from hatchlock.resolve.prefetch import Prefetch
from hatchlock.resolve.request import EnvironmentRequest, Resolution
from hatchlock.resolve.requirements import DirectUrl, parse
from hatchlock.sources.base import UnknownPackage
from hatchlock.sources.python.indexes import PythonIndex
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.python.sdists import SourceOnly
from hatchlock.sources.python.targets import PythonTarget, process_target
from support.index import Release, serving
from support.indexes import python_only

LINUX = process_target("linux/amd64", "3.11")
MAC = process_target("darwin/arm64", "3.11")


def R(name: str, version: str, *requires: str, **more: Any) -> Release:  # noqa: N802  a table of releases reads better so
    return Release(name=name, version=version, requires=requires, **more)


def _resolve_all(
    tmp_path: Path,
    releases: Sequence[Release],
    requests: Sequence[EnvironmentRequest],
    *,
    exclude_newer: datetime | None = None,
    emit: Sink = discard,
    **switches: Any,
) -> Resolution:
    with (
        serving(*releases, **switches) as index,
        Http(environ={}) as http,
        PypiSource(
            http=http,
            cache_dir=tmp_path,
            indexes=[PythonIndex(name="pypi", url=index.url)],
            exclude_newer=exclude_newer,
        ) as source,
    ):
        return resolve_environments(requests, indexes=python_only(source), emit=emit)


def _resolve(
    tmp_path: Path,
    releases: Sequence[Release],
    *requirements: str,
    platforms: Mapping[str, PythonTarget] | None = None,
    exclude_newer: datetime | None = None,
    **request: Any,
) -> Resolution:
    wanted = EnvironmentRequest(
        name="e",
        platforms=platforms or {"linux/amd64": LINUX},
        requirements=tuple(f"pypi:{item}" for item in requirements),
        **request,
    )
    return _resolve_all(tmp_path, releases, [wanted], exclude_newer=exclude_newer)


def _pins(resolution: Resolution, platform: str = "linux/amd64") -> list[str]:
    return [item.removeprefix("pypi:") for item in resolution.environments[0].packages[platform]]


def _package(resolution: Resolution, name: str) -> Package:
    return next(package for package in resolution.packages if package.name == name)


def test_the_newest_versions_that_fit_together_are_taken(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b<2", "c"), R("b", "1.0"), R("b", "1.5"), R("b", "2.0"), R("c", "1.0", "b!=1.5")]
    assert _pins(_resolve(tmp_path, releases, "a")) == ["a@1.0", "b@1.0", "c@1.0"]


def test_an_older_version_is_tried_when_the_newest_does_not_fit(tmp_path: Path) -> None:
    releases = [R("a", "2.0", "c>=2"), R("a", "1.0", "c"), R("b", "1.0", "c<2"), R("c", "1.0"), R("c", "2.0")]
    assert _pins(_resolve(tmp_path, releases, "a", "b")) == ["a@1.0", "b@1.0", "c@1.0"]


def test_the_order_of_requirements_does_not_matter(tmp_path: Path) -> None:
    releases = [R("a", "2.0", "c>=2"), R("a", "1.0"), R("b", "2.0", "c<2"), R("b", "1.0"), R("c", "1.0"), R("c", "2.0")]
    assert _resolve(tmp_path, releases, "a", "b", "c") == _resolve(tmp_path, releases, "c", "b", "a")


def test_an_extra_brings_its_packages_and_only_then(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b", 'c>=1 ; extra == "more"', extras=["more"]), R("b", "1.0"), R("c", "1.0")]
    plain = _resolve(tmp_path, releases, "a")
    assert _pins(plain) == ["a@1.0", "b@1.0"]
    assert _package(plain, "a").dependencies == ("pypi:b",)
    full = _resolve(tmp_path, releases, "a[more]")
    assert _pins(full) == ["a@1.0", "b@1.0", "c@1.0"]
    assert _package(full, "a").dependencies == ("pypi:b", 'pypi:c>=1 ; extra == "more"')


def test_an_extra_never_comes_from_another_version_than_its_package(tmp_path: Path) -> None:
    releases = [
        R("a", "2.0", 'c>=2 ; extra == "x"', extras=["x"]),
        R("a", "1.0", 'c ; extra == "x"', extras=["x"]),
        R("b", "1.0", "a[x]", "c<2"),
        R("c", "1.0"),
        R("c", "2.0"),
    ]
    assert _pins(_resolve(tmp_path, releases, "a", "b")) == ["a@1.0", "b@1.0", "c@1.0"]


def test_markers_decide_for_the_declared_platform(tmp_path: Path) -> None:
    releases = [
        R("a", "1.0", 'm ; sys_platform == "darwin"', 'l ; sys_platform == "linux"'),
        R("m", "1.0"),
        R("l", "1.0"),
    ]
    found = _resolve(tmp_path, releases, "a", platforms={"linux/amd64": LINUX, "darwin/arm64": MAC})
    assert _pins(found) == ["a@1.0", "l@1.0"]
    assert _pins(found, "darwin/arm64") == ["a@1.0", "m@1.0"]
    assert _package(found, "a").dependencies == (
        'pypi:l ; sys_platform == "linux"',
        'pypi:m ; sys_platform == "darwin"',
    )


def test_a_marker_in_the_manifest_counts_too(tmp_path: Path) -> None:
    releases = [R("a", "1.0"), R("b", "1.0")]
    assert _pins(_resolve(tmp_path, releases, "a", 'b ; sys_platform == "win32"')) == ["a@1.0"]


def test_files_hold_the_best_wheel_of_each_declared_platform_with_size_and_hash(tmp_path: Path) -> None:
    tags = ["cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-macosx_11_0_arm64", "cp312-cp312-macosx_11_0_arm64"]
    releases = [R("a", "1.0", tag=tag) for tag in tags]
    found = _resolve(tmp_path, releases, "a", platforms={"linux/amd64": LINUX, "darwin/arm64": MAC})
    files = _package(found, "a").files
    assert [file.name for file in files] == [f"a-1.0-{tags[1]}.whl", f"a-1.0-{tags[0]}.whl"]
    assert all(len(file.sha256) == 64 and file.size > 0 for file in files)


def test_later_platforms_keep_the_versions_of_earlier_ones(tmp_path: Path) -> None:
    releases = [R("a", "1.0"), R("a", "2.0", tag="cp311-cp311-manylinux_2_17_x86_64")]
    found = _resolve(tmp_path, releases, "a", platforms={"linux/amd64": LINUX, "darwin/arm64": MAC})
    assert _pins(found) == _pins(found, "darwin/arm64") == ["a@1.0"]


def test_requires_python_of_the_index_is_honoured(tmp_path: Path) -> None:
    releases = [R("a", "2.0", requires_python=">=3.12"), R("a", "1.0", requires_python=">=3.9")]
    assert _pins(_resolve(tmp_path, releases, "a")) == ["a@1.0"]


def test_requires_python_that_only_the_wheel_tells_is_honoured(tmp_path: Path) -> None:
    releases = [R("a", "2.0", metadata_python=">=3.12"), R("a", "1.0")]
    assert _pins(_resolve(tmp_path, releases, "a")) == ["a@1.0"]


def test_a_version_with_unreadable_requirements_is_passed_over(tmp_path: Path) -> None:
    assert _pins(_resolve(tmp_path, [R("a", "2.0", "b>dev"), R("a", "1.0")], "a")) == ["a@1.0"]


def test_a_yanked_version_is_taken_only_when_pinned_exactly_or_preferred(tmp_path: Path) -> None:
    releases = [R("a", "2.0", yanked="broken"), R("a", "1.0")]
    assert _pins(_resolve(tmp_path, releases, "a")) == ["a@1.0"]
    assert _pins(_resolve(tmp_path, releases, "a==2.0")) == ["a@2.0"]
    assert _pins(_resolve(tmp_path, releases, "a", preferred={"pypi:a": ("2.0",)})) == ["a@2.0"]


def test_a_pre_release_is_taken_when_named_or_when_there_is_nothing_else(tmp_path: Path) -> None:
    releases = [R("a", "2.0b1"), R("a", "1.0"), R("b", "1.0a1"), R("b", "1.0a2")]
    assert _pins(_resolve(tmp_path, releases, "a", "b")) == ["a@1.0", "b@1.0a2"]
    assert _pins(_resolve(tmp_path, releases, "a>=2.0b1")) == ["a@2.0b1"]
    with pytest.raises(NoVersion, match=r"a 2\.0b1 is a pre-release"):
        _resolve(tmp_path, releases, "a>1.0")


def test_a_wildcard_is_no_pin(tmp_path: Path) -> None:
    assert _pins(_resolve(tmp_path, [R("a", "2.1", yanked=True), R("a", "2.0")], "a==2.*")) == ["a@2.0"]


def test_local_versions_and_epochs_are_compared_by_pep_440(tmp_path: Path) -> None:
    releases = [R("a", "1.0+cu118"), R("a", "1.0"), R("b", "1!1.0"), R("b", "9.0")]
    assert _pins(_resolve(tmp_path, releases, "a==1.0", "b")) == ["a@1.0+cu118", "b@1!1.0"]


def test_releases_after_exclude_newer_do_not_exist(tmp_path: Path) -> None:
    releases = [R("a", "2.0", uploaded="2026-06-01T00:00:00Z"), R("a", "1.0", uploaded="2026-01-01T00:00:00Z")]
    assert _pins(_resolve(tmp_path, releases, "a", exclude_newer=datetime(2026, 3, 1, tzinfo=UTC))) == ["a@1.0"]
    with pytest.raises(NoVersion, match="exclude-newer") as caught:
        _resolve(tmp_path, releases, "a>=2", exclude_newer=datetime(2026, 3, 1, tzinfo=UTC))
    assert "exclude-newer" in caught.value.hint


def test_pins_are_kept_until_an_upgrade_moves_them(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b"), R("a", "2.0", "b"), R("b", "1.0"), R("b", "2.0")]
    kept = {"pypi:a": ("1.0",), "pypi:b": ("1.0",)}
    assert _pins(_resolve(tmp_path, releases, "a", preferred=kept)) == ["a@1.0", "b@1.0"]
    assert _pins(_resolve(tmp_path, releases, "a", preferred={"pypi:a": kept["pypi:a"]})) == ["a@1.0", "b@2.0"]
    assert _pins(_resolve(tmp_path, releases, "a")) == ["a@2.0", "b@2.0"]
    assert _pins(_resolve(tmp_path, releases, "a>=2", preferred=kept)) == ["a@2.0", "b@1.0"]


def test_constraints_limit_what_is_needed_and_bring_nothing(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b"), R("b", "1.0"), R("b", "2.0"), R("c", "1.0")]
    assert _pins(_resolve(tmp_path, releases, "a", constraints=("pypi:b<2", "pypi:c==1.0"))) == ["a@1.0", "b@1.0"]


def test_an_override_replaces_what_packages_declare(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b<2"), R("b", "1.0"), R("b", "2.0")]
    assert _pins(_resolve(tmp_path, releases, "a", overrides=("pypi:b>=2",))) == ["a@1.0", "b@2.0"]


def test_environments_are_resolved_each_for_itself_and_share_packages(tmp_path: Path) -> None:
    releases = [R("a", "1.0"), R("a", "2.0"), R("b", "1.0", "a<2"), R("c", "1.0", "a")]
    platforms = {"linux/amd64": LINUX}
    requests = [
        EnvironmentRequest(name="two", platforms=platforms, requirements=("pypi:c",)),
        EnvironmentRequest(name="one", platforms=platforms, requirements=("pypi:b",)),
    ]
    found = _resolve_all(tmp_path, releases, requests)
    assert [item.name for item in found.environments] == ["two", "one"]
    assert found.environments[0].packages["linux/amd64"] == ("pypi:a@2.0", "pypi:c@1.0")
    assert found.environments[1].packages["linux/amd64"] == ("pypi:a@1.0", "pypi:b@1.0")
    assert [package.id for package in found.packages] == ["pypi:a@1.0", "pypi:a@2.0", "pypi:b@1.0", "pypi:c@1.0"]


@pytest.mark.parametrize("separate", [True, False])
def test_scripts_are_those_of_what_the_manifest_names(tmp_path: Path, separate: bool) -> None:
    releases = [R("a", "1.0", "b", scripts={"a-run": "a:main"}), R("b", "1.0", scripts={"b-run": "b:main"})]
    request = EnvironmentRequest(name="e", platforms={"linux/amd64": LINUX}, requirements=("pypi:a",))
    found = _resolve_all(tmp_path, releases, [request], separate_metadata=separate)
    assert _package(found, "a").scripts == {"a-run": "a:main"}
    assert _package(found, "b").scripts == {}


def test_a_second_resolution_from_the_cache_is_the_same(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b", headers=["License: MIT", "Author: Anna"]), R("b", "1.0")]
    with serving(*releases) as index, Http(environ={}) as http:
        request = EnvironmentRequest(name="e", platforms={"linux/amd64": LINUX}, requirements=("pypi:a",))
        found = []
        for _ in range(2):
            with PypiSource(http=http, cache_dir=tmp_path, indexes=[PythonIndex(name="pypi", url=index.url)]) as source:
                found.append(resolve_environments([request], indexes=python_only(source), emit=discard))
        assert found[0] == found[1]
        assert _package(found[0], "a").licence == "MIT"
        assert len(index.asked) == 4


def test_packages_that_require_each_other_are_no_problem(tmp_path: Path) -> None:
    assert _pins(_resolve(tmp_path, [R("a", "1.0", "b"), R("b", "1.0", "a")], "a")) == ["a@1.0", "b@1.0"]


def test_a_circle_that_was_given_up_while_searching_is_not_there(tmp_path: Path) -> None:
    late = [R("y", "1.0", "z"), R("z", "1.0", "w"), R("w", "1.0", "v"), R("v", "1.0", "x<2")]
    releases = [R("x", "2.0", "a"), R("x", "1.0"), R("a", "1.0", "b"), R("b", "1.0", "a"), *late]
    assert _pins(_resolve(tmp_path, releases, "x", "y")) == ["v@1.0", "w@1.0", "x@1.0", "y@1.0", "z@1.0"]


def test_each_environment_is_reported_when_it_is_done(tmp_path: Path) -> None:
    events: list[Event] = []
    request = EnvironmentRequest(name="e", platforms={"linux/amd64": LINUX}, requirements=("pypi:a",))
    _resolve_all(tmp_path, [R("a", "1.0")], [request], emit=events.append)
    assert [(event.name, event.address, event.data["packages"]) for event in events] == [("resolve.done", "env:e", 1)]


def test_a_conflict_names_both_requirers_and_what_would_do(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "c<2"), R("b", "1.0", "c>=2"), R("c", "1.0"), R("c", "2.0"), R("c", "2.1")]
    with pytest.raises(ResolutionConflict) as caught:
        _resolve(tmp_path, releases, "a", "b")
    text = str(caught.value)
    assert "no version of c suits everybody" in text
    assert "a 1.0 requires c<2 (1.0 would do)" in text
    assert "b 1.0 requires c>=2 (2.1 or 2.0 would do)" in text
    assert "overrides" in caught.value.hint


def test_a_conflict_is_told_about_the_newest_versions(tmp_path: Path) -> None:
    releases = [R("a", str(version), "c<2") for version in range(1, 6)]
    releases += [R("b", str(version), "c>=2") for version in range(1, 6)]
    with pytest.raises(ResolutionConflict, match=r"a 5 requires c<2.* b 5 requires c>=2"):
        _resolve(tmp_path, [*releases, R("c", "1.0"), R("c", "2.0")], "a", "b")


def test_a_conflict_with_the_manifest_says_so(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "c<2"), R("c", "1.0"), R("c", "2.0")]
    with pytest.raises(ResolutionConflict, match="the manifest requires c>=2") as caught:
        _resolve(tmp_path, releases, "a", "c>=2")
    assert "manifest" in caught.value.hint


def test_a_version_that_does_not_exist_is_answered_with_the_nearest(tmp_path: Path) -> None:
    releases = [R("a", version) for version in ("0.9", "1.0", "1.1", "1.2")]
    with pytest.raises(NoVersion) as caught:
        _resolve(tmp_path, releases, "a>=99")
    assert "a>=99" in str(caught.value)
    assert "1.2, 1.1, 1.0" in str(caught.value)
    assert "a==1.2" in caught.value.hint


@pytest.mark.parametrize(
    ("release", "reason", "hint"),
    [
        (R("a", "1.0", yanked=True), "yanked", ""),
        (R("a", "1.0", requires_python=">=3.13"), "needs Python >=3.13", "Python"),
        (R("a", "1.0", tag="cp311-cp311-win_amd64"), "no wheel for Python 3.11 on linux/amd64", "platform"),
    ],
)
def test_what_rules_out_every_version_is_said(tmp_path: Path, release: Release, reason: str, hint: str) -> None:
    with pytest.raises(NoVersion) as caught:
        _resolve(tmp_path, [R("b", "1.0", "a"), release], "b")
    assert reason in str(caught.value)
    assert "b 1.0 requires" in str(caught.value)
    assert hint in caught.value.hint


def test_what_would_have_to_be_built_is_refused_with_who_requires_it(tmp_path: Path) -> None:
    with pytest.raises(SourceOnly) as caught:
        _resolve(tmp_path, [R("b", "1.0", "a"), R("a", "1.0", sdist=True)], "b")
    assert "a 1.0, which b 1.0 requires, is published as source only" in str(caught.value)
    assert 'allow-build = ["a"]' in caught.value.hint


def test_metadata_that_rules_out_every_version_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"a 1\.0 needs Python >=3\.12, not 3\.11"):
        _resolve(tmp_path, [R("a", "1.0", metadata_python=">=3.12")], "a")


def test_an_unknown_package_is_told_with_who_requires_it(tmp_path: Path) -> None:
    with pytest.raises(UnknownPackage, match=r"'nowhere', which a 1\.0 requires"):
        _resolve(tmp_path, [R("a", "1.0", "nowhere")], "a")
    with pytest.raises(UnknownPackage, match="the manifest"):
        _resolve(tmp_path, [], "nowhere")


def test_a_direct_address_is_refused_with_who_requires_it_and_an_override_helps(tmp_path: Path) -> None:
    releases = [R("a", "1.0", "b @ https://example.com/b.whl"), R("b", "1.0")]
    with pytest.raises(DirectUrl, match=r"a 1\.0 requires b"):
        _resolve(tmp_path, releases, "a")
    assert _pins(_resolve(tmp_path, releases, "a", overrides=("pypi:b",))) == ["a@1.0", "b@1.0"]


@pytest.mark.parametrize("text", ["a", "pypi:", "pypi:a>>1", "pypi:a b"])
def test_a_malformed_requirement_is_refused(tmp_path: Path, text: str) -> None:
    request = EnvironmentRequest(name="e", platforms={"linux/amd64": LINUX}, requirements=(text,))
    with pytest.raises(BadSource):
        _resolve_all(tmp_path, [], [request])


def test_a_large_closure_with_a_late_conflict_is_settled_in_few_rounds(tmp_path: Path) -> None:
    # every version of `top` but the oldest wants a newer `base` than `side` allows, far from where that is decided
    releases = [R("top", f"{version}.0", f"base>={version}", *(f"p{n}" for n in range(10))) for version in range(1, 20)]
    releases += [R(f"p{n}", f"{version}.0") for n in range(10) for version in range(1, 5)]
    releases += [R("base", f"{version}.0") for version in range(1, 20)]
    releases += [R("side", "1.0", "base<2")]
    events: list[Event] = []
    request = EnvironmentRequest(name="e", platforms={"linux/amd64": LINUX}, requirements=("pypi:top", "pypi:side"))
    found = _resolve_all(tmp_path, releases, [request], emit=events.append)
    assert "pypi:top@1.0" in found.environments[0].packages["linux/amd64"]
    assert int(events[0].data["rounds"]) < 100


def test_nobody_asks_ahead_for_the_name_of_a_project(tmp_path: Path) -> None:
    with (
        serving(R("core", "1.0"), R("a", "1.0")) as index,
        Http(environ={}) as http,
        PypiSource(http=http, cache_dir=tmp_path, indexes=[PythonIndex(name="pypi", url=index.url)]) as source,
    ):
        for name in ("core", "a"):
            Prefetch(source).want(parse(name), Choice(target=LINUX, own=frozenset({"core"})))
        assert list(source._pages) == ["a"]
