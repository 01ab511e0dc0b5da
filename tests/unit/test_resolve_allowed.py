"""Permissions to build and to run scripts that are for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import Environment, Lock, Package
from hatchlock.resolve.allowed import idle_permissions
from support.locks import manifest_of, package

MANIFEST = """
[project]
name = "p"
platforms = ["linux/amd64"]

[environments.web]
dependencies = ["pypi:docopt", "npm:sharp", "path:./weather"]
"""
WEATHER = Package(
    kind=Kind.PATH, name="@acme/weather", version="1", ecosystem="node", source="path:./weather", location="./weather"
)
SHARP = Package(kind=Kind.NPM, name="sharp", version="1.0.0")
ENVIRONMENT = Environment(
    name="web",
    private=False,
    runtime="process",
    requirements=("npm:sharp", "path:./weather", "pypi:docopt"),
    packages=("npm:sharp@1.0.0", "path:@acme/weather@1", "pypi:docopt@1.0"),
    tree={"node_modules/sharp": "npm:sharp@1.0.0"},
)
LOCK = Lock(
    project="p",
    platforms=("linux/amd64",),
    packages=(SHARP, WEATHER, package("docopt")),
    environments=(ENVIRONMENT,),
)


NOTHING = "which is nothing in it that could be built"


def said(text: str) -> list[str]:
    return list(idle_permissions(manifest_of(MANIFEST + text), LOCK))


def test_what_an_environment_has_may_be_named_whether_it_is_built_or_not() -> None:
    assert said('allow-build = ["Docopt", "@acme/Weather"]\nallow-scripts = ["sharp"]') == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            'allow-build = ["docotp"]',
            f"allow-build names 'docotp', {NOTHING}; did you mean 'docopt'?",
        ),
        (
            'allow-build = ["@acme/wether"]',
            f"allow-build names '@acme/wether', {NOTHING}; did you mean '@acme/weather'?",
        ),
        (
            'allow-build = ["sharp"]',
            f"allow-build names 'sharp', {NOTHING}; for its install scripts write allow-scripts",
        ),
        (
            'allow-scripts = ["shrap"]',
            "allow-scripts names 'shrap', which is no npm package in it; did you mean 'sharp'?",
        ),
        ('allow-scripts = ["docopt"]', "allow-scripts names 'docopt', which is no npm package in it"),
    ],
)
def test_another_name_is_told_with_what_was_meant(text: str, what: str) -> None:
    assert said(text) == [f"env:web: {what}"]


def test_of_two_runtimes_one_may_be_without_it() -> None:
    text = """allow-build = ["docopt"]

[servers.one]
source = "pypi:docopt"
environment = "web"
runtime = "process"

[servers.two]
source = "npm:sharp"
environment = "web"
runtime = "container"
"""
    without = replace(ENVIRONMENT, runtime="container", packages=("npm:sharp@1.0.0",))
    lock = replace(LOCK, environments=(without, ENVIRONMENT))
    assert list(idle_permissions(manifest_of(MANIFEST + text), lock)) == []
