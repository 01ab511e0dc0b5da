"""Packages of the host, by the real apt and dpkg of a Debian system in a directory, from an archive on loopback."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hatchlock.address import ResourceKind
from hatchlock.engines.apt import AptBusy, AptChange, NotOffered
from hatchlock.engines.debian_host import HostSystem, host_system
from hatchlock.engines.process import host_platform
from hatchlock.events import discard
from hatchlock.lock.model import Environment, Lock
from hatchlock.paths import Home
from hatchlock.process import ProcessFailed
from hatchlock.reconcile.diff import diff
from hatchlock.reconcile.execute import execute
from hatchlock.reconcile.plan import Plan
from hatchlock.resources.system import (
    DifferentFile,
    DpkgInterrupted,
    NotAsLocked,
    NotRoot,
    SystemResource,
    UnexpectedTransaction,
)
from hatchlock.resources.system_spec import SystemSpec, system_spec
from hatchlock.state.auditlog import read_audit
from hatchlock.state.journal import Journal
from support.debian_archive import Deb, DebianArchive, serving_debian
from support.debian_host import DebianHost, debian_files, debian_host
from support.debs import locked_deb
from support.project import TrialProject

BOOKWORM = HostSystem(title="Debian", families=frozenset({"debian"}), codename="bookworm")


def deb(name: str, version: str = "1.0-1", script: str = "", **fields: str) -> Deb:
    """A package for every architecture, with a file; `script` runs when it is configured."""
    control = {"postinst": f"#!/bin/sh\nset -e\n{script}\n"} if script else {}
    files = {f"usr/share/{name}/version": f"{version}\n"}
    named = {key.replace("_", "-"): value for key, value in fields.items()}
    return Deb(name=name, version=version, architecture="all", fields=named, files=files, control=control)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A host, its archive and a store."""

    host: DebianHost
    archive: DebianArchive
    home: Home

    def offer(self, *debs: Deb) -> None:
        """Let the host's apt know these packages, and no others."""
        self.archive.debs[:] = debs
        self.host.uses(self.archive)

    def resource(self, spec: SystemSpec, *, lock_timeout: float = 30) -> SystemResource:
        return SystemResource(
            [spec], home=self.home, environ=self.host.environ, purpose="apply", lock_timeout=lock_timeout
        )

    def plan(self, spec: SystemSpec) -> Plan:
        return planned(self.resource(spec))

    def apply(self, spec: SystemSpec, **options: float) -> None:
        found = self.resource(spec, **options)
        for step in planned(found).steps:
            found.apply(step)

    def versions(self, *names: str) -> list[str]:
        return [self.host.version(name) for name in names]


def planned(found: SystemResource) -> Plan:
    observed = found.observe()
    return diff(found.desired(), observed, found.problems)


@pytest.fixture(scope="module")
def files() -> Iterator[Path]:
    with debian_files() as directory:
        yield directory


@pytest.fixture
def trial(files: Path, tmp_path: Path) -> Iterator[Trial]:
    with debian_host(files) as host, serving_debian() as archive:
        yield Trial(host=host, archive=archive, home=Home(root=tmp_path / "store", is_default=False))


def needs(*debs: Deb, asked: str = "deb:alpha", edges: Mapping[str, tuple[str, ...]] | None = None) -> SystemSpec:
    """Return what an environment needs that was locked with these packages."""
    packages = tuple(locked_deb(item, *(edges or {}).get(item.name, ())) for item in debs)
    ids = tuple(sorted(item.id for item in packages))
    environment = Environment(
        name="research", private=False, runtime="process", requirements=(asked,), platform_packages={"linux/amd64": ids}
    )
    lock = Lock(project="acme", platforms=("linux/amd64",), packages=packages, environments=(environment,))
    spec = system_spec(lock, environment, "linux/amd64", BOOKWORM)
    assert spec is not None
    return spec


ALPHA = deb("alpha", Depends="beta (>= 1.0)")
BETA = deb("beta")
EDGES = {"alpha": ("deb:beta>=1.0",)}


def test_exactly_what_the_plan_shows_is_installed_and_then_nothing_is_left_to_do(trial: Trial) -> None:
    trial.offer(ALPHA, BETA, deb("alpha", "2.0-1"))
    spec = needs(ALPHA, BETA, edges=EDGES)
    plan = trial.plan(spec)
    (step,) = plan.steps
    assert step.privilege == "root"
    assert step.details == {
        "packages": "alpha not installed -> alpha 1.0-1",
        "installs": "alpha 1.0-1, beta 1.0-1",
        "command": "apt-get install --yes --no-install-recommends --no-remove -o APT::Install-Suggests=false"
        " -o Dpkg::Options::=--force-confold alpha=1.0-1 beta=1.0-1",
    }
    trial.apply(spec)
    assert trial.versions("alpha", "beta") == ["1.0-1", "1.0-1"]
    assert trial.plan(spec).steps == ()
    begun, ended = read_audit(trial.home.root).entries
    assert (begun["event"], ended["event"]) == ("privileged.start", "privileged.end")
    assert begun["argv"][:2] == ["apt-get", "install"]
    assert begun["argv"][-2:] == ["alpha=1.0-1", "beta=1.0-1"]
    assert (begun["euid"], begun["who"]["uid"]) == (os.geteuid(), os.getuid())
    assert begun["before"] == ended["before"] == {"alpha": "", "beta": ""}
    assert ended["after"] == {"alpha": "1.0-1", "beta": "1.0-1"}
    assert "error" not in ended


def test_a_named_package_moves_to_its_locked_version_and_what_will_do_stays(trial: Trial) -> None:
    trial.offer(ALPHA, BETA)
    trial.host.run("apt-get", "install", "--yes", "alpha")
    newer = replace(ALPHA, version="2.0-1")
    trial.offer(newer, deb("beta", "3.0-1"))
    spec = needs(newer, deb("beta", "3.0-1"), edges=EDGES)
    (step,) = trial.plan(spec).steps
    assert (step.cause, step.details["upgrades"]) == ("packages changed", "alpha 1.0-1 -> 2.0-1")
    assert "installs" not in step.details
    trial.apply(spec)
    assert trial.versions("alpha", "beta") == ["2.0-1", "1.0-1"]
    assert trial.plan(spec).steps == ()


def test_what_another_package_provides_is_not_installed(trial: Trial) -> None:
    alpha = deb("alpha", Depends="mailer")
    provider = deb("postal", Provides="mailer")
    trial.offer(alpha, provider)
    trial.host.run("apt-get", "install", "--yes", "postal")
    spec = needs(alpha, deb("mailer"), edges={"alpha": ("deb:mailer",)})
    trial.apply(spec)
    assert trial.versions("alpha", "mailer") == ["1.0-1", ""]


def test_a_removal_that_the_plan_does_not_show_is_refused(trial: Trial) -> None:
    alpha = deb("alpha", Conflicts="delta")
    trial.offer(alpha, deb("delta"))
    trial.host.run("apt-get", "install", "--yes", "delta")
    with pytest.raises(
        UnexpectedTransaction, match=r"apt removes delta 1\.0-1, which the plan does not show"
    ) as caught:
        trial.apply(needs(alpha))
    assert caught.value.extra == (AptChange(name="delta", before="1.0-1"),)
    assert trial.versions("alpha", "delta") == ["", "1.0-1"]


def test_an_upgrade_that_the_plan_does_not_show_is_refused(trial: Trial) -> None:
    trial.offer(deb("delta"))
    trial.host.run("apt-get", "install", "--yes", "delta")
    alpha = deb("alpha", Breaks="delta (<< 2)")
    trial.offer(alpha, deb("delta", "2.0-1"))
    with pytest.raises(UnexpectedTransaction, match=r"apt changes delta 1\.0-1 -> 2\.0-1, which"):
        trial.apply(needs(alpha))
    assert trial.versions("alpha", "delta") == ["", "1.0-1"]


def test_a_package_that_the_lock_does_not_have_is_refused(trial: Trial) -> None:
    trial.offer(ALPHA, BETA)
    with pytest.raises(UnexpectedTransaction, match=r"apt installs beta 1\.0-1, which the plan does not show"):
        trial.apply(needs(ALPHA))
    assert trial.versions("alpha", "beta") == ["", ""]


def test_a_newer_package_of_the_host_is_never_downgraded(trial: Trial) -> None:
    trial.offer(deb("alpha", "2.0-1"), BETA)
    trial.host.run("apt-get", "install", "--yes", "alpha")
    plan = trial.plan(needs(ALPHA, BETA, edges=EDGES))
    assert plan.steps == ()
    (problem,) = plan.problems
    assert problem.code == "host-is-newer"
    assert "alpha 2.0-1 (locked: 1.0-1)" in problem.what
    assert "`hatchlock lock --upgrade alpha`" in problem.hint


def test_a_version_that_the_hosts_archives_have_not_is_named(trial: Trial) -> None:
    trial.offer(deb("alpha", "2.0-1"))
    with pytest.raises(NotOffered, match=r"Version '1\.0-1' for 'alpha' was not found"):
        trial.apply(needs(deb("alpha")))
    assert trial.versions("alpha") == [""]


def test_another_file_under_the_locked_version_is_refused(trial: Trial) -> None:
    alpha = deb("alpha")
    trial.offer(replace(alpha, files={"usr/share/alpha/version": "something else\n"}))
    with pytest.raises(DifferentFile, match=r"alpha 1\.0-1"):
        trial.apply(needs(alpha))
    assert trial.versions("alpha") == [""]


def test_the_world_may_not_change_behind_the_plan(trial: Trial) -> None:
    trial.offer(ALPHA, BETA)
    found = trial.resource(needs(ALPHA, BETA, edges=EDGES))
    trial.host.run("apt-get", "install", "--yes", "beta")
    (step,) = planned(found).steps
    trial.host.run("apt-get", "purge", "--yes", "beta")
    with pytest.raises(UnexpectedTransaction, match=r"apt installs beta 1\.0-1"):
        found.apply(step)
    assert trial.versions("alpha", "beta") == ["", ""]


def test_what_another_step_has_done_meanwhile_is_not_done_again(trial: Trial) -> None:
    trial.offer(ALPHA, BETA)
    found = trial.resource(needs(ALPHA, BETA, edges=EDGES))
    (step,) = planned(found).steps
    trial.host.run("apt-get", "install", "--yes", "beta")
    found.apply(step)
    assert trial.versions("alpha", "beta") == ["1.0-1", "1.0-1"]


def test_environments_with_packages_in_common_are_served_one_after_the_other(trial: Trial, tmp_path: Path) -> None:
    gamma = deb("gamma", Depends="beta")
    trial.offer(ALPHA, BETA, gamma)
    specs = [
        replace(needs(ALPHA, BETA, edges=EDGES), name="one"),
        replace(needs(gamma, BETA, asked="deb:gamma", edges={"gamma": ("deb:beta",)}), name="two"),
    ]
    # neither waits for the other's lease
    found = SystemResource(specs, home=trial.home, environ=trial.host.environ, purpose="apply", lock_timeout=0)
    plan = planned(found)
    journal = Journal(tmp_path / "state" / "journal.ndjson")
    outcome = execute(plan, {ResourceKind.SYSTEM: found}, journal=journal, emit=discard, jobs=4)
    journal.close(finished=True)
    assert outcome.failed == ()
    assert [str(step.address) for step in outcome.done] == ["system:one", "system:two"]
    assert trial.versions("alpha", "beta", "gamma") == ["1.0-1", "1.0-1", "1.0-1"]


def test_who_has_dpkgs_lock_is_waited_for_and_then_reported(trial: Trial) -> None:
    trial.offer(deb("alpha"))
    with (trial.host.root / "var/lib/dpkg/lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        with pytest.raises(AptBusy, match="Could not get lock") as caught:
            trial.apply(needs(deb("alpha")), lock_timeout=1)
    assert "--lock-timeout" in caught.value.hint
    assert trial.versions("alpha") == [""]
    trial.apply(needs(deb("alpha")))
    assert trial.versions("alpha") == ["1.0-1"]


def test_an_apt_that_only_says_that_it_is_done_is_not_believed(trial: Trial) -> None:
    trial.offer(deb("alpha"))
    trial.host.put_before("apt-get", 'case "$*" in *--simulate*) exec $REAL "$@" ;; esac')
    with pytest.raises(NotAsLocked, match=r"alpha is absent, not 1\.0-1"):
        trial.apply(needs(deb("alpha")))


def test_a_package_that_cannot_be_configured_is_an_error_with_what_apt_said(trial: Trial) -> None:
    broken = deb("alpha", script="echo 'no more ink' >&2; exit 7")
    trial.offer(broken)
    with pytest.raises(ProcessFailed, match="no more ink"):
        trial.apply(needs(broken))
    with pytest.raises(DpkgInterrupted, match=r"alpha \(half-configured\)") as caught:
        trial.apply(needs(broken))
    assert "`dpkg --configure -a`" in caught.value.hint


def test_only_root_may(trial: Trial) -> None:
    trial.offer(deb("alpha"))
    found = trial.resource(needs(deb("alpha")))
    (step,) = planned(found).steps
    os.seteuid(65534)
    try:
        with pytest.raises(NotRoot) as caught:
            found.apply(step)
    finally:
        os.seteuid(0)
    assert "`sudo apt-get install --yes" in caught.value.hint
    assert "alpha=1.0-1`" in caught.value.hint
    assert 'runtime = "container"' in caught.value.hint
    assert trial.versions("alpha") == [""]


_APPLY = """
import pickle, sys
from hatchlock.reconcile.diff import diff
from hatchlock.resources.system import SystemResource
specs, options = pickle.loads(sys.stdin.buffer.read())
found = SystemResource(specs, **options)
for step in diff(found.desired(), found.observe()).steps:
    found.apply(step)
"""


def start_apply(trial: Trial, spec: SystemSpec) -> subprocess.Popen[bytes]:
    options = {"home": trial.home, "environ": trial.host.environ, "purpose": "apply", "lock_timeout": 30.0}
    process = subprocess.Popen([sys.executable, "-c", _APPLY], stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(([spec], options)))
    process.stdin.close()
    return process


def blocking(trial: Trial) -> tuple[Deb, Path, Path]:
    """A package whose configuration says that it began, and then waits for a writer; and the two pipes for that."""
    began, go_on = trial.host.root / "began", trial.host.root / "go-on"
    for pipe in (began, go_on):
        os.mkfifo(pipe)
    return deb("alpha", script='[ "$1" = configure ] || exit 0\necho $$ > /began\nread line < /go-on'), began, go_on


def test_apt_goes_on_without_a_killed_apply_and_the_next_one_waits_for_it(trial: Trial) -> None:
    alpha, began, go_on = blocking(trial)
    trial.offer(alpha)
    spec = needs(alpha)
    process = start_apply(trial, spec)
    began.read_text()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    second = start_apply(trial, spec)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(3)
    go_on.write_text("\n")
    assert second.wait(60) == 0
    assert trial.versions("alpha") == ["1.0-1"]
    assert trial.plan(spec).steps == ()


def test_after_apt_and_dpkg_were_killed_too_the_way_out_is_named_and_leads_on(trial: Trial) -> None:
    alpha, began, go_on = blocking(trial)
    trial.offer(alpha)
    spec = needs(alpha)
    process = start_apply(trial, spec)
    script = int(began.read_text())
    session = os.getsid(script)
    os.kill(process.pid, signal.SIGKILL)
    for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]:
        if is_of(session, pid):
            with contextlib.suppress(ProcessLookupError):  # it went with one before it
                os.kill(pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(DpkgInterrupted, match="alpha"):
        trial.apply(spec)
    began.unlink()
    go_on.unlink()
    began.write_text("")
    go_on.write_text("\n")
    trial.host.run("dpkg", "--configure", "-a")
    trial.apply(spec)
    assert trial.versions("alpha") == ["1.0-1"]
    assert trial.plan(spec).steps == ()


def is_of(session: int, pid: int) -> bool:
    try:
        return os.getsid(pid) == session
    except ProcessLookupError:
        return False


# The whole way, from the manifest on

MANIFEST = """\
[project]
name = "trial"
platforms = ["{platform}"]

[defaults]
runtime = "process"
isolation = "best-effort"

[indexes.debian]
url = "{url}"
suite = "{suite}"
components = ["main"]
keyring = "archive.gpg"

[servers.notes]
source = "path:./notes#as=files"
command = ["./start"]
with = ["deb:alpha>=1"]

[servers.plain]
command = ["/bin/cat"]
"""


@pytest.fixture
def project(trial: Trial, tmp_path: Path) -> TrialProject:
    suite = host_system(os.environ).codename
    trial.offer(*(replace(item, suite=suite) for item in (ALPHA, BETA)))
    manifest = MANIFEST.format(platform=host_platform(), url=trial.archive.url, suite=suite)
    made = TrialProject(tmp_path, manifest, PATH=trial.host.environ["PATH"])
    (made.directory / "archive.gpg").write_bytes(trial.archive.keyring)
    start = made.directory / "notes" / "start"
    start.parent.mkdir()
    start.write_text("#!/bin/sh\ncat /usr/share/alpha/version\n")
    start.chmod(0o755)
    made.ok("lock")
    return made


def test_a_project_gets_its_packages_of_the_host_only_with_consent_and_once(
    trial: Trial, project: TrialProject
) -> None:
    shown = project.ok("plan").out
    assert "~ system:notes  packages changed [root]\n    packages: alpha not installed -> alpha 1.0-1\n" in shown
    assert "Steps: 3 need no privilege, 1 root\n" in shown
    assert "Packages: 2 from registries, 1 local; 1 needs no privilege, 2 root\n" in shown
    refused = project.fails("apply", "--yes", status=3)
    assert "apt-get install --yes" in refused.err
    assert "--allow-privileged" in refused.err
    assert (trial.versions("alpha"), project.active()) == ([""], {})
    project.ok("apply", "--yes", "--allow-privileged", "--no-probe")
    assert trial.versions("alpha", "beta") == ["1.0-1", "1.0-1"]
    assert sorted(project.active()) == ["notes", "plain"]
    assert "Nothing to do" in project.ok("plan").out


def test_what_the_manifest_no_longer_names_stays_on_the_host(trial: Trial, project: TrialProject) -> None:
    project.ok("apply", "--yes", "--allow-privileged", "--no-probe")
    project.ok("remove", "notes")
    assert project.steps() == ["delete server:notes"]
    project.ok("apply", "--yes", "--no-probe")
    assert trial.versions("alpha", "beta") == ["1.0-1", "1.0-1"]


def test_a_host_that_is_newer_holds_back_its_servers_and_no_others(trial: Trial, project: TrialProject) -> None:
    trial.offer(deb("alpha", "2.0-1"))
    trial.host.run("apt-get", "install", "--yes", "alpha")
    planned_now = project.fails("plan")
    assert "! system:notes  this machine has newer packages, which are not downgraded: alpha 2.0-1" in planned_now.out
    assert 'runtime = "container"' in planned_now.err
    applied = project.run("apply", "--yes", "--no-probe")
    assert (applied.status, sorted(project.active())) == (1, ["plain"])
    assert "blocked" in next(line for line in project.ok("status").out.splitlines() if line.startswith("notes"))


def test_offline_only_what_apt_has_already_is_installed(trial: Trial, project: TrialProject) -> None:
    words = ["apply", "--yes", "--offline", "--allow-privileged", "--no-probe"]
    asked = len(trial.archive.asked)
    assert project.run(*words).status == 1
    assert (trial.versions("alpha"), trial.archive.asked[asked:]) == ([""], [])
    trial.host.run("apt-get", "install", "--yes", "--download-only", "alpha=1.0-1")
    asked = len(trial.archive.asked)
    project.ok(*words)
    assert (trial.versions("alpha", "beta"), trial.archive.asked[asked:]) == (["1.0-1", "1.0-1"], [])


def test_an_environment_may_be_packages_of_the_host_and_nothing_else(trial: Trial, project: TrialProject) -> None:
    head = project.manifest.read_text().partition("[servers.notes]")[0]
    project.write(f'{head}[environments.tools]\ndependencies = ["deb:alpha"]\n')
    project.ok("lock")
    assert project.steps() == ["update system:tools", "create env:tools"]
    project.ok("apply", "--yes", "--allow-privileged")
    assert trial.versions("alpha", "beta") == ["1.0-1", "1.0-1"]
    assert project.steps() == []
