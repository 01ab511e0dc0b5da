from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.cats import CatProject
from support.fake_registry import fake_registry
from support.index import Index, Release, serving
from support.npm_registry import NpmRegistry, NpmRelease, serving_npm

HEAD = """\
[project]
name = "trial"
platforms = ["linux/amd64", "linux/arm64"]
{project}

[defaults]
runtime = "process"
isolation = "best-effort"

[indexes.pypi]
url = "{url}"
ttl = "0s"
"""
TOOL = """
[servers.tool]
source = "pypi:tool{bounds}"
python = "3.11"
"""
TOOL_1 = Release(name="tool", version="1.0", requires=["lib<2"], scripts={"tool": "tool:main"})
LIB_1 = Release(name="lib", version="1.0")


def project(root: Path, index: Index, servers: str = TOOL.format(bounds=">=1,<3"), *, head: str = "") -> CatProject:
    made = CatProject(root, HEAD.format(url=index.url, project=head) + servers)
    made.ok("lock")
    return made


def found(trial: CatProject, *words: str, status: int = 0) -> dict[str, dict[str, Any]]:
    done = trial.run("outdated", "--json", *words)
    assert done.status == status, done.said
    return {item["what"]: item for item in done.document["packages"]}


def test_nothing_is_outdated(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        assert found(trial, "--all", "--check") == {}
        done = trial.ok("outdated")
        assert done.out == "nothing is outdated (1 looked at)\n"


def test_a_newer_version_that_the_manifest_allows_and_one_that_it_does_not(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases += [Release(name="tool", version="2.0"), Release(name="tool", version="3.0")]
        before = trial.lock.read_bytes()
        tool = found(trial, "--check", status=2)["pypi:tool"]
        assert (tool["current"], tool["compatible"], tool["newest"]) == ("1.0", "2.0", "3.0")
        assert tool["held_by"] == ["tool<3,>=1 by the manifest"]
        assert tool["environments"] == ["tool"]
        lines = trial.ok("outdated").out.splitlines()
        assert lines[0].split() == ["PACKAGE", "CURRENT", "COMPATIBLE", "NEWEST"]
        assert lines[1] == "pypi:tool  1.0      2.0         3.0     held back: tool<3,>=1 by the manifest"
        assert lines[-1] == "1 of 1 looked at"
        assert trial.lock.read_bytes() == before


def test_what_the_direct_ones_bring_in_is_looked_at_if_asked_for(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases.append(Release(name="lib", version="2.5"))
        assert found(trial) == {}
        for words in (["--all"], ["lib"], ["pypi:lib"], ["LIB"]):
            lib = found(trial, *words)["pypi:lib"]
            assert lib["held_by"] == ["lib<2 by tool 1.0"]
            # the manifest has nothing against it
            assert (lib["compatible"], lib["newest"]) == ("2.5", "2.5")


def test_constraints_and_overrides_are_the_manifests_bounds_too(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index, TOOL.format(bounds="") + 'constraints = ["pypi:lib<1.5"]\n')
        index.releases += [Release(name="lib", version="1.4"), Release(name="lib", version="1.6")]
        lib = found(trial, "lib")["pypi:lib"]
        assert (lib["compatible"], lib["held_by"]) == ("1.4", ["lib<1.5 by the manifest's constraints"])
        trial.edit('constraints = ["pypi:lib<1.5"]', 'overrides = ["pypi:lib<1.5"]')
        lib = found(trial, "lib")["pypi:lib"]
        assert (lib["compatible"], lib["held_by"]) == ("1.4", ["lib<1.5 by the manifest's overrides"])


def test_the_bounds_are_those_of_the_manifest_as_it_is_now(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases.append(Release(name="tool", version="3.0"))
        trial.edit(">=1,<3", ">=1")
        tool = found(trial)["pypi:tool"]
        assert (tool["compatible"], tool["held_by"]) == ("3.0", [])


def test_what_does_not_run_on_every_platform_holds_back(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        only_here = Release(name="tool", version="2.0", tag="cp311-cp311-manylinux_2_17_x86_64")
        index.releases += [only_here, Release(name="tool", version="2.1", requires_python=">=3.12")]
        tool = found(trial)["pypi:tool"]
        assert (tool["compatible"], tool["newest"]) == ("1.0", "2.1")
        assert tool["held_by"] == ["tool 2.1 needs Python >=3.12"]
        del index.releases[-1]
        tool = found(trial)["pypi:tool"]
        assert tool["held_by"] == ["tool 2.0 has no wheel for Python 3.11 on linux/arm64"]


def test_exclude_newer_holds_back(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index, head='exclude-newer = "2026-02-01"')
        index.releases += [
            Release(name="tool", version="2.0", uploaded="2026-01-15T00:00:00Z"),
            Release(name="tool", version="2.1", uploaded="2026-03-01T00:00:00Z"),
        ]
        tool = found(trial)["pypi:tool"]
        assert (tool["compatible"], tool["newest"]) == ("2.0", "2.1")
        assert tool["held_by"] == ["tool 2.1 is newer than exclude-newer allows"]


def test_early_and_yanked_versions_are_not_what_is_newest(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases += [Release(name="tool", version="2.0rc1"), Release(name="tool", version="1.9", yanked=True)]
        assert found(trial) == {}


def test_the_locked_version_was_yanked(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases[0] = Release(**{**vars(TOOL_1), "yanked": "it \x1b[31meats disks"})
        tool = found(trial, "--check", status=2)["pypi:tool"]
        assert (tool["current"], tool["newest"], tool["state"]) == ("1.0", "1.0", "yanked")
        assert tool["reason"] == "it \x1b[31meats disks"
        shown = trial.ok("outdated").out
        assert "yanked: it \\x1b[31meats disks" in shown
        assert "\x1b" not in shown


def test_the_locked_version_or_the_whole_name_is_gone(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases[:] = [Release(name="tool", version="0.9")]
        gone = found(trial, "--all")
        assert (gone["pypi:tool"]["state"], gone["pypi:lib"]["state"]) == ("gone", "gone")
        assert "no longer has anything of that name" in gone["pypi:lib"]["reason"]


def test_who_cannot_be_asked_hides_nobody_and_makes_it_fail(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases.append(Release(name="lib", version="1.1"))
        index.raw_pages["tool"] = b"{}"
        answer = found(trial, "--all", status=1)
        assert answer["pypi:tool"]["state"] == "unknown"
        assert "is no page of a simple index" in answer["pypi:tool"]["reason"]
        assert answer["pypi:lib"]["newest"] == "1.1"


def test_offline_it_says_what_the_cache_knows(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        index.releases.append(Release(name="tool", version="2.0"))
        assert found(trial)["pypi:tool"]["newest"] == "2.0"
        asked = len(index.asked)
        assert found(trial, "--offline")["pypi:tool"]["newest"] == "2.0"
        assert len(index.asked) == asked


def test_a_name_that_is_not_in_the_lock(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        done = project(tmp_path, index).fails("outdated", "tol")
    assert "the lock has no package or image 'tol'" in done.err
    assert "did you mean 'tool'?" in done.err


def test_there_is_no_lock(tmp_path: Path) -> None:
    with serving(TOOL_1, LIB_1) as index:
        trial = project(tmp_path, index)
        trial.lock.unlink()
        assert "there is no hatch.lock" in trial.fails("outdated").err


SERVED = NpmRelease(name="served", version="1.0.0", dependencies={"zod": "^3.0.0"}, manifest={"bin": "x.js"})
ZOD = NpmRelease(name="zod", version="3.1.0")
NPM = '\n[indexes.npm]\nurl = "{url}"\nttl = "0s"\n\n[servers.served]\nsource = "npm:served@^1"\nnode = "22"\n'


@pytest.fixture
def registry(tmp_path: Path) -> Any:
    with serving_npm(SERVED, ZOD) as registry, serving() as index:
        yield registry, project(tmp_path, index, NPM.format(url=registry.url))


def test_npm_packages_are_held_back_and_deprecated(registry: tuple[NpmRegistry, CatProject]) -> None:
    there, trial = registry
    assert found(trial, "--all", "--check") == {}
    there.releases += [
        NpmRelease(name="served", version="1.2.0"),
        NpmRelease(name="served", version="2.0.0"),
        NpmRelease(name="zod", version="3.9.0", deprecated="not this"),
        NpmRelease(name="zod", version="4.0.0"),
        NpmRelease(name="zod", version="5.0.0-beta.1"),
    ]
    there.tags["zod"] = {"latest": "4.0.0"}
    there.releases[1] = NpmRelease(name="zod", version="3.1.0", deprecated="use 4")
    answer = found(trial, "--all")
    served, zod = answer["npm:served"], answer["npm:zod"]
    assert (served["compatible"], served["newest"]) == ("1.2.0", "2.0.0")
    assert served["held_by"] == ["served@^1 by the manifest"]
    assert (zod["compatible"], zod["newest"]) == ("4.0.0", "4.0.0")
    assert zod["held_by"] == ["zod@^3.0.0 by served 1.0.0"]
    assert (zod["state"], zod["reason"]) == ("deprecated", "use 4")
    assert set(found(trial)) == {"npm:served"}


def test_the_tag_of_an_image_moved(tmp_path: Path) -> None:
    with fake_registry() as images, serving() as index:
        images.image("team/shop", "1", layers=[b"one"], Entrypoint=["/shop"])
        name = f"{images.address}/team/shop"
        server = f'\n[servers.shop]\nsource = "oci:{name}:1"\nruntime = "container"\n'
        trial = CatProject(tmp_path, HEAD.format(url=index.url, project="").replace(', "linux/arm64"', "") + server)
        trial.ok("lock")
        assert found(trial, "--check") == {}
        moved = images.image("team/shop", "1", layers=[b"two"], Entrypoint=["/shop"])
        image = found(trial, f"oci:{name}:1", "--check", status=2)[f"oci:{name}:1"]
        assert (image["newest"], image["state"], image["environments"]) == (moved, "moved", ["server:shop"])
        assert found(trial, "--offline", status=1)[f"oci:{name}:1"]["state"] == "unknown"
