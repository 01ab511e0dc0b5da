from __future__ import annotations

from hatchlock.engines.apt import AptChange, install_words, read_simulation
from hatchlock.engines.debian_host import installed_packages, read_host

DEBIAN = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_CODENAME=bookworm
ID=debian
"""
LISTING = (
    "dpkg\tamd64\t1.21.22\tii \t\n"
    "libc6\tamd64\t2.36-9\tii \t\n"
    "libc6\ti386\t2.36-7\tii \t\n"
    "postfix\tamd64\t3.7\tii \tmail-transport-agent, default-mta (= 3.7), smtpd:any\n"
    "held\tall\t1\thi \t\n"
    "gone\tall\t1\trc \t\n"
    "unpacked\tamd64\t2\tiU \t\n"
    "half\tamd64\t2\tiF \t\n"
    "broken\tamd64\t2\tiHR\t\n"
    "triggered\tamd64\t3\tit \t\n"
)


def test_what_system_this_is_stands_in_os_release() -> None:
    found = read_host(DEBIAN)
    assert (found.title, found.codename, found.is_debian) == ("Debian GNU/Linux 12 (bookworm)", "bookworm", True)
    assert not read_host(DEBIAN, missing=("apt-get",)).is_debian
    assert read_host("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n").is_debian
    assert not read_host("# ID=debian\nID=fedora\nNAME='Fedora Linux'\n").is_debian
    assert read_host("ID=fedora\nNAME='Fedora Linux'\n").title == "Fedora Linux"


def test_installed_is_what_works_and_is_native() -> None:
    found = installed_packages(LISTING)
    assert {name: item.version for name, item in found.installed.items()} == {
        "dpkg": "1.21.22",
        "libc6": "2.36-9",
        "postfix": "3.7",
        "held": "1",
        "triggered": "3",
    }
    assert found.installed["postfix"].provides == {"mail-transport-agent": "", "default-mta": "3.7", "smtpd": ""}


def test_what_dpkg_did_not_finish_is_named_with_its_state() -> None:
    assert installed_packages(LISTING).half_done == (
        "broken (half-installed)",
        "half (half-configured)",
        "unpacked (unpacked, not configured)",
    )


def test_a_simulation_is_read_line_by_line() -> None:
    output = """\
Reading package lists...
Remv delta [1.0-1] [epsilon:amd64 ]
Purg zeta [2]
Inst libx:i386 (1.0 Example:bookworm [i386])
Inst alpha [1:1.0~rc1] (1:1.0 Debian:12.5/stable, Debian-Security:12/stable-security [amd64]) [beta:amd64 on alpha:amd64]
Inst beta (2.0 local-deb [all]) []
Conf beta (2.0 local-deb [all])
"""
    assert read_simulation(output) == (
        AptChange(name="alpha", before="1:1.0~rc1", after="1:1.0"),
        AptChange(name="beta", after="2.0"),
        AptChange(name="delta", before="1.0-1"),
        AptChange(name="libx:i386", after="1.0"),
        AptChange(name="zeta", before="2"),
    )


def test_a_change_is_said_in_words() -> None:
    assert str(AptChange(name="a", after="2")) == "installs a 2"
    assert str(AptChange(name="a", before="1", after="2")) == "changes a 1 -> 2"
    assert str(AptChange(name="a", before="1")) == "removes a 1"


def test_the_command_is_the_same_for_the_same_packages() -> None:
    words = install_words([("git", "1:2.39-1"), ("curl", "7")])
    assert words == install_words([("curl", "7"), ("git", "1:2.39-1")])
    assert words[:2] == ("apt-get", "install")
    assert words[-2:] == ("curl=7", "git=1:2.39-1")
    assert {"--yes", "--no-install-recommends", "--no-remove"} <= set(words)
