from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hatchlock.address import Kind
from hatchlock.cli.lock_views import diff_document, diff_markdown, diff_text
from hatchlock.digest import sha256_bytes
from hatchlock.launch import Mount, Runtime, Sandbox, SecretReference
from hatchlock.lock.difference import Entry, Section, compare_locks
from hatchlock.lock.images import Image, ImagePlatform
from hatchlock.lock.model import Archive, Environment, File, Lock, Package, Server
from hatchlock.resolve.versions import compare_versions
from hatchlock.usecases.diff import Compared
from support.values import locks

EMPTY = Lock(project="p", platforms=("linux/amd64",))


def package(name: str = "a", version: str = "1.0", *, kind: Kind = Kind.PYPI, **fields: Any) -> Package:
    file = File(name=f"{name}-{version}.whl", sha256=sha256_bytes(f"{name} {version}".encode()), size=7)
    return Package(**{"kind": kind, "name": name, "version": version, "index": kind, "files": (file,), **fields})


def holding(*packages: Package) -> Lock:
    return replace(EMPTY, packages=packages)


def running(**fields: Any) -> Lock:
    sandbox = {name: fields.pop(name) for name in list(fields) if name in Sandbox.__dataclass_fields__}
    server = Server(**{"name": "s", "source": "", "runtime": "process", "sandbox": Sandbox(**sandbox), **fields})
    return replace(EMPTY, servers=(server,))


def entries(before: Lock, after: Lock) -> tuple[Entry, ...]:
    return compare_locks(before, after, order=compare_versions)


def texts(before: Lock, after: Lock) -> list[str]:
    return [
        " ".join(
            word
            for word in (str(item.section), item.sign, item.what, item.field, item.before, item.after, item.note)
            if word
        )
        for item in entries(before, after)
    ]


def test_a_new_package_is_introduced() -> None:
    new = package("b", licence="MIT", publisher="zoë", signature="attested")
    assert texts(holding(package(publisher="zoë")), holding(package(publisher="zoë"), new)) == [
        "new packages + pypi:b 1.0 MIT, by zoë, attested"
    ]
    project = package("c", kind=Kind.GIT, source_class="git", location="https://example.com/c", publisher="x")
    assert texts(EMPTY, holding(project)) == [
        "new packages + git:c 1.0 no licence, by x, unsigned, from https://example.com/c"
    ]


def test_a_second_version_beside_the_first_and_its_end() -> None:
    one, two = package("z", "3.0.0", kind=Kind.NPM), package("z", "4.0.0", kind=Kind.NPM)
    assert texts(holding(one), holding(one, two)) == [
        "new packages + npm:z 4.0.0 no licence, unsigned, beside 3.0.0",
    ]
    assert texts(holding(one, two), holding(two)) == ["removed packages - npm:z 3.0.0 leaves 4.0.0"]


@pytest.mark.parametrize(
    ("kind", "before", "after", "sign"),
    [
        (Kind.PYPI, "1.9", "1.10", "~ up"),
        (Kind.PYPI, "2.0", "2.0rc1", "! down"),
        (Kind.PYPI, "1!1.0", "2.0", "! down"),
        (Kind.NPM, "1.9.0", "1.10.0", "~ up"),
        (Kind.NPM, "1.0.0", "1.0.0-beta.2", "! down"),
        (Kind.NPM, "1.0.0-beta.10", "1.0.0-beta.9", "! down"),
        (Kind.PYPI, "soon", "later", "~ "),
        (Kind.NPM, "soon", "later", "~ "),
        (Kind.URL, "1", "2", "~ "),
        (Kind.PYPI, "1.0+b", "1.0+a", "! down"),
    ],
)
def test_versions_go_up_or_down_by_the_rules_of_their_kind(kind: Kind, before: str, after: str, sign: str) -> None:
    (found,) = entries(holding(package("a", before, kind=kind)), holding(package("a", after, kind=kind)))
    assert (found.section, found.before, found.after) == (Section.VERSIONS, before, after)
    assert f"{found.sign} {found.note}" == sign


@pytest.mark.parametrize("kind", [Kind.PATH, Kind.GIT, Kind.HATCH])
@pytest.mark.parametrize(
    ("before", "after", "sign"),
    [
        ("1.0+sffffffffffff", "1.0+s000000000000", "~ "),
        ("1.0+s000000000000", "1.0+sffffffffffff", "~ "),
        ("1.0+sffffffffffff", "1.1+s000000000000", "~ up"),
        ("1.1+s000000000000", "1.0+sffffffffffff", "! down"),
    ],
)
def test_the_digest_of_a_projects_content_is_no_version(kind: Kind, before: str, after: str, sign: str) -> None:
    old, new = (package("a", version, kind=kind, ecosystem="python") for version in (before, after))
    (found,) = entries(holding(old), holding(new))
    assert f"{found.sign} {found.note}" == sign


def test_fields_are_called_as_the_lock_calls_them() -> None:
    after = running(secrets={"TOKEN": SecretReference(secret="env:TOKEN", as_="file")})
    (line,) = [line for line in texts(running(), after) if line.startswith("servers ")]
    assert '"as": "file"' in line
    assert "as_" not in line


def test_what_is_said_of_a_package_that_moved() -> None:
    before = package(licence="MIT", publisher="zoë", authors="Z", signature="attested")
    after = package(
        "a", "1.1", licence="GPL-3.0-only", publisher="mallory", authors="M", signature="unsigned", index="x"
    )
    other = package("b", publisher="mallory")
    assert texts(holding(before, other), holding(after, other)) == [
        "changed versions ~ pypi:a 1.0 1.1 up",
        "changed licences ~ pypi:a licence MIT GPL-3.0-only",
        "changed publishers, authors and origins ~ pypi:a authors Z M",
        "changed publishers, authors and origins ~ pypi:a index pypi x",
        "changed publishers, authors and origins ~ pypi:a publisher zoë mallory",
        "changed signatures ! pypi:a signature attested unsigned worse",
    ]
    better = texts(holding(replace(before, signature="unsigned")), holding(replace(before, signature="signed")))
    assert better == ["changed signatures ~ pypi:a signature unsigned signed"]


def test_the_same_version_with_other_bytes() -> None:
    before, after = package(), replace(package(), files=(File(name="a-1.0.whl", sha256="f" * 64),))
    (found,) = entries(holding(before), holding(after))
    assert (found.section, found.sign, found.field) == (Section.FILES, "!", "a-1.0.whl")
    assert (found.before, found.after) == (before.files[0].sha256, "f" * 64)
    more = replace(before, files=(*before.files, File(name="b.whl", sha256="e" * 64)))
    (found,) = entries(holding(before), holding(more))
    assert (found.section, found.sign, found.after) == (Section.FILES, "+", "e" * 64)


def test_a_commit_that_moved_under_the_same_version() -> None:
    one = package(kind=Kind.GIT, commit="1" * 40, tree_hash="2" * 40)
    assert texts(holding(one), holding(replace(one, commit="3" * 40))) == [
        f"same version with other files ! git:a commit {'1' * 40} {'3' * 40}"
    ]


def test_a_package_that_begins_to_run_a_script() -> None:
    quiet, loud = package(kind=Kind.NPM), package("a", "1.1", kind=Kind.NPM, install_script=True)
    what = "new privileges ! npm:a install-script 1.1 wants to run a script when it is installed"
    assert texts(holding(quiet), holding(loud))[0] == what
    assert texts(EMPTY, holding(loud))[0] == what
    assert texts(holding(loud), holding(replace(loud, version="1.2")))[0].startswith("changed versions")


def test_a_package_of_which_apply_runs_something() -> None:
    one, two = package(kind=Kind.PYPI), package("n", "2.0", kind=Kind.NPM)
    plain = Environment(name="e", private=False, runtime="process", packages=(one.id, two.id))
    before = replace(holding(one, two), environments=(plain,))
    after = replace(before, environments=(replace(plain, builds={one.id: "e/build/a"}, scripts=(two.id,)),))
    assert [text for text in texts(before, after) if text.startswith("new privileges")] == [
        "new privileges ! npm:n build 2.0 has its install scripts run, in a sandbox",
        f"new privileges ! pypi:a build {one.version} is built from source, in a sandbox",
    ]
    assert not any(text.startswith("new privileges") for text in texts(after, after))


def test_a_package_of_the_machine_is_installed_as_root() -> None:
    git, curl = package("git", "1:2.39", kind=Kind.DEB), package("curl", "7.88", kind=Kind.DEB)

    def on(runtime: Runtime, *packages: Package) -> Lock:
        ids = tuple(item.id for item in packages)
        environments = (Environment(name="e", private=False, runtime=runtime, packages=ids),)
        return replace(holding(*packages), environments=environments)

    said = "new privileges ! deb:git root 1:2.39 is installed on the machine, as root"
    assert texts(on("process", curl), on("process", curl, git))[0] == said
    assert texts(on("container", git), on("process", git))[0] == said, "in an image it was nobody's machine"
    newer = replace(git, version="1:2.40")
    for before, after in (
        (on("process", git), on("process", newer)),
        (on("container", curl), on("container", curl, git)),
        (on("process", git), on("container", git)),
    ):
        assert Section.PRIVILEGES not in {item.section for item in entries(before, after)}


def test_an_image_that_something_depends_on_needs_the_engine() -> None:
    old, new = (package("team/db", tag, kind=Kind.OCI) for tag in ("16.1", "16.2"))
    said = "new privileges ! oci:team/db engine 16.1 is an image for the container engine"
    assert texts(EMPTY, holding(old))[0] == said
    assert Section.PRIVILEGES not in {item.section for item in entries(holding(old), holding(new))}


def test_a_publisher_that_nobody_knew() -> None:
    known = package(publisher="zoë")
    assert texts(holding(known), holding(known, package("b", publisher="mallory"), package("c", publisher="zoë")))[
        :1
    ] == ["new privileges ! publisher:mallory of pypi:b published nothing that was locked before"]
    assert not any(text.startswith("new privileges") for text in texts(EMPTY, holding(known)))


@pytest.mark.parametrize(
    ("before", "after", "field", "value"),
    [
        ({}, {"network": ("a:443",)}, "network", "a:443"),
        ({"network": ("a:443",)}, {"network": ("a:443", "b:443")}, "network", "b:443"),
        ({"network": ("a:443",)}, {"network": ("internet",)}, "network", "internet"),
        ({}, {"mounts": (Mount(source="./d", target="/d"),)}, "mounts", "./d at /d (ro)"),
        (
            {"mounts": (Mount(source="./d", target="/d"),)},
            {"mounts": (Mount(source="./d", target="/d", mode="rw"),)},
            "mounts",
            "./d at /d (rw)",
        ),
        ({}, {"capabilities": ("NET_ADMIN",)}, "capabilities", "NET_ADMIN"),
        ({}, {"writable": ("/var",)}, "writable", "/var"),
        ({}, {"read_only": False}, "read-only", "false"),
        ({}, {"user": "0:0"}, "user", "0:0"),
        ({}, {"run_as": "host"}, "run-as", "host"),
        ({}, {"seccomp": "unconfined"}, "seccomp", "unconfined"),
        ({}, {"isolation": "best-effort"}, "isolation", "best-effort"),
        ({}, {"secrets": {"TOKEN": SecretReference(secret="env:TOKEN")}}, "secrets", "TOKEN"),
    ],
)
def test_what_a_server_may_do_now(before: dict[str, Any], after: dict[str, Any], field: str, value: str) -> None:
    first = entries(running(**before), running(**after))[0]
    assert (first.section, first.what, first.field, first.after) == (Section.PRIVILEGES, "server:s", field, value)
    assert Section.SERVERS in {item.section for item in entries(running(**before), running(**after))}
    back = entries(running(**after), running(**before))
    if value not in {"b:443", "internet"} or not before:
        assert Section.PRIVILEGES not in {item.section for item in back}


def test_a_new_server_is_held_against_the_default_sandbox() -> None:
    found = texts(EMPTY, running(network=("a:443",), reason="it asks a", command=("/bin/s",)))
    assert found == [
        "new privileges ! server:s network a:443 it asks a",
        "servers + server:s /bin/s (process)",
    ]


def test_less_is_no_privilege_and_limits_are_none() -> None:
    sections = {item.section for item in entries(running(pids=10, memory="1g"), running(pids=20, memory="2g"))}
    assert sections == {Section.SERVERS}
    sections = {item.section for item in entries(running(network=("a:443", "b:443")), running(network=("a:443",)))}
    assert sections == {Section.SERVERS}


def test_a_server_shows_each_field_with_both_values() -> None:
    assert texts(running(args=("--a",), env={"X": "1"}), running(args=("--b",), cwd="/tmp", memory="1g")) == [
        'servers ~ server:s args ["--a"] ["--b"]',
        "servers ~ server:s cwd /tmp",
        'servers ~ server:s env {"X": "1"}',
        "servers ~ server:s sandbox.memory 512m 1g",
    ]
    assert texts(running(), EMPTY) == ["servers - server:s nothing (process)"]


def image(digest: str, *platforms: str) -> Image:
    one = ImagePlatform(digest=digest, config=digest, config_size=1, layers=())
    return Image(reference="r:1", digest=digest, platforms=dict.fromkeys(platforms, one))


def test_images_by_digest_and_by_platforms() -> None:
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    before, after = (replace(EMPTY, images=(image(digest, "linux/amd64"),)) for digest in (one, two))
    assert texts(before, after) == [f"images ~ oci:r:1 {one} {two}"]
    assert texts(EMPTY, after) == [f"images + oci:r:1 {two}"]
    assert texts(before, EMPTY) == [f"images - oci:r:1 {one}"]
    wider = replace(EMPTY, images=(image(one, "linux/amd64", "linux/arm64"),))
    assert texts(before, wider) == [
        f"images ~ oci:r:1 platforms linux/amd64@{one} linux/amd64@{one}, linux/arm64@{one}"
    ]


def archives(**fields: Any) -> Lock:
    usual = {"name": "debian/bookworm", "suite": "bookworm", "date": "2026-01-10", "sha256": "1" * 64, "keys": ("A",)}
    return replace(EMPTY, archives=(Archive(**{**usual, **fields}),))


def test_the_state_of_an_archive_is_one_line_and_another_key_is_one_to_look_at() -> None:
    one, two = f"2026-01-10, sha256:{'1' * 64}", f"2026-02-10, sha256:{'2' * 64}"
    moved = archives(date="2026-02-10", sha256="2" * 64)
    assert texts(EMPTY, archives()) == [f"archives + archive:debian/bookworm {one}"]
    assert texts(archives(), moved) == [f"archives ~ archive:debian/bookworm {one} {two}"]
    assert texts(archives(), EMPTY) == [f"archives - archive:debian/bookworm {one}"]
    assert texts(archives(), archives(keys=("B",), components=("main",), snapshot="20260101T000000Z")) == [
        'archives ~ archive:debian/bookworm components ["main"]',
        'archives ! archive:debian/bookworm keys ["A"] ["B"]',
        "archives ~ archive:debian/bookworm snapshot 20260101T000000Z",
    ]


def environment(**fields: Any) -> Lock:
    return replace(
        EMPTY, environments=(Environment(**{"name": "e", "private": False, "runtime": "process", **fields}),)
    )


def test_environments_show_what_was_asked_for_and_count_what_came() -> None:
    before = environment(python="3.11", packages=("pypi:a@1.0", "pypi:b@1.0"), requirements=("pypi:a",))
    after = environment(python="3.12", packages=("pypi:a@1.1", "pypi:c@1.0"), requirements=("pypi:a", "pypi:c"))
    assert texts(before, after) == [
        "environments ~ env:e packages 2 2 1 changed, 1 added, 1 removed",
        "environments ~ env:e python 3.11 3.12",
        'environments ~ env:e requirements ["pypi:a"] ["pypi:a", "pypi:c"]',
    ]
    assert texts(EMPTY, after) == ["environments + env:e process, 2 packages"]


def test_two_environments_of_one_name_are_told_apart() -> None:
    boxed = Environment(name="e", private=False, runtime="container", base="x")
    before, after = environment(python="3.11"), environment(python="3.12")
    both = (replace(lock, environments=(*lock.environments, boxed)) for lock in (before, after))
    assert texts(*both) == ["environments ~ env:e (process) python 3.11 3.12"]


def test_the_head_of_the_lock() -> None:
    after = replace(EMPTY, platforms=("linux/amd64", "linux/arm64"), exclude_newer="2026-01-01T00:00:00Z")
    assert texts(EMPTY, after) == [
        "project + exclude-newer 2026-01-01T00:00:00Z",
        "project ~ platforms linux/amd64 linux/amd64, linux/arm64",
    ]


def test_the_sections_come_in_the_order_of_what_matters() -> None:
    before = replace(running(), packages=(package(licence="MIT"), package("gone")), project="q")
    after = replace(
        running(network=("a:443",)),
        packages=(package("a", "2.0"), package("b")),
        environments=environment().environments,
    )
    assert [item.section for item in entries(before, after)] == [
        Section.PRIVILEGES,
        Section.ADDED,
        Section.REMOVED,
        Section.VERSIONS,
        Section.LICENCES,
        Section.SERVERS,
        Section.ENVIRONMENTS,
        Section.PROJECT,
    ]


@settings(max_examples=40)
@given(locks, locks)
def test_only_equal_locks_do_not_differ(one: Lock, other: Lock) -> None:
    assert entries(one, one) == ()
    assert bool(entries(one, other)) == (one != other)


@settings(max_examples=40)
@given(locks, st.data())
def test_whichever_field_of_a_package_differs_it_is_said(lock: Lock, data: st.DataObject) -> None:
    before = package()
    name = data.draw(st.sampled_from([item for item in Package.__dataclass_fields__ if item not in {"kind", "files"}]))
    changed: dict[str, Any] = {
        name: {bool: True, tuple: ("x",), dict: {"x": "y"}}.get(type(getattr(before, name)), "x")
    }
    after = replace(before, **changed)
    found = entries(replace(lock, packages=(before,)), replace(lock, packages=(after,)))
    assert [item for item in found if item.section is not Section.PROJECT]


EVIL = "x`y``z\x1b[31m\n# @everyone <img src=x> | [a](b) \u202e"


def compared(before: Lock, after: Lock) -> Compared:
    return Compared(before="main", after="hatch.lock", entries=entries(before, after), notes=())


def test_strangers_words_mean_nothing_to_a_terminal_or_in_markdown() -> None:
    after = holding(package(EVIL, licence=EVIL, publisher=EVIL), package("`", licence="``"))
    text, markdown = (show(compared(EMPTY, after)) for show in (diff_text, diff_markdown))
    for shown in (text, markdown):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert all(line.isprintable() for line in shown.split("\n"))
    assert len(text.splitlines()) == 5
    line = next(line for line in markdown.splitlines() if "everyone" in line)
    assert line.startswith("* added ```pypi:x`y``z\\x1b[31m\\n# @everyone")
    assert "* added `` pypi:` `` `1.0`" in markdown


def test_the_text_cuts_digests_and_ends_with_a_summary() -> None:
    before, after = holding(package()), holding(package("a", "1.1"), package("b"))
    assert diff_text(compared(before, after)).splitlines() == [
        "New packages:",
        "  + pypi:b 1.0 (no licence, unsigned)",
        "",
        "Changed versions:",
        "  ~ pypi:a 1.0 -> 1.1 (up)",
        "",
        "main -> hatch.lock: new packages: 1, changed versions: 1",
    ]
    other = holding(replace(package(), files=(File(name="a-1.0.whl", sha256="f" * 64),)))
    assert "-> ffffffffffff… (version 1.0 has other bytes)" in diff_text(compared(before, other))
    assert diff_text(compared(before, before)) == "main -> hatch.lock: no differences"


def test_markdown_has_a_summary_and_a_list_for_each_section() -> None:
    before, after = holding(package()), holding(package("a", "1.1"))
    assert diff_markdown(compared(before, after)).splitlines() == [
        "**`hatch.lock` against `main`**: changed versions: 1",
        "",
        "### Changed versions",
        "",
        "* changed `pypi:a` `1.0` → `1.1` `up`",
    ]


def test_json_has_everything_in_full() -> None:
    before, after = holding(package()), holding(replace(package(), files=(File(name="a-1.0.whl", sha256="f" * 64),)))
    document = diff_document(compared(before, after))
    assert document["entries"] == [
        {
            "section": "same version with other files",
            "sign": "!",
            "what": "pypi:a",
            "field": "a-1.0.whl",
            "before": package().files[0].sha256,
            "after": "f" * 64,
            "note": "version 1.0 has other bytes",
        }
    ]
