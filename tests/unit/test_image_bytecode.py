from __future__ import annotations

from dataclasses import replace
from typing import Any

from hatchlock.engines.bytecode import LIBRARY
from hatchlock.images.archive import ArchiveLayer
from hatchlock.images.assemble import Composed
from hatchlock.lock.images import ImagePlatform
from hatchlock.resources.base import Artefact
from hatchlock.resources.env_parts import CondaSpec, ProjectSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.image_bytecode import bytecode_parts
from hatchlock.resources.image_spec import ImageSpec

FILE = Artefact(package="pypi:a@1", name="a.whl", digest="0" * 64, size=1)
BASE = ImagePlatform(digest="sha256:base", config="sha256:config", config_size=1, layers=())
PYTHON = {"name": "demo", "python": "/usr/bin/python3.11", "python_version": "3.11.2", "wheels": (FILE,)}


def spec(**changes: Any) -> ImageSpec:
    environment = EnvSpec(**{**PYTHON, **changes})
    return ImageSpec(
        server="demo", reference="base", platform="linux/amd64", key="1", base=BASE, environment=environment
    )


def image(**layers: str) -> Composed:
    """Return an image with layers of these names over a base of one."""
    return Composed(
        config=b"",
        below=(ArchiveLayer(diff_id="base", path=None),),
        above=tuple(ArchiveLayer(diff_id=diff_id, path=None) for diff_id in layers.values()),
        concerns=tuple(layers),
    )


def project(ecosystem: str) -> ProjectSpec:
    return ProjectSpec(name="own", version="1", ecosystem=ecosystem, artefact=FILE)


def test_the_library_follows_from_the_base_alone_and_packages_from_their_layer_as_well() -> None:
    library, packages = bytecode_parts(spec(), image(python="one"))
    assert (library.directories, library.inputs) == ((LIBRARY,), ("sha256:config", "base"))
    assert (packages.directories, packages.inputs) == (("/opt/hatchlock/lib",), ("sha256:config", "base", "one"))


def test_what_changes_beside_python_changes_nothing() -> None:
    before = bytecode_parts(spec(), image(python="one", npm="one", application="one"))
    assert bytecode_parts(spec(), image(python="one", npm="two", application="two")) == before
    library, packages = bytecode_parts(spec(), image(python="two", npm="one", application="one"))
    assert (library == before[0], packages == before[1]) == (True, False)


def test_packages_of_debian_and_conda_may_change_the_interpreter() -> None:
    made = spec(conda=CondaSpec(root="/opt/conda", platform="linux-64", artefacts=(), has_python=True))
    before = bytecode_parts(made, image(system="one", conda="one", python="one"))
    assert before[0].directories == (LIBRARY, "/opt/conda/lib")
    for layers in ({"system": "two", "conda": "one"}, {"system": "one", "conda": "two"}):
        after = bytecode_parts(made, image(**layers, python="one"))
        assert not set(before) & set(after)


def test_a_changed_project_leaves_packages_as_they_are() -> None:
    own = project("python")
    made = spec(projects=(own, project("node")))
    before = bytecode_parts(made, image(python="one", application="one"))
    after = bytecode_parts(made, image(python="one", application="two"))
    assert before[2].directories == (f"/opt/hatchlock/{own.path}",)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, True, False]


def test_an_image_without_python_has_nothing_to_compile() -> None:
    as_it_is = replace(spec(), environment=None)
    assert bytecode_parts(as_it_is, image()) == ()
    assert not as_it_is.is_compiled
    assert not spec(python="").is_compiled
    assert spec().is_compiled
