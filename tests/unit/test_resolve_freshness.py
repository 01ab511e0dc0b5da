from __future__ import annotations

from dataclasses import replace

import pytest

from hatchlock.address import Kind
from hatchlock.lock.model import Archive, Environment, Lock, Package
from hatchlock.resolve.freshness import StaleLock, stale_reasons
from support.locks import EVERYTHING, manifest_of, world

LOCK = world().lock(EVERYTHING)
DEMO = 'source = "pypi:demo-server>=1"\nargs'


def reasons(*changes: tuple[str, str], lock: Lock = LOCK) -> list[str]:
    text = EVERYTHING
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return [str(reason) for reason in stale_reasons(manifest_of(text), lock)]


def test_a_lock_satisfies_the_manifest_that_it_was_made_for() -> None:
    assert reasons() == []


@pytest.mark.parametrize(
    "bound",
    [
        "pypi:demo-server",
        "pypi:demo-server>=1.1",
        "pypi:demo-server==1.2",
        "pypi:demo-server>=1,<2",
        "pypi:Demo_Server",
    ],
)
def test_another_bound_that_the_locked_version_satisfies_is_no_reason(bound: str) -> None:
    assert reasons((DEMO, f'source = "{bound}"\nargs')) == []


def test_a_bound_that_the_locked_version_does_not_satisfy_is_one() -> None:
    assert reasons((DEMO, 'source = "pypi:demo-server>=2"\nargs')) == [
        "env:demo: requires demo-server>=2, the lock has 1.2"
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('name = "acme"', 'name = "other"', "project: is called 'other', in the lock 'acme'"),
        (', "linux/arm64"]', "]", "project: is for linux/amd64, the lock for linux/amd64, linux/arm64"),
        ('name = "acme"\n', 'name = "acme"\nexclude-newer = "7d"\n', "project: excludes newer releases"),
        ("[servers.host]", '[servers.new]\ncommand = "new"\nruntime = "process"\n[servers.host]', "server:new: is not in the lock"),
        ('args = ["--zone", "UTC"]', 'args = ["--zone", "CET"]', "server:demo: args changed since it was locked"),
        ("startup-timeout = 12.5", "startup-timeout = 13", "server:demo: startup-timeout changed since it was locked"),
        ('memory = "1g"', 'memory = "2g"', "server:demo: sandbox changed since it was locked"),
        ("env:DEMO_TOKEN", "env:OTHER", "server:demo: secrets changed since it was locked"),
        ("/bin/cat", "/bin/tac", "server:host: command changed since it was locked"),
        ('"pypi:demo-core<9"', '"pypi:demo-core<1.5"', "env:shared: requires demo-core<1.5, the lock has 1.5"),
        ('overrides = ["pypi:demo-core==1.5"]', "", "env:shared: overrides changed"),
        ('["pypi:demo-server>=1", "pypi:demo-lib<3"]', '["pypi:demo-server>=1"]', "env:shared: does not require demo-lib any more"),
        ("demo-lib<3", "demo-lib[extra]<3", "env:shared: requires demo-lib[extra]<3, the lock was made for demo-lib<3"),
        ("shop:1", "shop:2", "server:shop: needs the image shop.example.com/shop:2, which is not in the lock"),
        ("base.example.com", "new.example.com", "env:boxed: is based on new.example.com/python:3.11, in the lock on base.example.com/python:3.11"),
    ],
)  # fmt: skip
def test_each_change_has_its_reason(old: str, new: str, expected: str) -> None:
    assert expected in reasons((old, new))


def test_a_lock_that_has_lost_what_starts_a_server_is_not_blamed_on_the_manifest() -> None:
    cut = tuple(replace(item, scripts={}) if item.name == "demo-server" else item for item in LOCK.packages)
    found = [line for line in reasons(lock=replace(LOCK, packages=cut)) if line.startswith("server:demo:")]
    assert found == [
        "server:demo: is started by `demo-server`, which neither hatchlock.toml nor its package in the lock has"
    ]


def test_the_bound_of_a_server_in_a_shared_environment_counts() -> None:
    member = ('source = "pypi:demo-server"\n', 'source = "pypi:demo-server>=2"\n')
    assert reasons(member) == ["env:shared: requires demo-server>=2, the lock has 1.2"]


def test_a_package_may_be_required_twice_with_and_without_extras() -> None:
    text = EVERYTHING.replace("demo-lib<3", "demo-server[extra]<9")
    assert stale_reasons(manifest_of(text), world().lock(text)) == ()


@pytest.mark.parametrize(
    ("dependency", "is_stale"),
    [
        ("pypi:demo-lib<1 ; sys_platform == 'darwin'", False),
        ("pypi:demo-lib<1 ; sys_platform == 'linux'", True),
        ("pypi:demo-lib<1 ; python_version < '3.11'", False),
        ("pypi:demo-core<1", False),  # an override decides about it
    ],
)
def test_a_bound_counts_where_its_marker_holds_and_nothing_overrides_it(dependency: str, *, is_stale: bool) -> None:
    text = EVERYTHING.replace('"pypi:demo-lib<3"]', f'"pypi:demo-lib<3", "{dependency}"]')
    assert bool(stale_reasons(manifest_of(text), world().lock(text))) == is_stale


def test_another_python_is_a_reason() -> None:
    text = EVERYTHING.replace('python = "3.11"', 'python = "3.12"')
    found = [str(reason) for reason in stale_reasons(manifest_of(text), LOCK)]
    assert found == [f"env:{name}: wants Python 3.12, the lock has 3.11" for name in ("boxed", "demo", "shared")]


def test_what_is_not_declared_any_more_is_a_reason() -> None:
    text = EVERYTHING.partition("[servers.host]")[0]
    found = [str(reason) for reason in stale_reasons(manifest_of(text), LOCK)]
    assert found == [f"server:{name}: is in the lock and not declared any more" for name in ("host", "member")]


def test_what_says_nothing_to_the_lock_is_no_reason() -> None:
    assert reasons(('clients = ["claude-code", "cursor"]', 'clients = ["cursor"]\ndescription = "x"')) == []


def test_a_lock_with_an_environment_too_many_or_a_package_too_few_is_stale() -> None:
    more = replace(LOCK.environments[1], name="old")
    assert reasons(lock=replace(LOCK, environments=(*LOCK.environments, more))) == [
        "env:old: is in the lock and not declared any more"
    ]
    assert "env:demo: needs pypi:demo-core@1.5, which the lock lacks" in reasons(
        lock=replace(LOCK, packages=LOCK.packages[1:])
    )


def test_a_base_that_lacks_a_platform_is_a_reason() -> None:
    images = tuple(replace(item, platforms={"linux/amd64": item.platforms["linux/amd64"]}) for item in LOCK.images)
    assert reasons(lock=replace(LOCK, images=images)) == [
        "env:boxed: needs the image base.example.com/python:3.11 for linux/arm64, which the lock lacks",
        "server:shop: needs the image shop.example.com/shop:1 for linux/arm64, which the lock lacks",
    ]


def test_a_base_that_the_lock_has_lost_is_a_reason_and_locking_again_brings_it_back() -> None:
    images = tuple(item for item in LOCK.images if "python" not in item.reference)
    lost = replace(LOCK, images=images)
    assert reasons(lock=lost) == ["env:boxed: needs the image base.example.com/python:3.11, which is not in the lock"]
    assert world().lock(EVERYTHING, lost) == LOCK


def test_all_reasons_are_told_at_once() -> None:
    found = stale_reasons(manifest_of(EVERYTHING.replace("demo-server>=1", "demo-server>=2")), LOCK)
    error = StaleLock(reasons=found)
    assert str(error).splitlines() == [
        "hatch.lock does not satisfy hatchlock.toml:",
        "  env:boxed: requires demo-server>=2, the lock has 1.2",
        "  env:demo: requires demo-server>=2, the lock has 1.2",
        "  env:shared: requires demo-server>=2, the lock has 1.2",
    ]
    assert error.hint == "run `hatchlock lock`"


def test_an_earlier_moment_to_exclude_from_is_a_reason_and_locking_again_asks_anew() -> None:
    def text(since: str) -> str:
        return EVERYTHING.replace("[project]", f'[project]\nexclude-newer = "{since}"', 1)

    found = world()
    lock = found.lock(text("2026-02-01"))
    for later in ("2026-02-01", "2026-03-01", "7d"):
        assert stale_reasons(manifest_of(text(later)), lock) == ()
    earlier = manifest_of(text("2026-01-01"))
    (reason,) = stale_reasons(earlier, lock)
    assert str(reason).startswith("project: excludes what is newer than 2026-01-01, the lock")
    again = found.lock(text("2026-01-01"), lock)
    assert again.exclude_newer == "2026-01-02T00:00:00+00:00"
    assert stale_reasons(earlier, again) == ()


def test_a_changed_label_makes_the_lock_stale_and_locking_again_asks_nobody() -> None:
    text = EVERYTHING.replace("[environments.shared]", '[environments.shared]\ntrust = "internal"')
    assert [str(reason) for reason in stale_reasons(manifest_of(text), LOCK)] == [
        "env:shared: trust changed since it was locked",
        "server:member: trust changed since it was locked",
    ]
    found = world()
    lock = found.lock(text, LOCK)
    assert found.asked == []
    assert lock.environment("shared", "process").trust == lock.server("member").trust == "internal"
    assert stale_reasons(manifest_of(text), lock) == ()


def test_a_server_has_the_label_of_its_environment_unless_it_says_another() -> None:
    text = EVERYTHING.replace("[environments.shared]", '[environments.shared]\ntrust = "internal"')
    text = text.replace("[servers.member]", '[servers.member]\ntrust = "public"')
    text = text.replace("[servers.demo]", '[servers.demo]\ntrust = "vetted"')
    lock = world().lock(text)
    labels = {server.name: server.trust for server in lock.servers}
    assert labels == {"boxed": "", "demo": "vetted", "host": "", "member": "public", "shop": ""}
    assert lock.environment("demo", "process").trust == "vetted"
    assert lock.environment("shared", "process").trust == "internal"


@pytest.mark.parametrize(("bound", "said"), [("", ""), (">=1", ""), (">=2", "requires numpy>=2, the lock has 1.26=0")])
def test_a_bound_counts_too_where_condas_package_is_there_in_place_of_pythons(bound: str, said: str) -> None:
    def text(bound: str) -> str:
        dependencies = f'["conda:numpy", "pypi:numpy{bound}"]'
        return f'[project]\nname = "a"\n[environments.e]\npython = "3.11"\ndependencies = {dependencies}\n'

    numpy = Package(kind=Kind.CONDA, name="numpy", version="1.26=0", index="conda", provides=("pypi:numpy",))
    environment = Environment(
        name="e",
        private=False,
        runtime="process",
        python="3.11",
        requirements=("conda:numpy", "pypi:numpy"),
        packages=(numpy.id,),
    )
    lock = Lock(project="a", platforms=("linux/amd64",), packages=(numpy,), environments=(environment,))
    found = [str(reason) for reason in stale_reasons(manifest_of(text(bound)), lock) if "numpy" in str(reason)]
    assert found == ([f"env:e: {said}"] if said else [])


ENTRY = "mcp:io.github.acme/demo"
BUNDLE = f"url:https://example.com/x.mcpb#sha256={'a' * 64}"


@pytest.mark.parametrize(
    "dependencies",
    [
        *((), ("demo",), ("path:/etc",), ("git:https://evil.example.com/x",), ("hatch:./x",), (ENTRY,)),
        *(("deb:git",), ("conda:git",), ("pypi:x @ https://evil.example.com/x-1-py3-none-any.whl",)),
        *((BUNDLE.partition("#")[0],), ("pypi:x", "path:/etc"), ("npm:x@1", "npm:y@1"), ("npm:x@1", "nonsense")),
    ],
)
def test_an_entry_that_stands_for_what_none_can_is_not_in_the_lock(dependencies: tuple[str, ...]) -> None:
    """Whoever edits a lock brings no directory of this machine and no address of theirs into it by way of an entry."""
    text = f'[project]\nname = "a"\n[servers.x]\nsource = "{ENTRY}"\nruntime = "process"\n'
    usual = Package(kind=Kind.MCP, name="io.github.acme/demo", version="1.0", source=ENTRY, index="mcp")
    said = f"server:x: is {ENTRY}, which is not in the lock"

    def found(entry: Package) -> list[str]:
        lock = Lock(project="a", platforms=("linux/amd64",), packages=(entry,))
        return list(map(str, stale_reasons(manifest_of(text), lock)))

    assert said in found(replace(usual, dependencies=dependencies))
    for right in (("pypi:x==1", "pypi:y>=2"), ("npm:x@1",), ("oci:x:1",), (BUNDLE,)):
        assert said not in found(replace(usual, dependencies=right))
        assert said in found(replace(usual, dependencies=right, requires_python="==../3.11.*"))


def conda_reasons(index: str, *, dependency: str = "conda:x", declared: str = "", also: str = "") -> list[str]:
    """Return what is said of the index of a package of conda, of a manifest with that dependency."""
    text = f'[project]\nname = "a"\n{declared}[environments.e]\ndependencies = ["{dependency}"{also}]\n'
    package = Package(kind=Kind.CONDA, name="x", version="1=0", index=index)
    environment = Environment(
        name="e", private=False, runtime="process", requirements=(dependency,), packages=(package.id,)
    )
    lock = Lock(project="a", platforms=("linux/amd64",), packages=(package,), environments=(environment,))
    return [str(item) for item in stale_reasons(manifest_of(text), lock) if str(item).startswith("conda:x")]


DECLARED = '[indexes.conda]\nname = "corp"\nurl = "https://conda.example.com/corp"\n'


@pytest.mark.parametrize("index", ["http://127.0.0.1:8080/x", "file:///etc", "./here", "/etc", "somebodys", ""])
def test_a_lock_names_no_channel_of_conda_that_the_manifest_does_not(index: str) -> None:
    """It would be asked where the lock says, at an address even."""
    said = f"conda:x: is served by the index conda, the lock took it from {index}"
    assert conda_reasons(index) == [said]
    assert conda_reasons(index, declared=DECLARED) != []


def test_channels_are_declared_or_named_by_a_requirement() -> None:
    assert conda_reasons("conda") == []
    assert conda_reasons("corp", declared=DECLARED) == []
    assert conda_reasons("conda", declared=DECLARED) != []
    for declared in ("", DECLARED):
        assert conda_reasons("bioconda", dependency="conda:bioconda::x", declared=declared) == []
        assert conda_reasons("bioconda", also=', "conda:bioconda::y"', declared=declared) == []


@pytest.mark.parametrize(
    ("declared", "is_right"),
    [
        ("", True),
        ('suite = "bookworm bookworm-updates"\ncomponents = ["contrib", "main"]\n', True),
        ('snapshot = "20260701T000000Z"\n', False),
        ('suite = "trixie"\n', False),
        ('components = ["contrib"]\n', False),
    ],
)
def test_what_is_declared_of_debian_counts_for_what_is_locked(declared: str, *, is_right: bool) -> None:
    text = f'[project]\nname = "a"\n[indexes.debian]\n{declared}[environments.e]\ndependencies = ["deb:git"]\n'
    git = Package(kind=Kind.DEB, name="git", version="1", index="debian/bookworm", location="pool/main/g/git")
    environment = Environment(name="e", private=False, runtime="process", requirements=("deb:git",), packages=(git.id,))
    archive = Archive(
        name="debian/bookworm",
        suite="bookworm",
        components=("main",),
        date="2026-01-01T00:00:00Z",
        sha256="a" * 64,
    )
    lock = Lock(
        project="a",
        platforms=("linux/amd64",),
        packages=(git,),
        archives=(archive,),
        environments=(environment,),
    )
    found = [str(item) for item in stale_reasons(manifest_of(text), lock)]
    said = "is locked from another suite, component or snapshot than [indexes.debian] declares"
    assert found == ([] if is_right else [f"debian/bookworm: {said}"])
