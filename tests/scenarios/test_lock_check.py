"""`lock --check`: says whether and why the lock would change, and writes nothing. And what `lock` writes holds together."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatchlock.lock.store import dumps, loads
from hatchlock.resolve.consistent import inconsistencies
from support.cats import CAT, CatProject, tree
from support.index import Release, serving
from support.merges import merge_file
from support.npm_registry import NpmRelease, serving_npm

HEAD = '[project]\nname = "trial"\nplatforms = ["darwin/arm64", "linux/amd64"]\n\n[defaults]\nruntime = "process"\n'
INDEXES = '\n[indexes.pypi]\nurl = "{python}"\n\n[indexes.npm]\nurl = "{npm}"\n'


def check(project: CatProject, status: int) -> str:
    before = tree(project.root, without=("store",))
    done = project.run("lock", "--check")
    assert done.status == status, done.said
    assert tree(project.root, without=("store",)) == before
    return done.out + done.err


def test_a_lock_that_would_be_the_same(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT)
    project.ok("lock")
    assert "hatch.lock unchanged" in check(project, 0)


def test_a_lock_that_is_not_there(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT)
    assert "+ server:cat" in check(project, 2)
    assert not project.lock.exists()


def test_a_lock_that_does_not_satisfy_the_manifest_says_why(tmp_path: Path) -> None:
    with serving(Release(name="tool", version="1.0"), Release(name="tool", version="2.0")) as index:
        tool = '\n[servers.tool]\nsource = "pypi:tool<2"\npython = "3.11"\n'
        project = CatProject(tmp_path, HEAD + INDEXES.format(python=index.url, npm="http://127.0.0.1:9/") + tool)
        project.ok("lock")
        project.edit("pypi:tool<2", "pypi:tool>=1")
        assert "hatch.lock would change" in check(project, 2), "the requirement is written in it"
        project.edit("pypi:tool>=1", "pypi:tool>=2")
        said = check(project, 2)
    assert "env:tool: requires tool>=2, the lock has 1.0" in said
    assert "~ pypi:tool 1.0 -> 2.0" in said


def test_a_lock_in_conflict_and_one_that_does_not_hold_together(tmp_path: Path) -> None:
    needs = Release(name="tool", version="1.0", requires=["lib"])
    with serving(needs, Release(name="lib", version="1.0")) as index:
        tool = '\n[servers.tool]\nsource = "pypi:tool<2"\npython = "3.11"\n'
        project = CatProject(tmp_path, HEAD + INDEXES.format(python=index.url, npm="http://127.0.0.1:9/") + tool)
        project.ok("lock")
        whole = project.lock.read_bytes()
        project.lock.write_bytes(whole.replace(b'"pypi:lib@1.0", ', b""))
        said = check(project, 2)
        assert "env:tool: pypi:tool@1.0 requires lib, which is missing" in said
        ours, theirs = (whole.replace(b'version = "1.0"', b'version = "%s"' % version) for version in (b"1.1", b"1.2"))
        data, in_conflict = merge_file(tmp_path, whole, ours, theirs)
        assert in_conflict
        project.lock.write_bytes(data)
        assert "conflict markers" in check(project, 2)
        assert "it has git conflict markers" in project.fails("plan").err
        project.ok("lock")
        assert project.lock.read_bytes() == whole


@pytest.mark.parametrize("peer", [{"optional": True}, {}])
def test_what_a_package_may_do_without_leaves_the_lock_when_it_goes(tmp_path: Path, peer: dict[str, bool]) -> None:
    """An optional peer is an edge only while somebody installs it."""
    app = NpmRelease(name="app", manifest={"peerDependencies": {"extra": "*"}, "peerDependenciesMeta": {"extra": peer}})
    with serving_npm(app, NpmRelease(name="extra")) as npm, serving() as index:
        both = '\n[environments.e]\ndependencies = ["npm:app@^1", "npm:extra@^1"]\n'
        project = CatProject(tmp_path, HEAD + INDEXES.format(python=index.url, npm=npm.url) + both)
        project.ok("lock")
        assert b'dependencies = ["npm:extra@*"]' in project.lock.read_bytes()
        project.edit(', "npm:extra@^1"', "")
        project.ok("lock")
        once = project.lock.read_bytes()
        assert (b"npm:extra" in once) == (not peer)
        assert inconsistencies(loads(once)) == ()
        project.ok("plan")
        project.ok("lock")
        assert project.lock.read_bytes() == once


def test_what_no_declared_platform_runs_is_in_the_tree_and_in_the_lock_and_stops_nobody(tmp_path: Path) -> None:
    """npm's own lock has it, and `npm ci` wants it to; no environment gets it."""
    native = [NpmRelease(name=f"native-{system}", manifest={"os": [system]}) for system in ("darwin", "linux", "win32")]
    app = NpmRelease(name="app", manifest={"optionalDependencies": {item.name: "1.0.0" for item in native}})
    with serving_npm(app, native) as npm, serving() as index:
        manifest = '\n[environments.e]\ndependencies = ["npm:app@^1"]\n'
        project = CatProject(tmp_path, HEAD + INDEXES.format(python=index.url, npm=npm.url) + manifest)
        project.ok("lock")
        lock = loads(project.lock.read_bytes())
        environment = lock.environment("e", "process")
        assert {package.name for package in lock.packages} == {"app", *(item.name for item in native)}
        assert environment.tree["node_modules/native-win32"] == "npm:native-win32@1.0.0"
        assert environment.everywhere == {"npm:app@1.0.0", "npm:native-darwin@1.0.0", "npm:native-linux@1.0.0"}
        assert inconsistencies(lock) == ()
        project.ok("plan")
        assert "hatch.lock unchanged" in check(project, 0)


def test_a_lock_that_is_read_and_written_stays_as_it_is(tmp_path: Path) -> None:
    project = CatProject(tmp_path, CAT)
    project.ok("lock")
    data = project.lock.read_bytes()
    assert dumps(loads(data)).encode() == data
