"""`outdated` of Hatch packages, entries of the MCP registry, images that are depended on, Debian and conda packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hatchlock.engines.process import host_platform
from support.cats import CatProject
from support.conda_channel import CondaPackage, serving_channel, write_channel
from support.debian_archive import Deb, serving_debian
from support.fake_registry import fake_registry
from support.hatch_registry import HatchPackage, serving_hatch
from support.index import serving
from support.mcp_registry import published, serving_mcp
from support.project import server_release
from support.pythons import FULL, MINOR

HEAD = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
isolation = "best-effort"
"""


def project(root: Path, *lines: str) -> CatProject:
    made = CatProject(root, "\n".join([HEAD.format(platform=host_platform()), *lines, ""]))
    made.ok("lock")
    return made


def found(trial: CatProject, *words: str, status: int = 0) -> dict[str, dict[str, Any]]:
    done = trial.run("outdated", "--json", *words)
    assert done.status == status, done.said
    return {item["what"]: item for item in done.document["packages"]}


def versions(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["current"], item["compatible"], item["newest"]


def kit(version: str, **other: Any) -> HatchPackage:
    files = {"server.py": "", "wrapper.py": "from server import mcp\n"}
    return HatchPackage(name="kit", version=version, files=files, metadata={"tools": []}, **other)


def test_a_newer_hatch_package_that_the_manifest_allows_and_one_that_it_does_not(tmp_path: Path) -> None:
    with serving_hatch(kit("1.0.0")) as registry:
        where = ("[indexes.hatch]", f'url = "{registry.index_url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[environments.tools]", 'dependencies = ["hatch:kit>=1.0,<=2.0"]')
        assert found(trial, "--check") == {}
        registry.packages += [
            kit("1.5.0"),
            kit("3.0.0"),
            kit("4.0.0", entry={"verification": {"status": "deprecated"}}),
        ]
        item = found(trial, "--check", status=2)["hatch:kit"]
        assert versions(item) == ("1.0.0", "1.5.0", "3.0.0")
        assert item["held_by"] == ["kit<=2.0,>=1.0 by the manifest"]
        assert (item["state"], item["environments"]) == ("", ["tools"])


def test_a_hatch_package_that_wants_another_python_is_held_back_by_that(tmp_path: Path) -> None:
    with serving_hatch(kit("1.0.0")) as registry:
        where = ("[indexes.hatch]", f'url = "{registry.index_url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[environments.tools]", 'dependencies = ["hatch:kit"]')
        registry.packages += [kit("1.1.0"), kit("2.0.0", entry={"compatibility_changes": {"python": ">=3.99"}})]
        item = found(trial)["hatch:kit"]
        assert versions(item) == ("1.0.0", "1.1.0", "2.0.0")
        assert item["held_by"] == ["kit 2.0.0 needs Python >=3.99"]


def test_a_hatch_package_that_its_registry_calls_deprecated_or_has_no_more(tmp_path: Path) -> None:
    with serving_hatch(kit("1.0.0")) as registry:
        where = ("[indexes.hatch]", f'url = "{registry.index_url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[environments.tools]", 'dependencies = ["hatch:kit"]')
        registry.packages[0] = kit("1.0.0", entry={"verification": {"status": "deprecated", "notes": "use kit_two"}})
        item = found(trial)["hatch:kit"]
        assert (item["state"], item["reason"], item["newest"]) == ("deprecated", "use kit_two", "1.0.0")
        registry.packages[0] = kit("0.9.0")
        assert found(trial)["hatch:kit"]["state"] == "gone"
        registry.packages.clear()
        assert found(trial)["hatch:kit"]["state"] == "gone"


def entry(version: str, **other: Any) -> dict[str, Any]:
    package = {"registryType": "pypi", "identifier": "tiny-server", "version": "1.0"}
    return published("io.github.acme/tiny", version, packages=[package], **other)


@pytest.mark.parametrize("source", ["mcp:io.github.acme/tiny", "mcp:io.github.acme/tiny@1.0.0"])
def test_a_newer_version_of_an_entry_is_held_back_by_an_exact_one(tmp_path: Path, source: str) -> None:
    with serving(server_release(tmp_path / "wheels")) as index, serving_mcp(entry("1.0.0")) as registry:
        where = ("[indexes.pypi]", f'url = "{index.url}"', "[indexes.mcp]", f'url = "{registry.url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[servers.tiny]", f'source = "{source}"')
        assert found(trial, "--check") == {}
        registry.entries = [entry("1.0.0", latest=False), entry("1.2.0", day=2)]
        item = found(trial)["mcp:io.github.acme/tiny"]
        is_exact = source.endswith("@1.0.0")
        assert versions(item) == ("1.0.0", "1.0.0" if is_exact else "1.2.0", "1.2.0")
        assert item["held_by"] == ([f"{source} by the manifest"] if is_exact else [])
        assert item["environments"] == ["server:tiny"]


def test_an_entry_that_was_deprecated_or_deleted_since(tmp_path: Path) -> None:
    with serving(server_release(tmp_path / "wheels")) as index, serving_mcp(entry("1.0.0")) as registry:
        where = ("[indexes.pypi]", f'url = "{index.url}"', "[indexes.mcp]", f'url = "{registry.url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[servers.tiny]", 'source = "mcp:io.github.acme/tiny"')
        for status in ("deprecated", "deleted"):
            registry.entries = [entry("1.0.0", status=status, message="use \x1b[1mother")]
            item = found(trial, "--check", status=2)["mcp:io.github.acme/tiny"]
            assert (item["state"], item["reason"]) == (status, "use \x1b[1mother")
            assert f"{status}: use \\x1b[1mother" in trial.ok("outdated").out
        registry.entries = []
        assert found(trial)["mcp:io.github.acme/tiny"]["state"] == "deleted"
        registry.failures["*"] = 1_000
        assert found(trial, "--refresh", status=1)["mcp:io.github.acme/tiny"]["state"] == "unknown"


def test_images_within_bounds_by_their_tags_and_exact_ones_as_always(tmp_path: Path) -> None:
    with fake_registry() as images:
        for tag in ("1.0.0", "1.2.0"):
            images.image("team/store", tag, layers=[b"one"])
        images.image("team/exact", "1.0.0", layers=[b"one"])
        name = f"{images.address}/team"
        wanted = f'dependencies = ["oci:{name}/store>=1,<2", "oci:{name}/exact:1.0.0"]'
        trial = project(tmp_path, "[environments.tools]", wanted)
        assert found(trial, "--check") == {}
        for tag in ("1.3.0", "2.1.0", "latest"):
            images.image("team/store", tag, layers=[b"one"])
        images.image("team/exact", "1.1.0", layers=[b"one"])
        items = found(trial)
        assert list(items) == [f"oci:{name}/store"]
        item = items[f"oci:{name}/store"]
        assert versions(item) == ("1.2.0", "1.3.0", "2.1.0")
        assert item["held_by"] == [f"{name}/store<2,>=1 by the manifest"]


def test_debian_packages_against_the_candidate_of_their_suites(tmp_path: Path) -> None:
    def alpha(version: str) -> Deb:
        return Deb(name="alpha", version=version, architecture="all", files={"usr/share/alpha": version})

    with serving_debian() as archive:
        archive.debs[:] = [alpha("1.0-1")]
        where = (
            "[indexes.debian]",
            f'url = "{archive.url}"',
            'suite = "bookworm"',
            'keyring = "archive.gpg"',
            'ttl = "0s"',
        )
        (tmp_path / "project").mkdir()
        (tmp_path / "project" / "archive.gpg").write_bytes(archive.keyring)
        trial = project(tmp_path, *where, "[environments.tools]", 'dependencies = ["deb:alpha<<2"]')
        assert found(trial, "--check") == {}
        archive.debs[:] = [alpha("1.0-1"), alpha("1.0-2"), alpha("2.0-1")]
        item = found(trial)["deb:alpha"]
        assert versions(item) == ("1.0-1", "1.0-2", "2.0-1")
        assert item["held_by"] == ["alpha<<2 by the manifest"]
        archive.debs[:] = [alpha("1.0-2")]
        item = found(trial)["deb:alpha"]
        assert (item["state"], item["newest"], item["held_by"]) == ("gone", "1.0-2", [])


def test_conda_packages_against_what_would_be_solved_now(tmp_path: Path) -> None:
    def tool(version: str) -> CondaPackage:
        return CondaPackage(name="tool", version=version, noarch="generic", depends=["lib"])

    lib = CondaPackage(name="lib", version="1.0", noarch="generic")
    root = write_channel(tmp_path / "channels" / "main", [tool("1.0"), lib])
    with serving_channel(root) as channel:
        where = ("[indexes.conda]", 'name = "main"', f'url = "{channel.url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[environments.tools]", 'dependencies = ["conda:tool<3"]')
        assert found(trial, "--check") == {}
        write_channel(root, [tool("1.1"), tool("3.0"), CondaPackage(name="lib", version="1.1", noarch="generic")])
        assert versions(found(trial, "--refresh")["conda:tool"]) == ("1.0=0", "1.1=0", "1.1=0")
        assert sorted(found(trial, "--all", "--refresh")) == ["conda:lib", "conda:tool"]


def test_the_interpreter_of_conda_is_a_package_too(tmp_path: Path) -> None:
    def python(version: str) -> CondaPackage:
        return CondaPackage(name="python", version=version, noarch="generic", build="0_cpython")

    root = write_channel(tmp_path / "channels" / "main", [python(FULL)])
    with serving_channel(root) as channel:
        where = ("[indexes.conda]", 'name = "main"', f'url = "{channel.url}"', 'ttl = "0s"')
        trial = project(tmp_path, *where, "[environments.tools]", f'dependencies = ["conda:python={MINOR}"]')
        write_channel(root, [python(f"{MINOR}.99")])
        assert found(trial, "--refresh")["conda:python"]["newest"] == f"{MINOR}.99=0_cpython"
