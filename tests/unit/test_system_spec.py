from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.engines.apt import AptChange
from hatchlock.engines.debian_host import HostSystem, InstalledPackage
from hatchlock.lock.model import Environment, File, Lock, Package
from hatchlock.resources.system_spec import NotThisDebian, SystemSpec, changes_for, downgrades, system_spec
from hatchlock.resources.unplaced import FileNotLocked

HOST = HostSystem(title="Debian GNU/Linux 12 (bookworm)", families=frozenset({"debian"}), codename="bookworm")
PLATFORM = "linux/amd64"


def package(name: str, version: str, *needs: str, kind: Kind = Kind.DEB, index: str = "debian/bookworm") -> Package:
    files = tuple(
        File(name=f"{name}_{arch}.deb", sha256=arch[0] * 64, platform=f"linux/{arch}") for arch in ("amd64", "64")
    )
    return Package(kind=kind, name=name, version=version, index=index, dependencies=needs, files=files)


def spec(*packages: Package, asked: Sequence[str] = ("deb:git>=1:2.30",), host: HostSystem = HOST) -> SystemSpec | None:
    environment = Environment(
        name="research",
        private=False,
        runtime="process",
        requirements=tuple(asked),
        packages=tuple(item.id for item in packages),
    )
    lock = Lock(project="acme", platforms=(PLATFORM,), packages=packages, environments=(environment,))
    return system_spec(lock, environment, PLATFORM, host)


GIT = package("git", "1:2.39.5-1", "deb:libcurl3>=7.56", "deb:git-man>>1:2.39.5", "deb:perl", "deb:libc6>=2.34")
CLOSURE = (
    GIT,
    package("libcurl3", "7.88-1", "deb:libc6>=2.36"),
    package("git-man", "1:2.39.5-1"),
    package("perl", "5.36"),
    package("libc6", "2.36-9"),
)


def needed(*packages: Package, asked: Sequence[str] = ("deb:git",)) -> SystemSpec:
    found = spec(*packages, asked=asked)
    assert found is not None
    return found


def installed(**versions: str) -> dict[str, InstalledPackage]:
    names = {name.replace("_", "-"): version for name, version in versions.items()}
    return {name: InstalledPackage(name=name, version=version, provides={}) for name, version in names.items()}


def todo(found: SystemSpec, there: dict[str, InstalledPackage]) -> list[str]:
    return [str(change) for change in changes_for(found, there)]


def test_an_environment_without_debian_packages_needs_nothing_of_any_host() -> None:
    wheel = package("anyio", "4", kind=Kind.PYPI)
    assert spec(wheel, asked=["pypi:anyio"], host=HostSystem()) is None


def test_named_is_what_others_than_debian_packages_ask_for() -> None:
    wheel = package("cairocffi", "1", "deb:libc6>=2.1", "pypi:cffi", kind=Kind.PYPI)
    found = needed(*CLOSURE, wheel)
    assert [item.name for item in found.named] == ["git", "libc6"]
    assert found.packages[0].sha256 == "a" * 64


def test_what_stands_in_for_a_virtual_name_counts_as_named() -> None:
    exim = replace(package("exim4", "4", "deb:libc6"), provides=("deb:mta",))
    assert [item.name for item in needed(exim, package("libc6", "2"), asked=["deb:mta"]).named] == ["exim4"]


def test_an_empty_host_gets_the_whole_closure() -> None:
    assert todo(needed(*CLOSURE), {}) == [
        "installs git 1:2.39.5-1",
        "installs git-man 1:2.39.5-1",
        "installs libc6 2.36-9",
        "installs libcurl3 7.88-1",
        "installs perl 5.36",
    ]


def test_what_will_do_stays_and_what_will_not_moves_to_its_locked_version() -> None:
    there = installed(libcurl3="7.60", perl="5.30", libc6="2.33", git_man="1:2.39.2-1")
    assert todo(needed(*CLOSURE), there) == [
        "installs git 1:2.39.5-1",
        "changes git-man 1:2.39.2-1 -> 1:2.39.5-1",
        "changes libc6 2.33 -> 2.36-9",
    ]


def test_a_named_package_in_its_version_is_enough() -> None:
    assert todo(needed(*CLOSURE), installed(git="1:2.39.5-1")) == []
    assert todo(
        needed(*CLOSURE), installed(git="1:2.39.5-2", git_man="1:2.39.5-2", libc6="3", perl="6", libcurl3="8")
    ) == ["changes git 1:2.39.5-2 -> 1:2.39.5-1"]


def test_what_is_provided_is_there_if_its_version_will_do() -> None:
    found = needed(package("git", "1", "deb:mta", "deb:api>=2"), package("mta", "1"), package("api", "2"))

    def there(version: str) -> dict[str, InstalledPackage]:
        provides = {"mta": "", "api": version}
        return {"postfix": InstalledPackage(name="postfix", version="9", provides=provides)}

    assert todo(found, there("2.1")) == ["installs git 1"]
    assert todo(found, there("1.9")) == ["installs api 2", "installs git 1"]
    assert todo(found, there("")) == ["installs api 2", "installs git 1"]


@pytest.mark.parametrize("platform", ["linux/arm64", "darwin/arm64"])
def test_a_package_without_a_hash_for_this_machine_is_refused_since_apts_file_could_be_any(platform: str) -> None:
    elsewhere = replace(GIT, files=(File(name="git.deb", sha256="a" * 64, platform=platform),))
    stronger = replace(GIT, files=(File(name="git.deb", sha512="a" * 128),))
    for hidden in (elsewhere, stronger, replace(GIT, files=())):
        with pytest.raises(FileNotLocked, match="no file of deb:git@1"):
            needed(hidden, *CLOSURE[1:])


def test_an_older_version_than_there_is_is_a_downgrade() -> None:
    up, down = AptChange(name="a", before="1.9", after="1.10"), AptChange(name="b", before="1:1", after="2")
    assert downgrades((up, down, AptChange(name="c", after="1"))) == (down,)


def test_the_key_is_that_of_names_and_versions() -> None:
    assert needed(*CLOSURE).key == needed(*reversed(CLOSURE)).key
    assert needed(*CLOSURE).key != needed(package("git", "1:2.39.5-2"), *CLOSURE[1:]).key


def test_it_is_remembered_as_json() -> None:
    found = needed(*CLOSURE)
    assert SystemSpec.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (HostSystem(title="Fedora Linux 42", families=frozenset({"fedora"})), "which is Fedora Linux 42"),
        (HostSystem(title="Darwin"), "which is Darwin"),
        (HostSystem(title="Debian 13", families=frozenset({"debian"}), codename="trixie"), "which is Debian 13"),
        (
            HostSystem(title="Debian 12", families=frozenset({"debian"}), codename="bookworm", missing=("apt-get",)),
            "which has no apt-get",
        ),
    ],
)
def test_elsewhere_it_is_refused_with_the_container_as_the_way_out(host: HostSystem, said: str) -> None:
    with pytest.raises(NotThisDebian) as caught:
        spec(*CLOSURE, host=host)
    assert str(caught.value) == f"it needs git of bookworm on this machine, {said}"
    assert 'runtime = "container"' in caught.value.hint


def test_a_platform_that_debian_packages_were_not_locked_for_is_refused_too() -> None:
    wheel = package("anyio", "4", "deb:git>=2", kind=Kind.PYPI)
    with pytest.raises(NotThisDebian, match="it needs git of Debian on this machine, which is Darwin"):
        spec(wheel, asked=["pypi:anyio"], host=HostSystem(title="Darwin"))


@pytest.mark.parametrize(
    "index", ["debian/bookworm-security", "debian/bookworm-updates", "debian/stable", "debian/sid"]
)
def test_all_suites_of_the_same_release_will_do_and_so_will_names_that_move(index: str) -> None:
    assert spec(package("git", "1", index=index)) is not None
