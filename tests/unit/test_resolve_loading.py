from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hatchlock.address import BadSource
from hatchlock.resolve.loading import Loader
from hatchlock.sources.projects.git import GitSource
from hatchlock.sources.python.pypi import PypiSource
from hatchlock.sources.url import UrlSource

APP = '[project]\nname = "app"\nversion = "1.0"\ndependencies = ["core"]\n[tool.uv.sources]\ncore = { path = "../core" }\n'


def commit(repository: Path, core: str) -> str:
    (repository / "core/core.py").write_text(core)
    git = ["git", "-C", str(repository), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "x"], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for name, text in (("app", APP), ("core", '[project]\nname = "core"\nversion = "2.0"\n')):
        (root / name).mkdir(parents=True)
        (root / name / "pyproject.toml").write_text(text)
        (root / name / f"{name}.py").write_text("")
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    return root


def loader(tmp_path: Path, **environ: str) -> Loader:
    def no_url() -> UrlSource:
        raise AssertionError("an address was asked for")

    def no_python() -> PypiSource:
        raise AssertionError("an index was asked for")

    def scratch() -> Path:
        (tmp_path / "scratch").mkdir(exist_ok=True)
        return tmp_path / "scratch"

    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ}
    git = GitSource(cache_dir=tmp_path / "cache", environ=variables, refresh=True)
    return Loader(place=tmp_path.joinpath, scratch=scratch, git=lambda: git, url=no_url, python=no_python)


def test_a_sibling_in_a_repository_goes_where_its_parent_goes(tmp_path: Path, repository: Path) -> None:
    first = commit(repository, "one")
    app = f"git:{repository.as_uri()}@main#subdirectory=app"
    before = loader(tmp_path)
    (sibling,) = before(app, None).package.dependencies
    locked = before(sibling, None).package
    assert (locked.name, locked.commit) == ("core", first)
    second = commit(repository, "two")
    after = loader(tmp_path)
    assert after(app, None).package.commit == second
    assert after(sibling, locked).package.commit == second, "though the lock has it at the first"


def test_the_same_directory_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core/pyproject.toml").write_text('[project]\nname = "core"\nversion = "2.0"\n')
    (tmp_path / "core/core.py").write_text("one")
    load = loader(tmp_path)
    found = load("path:./core", None)
    (tmp_path / "core/core.py").write_text("two")
    assert load("path:./core", None) is found
    assert loader(tmp_path)("path:./core", None).package.version != found.package.version


def test_a_path_that_says_something_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="no directory"):
        loader(tmp_path)("path:./core#as=rust", None)
