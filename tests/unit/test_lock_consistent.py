from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from typing import Any

import pytest
from packaging.requirements import Requirement

from hatchlock.address import Kind
from hatchlock.digest import sha256_bytes
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Archive, Environment, File, Lock, Package, Server
from hatchlock.lock.store import loads
from hatchlock.resolve.consistent import inconsistencies
from support.source_tree import ROOT

PLATFORMS = ("darwin/arm64", "linux/amd64")


def python(name: str, version: str, *dependencies: str, **fields: Any) -> Package:
    texts = tuple(f"pypi:{text}" for text in dependencies)
    return Package(kind=Kind.PYPI, name=name, version=version, index="pypi", dependencies=texts, **fields)


def npm(name: str, version: str, *dependencies: str, **fields: Any) -> Package:
    texts = tuple(f"npm:{text}" for text in dependencies)
    return Package(kind=Kind.NPM, name=name, version=version, index="npm", dependencies=texts, **fields)


def project(name: str, version: str, source: str, *dependencies: str, ecosystem: str = "python") -> Package:
    return Package(
        kind=Kind.PATH,
        name=name,
        version=version,
        ecosystem=ecosystem,
        source=source,
        location=source.removeprefix("path:"),
        dependencies=dependencies,
    )


def environment(*requirements: str, have: tuple[Package, ...] = (), **fields: Any) -> Environment:
    values: dict[str, Any] = {
        "name": "e",
        "private": False,
        "runtime": "process",
        "python": "3.11",
        "requirements": requirements,
        "packages": tuple(item.id for item in have),
    }
    return Environment(**{**values, **fields})


def lock(*environments: Environment, have: tuple[Package, ...] = (), **fields: Any) -> Lock:
    return Lock(**{"project": "p", "platforms": PLATFORMS, "packages": have, "environments": environments, **fields})


def of(*requirements: str, have: tuple[Package, ...], **fields: Any) -> list[str]:
    return [str(item) for item in inconsistencies(lock(environment(*requirements, have=have, **fields), have=have))]


def test_what_a_resolution_gave_agrees_with_itself() -> None:
    data = (ROOT / "hatch.lock.example").read_bytes()
    assert inconsistencies(loads(data)) == ()
    for line in (b'    "pypi:anyio@4.16.0",\n', b'version = "4.16.0"\n'):
        assert line in data
    assert inconsistencies(loads(data.replace(b'    "pypi:anyio@4.16.0",\n', b"")))


def test_an_id_without_its_package() -> None:
    have = (python("a", "1.0"),)
    found = inconsistencies(lock(environment("pypi:a", have=(*have, python("b", "2.0"))), have=have))
    assert list(map(str, found)) == ["env:e: has pypi:b@2.0, which is not among the packages"]


def test_an_id_of_one_platform_or_of_the_tree_without_its_package() -> None:
    found = of("pypi:a", have=(python("a", "1.0"),), platform_packages={"linux/amd64": ("pypi:b@1.0",)})
    assert found == ["env:e: has pypi:b@1.0, which is not among the packages"]
    found = of("pypi:a", have=(python("a", "1.0"),), tree={"node_modules/b": "npm:b@1.0.0"})
    assert found == ["env:e: has npm:b@1.0.0, which is not among the packages"]


def test_a_package_without_an_environment() -> None:
    found = inconsistencies(
        lock(environment("pypi:a", have=(python("a", "1.0"),)), have=(python("a", "1.0"), python("b", "1.0")))
    )
    assert list(map(str, found)) == ["project: has pypi:b@1.0, which nothing uses"]


def test_two_versions_of_one_name() -> None:
    """Both sides of a merge moved it, to different versions, in lines that are apart."""
    found = of("pypi:a", have=(python("a", "1.0"), python("a", "1.1")))
    assert found == ["env:e: has both pypi:a@1.0 and pypi:a@1.1"]


def test_two_versions_of_one_name_for_different_platforms_are_none_of_that() -> None:
    one, two = python("a", "1.0"), python("a", "1.1")
    apart = {"darwin/arm64": (one.id,), "linux/amd64": (two.id,)}
    only = lock(environment("pypi:a", platform_packages=apart), have=(one, two))
    assert inconsistencies(only) == ()


def test_a_project_and_a_package_of_its_name() -> None:
    own = project("a", "1.0", "path:./a")
    assert of("path:./a", have=(python("a", "2.0"), own)) == ["env:e: has both path:a@1.0 and pypi:a@2.0"]


def test_a_requirement_of_the_environment() -> None:
    assert of("pypi:a>=2", have=(python("a", "1.0"),)) == ["env:e: has pypi:a@1.0, but requires a>=2"]
    assert of("pypi:a", "pypi:b>=2", have=(python("a", "1.0"),)) == ["env:e: requires b>=2, which is missing"]


def test_a_requirement_of_a_package() -> None:
    found = of("pypi:a", have=(python("a", "1.0", "b<2,>=1"), python("b", "2.0")))
    assert found == ["env:e: has pypi:b@2.0, but pypi:a@1.0 requires b<2,>=1"]
    found = of("pypi:a", have=(python("a", "1.0", "b<2,>=1"),))
    assert found == ["env:e: pypi:a@1.0 requires b<2,>=1, which is missing"]


EVIL_REPOSITORY = Package(
    kind=Kind.GIT,
    name="requests",
    version="2.0",
    ecosystem="python",
    source="git:https://evil.example.com/x",
    location="https://evil.example.com/x",
)
EVIL_WHEEL = "https://evil.example.com/requests-2.0-py3-none-any.whl"


@pytest.mark.parametrize(
    "evil",
    [
        project("requests", "2.0", "path:../evil"),
        EVIL_REPOSITORY,
        python("requests", "2.0", source=f"pypi:requests @ {EVIL_WHEEL}", location=EVIL_WHEEL),
    ],
)
def test_what_lies_elsewhere_is_there_for_who_names_that_place_and_not_for_its_name(evil: Package) -> None:
    """Else whoever writes a lock could have any directory, repository and address in the place of an index's package."""
    assert f"env:e: has {evil.id}, which nothing in it requires" in of("pypi:requests", have=(evil,))
    assert of("pypi:requests", evil.source, have=(evil,)) == []
    if evil.kind is Kind.PYPI:
        assert of("pypi:requests", have=(evil,), overrides=(evil.source,)) == []


def test_packages_of_an_index_bring_nothing_along_that_lies_elsewhere() -> None:
    evil = EVIL_REPOSITORY
    index = replace(python("a", "1.0"), dependencies=(evil.source,))
    assert of("pypi:a", have=(index, evil)) == [f"env:e: has {evil.id}, which nothing in it requires"]
    own = project("a", "1.0", "path:./a", evil.source)
    assert of("path:./a", have=(own, evil)) == []


def conda(name: str, version: str, *provides: str) -> Package:
    names = tuple(f"pypi:{item}" for item in provides)
    return Package(kind=Kind.CONDA, name=name, version=version, index="conda", provides=names)


def test_condas_package_is_there_in_place_of_pythons_if_its_version_will_do() -> None:
    numpy = conda("numpy", "1.26.4=py311_0", "numpy")
    assert of("conda:numpy", "pypi:numpy>=1", have=(numpy,)) == []
    assert of("conda:numpy", "pypi:numpy>=2", have=(numpy,)) == [
        "env:e: has conda:numpy@1.26.4=py311_0, but requires numpy>=2"
    ]
    odd = conda("tool", "2024a_1=0", "tool")
    assert of("conda:tool", "pypi:tool", have=(odd,)) == []


def test_a_name_of_pythons_index_brings_no_package_of_conda_along() -> None:
    """Else whoever writes a lock could put anything in the place of a name that the manifest asks the index for."""
    assert of("pypi:requests", have=(conda("evil", "3=0", "requests"),)) == [
        "env:e: has conda:evil@3=0, which nothing in it requires"
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Kind.HATCH, "pypi:requests"), (Kind.PYPI, "pypi:requests"), (Kind.HATCH, "deb:git"), (Kind.CONDA, "deb:git")],
)
def test_nothing_stands_in_for_a_name_but_what_lock_writes(kind: Kind, name: str) -> None:
    evil = Package(kind=kind, name="evil", version="3", index=kind, provides=(name,))
    assert f"env:e: has {kind}:evil@3, which cannot stand in for {name}" in of(name, have=(evil,))


@pytest.mark.parametrize("text", ["", "requests", "tar:requests", ":"])
def test_what_is_no_name_of_any_kind_is_stood_in_for_by_nothing(text: str) -> None:
    odd = replace(conda("odd", "1=0"), provides=(text,))
    assert of("conda:odd", have=(odd,)) == [f"env:e: has conda:odd@1=0, which cannot stand in for {text}"]


def test_what_nothing_requires() -> None:
    found = of("pypi:a", have=(python("a", "1.0"), python("b", "1.0", "c"), python("c", "1.0")))
    assert found == [
        "env:e: has pypi:b@1.0, which nothing in it requires",
        "env:e: has pypi:c@1.0, which nothing in it requires",
    ]


def test_a_circle_by_itself_is_required_by_nothing() -> None:
    assert len(of("pypi:a", have=(python("a", "1.0"), python("b", "1.0", "c"), python("c", "1.0", "b")))) == 2
    assert of("pypi:b", have=(python("b", "1.0", "c"), python("c", "1.0", "b"))) == []


def test_markers_count_on_their_platform_only() -> None:
    a, b = python("a", "1.0", 'b ; sys_platform == "darwin"'), python("b", "1.0")
    right = environment("pypi:a", have=(a,), platform_packages={"darwin/arm64": (b.id,)})
    assert inconsistencies(lock(right, have=(a, b))) == ()
    wrong = environment("pypi:a", have=(a,), platform_packages={"linux/amd64": (b.id,)})
    assert list(map(str, inconsistencies(lock(wrong, have=(a, b))))) == [
        "env:e: has pypi:b@1.0, which nothing in it requires (on linux/amd64)",
        "env:e: pypi:a@1.0 requires b, which is missing (on darwin/arm64)",
    ]
    both = environment("pypi:a", have=(a, b))
    assert list(map(str, inconsistencies(lock(both, have=(a, b))))) == [
        "env:e: has pypi:b@1.0, which nothing in it requires (on linux/amd64)"
    ]


def test_extras_bring_in_what_they_name_and_nothing_else_does() -> None:
    a, b = python("a", "1.0", 'b>=1 ; extra == "fast"'), python("b", "1.0")
    assert of("pypi:a[fast]", have=(a, b)) == []
    assert of("pypi:a[fast]", have=(a,)) == ["env:e: pypi:a@1.0 requires b>=1, which is missing"]
    assert of("pypi:a", have=(a, b)) == ["env:e: has pypi:b@1.0, which nothing in it requires"]
    assert of("pypi:a", have=(a,)) == []


def test_an_extra_that_is_asked_for_later_and_one_that_leads_to_another() -> None:
    a = python("a", "1.0", 'a[one,two] ; extra == "all"', 'b ; extra == "one"', 'c ; extra == "two"')
    have = (a, python("b", "1.0"), python("c", "1.0"), python("z", "1.0", "a[all]"))
    assert of("pypi:a", "pypi:z", have=have) == []
    assert of("pypi:a", "pypi:z", have=have[:2] + have[3:]) == ["env:e: pypi:a@1.0 requires c, which is missing"]


def test_an_override_replaces_what_packages_say() -> None:
    have = (python("a", "1.0", "b<2"), python("b", "3.0"))
    assert of("pypi:a", have=have, overrides=("pypi:b>=3",)) == []
    assert of("pypi:a", have=have, overrides=("pypi:b>=4",)) == ["env:e: has pypi:b@3.0, but pypi:a@1.0 requires b>=4"]
    elsewhere = ('pypi:b>=3 ; sys_platform == "win32"',)
    assert of("pypi:a", have=have, overrides=elsewhere) == ["env:e: has pypi:b@3.0, but pypi:a@1.0 requires b<2"]


def test_a_constraint_limits_what_is_there() -> None:
    have = (python("a", "1.0", "b"), python("b", "3.0"))
    found = of("pypi:a", have=have, constraints=("pypi:b<3", "pypi:c<1"))
    assert found == ["env:e: has pypi:b@3.0, which the constraint b<3 excludes"]
    assert of("pypi:a", have=have, constraints=("pypi:b<4",)) == []


def test_the_python_of_an_environment_moved() -> None:
    have = (python("a", "1.0", requires_python=">=3.12"),)
    assert of("pypi:a", have=have) == ["env:e: has pypi:a@1.0, which needs Python >=3.12"]
    assert of("pypi:a", have=have, python="3.12") == []
    assert of("pypi:a", have=have, python="") == ["env:e: has pypi:a@1.0 and no Python"]


def test_pre_releases_and_local_versions_are_versions() -> None:
    have = (python("a", "1.0", "b>=1.0"), python("b", "2.0rc1"), python("c", "1.0+cpu"))
    assert of("pypi:a", "pypi:c==1.0", have=have) == []


@pytest.mark.parametrize("text", ["b>=", "b ; python", "b ; extra == ", "b>=1,,<2", "!!"])
def test_a_requirement_that_cannot_be_read(text: str) -> None:
    found = of("pypi:a", have=(python("a", "1.0", text),))
    assert found == [f"env:e: has a requirement that cannot be read: pypi:{text}"]


def test_a_version_that_is_none_satisfies_nothing() -> None:
    assert of("pypi:a>=1", have=(python("a", "soon"),)) == ["env:e: has pypi:a@soon, but requires a>=1"]


@pytest.mark.parametrize(
    "text",
    [
        "b",
        "b>=1.0",
        "b<3,>=1.0rc1",
        "b==2.*",
        "b[x]",
        "b[x,y-z]~=1.4",
        'b!=2.0 ; python_version < "3.12"',
        'b>=1 ; extra == "x" and sys_platform == "linux"',
        "b===2.0",
        "B_C>=1",
        "b (>=1)",
        "b[X]>=1",
        "b >= 1 , < 3",
    ],
)
def test_every_form_of_a_requirement_is_read_as_packaging_reads_it(text: str) -> None:
    parsed = Requirement(text)
    for version in ("0.9", "1.0", "1.5", "2.0", "3.0"):
        name = parsed.name.lower().replace("_", "-")
        have = (python("a", "1.0", text), python(name, version))
        needed = parsed.marker is None or parsed.marker.evaluate(
            {"python_version": "3.11", "sys_platform": "linux", "extra": ""}
        )
        fine = parsed.specifier.contains(version, prereleases=True) if needed else False
        assert (of("pypi:a", have=have) == []) == fine, version


def test_projects_are_found_by_their_requirement() -> None:
    own = project("own", "0", "path:./own", "pypi:a>=1")
    have = (python("a", "1.0"), own)
    assert of("path:./own", have=have) == []
    assert of("path:./own", have=have[:1]) == [
        "env:e: has pypi:a@1.0, which nothing in it requires",
        "env:e: requires path:./own, which is missing",
    ]
    assert of("pypi:a", have=have) == ["env:e: has path:own@0, which nothing in it requires"]


def test_a_project_that_says_no_version_suits_everybody_and_one_that_does_has_to_fit() -> None:
    a = python("a", "1.0", "own>=2")
    assert of("pypi:a", "path:./own", have=(a, project("own", "0", "path:./own"))) == []
    assert of("pypi:a", "path:./own", have=(a, project("own", "1.0", "path:./own"))) == [
        "env:e: has path:own@1.0, but pypi:a@1.0 requires own>=2"
    ]


def test_a_file_with_an_address_of_its_own_is_not_held_against_versions() -> None:
    text = "pypi:a @ https://example.com/a-1.0-py3-none-any.whl"
    have = (python("a", "1.0", source=text, location="https://example.com/a-1.0-py3-none-any.whl"),)
    assert of(text, have=have) == []


def digest(text: str) -> str:
    return f"sha256:{sha256_bytes(text.encode())}"


def image(reference: str, *platforms: str, python: str = "3.11.2", libc: str = "glibc 2.36") -> Image:
    one = ImagePlatform(
        digest=digest("p"), config=digest("c"), config_size=1, layers=(), python=python, libc=libc if python else ""
    )
    return Image(reference=reference, digest=digest(reference), platforms=dict.fromkeys(platforms, one))


BOXED = replace(
    environment("pypi:a", have=(python("a", "1.0", 'b ; sys_platform == "linux"'), python("b", "1.0"))),
    runtime="container",
    base="python:3.11",
)
BOXED_PACKAGES = (python("a", "1.0", 'b ; sys_platform == "linux"'), python("b", "1.0"))


def test_containers_run_linux_on_every_platform() -> None:
    base = image("python:3.11", "linux/amd64", "linux/arm64")
    assert inconsistencies(lock(BOXED, have=BOXED_PACKAGES, images=(base,))) == ()


def test_a_base_is_there_for_each_platform() -> None:
    base = image("python:3.11", "linux/amd64")
    found = list(map(str, inconsistencies(lock(BOXED, have=BOXED_PACKAGES, images=(base,)))))
    assert "project: has the image python:3.11, but not for linux/arm64" in found
    assert "env:e: lacks its base for linux/arm64" in found
    found = list(map(str, inconsistencies(lock(BOXED, have=BOXED_PACKAGES))))
    assert found == ["env:e: is based on python:3.11, which is not in the lock"]


def test_an_image_that_nothing_uses_and_servers_without_what_they_need() -> None:
    shop = Server(name="shop", source="oci:shop:1", runtime="container", image="shop:1")
    time_server = Server(name="time", source="pypi:a", runtime="process", environment="time")
    found = inconsistencies(lock(images=(image("other:1", "linux/amd64", "linux/arm64"),), servers=(shop, time_server)))
    assert list(map(str, found)) == [
        "project: has the image other:1, which nothing uses",
        "server:shop: is the image shop:1, which is not in the lock",
        "server:time: uses the environment time, which is not in the lock for the process runtime",
    ]
    used = lock(images=(image("shop:1", "linux/amd64", "linux/arm64"),), servers=(shop,))
    assert inconsistencies(used) == ()


def test_an_image_that_is_named_by_its_digest_is_that_one() -> None:
    reference = f"shop:1@sha256:{'a' * 64}"
    shop = Server(name="shop", source=f"oci:{reference}", runtime="container", image=reference)
    found = replace(image(reference, "linux/amd64", "linux/arm64"), digest=f"sha256:{'a' * 64}")
    assert inconsistencies(lock(images=(found,), servers=(shop,))) == ()
    other = replace(found, digest=f"sha256:{'b' * 64}")
    assert list(map(str, inconsistencies(lock(images=(other,), servers=(shop,))))) == [
        f"project: has the image {reference} as sha256:{'b' * 64}"
    ]


def test_a_private_environment_whose_server_has_gone() -> None:
    have = (python("a", "1.0"),)
    private = environment("pypi:a", have=have, private=True)
    server = Server(name="e", source="pypi:a", runtime="process", environment="e")
    assert inconsistencies(lock(private, have=have, servers=(server,))) == ()
    found = inconsistencies(lock(private, have=have))
    assert list(map(str, found)) == ["env:e: is private, and no server of the process runtime uses it"]


def test_what_is_there_twice() -> None:
    have = (python("a", "1.0"),)
    one = environment("pypi:a", have=have)
    server = Server(name="s", source="", runtime="process")
    archive = Archive(name="debian/x", suite="x", date="2026-01-01T00:00:00Z", sha256="a" * 64)
    found = inconsistencies(lock(one, one, have=(*have, *have), servers=(server, server), archives=(archive, archive)))
    assert list(map(str, found)) == [
        "project: has debian/x, of which nothing is",
        "project: has env:e (process) 2 times",
        "project: has pypi:a@1.0 2 times",
        "project: has server:s 2 times",
        "project: has the archive debian/x 2 times",
    ]


def test_a_platform_that_nobody_knows() -> None:
    have = (python("a", "1.0"),)
    found = inconsistencies(lock(environment("pypi:a", have=have), have=have, platforms=("plan9/mips",)))
    assert [item.address for item in found] == ["env:e"]
    assert "cannot be for plan9/mips" in found[0].what
    extra = environment("pypi:a", have=have, platform_packages={"linux/arm64": ()})
    found = inconsistencies(lock(extra, have=have))
    assert list(map(str, found)) == ["env:e: has packages for linux/arm64, which the lock is not for"]


TREE = {
    "node_modules/app": npm("app", "1.0.0", "zod@^3.1", "dep@^1"),
    "node_modules/dep": npm("dep", "1.2.0", "zod@^4"),
    "node_modules/dep/node_modules/zod": npm("zod", "4.0.1"),
    "node_modules/zod": npm("zod", "3.2.0"),
}


def of_tree(tree: dict[str, Package], *requirements: str, **fields: Any) -> list[str]:
    have = tuple({item.id: item for item in tree.values()}.values())
    paths = {path: item.id for path, item in tree.items()}
    values: dict[str, Any] = {"python": "", "node": "22", "tree": paths, **fields}
    only = environment(*(requirements or ("npm:app@^1",)), have=have, **values)
    return [item.what for item in inconsistencies(lock(only, have=have))]


def test_a_tree_in_which_every_name_is_found_as_node_finds_it() -> None:
    assert of_tree(TREE) == []


def test_a_nested_package_is_gone_so_that_the_one_above_is_found() -> None:
    tree = {path: item for path, item in TREE.items() if path.count("node_modules") == 1}
    assert of_tree(tree) == ["has npm:zod@3.2.0 at node_modules/zod, but npm:dep@1.2.0 requires zod@^4"]


def test_the_one_above_is_gone() -> None:
    tree = {path: item for path, item in TREE.items() if path != "node_modules/zod"}
    assert of_tree(tree) == ["npm:app@1.0.0 requires npm:zod@^3.1, which is missing"]


def test_a_directory_inside_of_what_is_not_there() -> None:
    tree = {**TREE, "node_modules/gone/node_modules/zod": TREE["node_modules/zod"]}
    assert of_tree(tree) == ["has npm:zod@3.2.0 at node_modules/gone/node_modules/zod, inside of what is not there"]


def test_a_requirement_of_the_environment_on_its_tree() -> None:
    assert of_tree(TREE, "npm:app@^1", "npm:more") == ["requires npm:more, which is missing"]
    assert of_tree({"node_modules/app": npm("app", "2.0.0")}) == [
        "has npm:app@2.0.0 at node_modules/app, but requires app@^1"
    ]


def test_a_listed_package_that_stands_nowhere_and_one_that_stands_there_unlisted() -> None:
    assert of_tree(TREE, platform_packages={"linux/amd64": ("npm:left@1.0.0",)}) == [
        "has npm:left@1.0.0, which is not among the packages"
    ]
    have = tuple(TREE.values())
    paths = {path: item.id for path, item in TREE.items()}
    without = environment("npm:app", have=have[:-1], tree=paths, python="")
    only_on_linux = replace(without, platform_packages={"linux/amd64": (have[-1].id,)})
    found = inconsistencies(lock(only_on_linux, have=have))
    assert [item.what for item in found] == ["lacks npm:zod@3.2.0, which stands in its tree (on darwin/arm64)"]
    left = npm("left", "1.0.0")
    nowhere = environment("npm:app", have=(*have, left), tree=paths, python="")
    found = inconsistencies(lock(nowhere, have=(*have, left)))
    assert [item.what for item in found] == ["has npm:left@1.0.0, which stands nowhere in its tree"]


def test_what_runs_on_one_platform_is_listed_for_that_one() -> None:
    native = npm("native", "1.0.0", systems=("darwin",))
    tree = {"node_modules/app": npm("app", "1.0.0", "native@1.0.0"), "node_modules/native": native}
    have = (tree["node_modules/app"],)
    paths = {path: item.id for path, item in tree.items()}
    for platform, count in {"darwin/arm64": 0, "linux/amd64": 2}.items():
        only = environment("npm:app", have=have, tree=paths, python="", platform_packages={platform: (native.id,)})
        assert len(inconsistencies(lock(only, have=(*have, native)))) == count


def test_aliases_scopes_overrides_and_tags() -> None:
    tree = {
        "node_modules/app": npm("app", "1.0.0", "old@npm:@s/new@^2", "@s/new@3", "forced@^9", "tagged@latest", "pre@*"),
        "node_modules/old": npm("@s/new", "2.5.0"),
        "node_modules/@s/new": npm("@s/new", "3.0.0"),
        "node_modules/forced": npm("forced", "1.0.0"),
        "node_modules/tagged": npm("tagged", "1.0.0"),
        "node_modules/pre": npm("pre", "1.0.0-beta.1"),
    }
    assert of_tree(tree, overrides=("npm:forced@1.0.0",)) == []
    assert of_tree(tree) == ["has npm:forced@1.0.0 at node_modules/forced, but npm:app@1.0.0 requires forced@^9"]
    tree["node_modules/old"] = npm("old", "2.5.0")
    assert of_tree(tree, overrides=("npm:forced@1.0.0",)) == [
        "has npm:old@2.5.0 at node_modules/old, but npm:app@1.0.0 requires old@npm:@s/new@^2"
    ]


def test_what_is_optional_may_be_found_in_one_place_and_not_in_another() -> None:
    peer = npm("peer", "1.0.0", "maybe@^1")
    tree = {
        "node_modules/app": npm("app", "1.0.0", "peer@1", "other@1"),
        "node_modules/peer": peer,
        "node_modules/other": npm("other", "1.0.0", "peer@1", "maybe@1"),
        "node_modules/other/node_modules/peer": peer,
        "node_modules/other/node_modules/maybe": npm("maybe", "1.0.0"),
    }
    assert of_tree(tree) == []


def test_a_peer_that_fits_in_one_environment_may_be_another_ones_in_the_next() -> None:
    """npm puts up with some peers; the lock has one block for a package, for all its environments."""
    app, fits, other = npm("app", "1.0.0", "peer@^1"), npm("peer", "1.0.0"), npm("peer", "2.0.0")
    environments = [
        environment(
            "npm:app",
            name=name,
            have=(app, peer),
            python="",
            tree={"node_modules/app": app.id, "node_modules/peer": peer.id},
        )
        for name, peer in (("one", fits), ("two", other))
    ]
    assert inconsistencies(lock(*environments, have=(app, fits, other))) == ()
    found = inconsistencies(lock(environments[1], have=(app, other)))
    assert [item.what for item in found] == [
        "has npm:peer@2.0.0 at node_modules/peer, but npm:app@1.0.0 requires peer@^1"
    ]


def test_what_one_wheel_needs_another_need_not() -> None:
    """The lock has one block for a package, whose wheels may declare different things."""
    files = tuple(File(name=f"a-1.0-cp311-cp311-{tag}.whl", sha256="a" * 64) for tag in ("macosx_13_0_arm64", "x"))
    a, b = python("a", "1.0", "b", files=files), python("b", "1.0")
    apart = environment("pypi:a", have=(a,), platform_packages={"darwin/arm64": (b.id,)})
    assert inconsistencies(lock(apart, have=(a, b))) == ()
    nowhere = inconsistencies(lock(environment("pypi:a", have=(a,)), have=(a,)))
    assert [item.what for item in nowhere] == ["pypi:a@1.0 requires b, which is missing"]
    one_file = replace(a, files=files[:1])
    assert len(inconsistencies(lock(apart, have=(one_file, b)))) == 1


def test_a_project_and_a_python_package_can_lead_into_the_tree() -> None:
    own = project("own", "1.0.0", "path:./own", "npm:app@^1", ecosystem="node")
    assert of_tree({**TREE}, "path:./own") != []
    have = (*TREE.values(), own)
    paths = {path: item.id for path, item in TREE.items()}
    only = environment("path:./own", have=have, tree=paths, python="")
    assert inconsistencies(lock(only, have=have)) == ()
    older = replace(own, dependencies=("npm:app@^2",))
    found = inconsistencies(lock(only, have=(*TREE.values(), older)))
    assert [item.what for item in found] == [
        "has npm:app@1.0.0 at node_modules/app, but path:own@1.0.0 requires app@^2"
    ]


def test_the_work_grows_with_the_packages_and_no_faster() -> None:
    assert _calls_for(100) < 5 * _calls_for(25)


def _calls_for(count: int) -> int:
    """Return how many functions are called to compare a lock of so many environments of 30 packages."""
    families = []
    for family in range(count):
        names = [f"p{family}-{number}" for number in range(30)]
        families.append(
            tuple(
                python(
                    name, "2.1", *(f'{other}<{number + 3},>=1.{family % 9} ; python_version < "3.15"' for other in rest)
                )
                for number, name in enumerate(names)
                for rest in [names[number + 1 : number + 4]]
            )
        )
    have = tuple(item for family in families for item in family)
    environments = [
        environment(f"pypi:{family[0].name}", have=family, name=f"e{number}") for number, family in enumerate(families)
    ]
    big = lock(*environments, have=have)
    calls = itertools.count()
    sys.setprofile(lambda *_: next(calls) and None)
    try:
        found = inconsistencies(big)
    finally:
        sys.setprofile(None)
    assert found == ()
    return next(calls)
