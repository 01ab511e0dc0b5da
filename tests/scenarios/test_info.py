"""`info SOURCE`: what is known of a source of each kind before it is added, asked on loopback; nothing of it is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hatchlock.digest import sha256_bytes
from support.conda_channel import CondaPackage, serving_channel, write_channel
from support.debian_archive import Deb, serving_debian
from support.fake_registry import MANIFEST, FakeRegistry, fake_registry
from support.git_server import Repository
from support.hatch_registry import HatchPackage, serving_hatch
from support.index import Release, serving
from support.mcp_registry import published, serving_mcp
from support.npm_registry import NpmRelease, serving_npm
from support.project import TrialProject, snapshot
from support.static_files import serving_files

TEN_DAYS_AGO = (datetime.now(UTC) - timedelta(days=10, hours=1)).isoformat()
HEADERS = (
    "License-Expression: Apache-2.0",
    "Author: Ada",
    "Project-URL: Source, https://git.example.com/ada/tool",
)
RELEASES = (
    Release(
        name="tool",
        version="1.4",
        requires=["httpx>=0.27", "rich ; extra == 'pretty'", "pywin32 ; sys_platform == 'win32'"],
        extras=["pretty"],
        scripts={"tool": "tool:main"},
        headers=HEADERS,
        uploaded=TEN_DAYS_AGO,
        requires_python=">=3.9",
    ),
    Release(name="tool", version="1.0", yanked="it lost files"),
    Release(name="tool", version="2.0b1"),
    Release(name="tool", version="1.5", tag="cp311-cp311-win_amd64"),
    Release(name="from-source", version="3.0", sdist=True),
)


@pytest.fixture
def outside(tmp_path: Path) -> TrialProject:
    """A directory without a manifest."""
    return TrialProject(tmp_path)


def facts(project: TrialProject, source: str, *words: str) -> dict[str, Any]:
    before = snapshot(project.directory)
    document = project.ok("info", source, "--json", *words).document
    assert document["format_version"] == 1
    assert snapshot(project.directory) == before
    return dict(document)


def with_python_index(root: Path, url: str) -> TrialProject:
    return TrialProject(root, UV_DEFAULT_INDEX=url)


# pypi:


def test_a_python_package_outside_of_any_project(tmp_path: Path) -> None:
    with serving(*RELEASES) as index:
        project = with_python_index(tmp_path, index.url)
        found = facts(project, "pypi:Tool[pretty]")
        plain = facts(project, "pypi:tool")
        told = project.ok("info", "pypi:tool").out
    wheel = next(item for item in RELEASES if item.version == "1.4")
    expected = {
        "source": "pypi:Tool[pretty]",
        "kind": "pypi",
        "name": "tool",
        "version": "1.4",
        "newest": "2.0b1",
        "releases": 4,
        "age_days": 10,
        "yanked": False,
        "licence": "Apache-2.0",
        "authors": "Ada",
        "repository": "https://git.example.com/ada/tool",
        "requires_python": ">=3.9",
        "requirements": ["httpx>=0.27", "rich"],
        "extras": ["pretty"],
        "scripts": {"tool": "tool:main"},
        "size": len(wheel.data),
        "sha256": sha256_bytes(wheel.data),
    }
    assert {key: found[key] for key in expected} == expected
    assert plain["requirements"] == ["httpx>=0.27"]
    assert "10 days ago" in told
    assert "Apache-2.0" in told


def test_a_yanked_version_says_why(tmp_path: Path) -> None:
    with serving(*RELEASES) as index:
        found = facts(with_python_index(tmp_path, index.url), "pypi:tool==1.0")
    assert (found["yanked"], found["yanked_reason"]) == (True, "it lost files")


def test_what_does_not_fit_this_machine_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with serving(*RELEASES) as index:
        project = with_python_index(tmp_path, index.url)
        assert "1.5 has no wheel for Python" in project.fails("info", "pypi:tool>=1.5,<2").err
        assert "3.0 is published as source only" in project.fails("info", "pypi:from-source").err
        assert "no package 'tool-that-is-not'" in project.fails("info", "pypi:tool-that-is-not").err
        assert "PEP 508" in project.fails("info", "pypi:tool==").err


def test_the_projects_own_index_is_asked(tmp_path: Path) -> None:
    with serving(*RELEASES) as index:
        text = f'[project]\nname = "acme"\n[indexes.pypi]\nurl = "{index.url}"\n'
        project = TrialProject(tmp_path, text, UV_DEFAULT_INDEX="http://127.0.0.1:9/simple/")
        assert facts(project, "pypi:tool")["version"] == "1.4"
    assert facts(project, "pypi:tool", "--offline")["version"] == "1.4"


def test_a_strangers_words_cannot_command_the_terminal(tmp_path: Path) -> None:
    release = Release(name="evil", version="1.0", headers=("Author: \x1b[2Jgone\u202e",))
    with serving(release) as index:
        told = with_python_index(tmp_path, index.url).ok("info", "pypi:evil").out
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "gone" in told


# npm:


def test_an_npm_package(tmp_path: Path) -> None:
    release = NpmRelease(
        name="@acme/tool",
        version="1.1.0",
        dependencies={"zod": "^4", "ajv": "8"},
        manifest={
            "bin": {"acme-tool": "./cli.js"},
            "license": "MIT",
            "author": "Ada",
            "repository": "github:acme/tool",
            "engines": {"node": ">=18"},
            "scripts": {"postinstall": "node -e 'process.exit(1)'"},
        },
        uploaded=TEN_DAYS_AGO,
        publisher="ada",
    )
    older = NpmRelease(name="@acme/tool", version="1.0.0", deprecated="use 1.1")
    with serving_npm(older, release) as registry:
        text = f'[project]\nname = "acme"\n[indexes.npm]\nurl = "{registry.url}"\n'
        project = TrialProject(tmp_path, text)
        found = facts(project, "npm:@acme/tool")
        deprecated = facts(project, "npm:@acme/tool@1.0.0")
        assert "no package '@acme/other'" in project.fails("info", "npm:@acme/other").err
        assert "no version of npm:@acme/tool@^9" in project.fails("info", "npm:@acme/tool@^9").err
        tarballs = registry.asked_for("/-/")
    expected = {
        "name": "@acme/tool",
        "version": "1.1.0",
        "newest": "1.1.0",
        "releases": 2,
        "age_days": 10,
        "deprecated": "",
        "licence": "MIT",
        "authors": "Ada",
        "publisher": "ada",
        "repository": "https://github.com/acme/tool",
        "requires_node": ">=18",
        "requirements": ["ajv@8", "zod@^4"],
        "install_script": True,
        "scripts": {"acme-tool": "cli.js"},
        "tags": {"latest": "1.1.0"},
        "sha512": release.sha512,
    }
    assert {key: found[key] for key in expected} == expected
    assert (deprecated["version"], deprecated["deprecated"]) == ("1.0.0", "use 1.1")
    assert tarballs == []


# oci:


@pytest.fixture
def images() -> Iterator[FakeRegistry]:
    with fake_registry() as server:
        yield server


def add_image(server: FakeRegistry, tag: str, platform: str, **run: Any) -> str:
    system, architecture = platform.split("/")
    config = {
        "os": system,
        "architecture": architecture,
        "created": TEN_DAYS_AGO,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]},
    }
    layers = [server.blob(b"a layer that nobody fetches")]
    return server.document(
        "team/app", tag, MANIFEST, {"config": server.blob(json.dumps(config).encode()), "layers": layers}
    )


def test_an_image(outside: TrialProject, images: FakeRegistry) -> None:
    labels = {
        "org.opencontainers.image.licenses": "MIT",
        "org.opencontainers.image.source": "https://git.example.com/x",
    }
    amd = add_image(images, "amd", "linux/amd64", Entrypoint=["/app"], Cmd=["--stdio"], User="65532", Labels=labels)
    arm = add_image(images, "arm", "linux/arm64", Entrypoint=["/app"], Cmd=["--stdio"], User="65532", Labels=labels)
    digest = images.index("team/app", "1", {"linux/amd64": amd, "linux/arm64": arm, "unknown/unknown": arm})
    found = facts(outside, f"oci:{images.address}/team/app:1")
    expected = {
        "name": f"{images.address}/team/app:1",
        "digest": digest,
        "platforms": ["linux/amd64", "linux/arm64"],
        "age_days": 10,
        "licence": "MIT",
        "repository": "https://git.example.com/x",
        "entrypoint": ["/app"],
        "command": ["--stdio"],
        "user": "65532",
        "layers": 1,
        "size": len(b"a layer that nobody fetches"),
        "labels": labels,
        "notes": [],
    }
    assert {key: found[key] for key in expected} == expected
    assert sum("/blobs/" in path for path in images.asked) == 1
    assert list((outside.store / "blobs").rglob("*")) == []


def test_an_image_of_another_platform_is_described_all_the_same(outside: TrialProject, images: FakeRegistry) -> None:
    add_image(images, "s390x", "linux/s390x")
    found = facts(outside, f"oci:{images.address}/team/app:s390x")
    assert found["platform"] == "linux/s390x"
    assert found["platforms"] == ["linux/s390x"]
    assert "names no user" in found["notes"][0]


def test_an_unknown_image_is_an_error(outside: TrialProject, images: FakeRegistry) -> None:
    assert "has no image" in outside.fails("info", f"oci:{images.address}/team/none:1").err


# path: and git:

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "Our_Server"
version = "0.3"
requires-python = ">=3.11"
license = "MIT"
dependencies = ["mcp>=1.2"]

[project.scripts]
our-server = "our_server:main"
"""
UV_LOCK = """\
version = 1
[[package]]
name = "mcp"
version = "1.9.4"
source = { registry = "https://index.example.com/simple" }
"""
FILES = {"pyproject.toml": PYPROJECT, "uv.lock": UV_LOCK, "our_server/__init__.py": "def main() -> None: ...\n"}


def check_project(found: dict[str, Any]) -> None:
    expected = {
        "name": "our-server",
        "version": "0.3",
        "ecosystem": "python",
        "needs_build": "",
        "licence": "MIT",
        "requires_python": ">=3.11",
        "requirements": ["pypi:mcp>=1.2"],
        "pins": 1,
        "scripts": {"our-server": "our_server:main"},
        "files": 3,
    }
    assert {key: found[key] for key in expected} == expected
    assert "pyproject.toml" in found["layout"]
    assert len(found["sha256"]) == 64


def test_a_directory(outside: TrialProject) -> None:
    for name, text in FILES.items():
        path = outside.directory / "server" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = facts(outside, "path:./server")
    check_project(found)
    assert facts(outside, "path:server", "-C", str(outside.directory))["sha256"] == found["sha256"]
    as_files = facts(outside, "path:./server#as=files")
    assert as_files["ecosystem"] == "files"
    assert "nowhere" in outside.fails("info", "path:./nowhere").err


def test_a_repository(outside: TrialProject, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    first = repository.commit({f"py/{name}": text for name, text in FILES.items()})
    repository.git("tag", "v1")
    repository.commit({"py/later.txt": "later"})
    found = facts(outside, f"git:{repository.url}@v1#subdirectory=py")
    check_project(found)
    assert found["commit"] == first
    assert found["tree"] == repository.git("rev-parse", f"{first}:py")
    assert found["ref"] == "v1"
    assert found["repository"] == repository.url
    assert list(outside.store.glob("cache/work-*")) == []
    assert "v2" in outside.fails("info", f"git:{repository.url}@v2").err


def test_nothing_of_a_project_is_run(outside: TrialProject) -> None:
    trap = outside.root / "ran"
    server = outside.directory / "server"
    server.mkdir()
    (server / "setup.py").write_text(f"open({str(trap)!r}, 'w')\nfrom setuptools import setup\nsetup(name='trap')\n")
    assert facts(outside, "path:./server")["name"] == "trap"
    assert not trap.exists()


# url:


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    served = tmp_path / "served"
    served.mkdir()
    with serving_files(served) as address:
        yield served, address


def test_a_program_by_its_address(outside: TrialProject, files: tuple[Path, str]) -> None:
    directory, url = files
    (directory / "tool-linux-amd64").write_bytes(b"#!/bin/sh\n")
    found = facts(outside, f"url:{url}/tool-linux-amd64")
    assert (found["name"], found["file"], found["archive"]) == ("tool", "tool-linux-amd64", False)
    assert (found["size"], found["sha256"]) == (10, sha256_bytes(b"#!/bin/sh\n"))


# hatch:, mcp:, deb:, conda:


def test_a_hatch_package_of_a_registry_and_of_a_directory(tmp_path: Path) -> None:
    kit = HatchPackage(
        name="kit",
        version="1.2.0",
        dependencies={"system": [{"name": "jq", "version_constraint": ">=1.6", "package_manager": "apt"}]},
        metadata={"contributors": [{"name": "Ben Example"}], "citations": {"origin": "a book"}},
    )
    with serving_hatch([HatchPackage(name="kit", version="1.0.0"), kit]) as registry:
        project = TrialProject(tmp_path, f'[project]\nname = "p"\n[indexes.hatch]\nurl = "{registry.index_url}"\n')
        found = facts(project, "hatch:kit>=1")
        assert "there is 1.2.0, 1.0.0" in project.fails("info", "hatch:kit>=2").err
        for name, content in kit.contents.items():
            (project.directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
        local = facts(project, "hatch:./")
    expected = {
        "name": "kit",
        "version": "1.2.0",
        "newest": "1.2.0",
        "releases": 2,
        "licence": "MIT",
        "authors": "Anna Example <anna@example.com>",
        "contributors": ["Ben Example"],
        "citations": ["origin: a book"],
        "publisher": "main",
        "submitted_by": "anna-example",
        "verification": "validated",
        "sha256": kit.sha256,
        "tools": ["greet"],
    }
    assert {key: found[key] for key in expected} == expected
    assert "deb:jq>=1.6" in found["requirements"]
    assert local["requirements"] == found["requirements"]
    assert "sha256" not in local


def test_an_entry_of_the_mcp_registry_says_what_it_would_be(tmp_path: Path) -> None:
    packages: list[dict[str, Any]] = [
        {"registryType": "oci", "identifier": "registry.example.com/acme/thing:1.0", "transport": {"type": "stdio"}},
        {
            "registryType": "pypi",
            "identifier": "acme-thing",
            "version": "1.0",
            "transport": {"type": "stdio"},
            "environmentVariables": [
                {"name": "ACME_KEY", "isRequired": True, "isSecret": True, "description": "The key"}
            ],
        },
    ]
    entry = published(packages=packages, status="deprecated", message="use acme/new")
    with serving_mcp(entry) as registry:
        project = TrialProject(tmp_path, f'[project]\nname = "p"\n[indexes.mcp]\nurl = "{registry.url}"\n')
        found = facts(project, "mcp:io.github.acme/thing")
        assert "no such" not in project.fails("info", "mcp:io.github.acme/other").err
    assert found["as_container"].startswith("oci:registry.example.com/acme/thing:1.0 (")
    assert found["as_process"].startswith("pypi:acme-thing==1.0 (")
    assert found["variables"] == {"ACME_KEY": "required, secret, The key"}
    assert (found["status"], found["notes"]) == (
        "deprecated",
        ["the registry says that it is deprecated: use acme/new"],
    )


def test_a_debian_package_of_the_declared_archive(tmp_path: Path) -> None:
    debs = [Deb(name="tool", version="1.5-2"), Deb(name="tool", version="1.6-1", suite="bookworm-updates")]
    with serving_debian(debs) as archive:
        (tmp_path / "keys.gpg").write_bytes(archive.keyring)
        text = (
            f'[project]\nname = "p"\n[indexes.debian]\nurl = "{archive.url}"\nsuite = "bookworm bookworm-updates"\n'
            f'keyring = "{tmp_path}/keys.gpg"\n'
        )
        project = TrialProject(tmp_path, text)
        found = facts(project, "deb:tool")
        older = facts(project, "deb:tool<<1.6")
        assert "there is 1.6-1, 1.5-2" in project.fails("info", "deb:tool>=2").err
        assert "'nothing'" in project.fails("info", "deb:nothing").err
    assert (found["version"], found["suite"], found["releases"]) == ("1.6-1", "debian/bookworm-updates", 2)
    assert (older["version"], older["suite"]) == ("1.5-2", "debian/bookworm")
    assert found["sha256"] == debs[1].sha256


def test_a_conda_package_of_the_declared_channel(tmp_path: Path) -> None:
    write_channel(tmp_path / "channel", [CondaPackage(name="tool", version="2.1", subdir="noarch")])
    with serving_channel(tmp_path / "channel") as channel:
        text = f'[project]\nname = "p"\n[indexes.conda]\nname = "acme"\nurl = "{channel.url}"\n'
        found = facts(TrialProject(tmp_path, text), "conda:tool>=2")
    assert (found["version"], found["publisher"], found["brings"]) == ("2.1", "acme", 0)


def test_what_is_no_source_is_refused(outside: TrialProject) -> None:
    assert "names no kind" in outside.fails("info", "tool").err
