"""Hatch packages as servers, of a registry and of a directory: locked with all that they need, applied, run, changed."""

from __future__ import annotations

import gzip
import hashlib
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.engines.process import host_platform
from hatchlock.lock.model import Lock
from hatchlock.lock.store import read_lock
from hatchlock.resolve.wanted import container_platforms
from support.debian_archive import Deb, serving_debian
from support.debian_host import debian_files, debian_host
from support.fake_registry import INDEX
from support.hatch_registry import HatchPackage, HatchServer, hatch_metadata, make_archive, serving_hatch
from support.index import Index, Release, serving
from support.project import TrialProject, snapshot
from support.registry import push_index, serving_registry
from support.runs import SERVERS, Run
from support.trees import plant
from support.unavailable import need_isolation
from support.wheels import make_wheel

HEAD = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"

[indexes.pypi]
url = "{index}"

[indexes.hatch]
url = "{registry}"
"""
EMPTY_LAYER = gzip.compress(bytes(10_240), mtime=0)
SERVER = f"import far_below\n\nassert far_below.FAR == 'far'\n{(SERVERS / 'echo.py').read_text().partition('from __future__ import annotations')[2]}"
"""An MCP server in the standard library that does not start without the module that only a package two levels below it needs."""


def far_below(directory: Path, version: str = "1.0") -> Release:
    wheel = make_wheel(directory, name="far_below", version=version, files={"far_below.py": b"FAR = 'far'\n"})
    return Release(name="far-below", version=version, body=wheel.read_bytes())


def needs(name: str, constraint: str = ">=1.0.0", kind: str = "hatch", **other: str) -> dict[str, list[dict[str, str]]]:
    return {kind: [{"name": name, "version_constraint": constraint, **other}]}


def library(name: str, version: str = "1.0.0", **other: Any) -> HatchPackage:
    """A package whose server needs nothing."""
    files = {"server.py": "", "wrapper.py": "from server import mcp\n", **other.pop("files", {})}
    return HatchPackage(
        name=name, version=version, files=files, metadata={"tools": [], **other.pop("metadata", {})}, **other
    )


BOTTOM = library("bottom_kit", dependencies=needs("far-below", ">=1.0", kind="python", package_manager="pip"))
MIDDLE = library("middle_kit", dependencies=needs("bottom_kit", ">=1.0.0"))
TOP = library(
    "top_kit",
    files={"server.py": SERVER},
    dependencies=needs("middle_kit", ">=1.0.0"),
    metadata={
        "contributors": [{"name": "Ben Example", "email": "ben@example.com"}],
        "citations": {"origin": "Example et al. 2026", "mcp": "Example 2026"},
    },
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with serving(far_below(tmp_path)) as served:
        yield served


@pytest.fixture
def registry() -> Iterator[HatchServer]:
    with serving_hatch(BOTTOM, MIDDLE, TOP) as served:
        yield served


class Trial(TrialProject):
    """A project with a Python index and a Hatch registry."""

    def __init__(self, root: Path, index: Index, registry: HatchServer) -> None:
        super().__init__(root)
        self.head = HEAD.format(platform=host_platform(), index=index.url, registry=registry.index_url)
        self.write(self.head)

    def wants(self, *lines: str) -> Trial:
        self.write("\n".join([self.head, *lines, ""]))
        return self

    def serves(self, source: str) -> Trial:
        return self.wants("[servers.kit]", f'source = "{source}"')

    def package(self, name: str, *, files: Mapping[str, str] | None = None, **metadata: Any) -> Path:
        """Write a package into the directory of its name."""
        document = hatch_metadata(name, **{"tools": [], **metadata})
        usual = {"server.py": "", "wrapper.py": "from server import mcp\n"}
        plant(self.directory / name, {"hatch_metadata.json": document, **usual, **(files or {})})
        return self.directory / name

    def lock_document(self) -> Lock:
        return read_lock(self.lock)

    def ids(self) -> list[str]:
        return [package.id.partition("+")[0] for package in self.lock_document().packages]


@pytest.fixture
def trial(tmp_path: Path, index: Index, registry: HatchServer) -> Trial:
    return Trial(tmp_path, index, registry)


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    with debian_files() as directory:
        yield directory


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "images").mkdir()
    with serving_registry(tmp_path / "images") as address:
        yield address


@pytest.fixture
def isolated() -> None:
    need_isolation()


def digest_of(images: str, name: str, tag: str) -> str:
    asked = urllib.request.Request(f"http://{images}/v2/{name}/manifests/{tag}", headers={"Accept": INDEX})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"


def own_needs(name: str, constraint: str) -> dict[str, Any]:
    return {"dependencies": needs(name, constraint)}


# from lock to a server that answers


@pytest.mark.usefixtures("isolated")
def test_a_package_of_the_registry_answers_with_what_is_needed_two_levels_below_it(trial: Trial) -> None:
    trial.serves("hatch:top_kit>=1.0").ok("lock")
    assert trial.ids() == [
        "hatch:bottom_kit@1.0.0",
        "hatch:middle_kit@1.0.0",
        "hatch:top_kit@1.0.0",
        "pypi:far-below@1.0",
    ]
    first = trial.lock.read_bytes()
    trial.ok("lock", "--offline")
    trial.ok("lock", "--upgrade")
    assert trial.lock.read_bytes() == first
    way = trial.ok("why", "far-below").out.splitlines()[1].strip()
    assert [step.partition(" (")[0] for step in way.split(" → ")] == [*trial.ids()[2::-1], trial.ids()[3]]
    trial.ok("apply", "--yes")
    assert trial.tools("kit") == ["echo", "large", "attempt"]
    assert trial.steps() == []
    assert trial.half_done() == []


@pytest.mark.usefixtures("isolated")
def test_a_package_of_a_directory_answers_and_an_edit_is_refused_until_it_is_locked(trial: Trial) -> None:
    place = trial.package("own_kit", files={"server.py": SERVER}, **own_needs("middle_kit", ">=1.0.0"))
    trial.serves("hatch:./own_kit").ok("lock")
    assert trial.ids()[2:] == ["hatch:own_kit@1.0.0", "pypi:far-below@1.0"]
    trial.ok("apply", "--yes")
    assert trial.tools("kit") == ["echo", "large", "attempt"]
    assert trial.steps() == []
    server = place / "server.py"
    server.write_text(server.read_text().replace('"name": "echo", "desc', '"name": "repeat", "desc'))
    done = trial.fails("plan")
    assert "hatch:own_kit: ./own_kit changed since it was locked" in done.err
    assert trial.tools("kit") == ["echo", "large", "attempt"], "what was applied goes on"
    trial.ok("up", "--yes")
    assert trial.tools("kit") == ["repeat", "large", "attempt"]


@pytest.mark.usefixtures("isolated")
def test_bounds_on_a_directory_do_not_hide_its_command_and_dev_serves_it_as_it_is(trial: Trial) -> None:
    place = trial.package("own_kit", files={"server.py": SERVER}, **own_needs("middle_kit", ">=1.0.0"))
    trial.serves("hatch:./own_kit>=1.0").ok("lock")
    trial.ok("apply", "--yes")
    server = place / "server.py"
    server.write_text(server.read_text().replace('"name": "echo", "version"', '"name": "edited", "version"'))
    command = trial.launch_command("kit")
    env = {"HOME": str(trial.user_home), "PATH": "/usr/bin:/bin"}
    for options, name in (([], "echo"), (["--dev"], "edited")):
        with Run(command=[*command[:-1], *options, command[-1]], env=env) as run:
            assert run.hello()["serverInfo"]["name"] == name
            run.end()


@pytest.mark.usefixtures("isolated")
def test_an_archive_that_changed_after_the_lock_is_refused_and_nothing_is_changed(
    trial: Trial, registry: HatchServer
) -> None:
    trial.serves("hatch:top_kit").ok("lock")
    other = TOP.archive + b"and more"
    registry.raw[f"/archives/{TOP.file_name}"] = other
    trial.env["HATCHLOCK_HOME"] = str(trial.root / "another store")
    before = snapshot(trial.directory)
    done = trial.fails("apply", "--yes")
    assert "top_kit" in done.err
    assert "is longer than the" in done.err
    assert "the file was changed after it was locked; do not use it" in done.err
    assert snapshot(trial.directory) == before
    assert list((trial.root / "another store" / "envs").glob("*")) == []
    assert not (trial.root / "another store" / "projects" / "trial" / "active.json").exists()


@pytest.mark.usefixtures("isolated")
def test_a_bundle_of_packages_of_a_registry_is_all_that_an_empty_store_needs(
    trial: Trial, registry: HatchServer, index: Index
) -> None:
    trial.serves("hatch:top_kit").ok("lock")
    trial.ok("fetch", "--to", "kit.bundle")
    asked = len(registry.asked), len(index.asked)
    trial.store = trial.root / "another store"
    trial.env["HATCHLOCK_HOME"] = str(trial.store)
    trial.ok("apply", "--yes", "--offline", "--from", "kit.bundle")
    assert trial.tools("kit") == ["echo", "large", "attempt"]
    assert (len(registry.asked), len(index.asked)) == asked
    for name in ("bottom_kit", "middle_kit", "top_kit"):
        assert list((trial.store / "envs").glob(f"*/src/{name}.hatch/hatch_metadata.json"))


@pytest.mark.usefixtures("isolated")
def test_gc_of_the_cache_keeps_what_the_lock_names(trial: Trial) -> None:
    trial.serves("hatch:top_kit").ok("lock")
    trial.ok("apply", "--yes")
    trial.ok("cache", "gc")
    trial.ok("fetch", "--offline")
    assert trial.tools("kit") == ["echo", "large", "attempt"]


# add, info, plan


@pytest.mark.usefixtures("isolated")
def test_add_by_name_makes_a_server_that_answers(trial: Trial) -> None:
    done = trial.ok("add", "hatch:top_kit")
    assert "+ server:top-kit" in done.out
    trial.ok("apply", "--yes")
    assert trial.tools("top-kit") == ["echo", "large", "attempt"]


def test_info_says_who_made_a_package_and_what_it_needs(trial: Trial) -> None:
    out = trial.ok("info", "hatch:top_kit").out
    for text in ("top_kit", "1.0.0", "MIT", "Anna Example", "hatch:middle_kit>=1.0.0"):
        assert text in out


@pytest.mark.usefixtures("isolated")
def test_a_plan_shows_licence_authors_and_citations(trial: Trial) -> None:
    trial.serves("hatch:top_kit").ok("lock")
    out = trial.ok("plan").out
    for text in ("MIT", "Anna Example", "Ben Example", "Example et al. 2026"):
        assert text in out, out


# what packages disagree about


def test_a_diamond_across_packages_is_told_with_both_ways(trial: Trial, registry: HatchServer) -> None:
    registry.packages += [
        library("core_kit", "1.0.0"),
        library("core_kit", "2.0.0"),
        library("left_kit", dependencies=needs("core_kit", ">=2.0.0")),
        library("right_kit", dependencies=needs("core_kit", "<=1.9")),
        library("both_kit", dependencies={"hatch": [*needs("left_kit")["hatch"], *needs("right_kit")["hatch"]]}),
    ]
    done = trial.serves("hatch:both_kit").fails("lock")
    assert "left_kit 1.0.0 requires core_kit>=2.0.0 (2.0.0 would do), by way of" in done.err
    assert "right_kit 1.0.0 requires core_kit<=1.9 (1.0.0 would do), by way of" in done.err
    assert not trial.lock.exists()


def test_a_diamond_that_one_version_suits_is_locked_once(trial: Trial, registry: HatchServer) -> None:
    registry.packages += [
        library("core_kit", "1.0.0"),
        library("core_kit", "2.0.0"),
        library("left_kit", dependencies=needs("core_kit", ">=1.0.0")),
        library("right_kit", dependencies=needs("core_kit", "<=1.9")),
        library("both_kit", dependencies={"hatch": [*needs("left_kit")["hatch"], *needs("right_kit")["hatch"]]}),
    ]
    trial.serves("hatch:both_kit").ok("lock")
    assert [item for item in trial.ids() if "core_kit" in item] == ["hatch:core_kit@1.0.0"]


def test_packages_that_need_each_other_are_refused_with_the_circle(trial: Trial, registry: HatchServer) -> None:
    registry.packages += [
        library("one_kit", dependencies=needs("two_kit")),
        library("two_kit", dependencies=needs("one_kit")),
    ]
    done = trial.serves("hatch:one_kit").fails("lock")
    assert "Hatch packages need each other in a circle: one_kit 1.0.0 → two_kit 1.0.0 → one_kit 1.0.0" in done.err
    assert not trial.lock.exists()


def test_a_version_of_the_archive_that_is_not_what_the_index_says_is_refused(
    trial: Trial, registry: HatchServer
) -> None:
    lying = library("lying_kit", "2.0.0").contents
    registry.packages.append(library("lying_kit", "1.0.0", data=make_archive(lying)))
    done = trial.serves("hatch:lying_kit").fails("lock")
    assert "lying_kit" in done.err
    assert "2.0.0" in done.err
    assert not trial.lock.exists()


# what is not Python


def test_an_image_that_a_package_needs_is_locked_with_its_real_name_and_digest(
    trial: Trial, registry: HatchServer, images: str
) -> None:
    architecture = container_platforms([host_platform()])[0].partition("/")[2]
    push_index(images, "library/store", ("7.2.0", "7.4.1", "8.0.0"), (architecture,), layers=[EMPTY_LAYER])
    registry.packages.append(library("store_kit", dependencies=needs("store", "<=7.9", kind="docker")))
    trial.serves("hatch:store_kit")
    trial.write(f'{trial.manifest.read_text()}\n[registries."docker.io"]\nmirrors = ["{images}"]\n')
    trial.ok("lock")
    lock = trial.lock_document()
    (image,) = (package for package in lock.packages if package.kind is Kind.OCI)
    assert (image.name, image.version, image.location) == ("store", "7.4.1", "store:7.4.1")
    assert lock.image(image.location).digest == digest_of(images, "library/store", "7.4.1")
    assert images not in trial.lock.read_text()
    assert "hatch:store_kit@1.0.0 (hatch:store_kit) → oci:store@7.4.1" in trial.ok("why", "oci:store").out


def test_a_system_package_that_a_package_needs_is_one_of_the_host_for_a_process(
    files: Path, trial: Trial, registry: HatchServer
) -> None:
    alpha = Deb(name="alpha", version="1.0-1", architecture="all", files={"usr/share/alpha": "a\n"})
    registry.packages.append(library("alpha_kit", dependencies=needs("alpha", ">=1.0", kind="system")))
    with debian_host(files) as host, serving_debian() as archive:
        archive.debs[:] = [alpha]
        host.uses(archive)
        trial.env["PATH"] = host.environ["PATH"]
        trial.serves("hatch:alpha_kit")
        keyring = trial.directory / "archive.gpg"
        keyring.write_bytes(archive.keyring)
        trial.write(
            f"{trial.manifest.read_text()}\n[indexes.debian]\n"
            f'url = "{archive.url}"\nsuite = "bookworm"\nkeyring = "archive.gpg"\n'
        )
        trial.ok("lock")
        assert "deb:alpha@1.0-1" in trial.ids()
        assert "alpha_kit@1.0.0 (hatch:alpha_kit) → deb:alpha@1.0-1" in trial.ok("why", "deb:alpha").out
        assert trial.steps() == ["update system:kit", "create env:kit", "create server:kit"]
        assert "alpha not installed -> alpha 1.0-1" in trial.ok("plan").out
        assert "--allow-privileged" in trial.fails("apply", "--yes", status=3).err
        archive.date = "Wed, 31 Dec 2025 00:00:00 UTC"
        later = trial.ok("lock", "--upgrade", "--refresh")
        assert "warning: debian/bookworm is of 2025-12-31T00:00:00Z, and the lock so far has it of 2026" in later.err
        archive.date = "Thu, 01 Jan 2026 00:00:00 UTC"
        assert "mirror" not in trial.ok("lock", "--upgrade", "--refresh").err
