"""Requirements that disagree, names that are claimed twice, and circles, across directories, Python and npm: what people see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.index import Index, Release, serving
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm
from support.project import Done, TrialProject
from support.trees import plant

PYTHON = (
    Release(name="base-lib", version="1.9"),
    Release(name="base-lib", version="2.1"),
    Release(name="likes-old", version="1.0", requires=["base-lib<2"]),
    Release(name="likes-new", version="1.5", requires=["base-lib>=2"]),
    Release(name="mid", version="3.0", requires=["likes-old"]),
    Release(name="wants-app", version="1.0", requires=["app>=2"]),
    Release(name="app", version="2.0"),
)
NODE = (
    NpmRelease(name="shared", version="1.0.0"),
    NpmRelease(name="shared", version="2.0.0"),
    NpmRelease(name="deep", version="1.0.0", dependencies={"shared": "^2"}),
)


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    with serving(*PYTHON, separate_metadata=True) as served:
        yield served


@pytest.fixture(scope="module")
def registry() -> Iterator[NpmRegistry]:
    with serving_npm(*NODE) as served:
        yield served


class Trial(TrialProject):
    """A project with one environment, and Python and Node projects in directories beside the manifest."""

    def __init__(self, root: Path, index: Index, registry: NpmRegistry) -> None:
        super().__init__(root)
        self._head = (
            f'[project]\nname = "trial"\nplatforms = ["{host_platform()}"]\n'
            f'[indexes.pypi]\nurl = "{index.url}"\n[indexes.npm]\nurl = "{registry.url}"\n'
        )

    def wants(self, *dependencies: str, more: str = "") -> Trial:
        self.write(
            f'{self._head}[environments.tools]\npython = "3.11"\nnode = "22"\n'
            f"dependencies = {json.dumps(dependencies)}\n{more}"
        )
        return self

    def python(self, name: str, *needs: str, siblings: Sequence[str] = (), directory: str = "") -> Trial:
        sources = "".join(f'\n[tool.uv.sources.{sibling}]\npath = "../{sibling}"\n' for sibling in siblings)
        text = (
            f'[project]\nname = "{name}"\nversion = "1.0"\ndependencies = {json.dumps([*needs, *siblings])}\n{sources}'
        )
        plant(self.directory / (directory or name), {"pyproject.toml": text, f"{name}.py": ""})
        return self

    def node(self, name: str, directory: str = "", **needs: str) -> Trial:
        document: dict[str, Any] = {"name": name, "version": "1.0.0", "bin": "cli.js", "dependencies": needs}
        plant(self.directory / (directory or name), {"package.json": document, "cli.js": ""})
        return self

    def refused(self) -> tuple[str, str]:
        """Lock, which has to fail and leave nothing; return what is said about the environment, and the hint."""
        done = self.fails("lock")
        assert not self.lock.exists()
        sentence, _, hint = done.err.partition("\n\nhint: ")
        address, _, what = sentence.partition(": ")
        assert address == "env:tools"
        return _plain(what), hint

    def locked(self) -> Done:
        """Lock, which has to succeed, twice: the second time nothing changes."""
        done = self.ok("lock")
        before = self.lock.read_bytes()
        again = self.ok("lock", "--offline")
        assert "unchanged" in again.out
        assert "did not hold together" not in again.err
        assert self.lock.read_bytes() == before
        assert self.steps() == []
        return done

    def shows(self, *words: str) -> list[str]:
        return _plain(self.ok(*words).out).splitlines()


def _plain(text: str) -> str:
    """Without what makes the version of a project another one for each content."""
    return re.sub(r"\+s[0-9a-f]{12}\b", "", text)


@pytest.fixture
def trial(tmp_path: Path, index: Index, registry: NpmRegistry) -> Trial:
    return Trial(tmp_path, index, registry)


# who disagrees


def test_two_packages_that_disagree_below_projects_are_told_with_every_way_to_them(trial: Trial) -> None:
    trial.python("app", "mid", siblings=["core"]).python("core", "likes-old").python("other", "likes-new")
    what, hint = trial.wants("path:./app", "path:./other").refused()
    assert what.startswith(f"no version of base-lib suits everybody on {host_platform()} with Python 3.11: ")
    assert "likes-new 1.5 requires base-lib>=2 (2.1 would do), by way of path:./other" in what
    assert "likes-old 1.0 requires base-lib<2 (1.9 would do), by way of " in what
    assert "path:./app → path:./core" in what
    assert "path:./app → mid 3.0" in what
    assert hint.startswith("ask for other versions of likes-new and likes-old, separate them into two environments, ")


def test_an_override_settles_it(trial: Trial) -> None:
    trial.python("app", "likes-old").python("other", "likes-new")
    trial.wants("path:./app", "path:./other", more='overrides = ["pypi:base-lib==2.1"]\n').locked()
    assert "pypi:base-lib@2.1" in trial.ok("tree").out


def test_a_project_and_the_manifest_that_disagree(trial: Trial) -> None:
    what, hint = trial.python("app", "base-lib>=2").wants("path:./app", "pypi:base-lib<2").refused()
    assert "the manifest requires base-lib<2 (1.9 would do)" in what
    assert "path:./app requires base-lib>=2 (2.1 would do)" in what
    assert hint.startswith("change base-lib<2 in the manifest")


@pytest.mark.parametrize(
    ("dependency", "requirer"), [("pypi:wants-app<2", "wants-app 1.0"), ("pypi:app>=2", "the manifest")]
)
def test_a_project_that_is_not_the_version_that_somebody_wants_is_named(
    trial: Trial, dependency: str, requirer: str
) -> None:
    what, _ = trial.python("app").wants("path:./app", dependency).refused()
    assert f"no version of app, which {requirer} requires, satisfies app>=2" in what
    assert what.endswith(": path:./app, which stands for that name, is 1.0")


def test_a_project_that_says_no_version_suits_everybody_and_goes_on_doing_so(trial: Trial) -> None:
    trial.python("app")
    plant(trial.directory, {"app/pyproject.toml": '[project]\nname = "app"\ndynamic = ["version"]\n'})
    trial.wants("path:./app", "pypi:wants-app<2", "pypi:app>=2").locked()


def test_two_node_projects_that_want_different_versions_of_a_package(trial: Trial) -> None:
    trial.node("one", shared="^1").node("two", shared="^2")
    what, hint = trial.wants("path:./one", "path:./two").refused()
    assert what == (
        f"no version of shared suits everybody on {host_platform()}: path:./one requires shared@^1 (1.0.0 would do) "
        "and path:./two requires shared@^2 (2.0.0 would do)"
    )
    assert hint.startswith("change what path:./one and path:./two need, separate them into two environments")


def test_a_node_project_and_the_manifest_that_disagree(trial: Trial) -> None:
    what, hint = trial.node("one", shared="^1").wants("path:./one", "npm:shared@^2").refused()
    assert "the manifest requires shared@^2 (2.0.0 would do)" in what
    assert "path:./one requires shared@^1 (1.0.0 would do)" in what
    assert hint.startswith("change shared@^2 in the manifest")


def test_a_node_project_that_is_not_the_version_that_the_manifest_wants(trial: Trial, registry: NpmRegistry) -> None:
    what, _ = trial.node("unpublished").wants("path:./unpublished", "npm:unpublished@^2").refused()
    assert what.endswith(
        "satisfies unpublished@^2 on " + host_platform() + ": path:./unpublished, which stands for that name, is 1.0.0"
    )
    assert registry.asked_for("unpublished") == []


def test_what_no_index_has_is_told_with_the_project_that_wants_it(trial: Trial) -> None:
    what, _ = trial.python("app", "nowhere").wants("path:./app").refused()
    assert what.startswith("there is no package 'nowhere', which path:./app requires, on the index ")
    what, _ = trial.node("page", nowhere="1").wants("path:./page").refused()
    assert what.startswith("there is no package 'nowhere', which path:./page requires, on the index ")


# one name, two things


def test_two_projects_of_one_name(trial: Trial) -> None:
    trial.python("app", directory="a").python("app", directory="b")
    what, hint = trial.wants("path:./a", "path:./b").refused()
    assert what == "the name app is claimed by path:./a and by path:./b"
    assert "two environments" in hint


def test_two_projects_of_one_name_of_which_one_is_somebodys_sibling(trial: Trial) -> None:
    trial.python("app", siblings=["core"]).python("core").python("core", directory="fork")
    what, _ = trial.wants("path:./app", "path:./fork").refused()
    assert what == "the name core is claimed by path:./fork and by path:./core, which path:./app requires"


def test_a_python_and_a_node_project_may_have_one_name(trial: Trial) -> None:
    trial.python("app", "base-lib", directory="python").node("app", directory="node", shared="^1")
    trial.wants("path:./node", "path:./python").locked()
    assert trial.shows("why", "base-lib")[1:] == ["  path:app@1.0 (path:./python) → pypi:base-lib@2.1 (base-lib)"]


# circles, and ways through several kinds


def test_siblings_that_need_each_other_are_locked_and_shown_once(trial: Trial) -> None:
    trial.python("a", "base-lib", siblings=["b"]).python("b", "likes-new", siblings=["a"]).wants("path:./a").locked()
    assert trial.shows("tree") == [
        "env:tools",
        "└─ path:a@1.0  (path:./a)",
        "   ├─ path:b@1.0  (path:./b)",
        "   │  ├─ path:a@1.0  (path:./a) (*)",
        "   │  └─ pypi:likes-new@1.5  (likes-new)",
        "   │     └─ pypi:base-lib@2.1  (base-lib>=2)",
        "   └─ pypi:base-lib@2.1  (base-lib)",
    ]
    assert trial.shows("why", "base-lib") == [
        f"env:tools (process; {host_platform()})",
        "  path:a@1.0 (path:./a) → pypi:base-lib@2.1 (base-lib)",
        "  path:a@1.0 (path:./a) → path:b@1.0 (path:./b) → pypi:likes-new@1.5 (likes-new) → pypi:base-lib@2.1 (base-lib>=2)",
    ]
    assert trial.shows("why", "a")[1:] == ["  path:a@1.0 (path:./a)"]


def test_a_conflict_inside_of_a_circle_is_told_with_ways_that_end(trial: Trial) -> None:
    trial.python("a", "likes-old", siblings=["b"]).python("b", "likes-new", siblings=["a"])
    what, _ = trial.wants("path:./a").refused()
    assert "likes-old 1.0 requires base-lib<2 (1.9 would do), by way of path:./a and " in what
    assert what.endswith("likes-new 1.5 requires base-lib>=2 (2.1 would do), by way of path:./a → path:./b")


def test_node_siblings_that_need_each_other_and_several_versions_of_a_package(trial: Trial) -> None:
    trial.node("a", b="file:../b", shared="^1").node("b", a="file:../a", deep="*").wants("path:./a").locked()
    assert trial.shows("tree") == [
        "env:tools",
        "└─ path:a@1.0.0  (path:./a)",
        "   ├─ npm:shared@1.0.0  (shared@^1)",
        "   └─ path:b@1.0.0  (path:./b)",
        "      ├─ npm:deep@1.0.0  (deep@*)",
        "      │  └─ npm:shared@2.0.0  (shared@^2)",
        "      └─ path:a@1.0.0  (path:./a) (*)",
    ]
    assert trial.shows("why", "shared")[1:] == [
        "  path:a@1.0.0 (path:./a) → npm:shared@1.0.0 (shared@^1)",
        "  path:a@1.0.0 (path:./a) → path:b@1.0.0 (path:./b) → npm:deep@1.0.0 (deep@*) → npm:shared@2.0.0 (shared@^2)",
    ]
