"""Where an image is, as users write it: registries, `docker-daemon:`, paths of layouts."""

from __future__ import annotations

import pytest

from hatchlock.address import BadSource
from hatchlock.errors import ManyErrors
from hatchlock.manifest.load import loads
from hatchlock.manifest.takeover import server_from_source
from hatchlock.sources.oci_tags import declared_oci, image_text

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n'


@pytest.mark.parametrize(
    "source",
    [
        "oci:./images/app",
        "oci:../app:1.2",
        "oci:/srv/app",
        "oci:docker-daemon:app:1",
        "oci:docker-daemon:host:5000/app",
    ],
)
def test_a_server_or_a_base_may_be_anywhere(source: str) -> None:
    loaded = loads(f'{HEAD}[servers.s]\nsource = "{source}"\n[environments.e]\nbase = "{source}"\n', shown="m")
    base = loaded.manifest.environments["e"].base
    assert str(loaded.manifest.servers["s"].source) == str(base) == source


@pytest.mark.parametrize(
    ("source", "what", "hint"),
    [
        ("oci:./a b", "is no directory of an OCI layout", "oci:./DIRECTORY"),
        ("oci:./app>=1", "is no directory of an OCI layout", "oci:./DIRECTORY"),
        ("oci:docker-daemon:UPPER", "is no image reference", "docker-daemon:NAME"),
        ("oci:docker-daemon:app>=1,<2", "bounds choose among the tags of a registry", "name a tag"),
    ],
)
def test_what_cannot_be_meant_is_an_error_with_its_line(source: str, what: str, hint: str) -> None:
    with pytest.raises(ManyErrors) as caught:
        loads(f'{HEAD}[environments.e]\ndependencies = ["{source}"]\n', shown="m")
    (error,) = caught.value.errors
    assert (str(error.place), what in str(error), hint in error.hint) == ("m:5", True, True), f"{error} {error.hint}"


def test_a_layout_is_no_tag_that_moves() -> None:
    assert loads(f'{HEAD}[servers.s]\nsource = "oci:./app"\n', shown="m").warnings == ()
    (warning,) = loads(f'{HEAD}[servers.s]\nsource = "oci:docker-daemon:app:1"\n', shown="m").warnings
    assert "mutable reference" in str(warning)


@pytest.mark.parametrize("spec", ["docker-daemon:team/app:1", "docker-daemon:app", "./app:1", "/srv/app:1"])
def test_a_dependency_that_is_one_image_keeps_its_place(spec: str) -> None:
    requirement = declared_oci(spec)
    text = image_text(requirement.name, requirement.version)
    assert declared_oci(text) == declared_oci(spec if ":" in spec.removeprefix("docker-daemon:") else f"{spec}:latest")


def test_a_dependency_in_a_layout_names_its_tag() -> None:
    with pytest.raises(BadSource, match="needs its tag"):
        declared_oci("./app")
    with pytest.raises(BadSource, match="bounds choose"):
        declared_oci("docker-daemon:app>=1")


def test_a_bare_path_is_asked_about() -> None:
    with pytest.raises(BadSource) as caught:
        server_from_source("./server")
    assert "path:./server" in caught.value.hint
    assert "oci:./server" in caught.value.hint
    assert server_from_source("oci:./images/weather:1")[0] == "weather"
