"""What the lock says of images, and `verify`: the same on every machine, and told where it is not. Without an engine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hatchlock.lock.images import ImageOutput
from hatchlock.lock.model import Environment
from hatchlock.lock.store import read_lock
from hatchlock.store.contents import CONTENTS_NAME
from support.cats import CatProject
from support.index import Index, serving
from support.project import server_release
from support.tiny_base import write_tiny_base

AMD, ARM = "linux/amd64", "linux/arm64"
MANIFEST = """\
[project]
name = "trial"
platforms = ["{amd}", "{arm}"]

[defaults]
runtime = "container"
base = "oci:./base:3.11"

[indexes.pypi]
url = "{index}"

[environments.tools]
python = "3.11"
base = "oci:./base:3.11"
dependencies = ["pypi:lib"]

[servers.tool]
source = "pypi:tool"
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    directory = tmp_path_factory.mktemp("wheels")
    places = [(name, version) for name in ("tool", "lib") for version in ("1.0", "2.0")]
    with serving(*(server_release(directory, name=name, version=version) for name, version in places)) as found:
        yield found


def machine(directory: Path, index: Index) -> CatProject:
    """A machine that can reach nothing but what is in its directory and the index, without an engine."""
    text = MANIFEST.format(amd=AMD, arm=ARM, index=index.url)
    return CatProject(directory, text, DOCKER_HOST=f"unix://{directory}/nobody")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, index: Index) -> CatProject:
    project = machine(tmp_path_factory.mktemp("recorded"), index)
    write_tiny_base(project.directory / "base", project.root / "scratch")
    project.ok("lock", "--images")
    return project


@pytest.fixture
def project(tmp_path: Path, index: Index, recorded: CatProject) -> CatProject:
    """A machine on which `lock --images` was run."""
    root = tmp_path / "one"
    shutil.copytree(recorded.root, root, symlinks=True)
    return machine(root, index)


@pytest.fixture
def fresh(tmp_path: Path, index: Index, recorded: CatProject) -> CatProject:
    """A machine with the lock and an empty store."""
    project = machine(tmp_path / "fresh", index)
    for name in ("base", "hatch.lock"):
        copy = shutil.copytree if (recorded.directory / name).is_dir() else shutil.copy
        copy(recorded.directory / name, project.directory / name)
    return project


def environment(project: CatProject, name: str = "tool") -> Environment:
    return read_lock(project.lock).environment(name, "container")


def states(document: dict[str, Any]) -> dict[str, str]:
    return {f"{item['name']} {item['platform']}": item["state"] for item in document["findings"]}


def edited(project: CatProject, old: str, new: str) -> None:
    text = project.lock.read_text()
    assert old in text
    project.lock.write_text(text.replace(old, new))


def other(output: ImageOutput, *, what: str) -> tuple[str, str]:
    digest = output.config if what == "config" else output.layers[0]
    return digest, f"sha256:{'0' * 64}"


def test_a_lock_without_outputs_is_what_it_was_and_one_with_them_says_what_each_image_is(project: CatProject) -> None:
    project.lock.unlink()
    project.ok("lock", "--offline")
    plain = project.lock.read_text()
    assert "minor = 2" not in plain
    assert project.run("lock", "--images", "--check").status == 2
    assert project.lock.read_text() == plain
    project.ok("lock", "--images")
    for name in ("tool", "tools"):
        assert environment(project, name).outputs.keys() == environment(project, name).keys.keys() == {AMD, ARM}
    outputs = environment(project).outputs
    assert outputs[AMD].config != outputs[ARM].config
    assert project.ok("lock", "--images", "--check", "--offline").out.startswith("hatch.lock unchanged")
    assert project.ok("lock", "--check").out.startswith("hatch.lock unchanged"), "they stay"


def test_what_changed_is_no_longer_said_and_what_did_not_stays(project: CatProject) -> None:
    before = environment(project)
    project.edit('"pypi:lib"', '"pypi:lib<2"')
    said = project.ok("lock").err
    assert "the images of tools changed, and the lock no longer says what they are" in said
    assert environment(project, "tools").outputs == {}
    assert environment(project) == before
    assert "no longer" not in project.ok("lock").err, "it is told once"


def test_a_record_that_somebody_edited_is_noticed_by_all_who_look(project: CatProject) -> None:
    whole = project.lock.read_text()
    edited(project, *other(environment(project).outputs[AMD], what="config"))
    assert project.run("lock", "--images", "--check").status == 2
    assert project.run("lock", "--check").status == 0, "who does not assemble cannot know"
    done = project.run("verify", "tool", "--platform", AMD, "--platform", ARM)
    assert done.status == 2
    assert f"! image:tool {AMD}: its config is sha256:" in done.out
    assert f"= image:tool {ARM}: sha256:" in done.out
    before = project.root / "before.lock"
    before.write_text(whole)
    compared = project.ok("diff", str(before), str(project.lock)).out
    assert f"! env:tool image {AMD}: " in compared
    assert "(another image of the same input)" in compared
    project.ok("lock", "--images")
    assert project.lock.read_text() == whole


def test_export_refuses_an_image_that_the_lock_says_otherwise(project: CatProject) -> None:
    edited(project, *other(environment(project).outputs[AMD], what="layer"))
    assert f"! image:tool {AMD}: its layer python is sha256:" in project.run("verify", "tool", "--platform", AMD).out
    said = project.fails("export", "tool", "--to", "oci:out", "--platform", AMD).err
    assert "and the lock says sha256:" in said
    assert not (project.directory / "out").exists()


def test_what_the_store_lacks_is_said_and_not_fetched(fresh: CatProject) -> None:
    done = fresh.run("verify", "--platform", AMD)
    assert done.status == 1
    assert f"? image:tool {AMD}: the store lacks" in done.out
    assert "hint: `hatchlock fetch`" in done.err
    lines = fresh.lock.read_text().splitlines(keepends=True)
    fresh.lock.write_text("".join(line for line in lines if "outputs]" not in line and not line.startswith('"linux/')))
    fresh.ok("fetch", "--platform", AMD)
    done = fresh.ok("verify", "tool", "--platform", AMD)
    assert f"= image:tool {AMD}: sha256:" in done.out
    assert "nothing to compare it with: `hatchlock lock --images`" in done.out


def test_a_blob_that_was_damaged_is_a_difference_and_goes(project: CatProject) -> None:
    wheel = next(
        file for package in read_lock(project.lock).packages if package.name == "tool" for file in package.files
    )
    blob = project.store / "blobs" / "sha256" / wheel.sha256[:2] / wheel.sha256
    blob.chmod(0o600)
    blob.write_bytes(b"other")
    done = project.run("verify", "--platform", AMD)
    assert done.status == 2
    assert f"! image:tool {AMD}: " in done.out
    assert project.run("verify", "--platform", AMD).status == 1


def test_two_machines_agree_and_a_report_tells_where_they_do_not(
    project: CatProject, fresh: CatProject, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    report.write_text(project.ok("verify", "--json", "--platform", AMD, "--platform", ARM).out)
    document = json.loads(report.read_text())
    assert [(item["name"], item["platform"]) for item in document["images"]] == [
        (name, platform) for name in ("tool", "tools") for platform in (AMD, ARM)
    ]
    assert [layer["name"] for layer in document["images"][0]["layers"]] == ["python"]

    fresh.ok("fetch", "--all-platforms")
    words = ("verify", "--against", str(report), "--json")
    found = fresh.real(*words, umask=0o077, env={"TZ": "Asia/Tokyo"}).document
    assert set(states(found).values()) == {"same"}
    assert all(item["compared"] == ["lock", "report"] for item in found["findings"])
    assert found["images"] == document["images"]

    document["images"][0]["layers"][0]["diff_id"] = f"sha256:{'1' * 64}"
    gone = document["images"].pop()
    document["images"].append({**gone, "name": "stranger"})
    report.write_text(json.dumps(document))
    done = fresh.run("verify", "--against", str(report))
    assert done.status == 2
    assert f"! image:tool {AMD}: its layer python is sha256:" in done.out
    assert f"! image:tools {ARM}: the report says nothing of it" in done.out
    assert f"! image:stranger {ARM}: it is in the report, and not in the lock" in done.out
    assert fresh.run("verify", "tool", "--platform", ARM, "--against", str(report)).status == 0


def test_a_report_of_another_lock_is_told(project: CatProject, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(project.ok("verify", "--json", "--platform", AMD).out)
    project.edit("[servers.tool]", '[servers.tool]\nargs = ["-v"]')
    project.ok("lock", "--offline")
    done = project.ok("verify", "--against", str(report))
    assert "note: the report is of another lock, sha256:" in done.err
    project.edit('"pypi:lib"', '"pypi:lib<2"')
    project.ok("lock")
    project.ok("fetch", "--platform", AMD)
    done = project.run("verify", "--against", str(report))
    assert done.status == 2
    assert f"! image:tools {AMD}: its input key is " in done.out


def test_a_file_that_is_no_report_is_refused(project: CatProject, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert "there is no such file" in project.fails("verify", "--against", str(report)).err
    assert (
        "is no report that this hatchlock can read: it is a directory" in project.fails("verify", "--against", ".").err
    )
    for text in ("{", "[" * 100_000):
        report.write_text(text)
        said = project.fails("verify", "--against", str(report)).err
        assert "is no report that this hatchlock can read: it is no JSON" in said


def test_names_and_platforms_that_the_lock_does_not_have(project: CatProject) -> None:
    assert "did you mean 'tool'" in project.fails("verify", "tol").err
    assert project.run("verify", "--platform", "linux/riscv64").status == 1


def test_an_environment_of_processes_is_compared_with_what_was_installed(project: CatProject, index: Index) -> None:
    project.write(
        f'[project]\nname = "trial"\n\n[defaults]\nruntime = "process"\nisolation = "best-effort"\n\n'
        f'[indexes.pypi]\nurl = "{index.url}"\n\n[servers.tool]\nsource = "pypi:tool"\npython = "3.11"\n'
    )
    project.ok("lock")
    assert "· env:tool" in project.ok("verify").out
    project.run("apply", "--yes", "--no-probe")
    assert ": as it was installed, " in project.ok("verify").out
    (site,) = (project.store / "envs").glob("*/lib/python3.11/site-packages")
    module = site / "tool.py"
    kept = module.read_bytes()
    module.chmod(0o644)
    module.write_text("other = 1\n")
    done = project.run("verify")
    assert done.status == 2
    assert "its file lib/python3.11/site-packages/tool.py is not what was installed" in done.out
    assert "`hatchlock apply --replace env:tool` makes it anew" in done.err
    assert [item["hint"] for item in undamaged(project)] == ["hatchlock apply --replace env:tool"]
    (site.parents[2] / CONTENTS_NAME).unlink()
    module.write_bytes(kept)
    assert undamaged(project) == []
    done = project.run("verify")
    assert (done.status, done.out[0]) == (1, "?")
    assert "files of Python packages could be compared: it was built before" in done.out
    assert "`hatchlock apply --replace env:tool` makes it anew" in done.err
    assert project.run("env", "show", "tool", "--verify").status == 1


def undamaged(project: CatProject) -> list[dict[str, str]]:
    """What the audit finds of environments; that it does not pass is given."""
    (check,) = [item for item in project.run("audit", "--json").document["checks"] if item["id"] == "undamaged"]
    assert check["state"] in {"fail", "unknown"}
    found: list[dict[str, str]] = check["findings"]
    return found
