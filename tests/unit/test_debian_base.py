"""What a Debian system says of itself: packages, apt's sources, keys."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from hatchlock.sources.debian.apt_sources import AptSource, BadAptSource, apt_sources
from hatchlock.sources.debian.archives import NoArchive, archives_for
from hatchlock.sources.debian.base import DebianBase, NotDebian, debian_base, host_base
from support.debian_archive import Deb, status_of
from support.layers import make_layer

LIST = "etc/apt/sources.list"
SOURCES = "etc/apt/sources.list.d/debian.sources"
OS_RELEASE = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'
STATUS = status_of(
    Deb(name="libc6", version="2.36-9", fields={"Multi-Arch": "same", "Provides": "libc6-plus"}),
    Deb(name="tzdata", version="2024a-0+deb12u1", architecture="all"),
)


def read(text: str, path: str = LIST) -> tuple[AptSource, ...]:
    return apt_sources({path: text.encode()})


def test_one_line_sources_are_read_with_their_options() -> None:
    found = read(
        "# a comment\n"
        "deb http://deb.example.com/debian bookworm main contrib # more\n"
        "deb-src http://deb.example.com/debian bookworm main\n"
        "deb [ arch=amd64,arm64 signed-by=/usr/share/keyrings/a.gpg ] https://a.example.com/apt/ stable main\n"
        "deb [check-valid-until=no snapshot=20260701T000000Z] http://[::1]:8080/flat ./\n"
    )
    assert found == (
        AptSource(url="http://deb.example.com/debian", suite="bookworm", components=("main", "contrib")),
        AptSource(
            url="https://a.example.com/apt",
            suite="stable",
            components=("main",),
            architectures=("amd64", "arm64"),
            keyrings=("/usr/share/keyrings/a.gpg",),
        ),
        AptSource(url="http://[::1]:8080/flat", suite="./", checks_age=False, snapshot="20260701T000000Z"),
    )


def test_a_login_in_apts_sources_is_not_kept_for_it_would_stand_in_messages() -> None:
    (source,) = read("deb https://anna:hunter2@deb.example.com/debian bookworm main\n")
    (other,) = read(
        "Types: deb\nURIs: https://anna:hunter2@deb.example.com/debian\nSuites: bookworm\nComponents: main\n", SOURCES
    )
    assert source == other
    assert source.url == "https://deb.example.com/debian"
    with pytest.raises(NoArchive) as caught:
        archives_for([source], {})
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("url", ["http://[", "//[::1", "https://", "http://[::1"])
def test_an_address_that_is_none_is_no_source(url: str) -> None:
    with pytest.raises(NoArchive, match="are no http\\(s\\) addresses"):
        archives_for(read(f"deb {url} bookworm main\n"), {"/etc/apt/trusted.gpg": b"key"})


@pytest.mark.parametrize("title", ["abc\\", '"it\'s" \'x"\'"', '"', "a 'b"])
def test_what_is_quoted_without_end_in_os_release_is_taken_as_it_is(tmp_path: Path, title: str) -> None:
    files = {"etc/os-release": f"ID=debian\nPRETTY_NAME={title}\n".encode(), "var/lib/dpkg/status": STATUS}
    found = based_on(tmp_path, files)
    assert found.os_release["ID"] == "debian"


def test_deb822_sources_are_read_with_inline_keys_and_without_disabled_ones() -> None:
    found = read(
        "# the usual ones\n"
        "Types: deb deb-src\n"
        "URIs: http://deb.example.com/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main\n"
        "Signed-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        " .\n"
        " abc\n"
        " -----END PGP PUBLIC KEY BLOCK-----\n"
        "\n"
        "Enabled: no\n"
        "Types: deb\n"
        "URIs: http://off.example.com\n"
        "Suites: x\n"
        "Components: y\n"
        "\n"
        "Types: deb\n"
        "URIs: http://b.example.com\n"
        "Suites: stable\n"
        "Components: main\n"
        "Architectures: arm64\n"
        "Signed-By: 0123ABCD! /etc/apt/keyrings/b.asc\n",
        SOURCES,
    )
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n"
    assert [(item.suite, item.key) for item in found] == [("bookworm", key), ("bookworm-updates", key), ("stable", "")]
    assert (found[2].fingerprints, found[2].keyrings, found[2].architectures) == (
        ("0123ABCD!",),
        ("/etc/apt/keyrings/b.asc",),
        ("arm64",),
    )


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        (LIST, "\ndeb http://a.example.com\n", 2),
        (LIST, "deb http://a.example.com bookworm\n", 1),
        (LIST, "deb http://a.example.com ./ main\n", 1),
        (SOURCES, "Types: deb\nURIs: http://a.example.com\nSuites: bookworm\n", 1),
        (SOURCES, "Types: deb\nSuites: bookworm\nComponents: main\n", 1),
    ],
)
def test_malformed_sources_are_refused_with_their_place(path: str, text: str, line: int) -> None:
    with pytest.raises(BadAptSource) as caught:
        read(text, path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_files_that_apt_does_not_read_are_passed_over() -> None:
    assert apt_sources({"etc/apt/sources.list.d/old.list.bak": b"deb nonsense", "etc/hosts": b"deb x"}) == ()


def layers_in(tmp_path: Path, *layers: Mapping[str, bytes | str | None]) -> list[Path]:
    paths = []
    for number, files in enumerate(layers):
        path = tmp_path / f"layer-{number}.tar.gz"
        path.write_bytes(make_layer(files))
        paths.append(path)
    return paths


def based_on(tmp_path: Path, *layers: Mapping[str, bytes | str | None], key: str = "sha256:1") -> DebianBase:
    return debian_base(layers_in(tmp_path, *layers), cache=tmp_path / "cache", key=key)


BOTTOM: dict[str, bytes | str | None] = {
    "usr/lib/os-release": OS_RELEASE,
    "etc/os-release": "../usr/lib/os-release",
    "var/lib/dpkg/status": STATUS,
    LIST: b"deb http://deb.example.com/debian bookworm main\n",
    "usr/share/keyrings/debian-archive-keyring.gpg": b"own",
    "usr/share/keyrings/other.gpg": b"other",
    "etc/apt/trusted.gpg.d/a.asc": b"general",
}


def test_a_base_is_read_from_its_layers_as_its_file_system_would_show_it(tmp_path: Path) -> None:
    top: dict[str, bytes | str | None] = {
        "etc/apt/.wh.sources.list": b"",
        SOURCES: b"Types: deb\nURIs: http://new.example.com\nSuites: bookworm\nComponents: main\n"
        b"Signed-By: /usr/share/keyrings/link.gpg\n",
        "usr/share/keyrings/link.gpg": "debian-archive-keyring.gpg",
    }
    found = based_on(tmp_path, BOTTOM, top)
    assert found.architecture == "amd64"
    assert found.os_release["VERSION_CODENAME"] == "bookworm"
    assert [(item.name, str(item.version)) for item in found.status] == [
        ("libc6", "2.36-9"),
        ("tzdata", "2024a-0+deb12u1"),
    ]
    assert [item.name for item in found.status[0].provides] == ["libc6-plus"]
    assert [item.url for item in found.sources] == ["http://new.example.com"]
    assert found.keyrings == {
        "/etc/apt/trusted.gpg.d/a.asc": b"general",
        "/usr/share/keyrings/debian-archive-keyring.gpg": b"own",
        "/usr/share/keyrings/link.gpg": b"own",
    }


def test_a_base_that_was_read_is_kept_by_its_key(tmp_path: Path) -> None:
    first = based_on(tmp_path, BOTTOM)
    (tmp_path / "layer-0.tar.gz").unlink()
    again = debian_base([tmp_path / "layer-0.tar.gz"], cache=tmp_path / "cache", key="sha256:1")
    assert again == first
    assert again.keyrings == first.keyrings
    with pytest.raises(FileNotFoundError):
        debian_base([tmp_path / "layer-0.tar.gz"], cache=tmp_path / "cache", key="sha256:2")


def test_the_slimmest_images_keep_one_file_for_each_package(tmp_path: Path) -> None:
    files: dict[str, bytes | str | None] = {
        "etc/os-release": OS_RELEASE,
        "var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.36-9\nArchitecture: arm64\n",
        "var/lib/dpkg/status.d/libc6.md5sums": b"0  usr/lib/x\n",
    }
    found = based_on(tmp_path, files)
    assert ([item.name for item in found.status], found.architecture) == (["libc6"], "arm64")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"etc/os-release": b'ID=alpine\nPRETTY_NAME="Alpine Linux v3.20"\n'}, "Alpine Linux v3.20"),
        ({"etc/os-release": b"ID=fedora\n", "var/lib/dpkg/status": STATUS}, "fedora"),
        ({"etc/os-release": OS_RELEASE}, "Debian GNU/Linux 12 (bookworm)"),
        ({"bin/sh": b""}, "of no known system"),
    ],
)
def test_other_families_are_refused_by_name(tmp_path: Path, files: dict[str, bytes | str | None], said: str) -> None:
    with pytest.raises(NotDebian) as caught:
        based_on(tmp_path, files)
    assert said in str(caught.value)
    assert "base" in caught.value.hint


def test_derivatives_count_as_debian(tmp_path: Path) -> None:
    found = based_on(tmp_path, {**BOTTOM, "usr/lib/os-release": b"ID=ubuntu\nID_LIKE=debian\n"})
    assert found.os_release["ID"] == "ubuntu"


def test_a_removed_package_is_not_installed(tmp_path: Path) -> None:
    gone = b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n\n"
    found = based_on(tmp_path, {**BOTTOM, "var/lib/dpkg/status": gone + STATUS})
    assert [item.name for item in found.status] == ["libc6", "tzdata"]


def test_packages_of_another_architecture_serve_nothing(tmp_path: Path) -> None:
    foreign = status_of(Deb(name="libc6", version="2.35-1", architecture="i386"))
    found = based_on(
        tmp_path, {**BOTTOM, "var/lib/dpkg/status": STATUS + b"\n" + status_of(Deb(name="bash")) + b"\n" + foreign}
    )
    assert [(item.name, item.architecture) for item in found.status] == [
        ("libc6", "amd64"),
        ("tzdata", "all"),
        ("bash", "amd64"),
    ]


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this machine is no Debian system")
def test_this_machine_can_be_read() -> None:
    found = host_base()
    assert found.architecture
    assert any(item.name == "libc6" for item in found.status)


BOOKWORM = AptSource(url="http://deb.example.com/debian", suite="bookworm", components=("main",))
UPDATES = AptSource(url="http://deb.example.com/debian", suite="bookworm-updates", components=("main", "contrib"))
KEYS = {"/etc/apt/trusted.gpg.d/a.asc": b"general", "/usr/share/keyrings/debian-archive-keyring.gpg": b"own"}
GENERAL = (("/etc/apt/trusted.gpg.d/a.asc", b"general"),)


def test_without_a_declared_address_the_bases_sources_are_used_each_with_its_keys() -> None:
    named = AptSource(
        url="http://b.example.com",
        suite="stable",
        components=("main",),
        keyrings=("/usr/share/keyrings/debian-archive-keyring.gpg",),
    )
    found = archives_for((BOOKWORM, named), KEYS)
    assert [(item.name, item.url) for item in found] == [
        ("debian/bookworm", "http://deb.example.com/debian"),
        ("debian/stable", "http://b.example.com"),
    ]
    assert [item.keyrings for item in found] == [GENERAL, (("/usr/share/keyrings/debian-archive-keyring.gpg", b"own"),)]


def test_suites_and_components_narrow_the_bases_sources() -> None:
    found = archives_for((BOOKWORM, UPDATES), KEYS, suite="bookworm-updates", components=("contrib",))
    assert [(item.suite, item.components) for item in found] == [("bookworm-updates", ("contrib",))]


def test_a_declared_address_is_used_alone() -> None:
    found = archives_for(
        (BOOKWORM,),
        KEYS,
        name="acme",
        url="https://apt.example.com/",
        suite="trixie trixie-updates",
        keyring=b"declared",
    )
    assert [(item.name, item.url, item.components) for item in found] == [
        ("acme/trixie", "https://apt.example.com", ("main",)),
        ("acme/trixie-updates", "https://apt.example.com", ("main",)),
    ]
    assert found[0].keyrings == (("of [indexes.debian]", b"declared"),)
    assert archives_for((BOOKWORM,), KEYS, url="https://apt.example.com")[0].suite == "bookworm"


def test_two_addresses_with_one_suite_have_two_names_and_one_address_twice_has_one() -> None:
    other = AptSource(url="http://b.example.com", suite="bookworm", components=("main",))
    more = AptSource(url=BOOKWORM.url, suite="bookworm", components=("contrib",))
    found = archives_for((BOOKWORM, other, more), KEYS)
    assert [(item.name, item.components) for item in found] == [
        ("debian/bookworm", ("main", "contrib")),
        ("debian/bookworm.2", ("main",)),
    ]


@pytest.mark.parametrize(
    ("sources", "keys", "switches", "said"),
    [
        ((), KEYS, {}, "apt has no sources in the base"),
        ((BOOKWORM,), {}, {}, "no key is known that signs bookworm"),
        ((BOOKWORM,), KEYS, {"suite": "trixie"}, "no source of apt in the base has trixie"),
        ((), KEYS, {"url": "http://a.example.com"}, "no suite is declared"),
        ((AptSource(url="cdrom:x", suite="a", components=("main",)),), KEYS, {}, "no http(s) addresses"),
        ((BOOKWORM,), KEYS, {"architecture": "s390x", "components": ("rest",)}, "has rest"),
        (
            (AptSource(url="http://a.example.com", suite="a", components=("main",), keyrings=("/gone.gpg",)),),
            KEYS,
            {},
            "signed by /gone.gpg",
        ),
    ],
)
def test_no_usable_archive_is_said_with_the_reason(
    sources: tuple[AptSource, ...], keys: dict[str, bytes], switches: dict[str, str], said: str
) -> None:
    with pytest.raises(NoArchive) as caught:
        archives_for(sources, keys, **switches)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "[indexes.debian]" in caught.value.hint
