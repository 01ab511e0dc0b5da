"""Every check of `audit`: facts with which it passes, and facts with which it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hatchlock.address import Kind
from hatchlock.launch import WORKSPACE, Mount, Sandbox, SecretReference
from hatchlock.lock.images import Image, ImagePlatform, Layer
from hatchlock.lock.model import Archive, Build, Environment, File, Lock, Package
from hatchlock.security.audit.catalogue import CHECKS, evaluate, state_of_point
from hatchlock.security.audit.facts import (
    ContainerFacts,
    EngineFacts,
    Facts,
    ImageFacts,
    IndexFacts,
    LogFacts,
    Loose,
    PathFacts,
    Remark,
    SecretFile,
    ServerFacts,
    Standing,
)
from hatchlock.security.audit.model import Outcome
from hatchlock.security.audit.points import CHECKLIST, POINTS

CHECK = {check.id: check for check in CHECKS}
WHY = "it has to"

PACKAGE = Package(
    kind=Kind.PYPI,
    name="anyio",
    version="4.0",
    files=(File(name="anyio.whl", sha256="0" * 64),),
    licence="MIT",
    authors="Ada",
    repository="https://git.example.com/anyio",
    signature="attested",
)
DEB = replace(PACKAGE, kind=Kind.DEB, name="poppler-utils")
BARE = replace(PACKAGE, name="bare", files=(), licence="", authors="", repository="", source_class="git")
IMAGE = Image(
    reference="python:3.11-slim",
    digest=f"sha256:{'1' * 64}",
    platforms={
        "linux/amd64": ImagePlatform(
            digest="sha256:1",
            config="sha256:2",
            config_size=1,
            layers=(Layer(digest="sha256:3", size=40_000_000, diff_id="sha256:4"),),
            packages=tuple(f"deb:p{number}@1" for number in range(100)),
        )
    },
)
LARGE = replace(
    IMAGE,
    platforms={
        "linux/amd64": replace(
            IMAGE.platforms["linux/amd64"], packages=tuple(f"deb:p{number}@1" for number in range(430))
        )
    },
)


def lock(*packages: Package, **fields: Any) -> Lock:
    environment = Environment(
        name="time",
        private=True,
        runtime="process",
        requirements=("pypi:anyio>=4", "pypi:bare"),
        packages=tuple(sorted(item.id for item in packages)),
    )
    return Lock(**{"project": "p", "platforms": (), "packages": packages, "environments": (environment,), **fields})


def server(**fields: Any) -> ServerFacts:
    values = {"name": "time", "runtime": "process", "source": "pypi:time", "command": ("/envs/k/bin/time",)}
    return ServerFacts(**{**values, **fields})


def relaxed(**fields: Any) -> ServerFacts:
    return server(sandbox=Sandbox(**{"reason": WHY, **fields}))


def container(**fields: Any) -> ContainerFacts:
    """A container as `run` makes it."""
    values: dict[str, Any] = {
        "name": "c1",
        "server": "time",
        "user": "10001:10001",
        "init": True,
        "read_only": True,
        "network": "none",
        "memory": 512 << 20,
        "cpus": 1.0,
        "pids": 128,
        "temporary": ("/home/hatchlock", "/tmp"),
    }
    return ContainerFacts(**{**values, **fields})


def facts(*servers: ServerFacts, containers: tuple[ContainerFacts, ...] = (), **fields: Any) -> Facts:
    return Facts(**{"lock": lock(PACKAGE), "servers": servers, "containers": containers, **fields})


CONTAINED = server(runtime="container")
ENGINE = EngineFacts(address="unix:///run/docker.sock", security=("seccomp", "rootless"), socket_mode=0o660)
STORE = PathFacts(path="/s", role="store", mine=True, mode=0o700)
SECRET = SecretFile(server="time", variable="KEY", path="/k")
AS_FILE = SecretReference(secret="file:/k", as_="file")
AS_VARIABLE = SecretReference(secret="file:/k")

Case = tuple[str, Facts, str, str]

PASSES: list[tuple[str, Facts]] = [
    ("no-literal-secrets", facts(server(env={"LOG_LEVEL": "info"}, secrets={"KEY": AS_VARIABLE}))),
    ("secret-exposure", facts(server(secrets={"KEY": AS_FILE}))),
    ("secret-files", facts(secret_files=(SECRET,))),
    ("non-root", facts(server(), containers=(container(),))),
    ("init", facts(server(), containers=(container(),))),
    ("read-only", facts(server(), containers=(container(),))),
    ("network", facts(server(), containers=(container(),))),
    ("limits", facts(server(), containers=(container(),))),
    ("confinement", facts(server(), containers=(container(),), engine=ENGINE)),
    ("capabilities", facts(server(), containers=(container(),))),
    ("mounts", facts(relaxed(mounts=(Mount(source="/data", target="/data"),)))),
    ("temporary", facts(server(), containers=(container(),))),
    ("isolation", facts(server())),
    ("least-privilege", facts(server())),
    ("pinned-images", facts(lock=lock(images=(IMAGE,)))),
    ("minimal-bases", facts(lock=lock(images=(IMAGE,)))),
    ("updated", facts(asked=1)),
    ("hashes", facts(server())),
    ("sources", facts()),
    ("metadata", facts()),
    ("signatures", facts(lock=lock(DEB, archives=(Archive(name="d/x", suite="x", date="", sha256="", keys=("AB",)),)))),
    ("privileges", facts()),
    ("encrypted", facts(indexes=(IndexFacts(key=("indexes", "pypi"), url="https://i.example.com/simple"),))),
    ("lifetimes", facts(indexes=(IndexFacts(key=("indexes", "pypi"), url="https://i.example.com/simple", ttl=600),))),
    ("bounds", facts()),
    ("provenance", facts(CONTAINED, images=(ImageFacts(tag="hatchlock/p/time:1", stated=True),), engine=ENGINE)),
    ("private-store", facts(paths=(STORE,))),
    ("audit-log", facts(log=LogFacts(path="/s/audit/audit.ndjson", entries=3))),
    ("engine-access", facts(CONTAINED, engine=ENGINE)),
    ("as-declared", facts(server())),
    ("undamaged", facts(environments=("env:time",))),
    ("orphans", facts(CONTAINED, containers=(container(),), engine=ENGINE)),
    ("unused", facts()),
    ("trust", facts(server(trust="internal"), server(name="other", trust="internal"))),
]

FAILS: list[Case] = [
    ("no-literal-secrets", facts(server(env={"API_KEY": "sk-12345678901234567890"})), "error", "value of API_KEY"),
    ("no-literal-secrets", facts(server(command=("/t", "--token", "sk-12345678901234567890"))), "error", "arguments"),
    (
        "no-literal-secrets",
        facts(lock=lock(builds=(Build(server="w", context="./w", dockerfile="D", args={"API_KEY": "sk-1234567890"}),))),
        "error",
        "build argument API_KEY",
    ),
    ("secret-exposure", facts(server(secrets={"KEY": AS_VARIABLE})), "note", "KEY can be seen in /proc"),
    ("secret-files", facts(secret_files=(replace(SECRET, open_to="every user"),)), "error", "open to every user"),
    ("secret-files", facts(secret_files=(replace(SECRET, committed=True),)), "error", "git does not ignore it"),
    ("secret-files", facts(secret_files=(replace(SECRET, exists=False),)), "warning", "is not there"),
    ("secret-files", facts(secret_files=(replace(SECRET, mine=False),)), "warning", "another user"),
    ("non-root", facts(server(sandbox=Sandbox(user="0:0"))), "error", "runs as root"),
    ("non-root", facts(relaxed(run_as="host"), is_root=True), "error", "who is root"),
    ("non-root", facts(relaxed(run_as="host")), "note", "as the user who starts it"),
    ("non-root", facts(containers=(container(user=""),)), "error", "runs as root (user not set)"),
    ("init", facts(containers=(container(init=False),)), "error", "no init"),
    ("init", facts(server(command=("/bin/sh", "-c", "server"))), "note", "a shell"),
    ("init", facts(server(sandbox=Sandbox(stop_grace=0))), "note", "no chance"),
    ("read-only", facts(relaxed(read_only=False)), "warning", f"can be written to (reason: {WHY})"),
    ("read-only", facts(relaxed(writable=("/cache",))), "note", "/cache is kept"),
    ("read-only", facts(server(), containers=(container(read_only=False),)), "error", "not declared"),
    ("network", facts(relaxed(network=("internet",))), "warning", "every host, loopback included"),
    ("network", facts(relaxed(network=("host",))), "warning", "machine's own network"),
    ("network", facts(relaxed(network=("a.example.com:443",))), "note", "a.example.com:443, and nothing else"),
    ("network", facts(server(), containers=(container(network="bridge"),)), "error", "a network (bridge)"),
    ("network", facts(server(), containers=(container(network="mine"),)), "error", "a network (mine)"),
    ("network", facts(server(), containers=(container(network="host"),)), "error", "not declared"),
    ("limits", facts(relaxed(memory="1g", pids=500)), "note", "memory is 1g, by default 512m"),
    ("limits", facts(server(), process_limits="its limits bind each process"), "note", "each process"),
    ("limits", facts(containers=(container(memory=0, pids=0),)), "error", "no limit of memory and processes"),
    ("limits", facts(containers=(container(swap=-1),)), "error", "no limit of swap"),
    ("limits", facts(containers=(container(memory=1 << 30),)), "error", "1g of memory, and 512m are declared"),
    ("limits", facts(containers=(container(pids=500),)), "error", "128 are declared"),
    ("limits", facts(CONTAINED, engine=replace(ENGINE, unbound=("swap",))), "warning", "does not enforce them"),
    ("confinement", facts(relaxed(seccomp="unconfined")), "warning", "seccomp is off"),
    ("confinement", facts(relaxed(apparmor="mine")), "note", "apparmor is mine"),
    ("confinement", facts(containers=(container(seccomp="unconfined"),)), "error", "not declared"),
    ("confinement", facts(engine=replace(ENGINE, security=())), "warning", "no seccomp"),
    ("capabilities", facts(relaxed(capabilities=("NET_RAW",))), "warning", "NET_RAW"),
    ("capabilities", facts(containers=(container(privileged=True),)), "error", "privileged"),
    ("capabilities", facts(containers=(container(capabilities=("CHOWN",)),)), "error", "capabilities CHOWN, which"),
    ("capabilities", facts(containers=(container(new_privileges=True),)), "error", "setuid"),
    ("capabilities", facts(containers=(container(shares=("the device /dev/sda",)),)), "error", "device /dev/sda"),
    (
        "mounts",
        facts(relaxed(mounts=(Mount(source="/data", target="/d", mode="rw"),))),
        "warning",
        "may write to /data",
    ),
    (
        "mounts",
        facts(
            replace(relaxed(mounts=(Mount(source="/etc", target="/e"),)), refused_mounts={"/e": "it is the system's"})
        ),
        "error",
        "it sees /etc: it is the system's",
    ),
    ("mounts", facts(server(), containers=(container(writable=("/x",)),)), "error", "/x, which is not declared"),
    ("temporary", facts(relaxed(tmp="1g")), "note", "1g of memory"),
    ("temporary", facts(server(env={"TMPDIR": "/data"})), "note", "TMPDIR is /data"),
    ("temporary", facts(containers=(container(temporary=()),)), "error", "no size"),
    ("isolation", facts(server(not_isolated="no bubblewrap")), "error", "no bubblewrap"),
    ("isolation", facts(server(isolation="best-effort")), "note", "would run without"),
    ("least-privilege", facts(relaxed(memory="1g", tmp="1g")), "note", f"memory, tmp (reason: {WHY})"),
    ("least-privilege", facts(relaxed(memory="1g", reason="")), "error", "no reason is given"),
    ("pinned-images", facts(lock=lock(images=(replace(IMAGE, digest=""),))), "error", "no digest"),
    ("minimal-bases", facts(lock=lock(images=(LARGE,))), "warning", "430 packages"),
    (
        "updated",
        facts(standings=(Standing(what="pypi:a", current="1", compatible="2", newest="3", state="yanked"),), asked=1),
        "error",
        "yanked by its author (1, there is 2)",
    ),
    (
        "updated",
        facts(standings=(Standing(what="pypi:a", current="1", compatible="1", newest="3"),), asked=1),
        "note",
        "newer version (1, there is 3)",
    ),
    ("hashes", facts(lock=lock(BARE)), "error", "no hash"),
    ("hashes", facts(server(source="")), "warning", "nothing pins"),
    ("sources", facts(lock=lock(PACKAGE, BARE)), "note", "1 of 2 packages come from repositories"),
    ("metadata", facts(lock=lock(PACKAGE, BARE)), "note", "1 of 2 packages that are asked for name no licence"),
    (
        "signatures",
        facts(lock=lock(archives=(Archive(name="debian/x", suite="x", date="", sha256=""),))),
        "error",
        "no key",
    ),
    ("privileges", facts(lock=lock(DEB)), "warning", "as root: deb:poppler-utils@4.0"),
    (
        "privileges",
        facts(lock=lock(builds=(Build(server="w", context="./w", dockerfile="D"),))),
        "note",
        "what ./w/D says",
    ),
    (
        "encrypted",
        facts(indexes=(IndexFacts(key=("indexes", "pypi"), url="http://i.example.com", plain=True),)),
        "warning",
        "without TLS",
    ),
    ("lifetimes", facts(indexes=(IndexFacts(key=("indexes", "pypi"), url="u", ttl=7 * 86400),)), "note", "168 hours"),
    (
        "bounds",
        facts(loose=(Loose(key=("servers", "time", "source"), what="no bound", hint="<2"),)),
        "note",
        "no bound",
    ),
    ("provenance", facts(images=(ImageFacts(tag="t", stated=False),)), "warning", "no statement"),
    ("private-store", facts(paths=(replace(STORE, mode=0o755),)), "error", "open to others (mode 0755)"),
    ("private-store", facts(paths=(replace(STORE, role="inside", mode=0o664),)), "error", "by a group"),
    ("private-store", facts(paths=(replace(STORE, role="secret", mode=0o640),)), "error", "can be read by others"),
    ("private-store", facts(paths=(replace(STORE, role="project", mode=0o664),)), "note", "by a group"),
    ("private-store", facts(paths=(replace(STORE, role="project", mode=0o666),)), "error", "by every user"),
    ("private-store", facts(paths=(replace(STORE, role="inside", mine=False),)), "error", "another user"),
    ("audit-log", facts(log=LogFacts(path="/l", problem="cannot be written")), "error", "cannot be written"),
    ("audit-log", facts(log=LogFacts(path="/l", mode=0o644)), "error", "open to others (mode 0644)"),
    ("audit-log", facts(log=LogFacts(path="/l", mine=False)), "error", "open to others"),
    (
        "audit-log",
        facts(log=LogFacts(path="/l", broken=("audit.ndjson:7",))),
        "warning",
        "the audit log /l was edited, or something of it was removed, first before audit.ndjson:7",
    ),
    ("audit-log", facts(log=LogFacts(path="/l", damaged=2)), "warning", "2 lines of the audit log /l cannot be read"),
    ("engine-access", facts(engine=replace(ENGINE, socket_mode=0o666)), "error", "every user may use"),
    ("engine-access", facts(engine=replace(ENGINE, security=())), "note", "root on its machine"),
    ("engine-access", facts(engine=EngineFacts(address="tcp://build.example.com:2375")), "error", "without TLS"),
    ("engine-access", facts(engine=EngineFacts(address="tcp://127.0.0.1:2375")), "warning", "without TLS"),
    ("as-declared", facts(plan=(Remark(address="server:time", what="to update: differs"),)), "warning", "to update"),
    ("as-declared", facts(plan=(Remark(address="the lock", what="stale", blocks=True),)), "error", "stale"),
    (
        "undamaged",
        facts(environments=("env:time",), damages=(Remark(address="env:time", what="its bin/python is gone"),)),
        "error",
        "is gone",
    ),
    ("orphans", facts(CONTAINED, containers=(container(owner_gone=True),)), "warning", "runs no more"),
    ("orphans", facts(CONTAINED, containers=(container(server="other"),)), "warning", "no server of this project"),
    ("unused", facts(garbage=("environment envs/1",)), "note", "envs/1"),
    (
        "trust",
        facts(server(trust="internal", environment="lab"), server(name="other", trust="public", environment="lab")),
        "warning",
        "internal, public",
    ),
]

UNKNOWN: list[tuple[str, Facts, str]] = [
    ("scanned", facts(), "known vulnerabilities"),
    ("audit-log", facts(), "nothing was written down yet"),
    ("signatures", facts(), "what registries say: 1 attested"),
    ("updated", facts(standings_unknown="no cache"), "no cache"),
    (
        "undamaged",
        facts(
            environments=("env:time",), uncompared=(Remark(address="env:time", what="only 5 files could be compared"),)
        ),
        "env:time: only 5 files could be compared",
    ),
    (
        "updated",
        facts(standings=(Standing(what="pypi:a", current="1", compatible="1", newest="1", state="unknown"),), asked=1),
        "nothing is known of pypi:a in the cache; ask with --online",
    ),
    ("as-declared", facts(server(), plan_unknown="it belongs to another"), "belongs to another"),
    ("unused", facts(garbage_unknown="no engine"), "no engine"),
    ("network", facts(CONTAINED, engine=EngineFacts(problem="it does not answer")), "does not answer"),
    ("orphans", facts(CONTAINED, engine=EngineFacts(problem="it does not answer")), "does not answer"),
    ("engine-access", facts(CONTAINED, engine=EngineFacts(problem="none found")), "none found"),
]


def outcome(name: str, given: Facts) -> Outcome:
    return CHECK[name].decide(given)


@pytest.mark.parametrize(("name", "given"), PASSES, ids=[name for name, _ in PASSES])
def test_it_passes(name: str, given: Facts) -> None:
    found = outcome(name, given)
    assert (found.state, found.unknown) == ("pass", ""), found
    assert found.looked_at


@pytest.mark.parametrize(("name", "given", "level", "words"), FAILS, ids=[f"{case[0]} {case[3]}" for case in FAILS])
def test_it_finds_what_is_wrong(name: str, given: Facts, level: str, words: str) -> None:
    found = outcome(name, given)
    chosen = [item for item in found.findings if words in item.what]
    assert [item.level for item in chosen] == [level], found
    assert found.state == {"error": "fail", "warning": "warn", "note": "pass"}[level]
    assert {item.address for item in found.findings} <= set(found.looked_at)


@pytest.mark.parametrize(("name", "given", "words"), UNKNOWN, ids=[f"{case[0]} {case[2]}" for case in UNKNOWN])
def test_it_says_why_it_cannot_be_evaluated(name: str, given: Facts, words: str) -> None:
    found = outcome(name, given)
    assert found.state == "unknown"
    assert words in found.unknown


def test_every_check_is_tried_in_both_directions() -> None:
    unknown = {name for name, _, _ in UNKNOWN}
    assert {name for name, _ in PASSES} | {"scanned"} == set(CHECK)
    assert {case[0] for case in FAILS} | (unknown & {"scanned"}) == set(CHECK)


def test_where_there_is_nothing_no_check_passes() -> None:
    states = {item.check.id: item.outcome.state for item in evaluate(Facts(lock=Lock(project="p", platforms=())))}
    assert {name for name, state in states.items() if state != "not-applicable"} == {"audit-log", "unused"}


def test_what_is_declared_is_no_error_in_a_container() -> None:
    declared = server(
        runtime="container",
        sandbox=Sandbox(
            network=("internet",),
            read_only=False,
            memory="1g",
            capabilities=("NET_RAW",),
            seccomp="unconfined",
            mounts=(Mount(source="/data", target="/d", mode="rw"),),
            reason=WHY,
        ),
    )
    made = container(
        network="bridge",
        read_only=False,
        memory=1 << 30,
        capabilities=("NET_RAW",),
        seccomp="unconfined",
        writable=("/d",),
    )
    found = evaluate(facts(declared, containers=(made,), engine=ENGINE))
    assert [item for verdict in found for item in verdict.outcome.findings if item.level == "error"] == []


def test_what_stands_beside_a_server_has_the_default_profile_and_none_of_the_servers_own() -> None:
    declared = replace(
        relaxed(network=("a.example.com:443",), memory="1g", capabilities=("NET_RAW",)), runtime="container"
    )
    own, relay = container(network="container"), container(name="c2", role="relay", selinux="disable")
    for made, wrong in ((relay, set()), (replace(relay, capabilities=("NET_RAW",)), {"capabilities"})):
        found = evaluate(facts(declared, containers=(own, made), engine=ENGINE))
        assert {item.check.id for item in found if item.outcome.state == "fail"} == wrong


def test_checks_have_names_of_their_own_and_answer_points_that_there_are() -> None:
    assert len(CHECK) == len(CHECKS)
    assert {point for check in CHECKS for point in check.points} <= set(POINTS)
    assert all(check.points for check in CHECKS)


def test_every_line_of_the_checklist_is_answered() -> None:
    verdicts = evaluate(facts(server(), containers=(container(),)))
    answered = {point for check in CHECKS for point in check.points}
    assert set(CHECKLIST) <= answered
    assert state_of_point("C2", verdicts) == "pass"
    assert state_of_point("C8", verdicts) == "unknown"


def test_a_point_is_as_good_as_its_worst_check_and_a_server_is_judged_by_itself() -> None:
    good, bad = server(), replace(relaxed(network=("host",)), name="open")
    verdicts = evaluate(facts(good, bad))
    assert state_of_point("C6", verdicts) == "warn"
    assert state_of_point("C6", verdicts, "server:time") == "pass"
    assert state_of_point("C6", verdicts, "server:open") == "warn"
    assert state_of_point("C3", verdicts, "server:open") == "not-applicable"


def test_a_reason_of_several_lines_is_told_in_one() -> None:
    found = outcome("network", facts(relaxed(network=("host",), reason="a\n  b")))
    assert "(reason: a b)" in found.findings[0].what


def test_what_others_run_is_named_where_a_server_may_write_to_its_workspace() -> None:
    mounted = Mount(source=WORKSPACE, target="/w", mode="rw")
    [finding] = CHECK["mounts"].decide(facts(relaxed(mounts=(mounted,)))).findings
    assert "hooks of git" in finding.hint
