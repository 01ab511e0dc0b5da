"""Where to tell of mistakes is taken from what packages and images say of themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Environment, Lock, Package, Server
from hatchlock.usecases.report_addresses import addresses_of

PACKAGE = Package(kind=Kind.PYPI, name="tiny-server", version="1.0")


def told(package: Package) -> str:
    (found,) = addresses_of(Lock(project="acme", platforms=("linux/amd64",), packages=(package,)))
    return found.address


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://github.com/team/server", "https://github.com/team/server/issues"),
        ("git+https://github.com/team/server.git", "https://github.com/team/server/issues"),
        ("git+ssh://git@github.com/team/server.git", "https://github.com/team/server/issues"),
        ("git@github.com:team/server.git", "https://github.com/team/server/issues"),
        ("github:team/server", "https://github.com/team/server/issues"),
        ("https://gitlab.com/team/server", "https://gitlab.com/team/server/-/issues"),
        ("https://github.com/team/many/tree/main/one", "https://github.com/team/many/issues"),
        ("https://git.example.com/server", "https://git.example.com/server"),
    ],
)
def test_a_repository_leads_to_its_issues(repository: str, expected: str) -> None:
    assert told(replace(PACKAGE, repository=repository)) == expected


def test_without_one_the_authors_and_the_index_are_named() -> None:
    assert told(replace(PACKAGE, authors="Jo <jo@example.com>")) == ("Jo <jo@example.com>, its page in the index pypi")
    assert told(replace(PACKAGE, kind=Kind.NPM, index="ours", name="@team/x")) == "its page in the index ours"
    assert told(replace(PACKAGE, kind=Kind.DEB, name="tzdata")) == "its archive's bug tracker"
    assert (
        told(replace(PACKAGE, kind=Kind.GIT, location="https://github.com/team/x"))
        == "https://github.com/team/x/issues"
    )
    assert told(replace(PACKAGE, kind=Kind.PATH)) == ""


def test_servers_come_first_and_images_say_it_by_their_label() -> None:
    other = replace(PACKAGE, name="anyio")
    platform = ImagePlatform(
        digest="sha256:1", config="sha256:2", config_size=1, layers=(), repository="https://github.com/team/image"
    )
    lock = Lock(
        project="acme",
        platforms=("linux/amd64",),
        packages=(other, PACKAGE),
        images=(Image(reference="ghcr.io/team/image:1", digest="sha256:0", platforms={"linux/amd64": platform}),),
        environments=(Environment(name="tiny", private=True, runtime="process", packages=(other.id, PACKAGE.id)),),
        servers=(
            Server(name="image", source="oci:ghcr.io/team/image:1", runtime="container", image="ghcr.io/team/image:1"),
            Server(name="tiny", source="pypi:tiny-server", runtime="process", environment="tiny"),
            Server(name="far", source="", runtime="process", url="https://mcp.example/mcp?key=k"),
        ),
    )
    found = addresses_of(lock)
    assert [(item.what, item.servers) for item in found] == [
        ("ghcr.io/team/image:1", ("image",)),
        ("https://mcp.example/mcp", ("far",)),
        ("pypi:tiny-server@1.0", ("tiny",)),
        ("pypi:anyio@1.0", ()),
    ]
    assert found[1].address == "whoever runs it"
    assert found[0].address == "https://github.com/team/image/issues"
