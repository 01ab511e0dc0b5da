"""Where a server may keep what it writes, and which words confine it."""

from __future__ import annotations

import pytest

from hatchlock.errors import ManyErrors
from hatchlock.launch import Mount, Sandbox
from hatchlock.manifest.load import loads

HEAD = '[project]\nname = "p"\nplatforms = ["linux/amd64"]\n[servers.x]\nsource = "pypi:x==1"\n[servers.x.sandbox]\n'


def problems(*lines: str) -> list[str]:
    try:
        loads(HEAD + "\n".join((*lines, 'reason = "r"')), shown="m")
    except ManyErrors as many:
        return [str(error) for error in many.errors]
    return []


def sandbox(*lines: str) -> Sandbox:
    return loads(HEAD + "\n".join((*lines, 'reason = "r"')), shown="m").manifest.servers["x"].sandbox


@pytest.mark.parametrize("path", ["/data", "/var/lib/x", "/home/hatchlock/.cache", "/srv/a b", "/.x"])
def test_a_path_of_its_own_is_taken(path: str) -> None:
    assert sandbox(f'writable = ["{path}"]').writable == (path,)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/tmp", "is memory"),
        ("/tmp/x", "is memory"),
        ("/run", "it would hide what the sandbox needs"),
        ("/run/x", "is memory"),
        ("/home", "its home is memory"),
        ("/home/hatchlock", "its home is memory"),
        ("/usr/local/x", "/usr is the system's"),
        ("/etc", "/etc is the system's"),
        ("/lib64", "/lib64 is the system's"),
        ("/proc/x", "nothing can be put at"),
        ("/opt/hatchlock/x", "nothing can be put at"),
        ("/data/", "is '/data', written in another way"),
        ("//data", "is '/data', written in another way"),
        ("/a:b", "no engine takes a path with a colon"),
    ],
)
def test_a_path_that_cannot_be_or_would_be_of_no_use_is_refused(path: str, why: str) -> None:
    found = problems(f'writable = ["{path}"]')
    assert any(why in problem for problem in found), found


@pytest.mark.parametrize(("kept", "mounted"), [("/data", "/data"), ("/data", "/data/in"), ("/data/in", "/data/")])
def test_what_is_kept_and_what_is_mounted_do_not_share_a_place(kept: str, mounted: str) -> None:
    (found,) = problems(f'writable = ["{kept}"]', f'mounts = [{{ source = ".", target = "{mounted}" }}]')
    assert "in each other's place" in found
    assert problems(f'writable = ["{kept}"]', 'mounts = [{ source = ".", target = "/datas" }]') == []


def test_two_kept_paths_do_not_share_a_place_either() -> None:
    (found,) = problems('writable = ["/data", "/data/in"]')
    assert "'/data/in' and the writable path '/data'" in found


@pytest.mark.parametrize("value", ["default", "unconfined", "./strict.json", "profiles/strict", "strict.json"])
def test_a_seccomp_profile_is_a_word_or_a_file_of_the_project(value: str) -> None:
    assert sandbox(f'seccomp = "{value}"').seccomp == value


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('seccomp = "unconfind"', "neither a word for a profile nor a file"),
        ('seccomp = "/etc/strict.json"', "no file of the project"),
        ('seccomp = "../strict.json"', "no file of the project"),
        ('seccomp = "~/strict.json"', "no file of the project"),
        ('apparmor = "two words"', "no name of an AppArmor profile"),
        ('selinux = "type:container_t"', "no SELinux type"),
        ("privileged = true", "privileged"),
        ('security-opt = ["seccomp=unconfined"]', "security-opt"),
        ('devices = ["/dev/kvm"]', "devices"),
    ],
)
def test_words_that_confine_nothing_are_refused(line: str, why: str) -> None:
    (found,) = problems(line)
    assert why in found


def test_a_label_is_changed_where_it_is_asked_for() -> None:
    lines = 'mounts = [{ source = "./a", target = "/a", relabel = "private" }, { source = "./b", target = "/b" }]'
    assert sandbox(lines).mounts == (
        Mount(source="./a", target="/a", relabel="private"),
        Mount(source="./b", target="/b"),
    )
    (found,) = problems('mounts = [{ source = "./a:b", target = "/a", relabel = "shared" }]')
    assert "a path with a colon" in found
