from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.address import Kind
from hatchlock.errors import PermissionProblem
from hatchlock.launch import Mount, Sandbox
from hatchlock.lock.model import Environment, File, Lock, Package, Server
from hatchlock.lock.store import BadLock, MissingLock, NewerLock, dumps, loads, read_lock, write_text
from hatchlock.lock.toml import dump_value, table
from support.locks import EVERYTHING, world

LOCK = world().lock(EVERYTHING)
SMALL = Lock(project="p", platforms=("linux/amd64",))
TREE = Environment(name="e", private=True, runtime="process", node="22")
HEAD = b'version = 1\nassembler = 1\nsandbox = 1\nproject = "p"\n'
PACKAGE = HEAD + b'[[package]]\nkind = "pypi"\nname = "a"\nversion = "1"\n'
DEB = HEAD + b'[[package]]\nkind = "deb"\n'
ENVIRONMENT = HEAD + b'[[environment]]\nname = "a"\nprivate = true\nruntime = "process"\n'


def test_a_lock_that_fills_every_table_is_read_back() -> None:
    assert loads(dumps(LOCK).encode()) == LOCK


def test_a_lock_says_at_its_top_who_writes_it_and_by_which_rules() -> None:
    first, _, *rest = dumps(SMALL).splitlines()
    assert first.startswith("# Written by `hatchlock lock`")
    assert rest == ["version = 1", "assembler = 1", "sandbox = 1", 'project = "p"', 'platforms = ["linux/amd64"]']


def test_the_order_in_which_mappings_were_filled_does_not_show() -> None:
    server = Server(name="s", source="", runtime="process", env={"A": "1", "B": "2"})
    turned = replace(server, env={"B": "2", "A": "1"})
    assert dumps(replace(SMALL, servers=(server,))) == dumps(replace(SMALL, servers=(turned,)))


def test_only_what_differs_from_the_default_profile_is_written_of_a_sandbox() -> None:
    server = Server(name="s", source="", runtime="process", sandbox=Sandbox(pids=64, stop_signal="SIGINT"))
    line = next(
        line for line in dumps(replace(SMALL, servers=(server,))).splitlines() if line.startswith("sandbox = {")
    )
    assert line == 'sandbox = { pids = 64, stop-signal = "SIGINT" }'


def test_a_profile_and_a_label_of_a_mount_make_a_newer_lock_and_nothing_else_does() -> None:
    plain = Sandbox(mounts=(Mount(source=".", target="/x"),), writable=("/data",), apparmor="acme")
    asking = (
        replace(plain, mounts=(Mount(source=".", target="/x", relabel="private"),)),
        replace(plain, seccomp="./strict.json", seccomp_sha256="0" * 64),
    )
    for sandbox in (plain, *asking):
        lock = replace(SMALL, servers=(Server(name="s", source="", runtime="process", sandbox=sandbox),))
        assert loads(dumps(lock).encode()) == lock
        assert ("minor = 3\n" in dumps(lock)) is (sandbox is not plain)
        assert ("relabel" in dumps(lock)) is (sandbox is asking[0])


def test_a_profiles_digest_is_one() -> None:
    data = b'[[server]]\nname = "a"\nruntime = "process"\nsandbox = { seccomp = "./a.json", seccomp-sha256 = "../x" }\n'
    with pytest.raises(BadLock, match="sha256"):
        loads(HEAD + data)


def test_long_arrays_get_a_line_for_each_item() -> None:
    items = [f"pypi:package-{number}@1.0" for number in range(9)]
    lines = table("[[x]]", {"packages": items}).splitlines()
    assert lines == ["[[x]]", "packages = [", *(f'    "{item}",' for item in items), "]"]


def test_a_short_array_stays_in_one_line() -> None:
    assert table("", {"packages": ["a", "b"]}) == 'packages = ["a", "b"]\n'


def test_what_toml_cannot_hold_is_not_written() -> None:
    with pytest.raises(TypeError):
        dump_value(None)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"version = ", "Invalid value"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"", "it has no `version = 1`"),
        (b"version = 1\n", "it has no `assembler = 1`"),
        (b'version = "1"\n', "it has no `version = 1`"),
        (b"version = 0\nassembler = 1\nsandbox = 1\n", "it has no `version = 1`"),
        (b"version = 1\nassembler = 1\nsandbox = 1\n", "project"),
        (HEAD + b"[[package]]\n", "kind"),
        (HEAD + b'[[package]]\nkind = "tar"\nname = "a"\nversion = "1"\n', "tar"),
        (HEAD + b'[[server]]\nname = "a"\nruntime = "process"\nsurprise = 1\n', "unknown key 'surprise'"),
        (HEAD + b'[[server]]\nname = "a"\nruntime = "process"\nsandbox = { surprise = 1 }\n', "surprise"),
        (HEAD + b"package = 1\n", "something in it has another form"),
        (HEAD.replace(b'"p"', b"7"), "project is 7"),
        (HEAD + b'platforms = "linux/amd64"\n', "platforms is 'linux/amd64'"),
        (HEAD + b'exclude-newer = "soon"\n', "Invalid isoformat string"),
        (HEAD + b'exclude-newer = "2026-01-01"\n', "without an offset"),
        (PACKAGE + b"requires-python = 3\n", "requires-python is 3"),
        (PACKAGE + b"dependencies = [1]\n", "dependencies is [1]"),
        (PACKAGE + b'files = [{ name = "a.whl", sha256 = "../../precious" }]\n', "'../../precious' is no sha256"),
        (PACKAGE + b'files = [{ name = "../a.whl", sha256 = "%s" }]\n' % (b"a" * 64), "'../a.whl' is no file name"),
        (PACKAGE + b'files = [{ name = "/a.whl", sha256 = "%s" }]\n' % (b"a" * 64), "'/a.whl' is no file name"),
        (PACKAGE + b'files = [{ name = "a.whl" }]\n', "'' is no sha256"),
        (PACKAGE + b'files = [{ name = "a.tgz", sha512 = "%s" }]\n' % (b"a" * 64), "is no sha512"),
        (PACKAGE + b'files = [{ name = "a.tgz", sha512 = "%s" }]\n' % (b"A" * 128), "is no sha512"),
        (PACKAGE + b'files = [{ name = "a.tgz", sha512 = "../%s" }]\n' % (b"a" * 125), "is no sha512"),
        (PACKAGE + b'files = [{ name = "a", sha512 = "%s", sha256 = "x" }]\n' % (b"a" * 128), "'x' is no sha256"),
        (PACKAGE + b'files = [{ name = "a", sha256 = "%s", mode = 1 }]\n' % (b"a" * 64), "unknown key 'mode'"),
        (PACKAGE + b'files = [{ name = "a", sha256 = "%s", platform = 1 }]\n' % (b"a" * 64), "platform is 1"),
        (PACKAGE + b'install-script = "no"\n', "install-script is 'no'"),
        (PACKAGE + b'systems = "linux"\n', "systems is 'linux'"),
        (PACKAGE + b"scripts = { a = 1 }\n", "scripts is {'a': 1}"),
        (PACKAGE + b'commit = "--upload-pack=x"\n', "'--upload-pack=x' is no object of git"),
        (PACKAGE + b'commit = "main"\n', "'main' is no object of git"),
        (PACKAGE + b'tree-hash = "%s"\n' % (b"a" * 39), "is no object of git"),
        (PACKAGE + b'run-before = "make"\n', "unknown key 'run-before'"),
        (DEB + b'name = "-oDir::Bin::dpkg"\nversion = "./x"\n', "'-oDir::Bin::dpkg' is no name of a Debian package"),
        (HEAD + b'[[archive]]\nname = "a"\nsuite = "a"\ndate = "soon"\nsha256 = ""\n', "Invalid isoformat string"),
        (HEAD + b'[[archive]]\nname = "a"\nsuite = "a"\ndate = "2026-01-01"\nsha256 = ""\n', "without an offset"),
        (DEB + b'name = "git/sid"\nversion = "1"\n', "'git/sid' is no name of a Debian package"),
        (DEB + b'name = "git"\nversion = "1 -oX=y"\n', "'1 -oX=y' is no version of a Debian package"),
        (ENVIRONMENT + b"node = 22\n", "node is 22"),
        (ENVIRONMENT + b'tree = ["a"]\n', "tree is ['a']"),
        (ENVIRONMENT + b"[environment.tree]\na = 1\n", "tree is {'a': 1}"),
        (ENVIRONMENT + b'[environment.managed]\n"linux/amd64" = { name = "../x", sha256 = "" }\n', "is no file name"),
        (ENVIRONMENT + b'[environment.managed]\n"linux/amd64" = { name = "x", sha256 = "" }\n', "'' is no sha256"),
        (ENVIRONMENT + b'[environment.managed]\n"linux/amd64" = "x"\n', "unknown key 'x'"),
        (HEAD + b'[[image]]\nreference = "a"\ndigest = "sha256:x/.."\nplatforms = {}\n', "'sha256:x/..' is no sha256"),
        (HEAD + b"server = [1]\n", "something in it has another form"),
        (HEAD + b'[[environment]]\nname = "a"\nruntime = "process"\n', "one of its tables has no private"),
        (HEAD + b'[[package]]\nname = "a"\n', "one of its tables has no 'kind'"),
        (b"<<<<<<< ours\nversion = 1\n=======\n>>>>>>> theirs\n", "it has git conflict markers"),
    ],
)
def test_what_is_no_lock_is_refused_with_its_file_and_a_reason(data: bytes, why: str) -> None:
    with pytest.raises(BadLock) as caught:
        loads(data, file="hatch.lock")
    assert str(caught.value).startswith("the lock cannot be read: ")
    assert why in str(caught.value)
    assert str(caught.value.place).partition(":")[0] == "hatch.lock"
    assert "hatchlock lock" in caught.value.hint


@pytest.mark.parametrize(
    ("data", "place"), [(b"version = 1\n\ngarbage\n", "hatch.lock:3"), (b"version = 1\n\xff\n", "hatch.lock:2")]
)
def test_where_a_lock_is_broken_is_said_as_of_any_file(data: bytes, place: str) -> None:
    with pytest.raises(BadLock) as caught:
        loads(data, file="hatch.lock")
    assert str(caught.value.place) == place
    assert "line" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a\\b", "a\0b"),
        *("a\n/../../b", "a\n/..", "\n//a"),
    ],
)
def test_a_place_that_leads_out_of_its_environment_is_refused(place: str) -> None:
    lock = replace(SMALL, environments=(replace(TREE, tree={place: "npm:a@1.0.0"}),))
    with pytest.raises(BadLock, match="is no path in an environment"):
        loads(dumps(lock).encode())


def test_places_that_only_look_odd_are_none_of_these() -> None:
    places = ("node_modules/@acme/...", "node_modules/..a", "a/.hidden", "ä", "a b", "a/...")
    lock = replace(SMALL, environments=(replace(TREE, tree=dict.fromkeys(sorted(places), "npm:a@1.0.0")),))
    assert loads(dumps(lock).encode()) == lock


def test_a_tree_and_interpreters_have_tables_of_their_own_with_a_line_for_each() -> None:
    files = {
        name: File(name=f"cpython-{name[-5:]}.tar.gz", sha256="b" * 64) for name in ("darwin/arm64", "linux/amd64")
    }
    tree = {"node_modules/a": "npm:a@1.0.0", "node_modules/a/node_modules/b": "npm:b@1.0.0"}
    text = dumps(replace(SMALL, environments=(replace(TREE, managed=files, tree=tree),)))
    assert text.partition("[environment.tree]\n")[2].splitlines() == [
        '"node_modules/a" = "npm:a@1.0.0"',
        '"node_modules/a/node_modules/b" = "npm:b@1.0.0"',
    ]
    assert text.partition("[environment.managed]\n")[2].splitlines()[:2] == [
        f'"{name}" = {{ name = "{file.name}", sha256 = "{file.sha256}" }}' for name, file in files.items()
    ]


def test_a_package_says_nothing_about_what_it_is_not() -> None:
    plain = Package(kind=Kind.NPM, name="a", version="1.0.0", files=(File(name="a.tgz", sha512="c" * 128),))
    text = dumps(replace(SMALL, packages=(plain,)))
    assert text.partition("[[package]]\n")[2].splitlines() == [
        *('kind = "npm"', 'name = "a"', 'version = "1.0.0"', "files = ["),
        f'    {{ name = "a.tgz", sha512 = "{"c" * 128}" }},',
        *("]", 'source-class = "registry"', 'signature = "unsigned"'),
    ]
    assert plain.files[0].digest == "c" * 128
    assert "install-script = true" in dumps(replace(SMALL, packages=(replace(plain, install_script=True),)))


@pytest.mark.parametrize("rule", ["version", "assembler", "sandbox"])
def test_a_lock_by_newer_rules_is_left_to_a_newer_hatchlock(rule: str) -> None:
    text = dumps(LOCK).replace(f"\n{rule} = 1\n", f"\n{rule} = 2\n")
    with pytest.raises(NewerLock, match=f"the lock has {rule} 2, this hatchlock knows 1") as caught:
        loads(text.encode())
    assert caught.value.hint == "upgrade hatchlock; nothing was changed"


def test_a_missing_lock_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(MissingLock, match=r"there is no hatch\.lock") as caught:
        read_lock(tmp_path / "hatch.lock")
    assert caught.value.hint == "run `hatchlock lock`"


def test_an_unchanged_lock_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "hatch.lock"
    assert write_text(path, dumps(LOCK))
    os.utime(path, ns=(1, 1))
    assert not write_text(path, dumps(LOCK))
    assert path.stat().st_mtime_ns == 1


def test_a_changed_lock_is_written_for_all_to_read_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "hatch.lock"
    write_text(path, dumps(SMALL))
    assert write_text(path, dumps(LOCK))
    assert read_lock(path) == LOCK
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [item.name for item in tmp_path.iterdir()] == ["hatch.lock"]


def test_a_lock_that_may_not_be_read_names_its_owner_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "hatch.lock"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        read_lock(path)
    if os.geteuid() == 0:
        return  # root may read everything
    path.rmdir()
    path.write_text("")
    path.chmod(0)
    with pytest.raises(PermissionProblem, match="mode 0000"):
        read_lock(path)


def test_lookups_find_by_name_and_say_what_is_missing() -> None:
    assert LOCK.package("pypi:demo-core@1.5").version == "1.5"
    assert LOCK.server("host").command == ("/bin/cat", "-u")
    assert LOCK.image("shop.example.com/shop:1").digest.startswith("sha256:")
    assert LOCK.environment("boxed", "container").base == "base.example.com/python:3.11"
    for look_up in (LOCK.package, LOCK.server, LOCK.image):
        with pytest.raises(KeyError, match="nothing"):
            look_up("nothing")
    with pytest.raises(KeyError, match="boxed"):
        LOCK.environment("boxed", "process")


def test_an_environment_has_what_is_common_and_what_is_its_platforms_own() -> None:
    environment = replace(
        LOCK.environment("demo", "process"),
        packages=("pypi:demo-lib@2.0",),
        platform_packages={"linux/arm64": ("pypi:demo-core@1.5",)},
    )
    assert environment.on("linux/amd64") == ("pypi:demo-lib@2.0",)
    assert environment.on("linux/arm64") == ("pypi:demo-core@1.5", "pypi:demo-lib@2.0")
    assert [package.name for package in LOCK.packages_of(environment, "linux/arm64")] == ["demo-core", "demo-lib"]
