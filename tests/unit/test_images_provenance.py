"""Statements about images: the form that in-toto and SLSA ask for, package URLs of every kind, always the same bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock import __version__
from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.assemble import Composed
from hatchlock.images.provenance import BUILD_TYPE
from hatchlock.images.purl import image_url, package_url
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_parts import ModuleSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_spec import ImageSpec
from hatchlock.resources.provenance import provenance
from support.locks import image
from support.source_tree import ROOT

BASE = image("registry.example.com/team/python:3.11", "linux/amd64").platforms["linux/amd64"]
WHEEL = Artefact(package="pypi:demo@1.0", name="demo-1.0-py3-none-any.whl", digest="a" * 64, size=10)
MODULE = Artefact(package="npm:@acme/tool@2.0.0", name="tool-2.0.0.tgz", digest="b" * 128, size=10)
DEB = Artefact(package="deb:git@1:2.39.5-0+deb12u2", name="git_2.39.5-0+deb12u2_amd64.deb", digest="c" * 64, size=10)
SPEC = ImageSpec(
    server="web",
    reference="registry.example.com/team/python:3.11",
    platform="linux/amd64",
    key="f" * 64,
    base=BASE,
    debs=(DEB,),
    environment=EnvSpec(
        name="shared",
        python="/usr/bin/python3.11",
        python_version="3.11.2",
        wheels=(WHEEL,),
        modules=tuple(ModuleSpec(path=path, artefact=MODULE) for path in ("node_modules/tool", "node_modules/x")),
    ),
)
IMAGE = Composed(config=b"{}", below=(), above=(ArchiveLayer(diff_id="sha256:1", path=None),))


def made(spec: ImageSpec = SPEC, *, composed: Composed = IMAGE) -> bytes:
    return provenance(spec, project="acme", lock_digest="d" * 64, image=composed)


def test_a_statement_says_what_image_it_is_about_and_what_that_follows_from() -> None:
    statement = json.loads(made())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"] == [
        {"name": "shared", "digest": {"sha256": IMAGE.config_digest.removeprefix("sha256:")}}
    ]
    predicate = statement["predicate"]
    definition = predicate["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"] == {
        "project": "acme",
        "environment": "shared",
        "platform": "linux/amd64",
        "lock": {"sha256": "d" * 64},
    }
    assert definition["internalParameters"] == {"assembler": 1, "key": "f" * 64}
    assert predicate["runDetails"]["builder"]["version"] == {"hatchlock": __version__}
    assert predicate["runDetails"].keys() == {"builder"}, "no times"


def test_the_base_comes_first_and_each_file_once_by_its_stronger_hash() -> None:
    base, *files = json.loads(made())["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert base["digest"] == {"sha256": BASE.digest.removeprefix("sha256:")}
    assert base["uri"].startswith("pkg:oci/python@sha256:")
    assert [(item["uri"], item["digest"]) for item in files] == [
        ("pkg:deb/debian/git@1:2.39.5-0%2Bdeb12u2?arch=amd64", {"sha256": "c" * 64}),
        ("pkg:npm/%40acme/tool@2.0.0", {"sha512": "b" * 128}),
        ("pkg:pypi/demo@1.0", {"sha256": "a" * 64}),
    ]


def test_it_is_the_same_whether_the_layers_were_written_or_not() -> None:
    written = replace(IMAGE, above=(ArchiveLayer(diff_id="sha256:1", path=Path("/x")),))
    assert made() == made(composed=written)
    assert made() != made(replace(SPEC, key="e" * 64))


@pytest.mark.parametrize(
    ("package", "file", "url"),
    [
        ("pypi:Typing_Extensions@4.0+local.1", "", "pkg:pypi/typing-extensions@4.0%2Blocal.1"),
        ("npm:zod@4.1.0", "", "pkg:npm/zod@4.1.0"),
        ("npm:@scope/name@1.0.0-rc.1", "", "pkg:npm/%40scope/name@1.0.0-rc.1"),
        ("deb:libc6@2.36-9+deb12u10", "libc6_2.36-9_arm64.deb", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=arm64"),
        ("conda:python@3.11.9=h955_0", "python-3.11.9-h955_0.conda", "pkg:conda/python@3.11.9?build=h955_0&type=conda"),
        ("conda:zlib@1=0", "zlib-1-0.tar.bz2", "pkg:conda/zlib@1?build=0&type=tar.bz2"),
        ("path:weather@0.3+s5c6d", "", "pkg:generic/weather@0.3%2Bs5c6d"),
        ("hatch:weather_kit@1.2.0", "", "pkg:generic/weather_kit@1.2.0"),
        ("url:tool@1", "", "pkg:generic/tool@1"),
    ],
)
def test_package_urls(package: str, file: str, url: str) -> None:
    assert package_url(package, file=file) == url


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        (
            "registry.example.com:5000/team/Python".lower(),
            "pkg:oci/python@sha256:1?arch=amd64&repository_url=registry.example.com:5000%2Fteam%2Fpython",
        ),
        ("python:3.11-slim", "pkg:oci/python@sha256:1?arch=amd64&repository_url=python&tag=3.11-slim"),
        ("./images/base:3.11", "pkg:oci/base@sha256:1?arch=amd64&tag=3.11"),
        ("docker-daemon:mine/base:1", "pkg:oci/base@sha256:1?arch=amd64&tag=1"),
    ],
)
def test_package_urls_of_images(reference: str, url: str) -> None:
    assert image_url(reference, digest="sha256:1", platform="linux/amd64") == url


def test_the_build_type_is_documented() -> None:
    text = (ROOT / "docs" / "reference" / "provenance.md").read_text()
    assert f"`{BUILD_TYPE}`" in text
    definition = json.loads(made())["predicate"]["buildDefinition"]
    for kind in ("externalParameters", "internalParameters"):
        assert all(f"`{kind}.{name}`" in text for name in definition[kind])
