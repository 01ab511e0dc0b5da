"""Engines that are no socket of this machine: by TLS with certificates of both sides, and through a real sshd."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from hatchlock.engines import api
from hatchlock.engines.connect import EngineUnreachable
from hatchlock.engines.docker import Engine
from hatchlock.engines.locate import EngineNotFound, find_engine
from hatchlock.engines.process import host_platform
from hatchlock.launch import Sandbox
from support.engine import OwnEngine
from support.engine_images import image_tags, untag_all
from support.git_server import serving_ssh, ssh_available
from support.links import links_record
from support.links_image import links_image
from support.ports import free_port
from support.project import TrialProject
from support.runs import BARE, PATIENCE, Run, apply_records, run_command
from support.unavailable import unavailable

pytestmark = pytest.mark.engine


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """An engine that listens on a socket, and on a port of loopback where it wants certificates.

    `certificates` is ours; those of `strangers` are of another authority.
    """

    socket: str
    port: int
    certificates: Path
    strangers: Path

    @property
    def tls(self) -> str:
        return f"tcp://127.0.0.1:{self.port}?certificates={self.certificates}"


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hatchlock-elsewhere-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def make_certificates(directory: Path) -> Path:
    """Make an authority and one certificate of it, for both sides."""
    directory.mkdir()
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    for command in (
        [*new, "-keyout", "ca-key.pem", "-out", "ca.pem", "-subj", "/CN=authority"],
        [
            *(*new, "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=either", "-CA", "ca.pem"),
            *("-CAkey", "ca-key.pem", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth,clientAuth"),
        ],
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def elsewhere(directory: Path) -> Iterator[Elsewhere]:
    certificates, strangers = make_certificates(directory / "tls"), make_certificates(directory / "strangers")
    port = free_port()
    files = (
        f"--tls{name}={certificates}/{file}.pem" for name, file in (("cacert", "ca"), ("cert", "cert"), ("key", "key"))
    )
    options = ("--host", f"tcp://127.0.0.1:{port}", "--tlsverify", *files, "--bridge=none", "--iptables=false")
    with OwnEngine(directory, *options) as engine:
        yield Elsewhere(socket=engine.address, port=port, certificates=certificates, strangers=strangers)


@pytest.fixture(scope="module")
def by_ssh(directory: Path, elsewhere: Elsewhere) -> Iterator[str]:
    """Yield the engine's address through ssh; whoever uses it has a `~/.ssh/config` of ours."""
    if not ssh_available() or not shutil.which("docker"):
        unavailable("an engine cannot be reached by ssh: that needs sshd, ssh and docker's client")
    with serving_ssh(directory / "ssh") as server:
        config = directory / "ssh" / "config"
        config.write_text(f"IdentityFile {server.key}\nUserKnownHostsFile {server.known_hosts}\nIdentitiesOnly yes\n")
        program = directory / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        program.chmod(0o755)
        yield f"ssh://{server.user}@127.0.0.1:{server.port}{elsewhere.socket.removeprefix('unix://')}"


@pytest.fixture
def ssh_path(directory: Path, by_ssh: str, monkeypatch: pytest.MonkeyPatch) -> str:
    path = f"{directory}/bin:/usr/bin:/bin:/usr/local/bin"
    monkeypatch.setenv("PATH", path)
    assert by_ssh
    return path


@pytest.fixture(scope="module")
def image(elsewhere: Elsewhere) -> Iterator[str]:
    with links_image(elsewhere.socket) as tag:
        yield tag


def is_same_engine(address: str, elsewhere: Elsewhere) -> bool:
    with Engine(address) as one, Engine(elsewhere.socket) as other:
        return one.id() == other.id() != ""


def test_what_the_variables_of_dockers_client_say_is_used(elsewhere: Elsewhere) -> None:
    environ = {"DOCKER_HOST": f"tcp://127.0.0.1:{elsewhere.port}", "DOCKER_CERT_PATH": str(elsewhere.certificates)}
    verified = find_engine({**environ, "DOCKER_TLS_VERIFY": "1"})
    assert verified == elsewhere.tls
    assert is_same_engine(verified, elsewhere)
    assert find_engine(environ) == f"{elsewhere.tls}&verify=no"


def test_an_engine_has_to_prove_who_it_is(elsewhere: Elsewhere, tmp_path: Path) -> None:
    shutil.copytree(elsewhere.certificates, tmp_path / "mixed")
    shutil.copy(elsewhere.strangers / "ca.pem", tmp_path / "mixed" / "ca.pem")
    address = f"tcp://127.0.0.1:{elsewhere.port}?certificates={tmp_path}/mixed"
    with pytest.raises(EngineUnreachable, match="certificate"):
        api.Engine(address).ping()
    assert api.Engine(f"{address}&verify=no").ping()


def test_and_so_have_we(elsewhere: Elsewhere) -> None:
    with pytest.raises(EngineUnreachable):
        api.Engine(f"tcp://127.0.0.1:{elsewhere.port}?certificates={elsewhere.strangers}&verify=no").ping()


def test_without_tls_it_says_so(elsewhere: Elsewhere) -> None:
    with pytest.raises(EngineNotFound, match="it answers with status 400"):
        find_engine({"DOCKER_HOST": f"tcp://127.0.0.1:{elsewhere.port}"})


def test_a_context_has_its_own_certificates(elsewhere: Elsewhere, tmp_path: Path) -> None:
    name = sha256(b"build").hexdigest()
    meta = tmp_path / "contexts" / "meta" / name / "meta.json"
    meta.parent.mkdir(parents=True)
    shutil.copytree(elsewhere.certificates, tmp_path / "contexts" / "tls" / name / "docker")
    host = {"Host": f"tcp://127.0.0.1:{elsewhere.port}", "SkipTLSVerify": False}
    meta.write_text(json.dumps({"Name": "build", "Endpoints": {"docker": host}}))
    found = find_engine({"DOCKER_CONTEXT": "build", "DOCKER_CONFIG": str(tmp_path)})
    assert found == f"tcp://127.0.0.1:{elsewhere.port}?certificates={tmp_path}/contexts/tls/{name}/docker"
    assert is_same_engine(found, elsewhere)


def test_an_engine_is_reached_through_ssh(elsewhere: Elsewhere, by_ssh: str, ssh_path: str) -> None:
    assert find_engine({"DOCKER_HOST": by_ssh, "PATH": ssh_path}) == by_ssh
    assert is_same_engine(by_ssh, elsewhere)


def test_what_ssh_complains_about_is_said(by_ssh: str, ssh_path: str) -> None:
    assert ssh_path
    with pytest.raises(EngineUnreachable, match="Permission denied"):
        api.Engine(by_ssh.replace("ssh://", "ssh://nobody-", 1)).ping()


@pytest.fixture
def ways(elsewhere: Elsewhere, by_ssh: str) -> dict[str, str]:
    return {"tls": elsewhere.tls, "ssh": by_ssh, "socket": elsewhere.socket}


@pytest.mark.parametrize("way", ["tls", "ssh"])
def test_a_server_runs_there_hears_the_end_of_its_stdin_and_is_gone(
    way: str, ways: dict[str, str], ssh_path: str, image: str, tmp_path: Path
) -> None:
    patient = Sandbox(stop_grace=10 * PATIENCE)  # nobody kills it in time
    record = links_record(ways[way], image, f"trial-{secrets.token_hex(4)}", sandbox=patient)
    apply_records(tmp_path, [record])
    engine = api.Engine(ways["socket"])
    with Run(command=run_command(tmp_path, project=record.project), env={**BARE, "PATH": ssh_path}) as run:
        assert run.hello()["serverInfo"]["name"] == "echo"
        assert len(engine.list({"dev.hatchlock.project": record.project})) == 1
        long = "x" * 300_000  # more than any buffer on the way
        assert run.call("echo", text=long) == long
        status, out, _ = run.end()
    assert (status, out) == (0, b"")
    assert engine.list({"dev.hatchlock.project": record.project}) == []


MANIFEST = """\
[project]
name = "{name}"
platforms = ["{platform}"]

[servers.bare]
source = "oci:docker-daemon:{image}"
runtime = "container"
command = ["/bin/true"]

[servers.files]
source = "oci:docker-daemon:{image}"
runtime = "container"
command = ["/bin/true"]

[servers.files.sandbox]
mounts = [{{ source = "./data", target = "/data" }}]
reason = "works on files"
"""


@pytest.mark.full
def test_images_go_there_and_a_server_with_files_of_this_machine_does_not(
    ways: dict[str, str], ssh_path: str, image: str, tmp_path: Path
) -> None:
    name = f"trial-{secrets.token_hex(4)}"
    text = MANIFEST.format(name=name, platform=host_platform(), image=image)
    project = TrialProject(tmp_path, text, name=name, DOCKER_HOST=ways["ssh"], PATH=ssh_path)
    (project.directory / "data").mkdir()
    project.ok("lock")
    done = project.fails("apply", "--yes", "--no-probe")
    assert f"is another machine, and cannot have its mounts ({project.directory}/data)" in done.out + done.err
    assert list(project.active()) == ["bare"]
    assert [tag.rpartition(":")[0] for tag in image_tags(ways["socket"], name)] == [f"hatchlock/{name}/bare"]
    untag_all(ways["socket"], name)
