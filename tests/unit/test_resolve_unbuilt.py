"""Projects that have to be built: which may be, and what that needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hatchlock.resolve.direct import Direct
from hatchlock.resolve.loading import Loader
from hatchlock.resolve.request import EnvironmentRequest
from hatchlock.resolve.unbuilt import NeedsBuild, check_unbuilt
from hatchlock.sources.python.sdists import MetadataNotTold
from support.trees import plant

NODE = {
    "package.json": {
        "name": "Weather.JS",
        "bin": "dist/index.js",
        "scripts": {"build": "tsc"},
        "devDependencies": {"typescript": "^5"},
    }
}
COMPILED = """
    [project]
    name = "fast"
    dependencies = ["anyio"]

    [build-system]
    requires = ["setuptools>=74", "cython; python_version < '3'"]
    build-backend = "setuptools.build_meta"

    [tool.setuptools]
    ext-modules = [{ name = "fast", sources = ["fast.c"] }]
"""


def unused(*_: object) -> Any:
    raise AssertionError("only the directory was to be read")


def loaded(root: Path, files: dict[str, Any]) -> Direct:
    plant(root / "project", files)
    load = Loader(place=root.joinpath, scratch=unused, git=unused, url=unused, python=unused)
    return load("path:./project", None)


def request(*allowed: str, name: str = "web") -> EnvironmentRequest:
    return EnvironmentRequest(name=name, platforms={}, requirements=(), allow_build=frozenset(allowed))


def test_a_project_is_built_where_the_environment_names_it(tmp_path: Path) -> None:
    found = loaded(tmp_path, NODE)
    assert found.build == ("npm:typescript@^5",)
    check_unbuilt(found, request("weather-js"))
    with pytest.raises(NeedsBuild, match=r"its entry dist/index\.js is made by `npm run build`") as caught:
        check_unbuilt(found, request("weather"))
    assert 'allow-build = ["Weather.JS"] builds it' in caught.value.hint


def test_what_something_else_is_built_with_is_not_built_itself(tmp_path: Path) -> None:
    with pytest.raises(NeedsBuild, match=r"\(it is needed where other\.node is built\)") as caught:
        check_unbuilt(loaded(tmp_path, NODE), request(name="web/build/other.node"))
    assert "allow-build" not in caught.value.hint


def test_without_a_script_no_permission_helps(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"package.json": {"name": "weather", "bin": "dist/index.js"}})
    with pytest.raises(NeedsBuild) as caught:
        check_unbuilt(found, request("weather"))
    assert "allow-build" not in caught.value.hint


def test_of_python_its_build_system_says_what_is_needed(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"pyproject.toml": COMPILED, "fast.c": ""})
    assert found.build == ('pypi:cython ; python_version < "3"', "pypi:setuptools>=74", "pypi:wheel")
    assert found.package.dependencies == ("pypi:anyio",)
    check_unbuilt(found, request("fast"))


@pytest.mark.parametrize("table", ['dynamic = ["dependencies", "version"]', 'dynamic = ["optional-dependencies"]'])
def test_what_python_leaves_to_its_build_is_refused_though_it_is_allowed(tmp_path: Path, table: str) -> None:
    found = loaded(tmp_path, {"pyproject.toml": COMPILED.replace('dependencies = ["anyio"]', table), "fast.c": ""})
    with pytest.raises(NeedsBuild):
        check_unbuilt(found, request())
    with pytest.raises(MetadataNotTold, match="does not say what it needs") as caught:
        check_unbuilt(found, request("fast"))
    assert "[project] table" in caught.value.hint


def test_what_needs_no_build_is_never_asked_about(tmp_path: Path) -> None:
    files = {"package.json": NODE["package.json"], "dist/index.js": ""}
    found = loaded(tmp_path, files)
    assert found.build is None
    check_unbuilt(found, request())
