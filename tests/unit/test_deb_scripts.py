"""What maintainer scripts say that they do, and how little of a package is fetched to read it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hatchlock.lock.model import File
from hatchlock.net.http import Http, Unreachable
from hatchlock.net.patience import Patience
from hatchlock.realise.debs.package_file import control_of_head
from hatchlock.realise.debs.script_needs import ScriptNeeds, script_needs
from hatchlock.realise.unpack import BadArchive
from hatchlock.sources.debian.scripts import ScriptReader
from support.debian_archive import Deb, DebianArchive, serving_debian


def needs(script: str = "", name: str = "postinst", **members: str) -> ScriptNeeds:
    deb = Deb(name="x", control={name: f"#!/bin/sh\nset -e\n{script}\n", **members})
    return script_needs(control_of_head(deb.data))


@pytest.mark.parametrize(
    ("script", "links"),
    [
        ("update-alternatives --quiet --install /usr/bin/awk awk /usr/bin/mawk 5", ["/usr/bin/awk"]),
        (
            "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 \\\n  --slave /usr/bin/nawk nawk /usr/bin/mawk",
            ["/usr/bin/awk", "/usr/bin/nawk"],
        ),
        ("if x; then update-alternatives --install '/usr/bin/vi' vi /usr/bin/vim 30; fi", ["/usr/bin/vi"]),
        ("LINK=/usr/bin/cc\nupdate-alternatives --install ${LINK} cc /usr/bin/gcc 20", ["/usr/bin/cc"]),
        (
            "for i in java jar; do update-alternatives --install /opt/$i/bin/${i} $i /x/$i 1; done",
            ["/opt/jar/bin/jar", "/opt/java/bin/java"],
        ),
        ("for i in $ALL; do\nupdate-alternatives --install /usr/bin/$i $i /x/$i 1\ndone", ["/usr/bin/$i"]),
        ("update-alternatives --install /usr/share/man/man1/awk.1.gz x y 1", []),
        ("update-alternatives --remove awk /usr/bin/mawk", []),
        ("# update-alternatives --install /usr/bin/a a b 1", []),
        ('update-alternatives --install "/usr/bin/a', []),
    ],
)
def test_alternatives_are_read(script: str, links: list[str]) -> None:
    assert list(needs(script).alternatives) == links


@pytest.mark.parametrize(
    ("script", "accounts"),
    [
        ("adduser --system --group --home /var/lib/pg --gecos 'The server' postgres >/dev/null", ["postgres"]),
        ("getent group ssl >/dev/null || addgroup --system ssl", ["ssl"]),
        ("useradd -r -d /x -s /bin/false messagebus || true\nadduser postgres ssl", ["messagebus", "postgres"]),
        ("WHO=daemon-x\nadduser --quiet --system $WHO", ["daemon-x"]),
        ("echo deluser x", []),
    ],
)
def test_users_and_groups_are_read(script: str, accounts: list[str]) -> None:
    assert list(needs(script).accounts) == accounts
    assert needs(script, "prerm") == ScriptNeeds()


def test_files_that_list_users_are_found_in_the_sums() -> None:
    deb = Deb(name="x", files={"usr/lib/sysusers.d/x.conf": "u x -\n"})
    assert script_needs(control_of_head(deb.data)).accounts == ("/usr/lib/sysusers.d/x.conf",)


def test_diversions_are_read_but_not_questions_about_them() -> None:
    script = "dpkg-divert --package x --add --rename --divert /bin/sh.old /bin/sh\ndpkg-divert --truename /bin/ls"
    assert needs(script, "preinst").diversions == ("/bin/sh",)


def test_triggers_count_unless_they_are_done_or_no_loss() -> None:
    lines = (
        *("interest-noawait /usr/share/glib-2.0/schemas", "activate-noawait ldconfig", "interest /usr/share/man"),
        *("interest /usr/lib/python3/dist-packages", "activate update-ca-certificates", "activate other", "nonsense"),
    )
    assert needs(triggers="\n".join(lines)).triggers == ("/usr/share/glib-2.0/schemas", "other")


def test_what_is_done_is_told_in_one_sentence() -> None:
    found = ScriptNeeds(alternatives=("/a",), accounts=("b",), triggers=("1", "2", "3", "4", "5"))
    assert found.acts == (
        "sets up alternatives (/a), adds users or groups (b) and renews what others bring (1, 2, 3 and 2 more)"
    )
    assert ScriptNeeds().acts == ""


# reading from afar

NOISE = random.Random(1).randbytes(300_000)
MAWK = Deb(
    name="mawk",
    files={"usr/bin/mawk": NOISE},
    control={"postinst": "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n"},
)
AWK = ScriptNeeds(alternatives=("/usr/bin/awk",))


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(environ={}, patience=Patience(repeats=0)) as made:
        yield made


def file_of(deb: Deb) -> File:
    return File(name=deb.file_name, sha256=deb.sha256, size=len(deb.data))


def url_of(archive: DebianArchive, deb: Deb) -> str:
    return f"{archive.url}/{deb.path}"


def test_only_the_beginning_of_a_package_is_fetched_and_only_once(tmp_path: Path, http: Http) -> None:
    with serving_debian(MAWK) as archive:
        reader = ScriptReader(tmp_path, lambda: http)
        assert reader.known(file_of(MAWK)) is None
        assert reader.read(file_of(MAWK), url_of(archive, MAWK)) == AWK
        assert archive.sent[MAWK.path] == 32 << 10
    assert ScriptReader(tmp_path, lambda: http).known(file_of(MAWK)) == AWK


def test_a_long_beginning_takes_a_second_range(tmp_path: Path, http: Http) -> None:
    large = Deb(name="mawk", files=MAWK.files, control={**MAWK.control, "templates": NOISE[:60_000].hex()})
    with serving_debian(large) as archive:
        assert ScriptReader(tmp_path, lambda: http).read(file_of(large), url_of(archive, large)) == AWK
        assert len(archive.asked_for("pool/")) == 2
        assert archive.sent[large.path] < len(large.data) - 200_000


def test_an_archive_without_ranges_serves_too(tmp_path: Path, http: Http) -> None:
    with serving_debian(MAWK, ranges=False) as archive:
        assert ScriptReader(tmp_path, lambda: http).read(file_of(MAWK), url_of(archive, MAWK)) == AWK


def test_what_cannot_be_read_is_not_kept(tmp_path: Path, http: Http) -> None:
    with serving_debian(MAWK) as archive:
        reader = ScriptReader(tmp_path, lambda: http)
        archive.raw[MAWK.path] = b"<html>hello</html>"
        with pytest.raises(BadArchive):
            reader.read(file_of(MAWK), url_of(archive, MAWK))
        archive.debs = []
        del archive.raw[MAWK.path]
        with pytest.raises(Unreachable):
            reader.read(file_of(MAWK), url_of(archive, MAWK))
    assert reader.known(file_of(MAWK)) is None
