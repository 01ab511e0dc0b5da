from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import File, Lock, Package
from hatchlock.resolve.direct import normal_form
from hatchlock.resolve.sourced import source_reasons

HASH = "a" * 64
OTHER = "b" * 64
COMMIT = "c" * 40
URL = "https://example.com/dep-1.0-py3-none-any.whl"

PATH = Package(
    kind=Kind.PATH, name="p", version="1", source="path:./p", location="./p", files=(File(name="p.tar", sha256=HASH),)
)
GIT = Package(
    kind=Kind.GIT,
    name="g",
    version="1",
    source=f"git:https://example.com/a/g@{COMMIT}#subdirectory=x",
    location="https://example.com/a/g",
    commit=COMMIT,
    subdirectory="x",
)
PROGRAM = Package(
    kind=Kind.URL,
    name="u",
    version="1",
    source=f"url:linux/amd64=https://example.com/u#sha256={HASH}",
    files=(File(name="u", sha256=HASH, platform="linux/amd64"),),
)
WHEEL = Package(
    kind=Kind.PYPI,
    name="dep",
    version="1.0",
    source=f"pypi:dep @ {URL}#sha256={HASH}",
    location=URL,
    files=(File(name="dep-1.0-py3-none-any.whl", sha256=HASH),),
)
DEB = Package(kind=Kind.DEB, name="git", version="1", index="debian/x", location="pool/main/g/git")
PLAIN = Package(kind=Kind.PYPI, name="x", version="1", index="pypi")


def reasons(package: Package) -> list[str]:
    return [str(reason) for reason in source_reasons(Lock(project="p", platforms=(), packages=(package,)))]


@pytest.mark.parametrize(
    "package", [PATH, GIT, PROGRAM, WHEEL, PLAIN, DEB, replace(DEB, location=""), replace(DEB, location="binary")]
)
def test_what_lock_writes_is_where_its_requirement_says(package: Package) -> None:
    assert reasons(package) == []


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (replace(PATH, location="../elsewhere"), "path:p@1: has the directory ../elsewhere, and ./p is required"),
        (replace(GIT, location="https://example.com/evil/g"), "has the repository https://example.com/evil/g"),
        (replace(GIT, commit="d" * 40), "has the commit " + "d" * 40),
        (replace(GIT, subdirectory="y"), "has the subdirectory y, and x is required"),
        (replace(PROGRAM, files=(File(name="u", sha256=OTHER, platform="linux/amd64"),)), f"has the sha256 {OTHER}"),
        (replace(PROGRAM, files=(File(name="u", sha256=HASH, platform="linux/arm64"),)), "has a file for linux/arm64"),
        (replace(WHEEL, location="https://example.com/evil.whl"), "has the address https://example.com/evil.whl"),
        (replace(WHEEL, files=(File(name="dep-1.0-py3-none-any.whl", sha256=OTHER),)), f"has the sha256 {OTHER}"),
        (replace(PLAIN, location="https://example.com/evil.whl"), "names a place, and no requirement names that"),
        (replace(PLAIN, commit=COMMIT), "names a place, and no requirement names that"),
        (replace(DEB, location="../elsewhere"), "is at ../elsewhere, which is not below its archive"),
        (replace(DEB, location="/elsewhere"), "is at /elsewhere, which is not below its archive"),
        (replace(DEB, source="path:./p"), "cannot come from path:./p"),
        (replace(DEB, ecosystem="python"), "cannot be a project (python)"),
        (replace(PLAIN, kind=Kind.HATCH, ecosystem="python"), "cannot be a project (python)"),
        (replace(WHEEL, kind=Kind.CONDA), "is no wheel"),
        (replace(PATH, source="git:https://example.com/a/g"), "is no repository"),
        (replace(GIT, source="path:./p"), "is no directory"),
        (replace(PATH, source="npm:left-pad"), "cannot come from npm:left-pad"),
        (replace(GIT, source="git:https://user:secret@example.com/a/g"), "holds a user name or password"),
    ],
)
def test_a_lock_that_leads_elsewhere_is_told(package: Package, said: str) -> None:
    (found,) = reasons(package)
    assert said in found
    assert "secret" not in found


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("path:p", "path:./p"),
        ("path:./p/../q/", "path:./q"),
        ("path:/abs#as=node", "path:/abs#as=node"),
        ("git:git+https://example.com/a/g.git@main", "git:https://example.com/a/g.git@main"),
        ("pypi:Some.Name>=1", "pypi:some-name>=1"),
        ("npm:zod@^4", "npm:zod@^4"),
    ],
)
def test_one_meaning_has_one_spelling(text: str, normal: str) -> None:
    assert normal_form(text) == normal
    assert normal_form(normal) == normal
