"""A lock with something of every kind: whether it holds together, is fresh, and what its graph shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import Archive, Environment, File, Lock, Package, Server
from hatchlock.lock.store import dumps, loads
from hatchlock.resolve.consistent import inconsistencies
from hatchlock.resolve.freshness import stale_reasons
from hatchlock.resolve.graph import render_tree, render_why, tree, why
from hatchlock.resolve.sourced import source_reasons
from support.locks import image, manifest_of

LINUX = "linux/amd64"
SUITE = "debian/bookworm"
ARCHIVE = Archive(name=SUITE, suite="bookworm", date="2026-01-01T00:00:00Z", sha256="a" * 64, keys=("F" * 40,))
BASE = "base.example.com/python:3.11"


def package(kind: Kind, name: str, version: str, *needs: str, **fields: Any) -> Package:
    file = File(name=f"{name.rpartition('/')[2]}.zip", sha256="b" * 64, size=1)
    usual = {"index": str(kind), "files": (file,), "dependencies": needs}
    return Package(kind=kind, name=name, version=version, **{**usual, **fields})


def debian(name: str, version: str, *needs: str, **fields: Any) -> Package:
    return package(Kind.DEB, name, version, *needs, index=SUITE, location=f"pool/main/{name[0]}/{name}", **fields)


A = package(Kind.PYPI, "a", "1.0", scripts={"a": "a:main"})
LIBZ = package(Kind.CONDA, "libz", "1.3=0")
GIT = debian("git", "1:2.39-1", "deb:libcurl>=7")
LIBCURL = debian("libcurl", "7.88-1")
EXIM = debian("exim", "4.96-1", provides=("deb:mail-transport-agent",))
DB = Package(kind=Kind.OCI, name="db", version="16.2", location="db:16.2")
DEEP = package(Kind.HATCH, "deep_kit", "1.1.0", "conda:libz", "pypi:a>=1", publisher="main")
TOP = package(
    Kind.HATCH, "top_kit", "2.0.0", "deb:mail-transport-agent", "hatch:deep_kit>=1.0", "oci:db>=16", publisher="main"
)
KIT = package(
    Kind.HATCH,
    "kit",
    "1.0.0+s123456789abc",
    "pypi:a",
    index="",
    source="hatch:./kit",
    location="./kit",
    source_class="local",
)
ENTRY = package(Kind.MCP, "com.example/s", "1.0.0", "pypi:a", source="mcp:com.example/s")
PACKAGES = (LIBZ, EXIM, GIT, LIBCURL, DEEP, KIT, TOP, ENTRY, DB, A)
TEXTS = ("conda:libz<2", "deb:git>=1:2", "hatch:./kit>=1", "hatch:top_kit>=1", "pypi:a")
MANIFEST = """\
[project]
name = "p"
platforms = ["linux/amd64"]

[environments.e]
python = "3.11"
dependencies = ["conda:libz<2", "deb:git>=1:2", "hatch:./kit>=1", "hatch:top_kit>=1"]

[servers.s]
source = "mcp:com.example/s"
environment = "e"
runtime = "process"
"""


def lock(*packages: Package, **environment: Any) -> Lock:
    """Return a lock with these packages, in place of those of their kind and name."""
    here = {(item.kind, item.name): item for item in (*PACKAGES, *packages)}
    kept = tuple(sorted(here.values(), key=lambda item: item.id))
    return holding(kept, **environment)


def without(gone: Package) -> Lock:
    return holding(tuple(item for item in PACKAGES if item is not gone))


def holding(packages: tuple[Package, ...], **fields: Any) -> Lock:
    usual: dict[str, Any] = {
        "name": "e",
        "private": False,
        "runtime": "process",
        "python": "3.11",
        "requirements": TEXTS,
        "packages": tuple(sorted(item.id for item in packages if item.kind is not Kind.MCP)),
    }
    environment = Environment(**{**usual, **fields})
    references = [item.location for item in packages if item.kind is Kind.OCI]
    return Lock(
        project="p",
        platforms=(LINUX,),
        packages=packages,
        archives=(ARCHIVE,),
        images=tuple(image(reference, LINUX) for reference in references),
        environments=(environment,),
        servers=(Server(name="s", source="mcp:com.example/s", runtime="process", environment="e", command=("a",)),),
    )


def reasons(found: Lock) -> list[str]:
    return list(map(str, inconsistencies(found)))


def stale(old: str = "", new: str = "", found: Lock | None = None) -> list[str]:
    assert old in MANIFEST
    return [str(reason) for reason in stale_reasons(manifest_of(MANIFEST.replace(old, new)), found or lock())]


# whether it holds together


def test_a_lock_of_every_kind_holds_together_and_survives_its_file() -> None:
    assert reasons(lock()) == []
    assert loads(dumps(lock()).encode()) == lock()


def test_what_a_newer_hatchlock_says_of_archives_and_entries_is_passed_over() -> None:
    first, _, rest = dumps(lock()).partition("minor = 1\n")
    text = f"{first}minor = 9\n{rest}"
    for table in ("[[archive]]", "[[package]]"):
        assert table in text
        text = text.replace(table, f"{table}\nmood = {{ is = [1] }}")
    warnings: list[str] = []
    assert loads(text.encode(), warn=warnings.append) == lock()
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (LIBZ, "env:e: hatch:deep_kit@1.1.0 requires conda:libz, which is missing"),
        (LIBZ, "env:e: requires conda:libz<2, which is missing"),
        (GIT, "env:e: requires deb:git>=1:2, which is missing"),
        (LIBCURL, "env:e: deb:git@1:2.39-1 requires deb:libcurl>=7, which is missing"),
        (DEEP, "env:e: hatch:top_kit@2.0.0 requires hatch:deep_kit>=1.0, which is missing"),
        (TOP, "env:e: requires hatch:top_kit>=1, which is missing"),
        (KIT, "env:e: requires hatch:./kit>=1, which is missing"),
        (DB, "env:e: hatch:top_kit@2.0.0 requires oci:db>=16, which is missing"),
        (ENTRY, "server:s: is mcp:com.example/s, which is not among the packages"),
    ],
)
def test_what_is_missing_of_any_kind_is_told(gone: Package, said: str) -> None:
    assert said in reasons(without(gone))


@pytest.mark.parametrize(
    "more",
    [
        package(Kind.CONDA, "zlib", "1.3=0"),
        debian("curl", "7.88-1"),
        package(Kind.HATCH, "other_kit", "1.0.0"),
        Package(kind=Kind.OCI, name="redis", version="7.4", location="redis:7.4"),
    ],
)
def test_what_nothing_requires_of_any_kind_is_told(more: Package) -> None:
    assert reasons(lock(more)) == [f"env:e: has {more.id}, which nothing in it requires"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(GIT, version="1.9-1"), "has deb:git@1.9-1, but requires deb:git>=1:2"),
        (replace(LIBCURL, version="6.0"), "has deb:libcurl@6.0, but deb:git@1:2.39-1 requires deb:libcurl>=7"),
        (replace(DEEP, version="0.9.0"), "but hatch:top_kit@2.0.0 requires hatch:deep_kit>=1.0"),
        (replace(TOP, version="0.1.0"), "has hatch:top_kit@0.1.0, but requires hatch:top_kit>=1"),
        (replace(KIT, version="0.9.0+s1"), "has hatch:kit@0.9.0+s1, but requires hatch:./kit>=1"),
        (
            replace(DB, version="15.1", location="db:15.1"),
            "has oci:db@15.1, but hatch:top_kit@2.0.0 requires oci:db>=16",
        ),
    ],
)
def test_a_version_that_somebody_excludes_is_told(other: Package, said: str) -> None:
    (found,) = reasons(lock(other))
    assert said in found


def test_a_hatch_package_of_another_repository_is_none_of_that() -> None:
    texts = ("hatch:lab:top_kit", *(text for text in TEXTS if "top_kit" not in text))
    (said,) = reasons(lock(requirements=texts))
    assert said == "env:e: has hatch:top_kit@2.0.0, but requires hatch:lab:top_kit"


def test_what_is_provided_is_there_and_what_provides_it_is_needed() -> None:
    (said,) = reasons(lock(replace(EXIM, provides=())))[:1]
    assert said == "env:e: has deb:exim@4.96-1, which nothing in it requires"


def test_what_a_base_has_of_debian_need_not_be_in_the_lock() -> None:
    here = image(BASE, LINUX)
    base = replace(here, platforms={LINUX: replace(here.platforms[LINUX], packages=("deb:git@1:2.45-1",))})
    packages = tuple(item for item in PACKAGES if item.name not in {"git", "libcurl"})

    def on_base(found: str) -> list[str]:
        platform = replace(base.platforms[LINUX], packages=(found,) if found else ())
        made = holding(packages, runtime="container", base=BASE)
        servers = (replace(made.servers[0], runtime="container"),)
        images = (*made.images, replace(base, platforms={LINUX: platform}))
        return reasons(replace(made, images=images, servers=servers))

    assert on_base("deb:git@1:2.45-1") == []
    assert on_base("deb:git@1:1.0-1") == [
        "env:e: has git 1:1.0-1 in its base, but requires deb:git>=1:2, which is missing"
    ]
    assert on_base("") == ["env:e: requires deb:git>=1:2, which is missing"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"archives": ()}, f"project: has packages of {SUITE}, which is not among the archives"),
        (
            {"archives": (ARCHIVE, replace(ARCHIVE, name="debian/sid"))},
            "project: has debian/sid, of which nothing is",
        ),
        (
            {"images": (image("db:16.2", LINUX), image("redis:7", LINUX))},
            "project: has the image redis:7, which nothing uses",
        ),
    ],
)
def test_archives_and_images_are_those_that_are_used(change: dict[str, Any], said: str) -> None:
    assert reasons(replace(lock(), **change)) == [said]


# where things are


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (replace(GIT, location="../../etc"), "is at ../../etc, which is not below its archive"),
        (replace(GIT, location="pool/../../etc"), "is at pool/../../etc, which is not below its archive"),
        (replace(GIT, location="pool//x"), "is at pool//x, which is not below its archive"),
        (replace(GIT, location="/etc"), "is at /etc, which is not below its archive"),
        (replace(DB, location="evil:16.2"), "has the image evil:16.2, and db:16.2 is required"),
        (replace(DB, location="db:17"), "has the image db:17, and db:16.2 is required"),
        (replace(KIT, location="../elsewhere"), "has the directory ../elsewhere, and ./kit is required"),
        (replace(TOP, location="./kit"), "names a place, and no requirement names that"),
        (replace(TOP, source="path:./kit"), "is no directory"),
        (replace(A, source="hatch:./kit"), "is no Hatch package"),
        (replace(A, source="mcp:com.example/s"), "is not the entry com.example/s"),
        (replace(ENTRY, name="com.example/evil"), "is not the entry com.example/s"),
        (replace(LIBZ, location="https://example.com/libz.conda"), "names a place, and no requirement names that"),
    ],
)
def test_a_lock_that_leads_elsewhere_is_told(package: Package, said: str) -> None:
    (reason,) = source_reasons(Lock(project="p", platforms=(), packages=(package,)))
    assert str(reason) == f"{package.id}: {said}"


@pytest.mark.parametrize("package", PACKAGES)
def test_what_lock_writes_is_where_it_belongs(package: Package) -> None:
    assert list(source_reasons(Lock(project="p", platforms=(), packages=(package,)))) == []


# whether it is fresh


def test_it_satisfies_its_manifest_and_bounds_may_move_around_what_is_locked() -> None:
    assert stale() == []
    for old, new in (
        ("deb:git>=1:2", "deb:git>=1:2.30"),
        ("hatch:top_kit>=1", "hatch:top_kit>=2,<3"),
        ("hatch:./kit>=1", "hatch:./kit"),
        ("hatch:top_kit>=1", "hatch:main:top_kit"),
    ):
        assert stale(old, new) == [], new


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("deb:git>=1:2", "deb:git>=1:3", "requires deb:git>=1:3, the lock has 1:2.39-1"),
        ("deb:git>=1:2", "deb:curl", "requires deb:curl, which is not in the lock"),
        ("deb:git>=1:2", "deb:curl", "does not require git any more"),
        ("hatch:top_kit>=1", "hatch:top_kit>=3", "requires hatch:top_kit>=3, the lock has 2.0.0"),
        ("hatch:top_kit>=1", "hatch:lab:top_kit", "requires hatch:lab:top_kit, the lock has 2.0.0"),
        ("hatch:top_kit>=1", "hatch:more_kit", "requires hatch:more_kit, which is not in the lock"),
        ("hatch:./kit>=1", "hatch:./other", "requires hatch:./other, which is not in the lock"),
        ("hatch:./kit>=1", "hatch:kit", "requires hatch:kit, which is not in the lock"),
        ("hatch:./kit>=1", "hatch:./kit>=2", "requires hatch:./kit>=2, the lock has 1.0.0+s123456789abc"),
        ("conda:libz<2", "conda:libz<3", "requires conda:libz<3, the lock was made for another requirement"),
        ("conda:libz<2", "conda:zlib", "requires conda:zlib, which is not in the lock"),
        ('"deb:git>=1:2"', '"deb:git>=1:2", "oci:db:17"', "requires oci:db:17, the lock has 16.2"),
        ('"deb:git>=1:2"', '"deb:git>=1:2", "oci:redis:7"', "requires oci:redis:7, which is not in the lock"),
    ],
)
def test_what_changed_of_any_kind_is_a_reason(old: str, new: str, said: str) -> None:
    assert f"env:e: {said}" in stale(old, new)


def test_what_lies_in_a_directory_never_stands_for_a_name() -> None:
    both = '"hatch:./kit>=1", "hatch:kit"'
    assert stale('"hatch:./kit>=1"', both) == ["env:e: requires hatch:kit, which is not in the lock"]
    (said,) = reasons(lock(requirements=(*TEXTS, "hatch:kit")))
    assert said == "env:e: requires hatch:kit, which is missing"


def test_another_entry_is_a_reason() -> None:
    assert "server:s: is mcp:com.example/t, which is not in the lock" in stale("mcp:com.example/s", "mcp:com.example/t")


def test_what_another_index_serves_now_is_a_reason() -> None:
    table = '\n[indexes.debian]\nname = "acme"\nurl = "https://deb.example.com"\n'
    said = stale("[servers.s]", f"{table}\n[servers.s]")
    assert "deb:git: is served by the index acme, the lock took it from debian/bookworm" in said
    channels = '\n[[indexes.conda]]\nname = "conda"\n[[indexes.conda]]\nname = "bioconda"\n'
    assert stale("[servers.s]", f"{channels}\n[servers.s]") == []
    said = stale("[servers.s]", '\n[indexes.hatch]\nname = "acme"\n[servers.s]')
    assert any(text.startswith("hatch:top_kit: is served by the index acme") for text in said)


# its graph


def test_a_tree_goes_across_kinds() -> None:
    shown = render_tree(tree(lock(), lock().environment("e", "process"), LINUX))
    assert shown.splitlines() == [
        "env:e",
        "├─ conda:libz@1.3=0  (conda:libz<2)",
        "├─ deb:git@1:2.39-1  (deb:git>=1:2)",
        "│  └─ deb:libcurl@7.88-1  (deb:libcurl>=7)",
        "├─ hatch:kit@1.0.0+s123456789abc  (hatch:./kit>=1)",
        "│  └─ pypi:a@1.0  (a)",
        "├─ hatch:top_kit@2.0.0  (hatch:top_kit>=1)",
        "│  ├─ deb:exim@4.96-1  (deb:mail-transport-agent)",
        "│  ├─ hatch:deep_kit@1.1.0  (hatch:deep_kit>=1.0)",
        "│  │  ├─ conda:libz@1.3=0  (conda:libz)",
        "│  │  └─ pypi:a@1.0  (a>=1)",
        "│  └─ oci:db@16.2  (oci:db>=16)",
        "└─ mcp:com.example/s@1.0.0  (mcp:com.example/s)",
        "   └─ pypi:a@1.0  (a)",
    ]


def test_why_gives_every_way_across_kinds() -> None:
    last = "conda:libz@1.3=0 (conda:libz)"
    assert render_why(why(lock(), "libz")).splitlines() == [
        f"env:e (process; {LINUX})",
        "  conda:libz@1.3=0 (conda:libz<2)",
        f"  hatch:top_kit@2.0.0 (hatch:top_kit>=1) → hatch:deep_kit@1.1.0 (hatch:deep_kit>=1.0) → {last}",
    ]
    assert "mcp:com.example/s@1.0.0 (mcp:com.example/s) → pypi:a@1.0" in render_why(why(lock(), "a"))
    assert render_why(why(lock(), "exim")).splitlines()[1].endswith("deb:exim@4.96-1 (deb:mail-transport-agent)")


def test_what_conda_has_of_a_name_of_python_is_where_the_name_leads() -> None:
    numpy = package(Kind.CONDA, "numpy", "1.26.4=0", provides=("pypi:numpy",))
    found = lock(numpy, replace(DEEP, dependencies=("conda:numpy", "pypi:a>=1", "pypi:numpy>=1")), LIBZ)
    shown = render_tree(tree(found, found.environment("e", "process"), LINUX))
    assert "conda:numpy@1.26.4=0" in shown
    assert reasons(found) == []
