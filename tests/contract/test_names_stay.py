"""What things are named by stays: a name that changes is a thing that everybody's next apply makes anew.

A failure here is no reason to write another digest into the table. It says that an upgrade of hatchlock would build, start or
write all of that kind again on every machine, lose sight of data, or leave what it owns as a stranger's. If that has to be:
raise the version of the rule (`env:1`, `image:1`, `LAUNCH_FORMAT`, …), and go on giving the old name to what was made by the old
rule. What does not use a new field keeps its name: leave the field out where it has nothing to say.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hatchlock.clients.catalogue import CLIENTS, Scope
from hatchlock.clients.owners import start_for
from hatchlock.clients.writer import entry_digest
from hatchlock.digest import canonical_json, sha256_bytes
from hatchlock.images.key import image_tag, input_key, local_tag
from hatchlock.launch import LaunchRecord, Mount, Relay, Sandbox, SecretReference, SourceTree
from hatchlock.lock.artefact import artefact_of
from hatchlock.lock.model import Build, File
from hatchlock.paths import Home
from hatchlock.realise.builds.record import build_key, project_key, scripts_key
from hatchlock.resolve import dockerfiles
from hatchlock.resources.base import Artefact
from hatchlock.resources.build_spec import BuildSpec, ProjectBuildSpec, ScriptSpec
from hatchlock.resources.compile import compile_target
from hatchlock.resources.env_parts import CondaSpec, ModuleSpec, NodeSpec, ProgramSpec, ProjectSpec
from hatchlock.resources.env_spec import EnvSpec
from hatchlock.resources.env_target import InterpreterFacts
from hatchlock.resources.machine import Machine
from hatchlock.resources.system_spec import HostPackage, SystemSpec
from hatchlock.resources.target import target_to_dict
from hatchlock.resources.volume import VolumeSpec, volume_address, volume_place
from hatchlock.security.container import LABEL
from hatchlock.security.sandbox import private_uid
from support.locks import EVERYTHING as EVERY_SERVER
from support.locks import image, manifest_of, world

HOME = Home(root=Path("/store"), is_default=False)
WORLD = world().lock(EVERY_SERVER)
USUAL = Home(root=Path("/home/ada/.local/share/hatchlock"), is_default=True)


def artefact(name: str, digit: str) -> Artefact:
    return Artefact(package=f"pypi:{name}@1", name=name, digest=digit * 64, size=7)


WHEELS = (artefact("a-1-py3-none-any.whl", "a"), artefact("b-2-py3-none-any.whl", "b"))
PYTHON = EnvSpec(name="e", python="/usr/bin/python3.11", python_version="3.11.2", wheels=WHEELS)
MODULE = ModuleSpec(path="node_modules/a", artefact=artefact("a.tgz", "c"), commands={"a": "x.js"}, offered=True)
PROJECT = ProjectSpec(
    name="@acme/p",
    version="1",
    ecosystem="python",
    artefact=artefact("p.tar", "d"),
    import_root="src",
    commands={"p": "p:main"},
    requires=("anyio>=4",),
    about="by Ada",
)
NODE = EnvSpec(name="e", node=NodeSpec(path="/opt/node/bin/node", version="22.4.1"), modules=(MODULE,))
EVERYTHING = replace(
    PYTHON,
    interpreter=artefact("cpython.tar.gz", "e"),
    conda=CondaSpec(root="/store/conda/0123", platform="linux/amd64", artefacts=(artefact("c.conda", "f"),)),
    node=NODE.node,
    modules=NODE.modules,
    builds=(BuildSpec(package="pypi:b@1", archive=artefact("b.tar.gz", "1"), wheels=WHEELS, key="2" * 64),),
    scripts=(ScriptSpec(package="npm:a@1", path="node_modules/a", key="3" * 64),),
    projects=(PROJECT,),
    project_builds=(
        ProjectBuildSpec(
            package="path:@acme/w@1",
            archive=artefact("w.tar", "4"),
            entries=("dist/index.js",),
            modules=(MODULE,),
            siblings=(PROJECT,),
            key="5" * 64,
        ),
    ),
    programs=(ProgramSpec(name="tool", artefact=artefact("tool.gz", "6")),),
)
PLAIN = LaunchRecord(project="acme", server="time", runtime="process", argv=("/store/envs/0/bin/time",), key="0")
FULL = replace(
    PLAIN,
    runtime="container",
    isolation="best-effort",
    argv=("/opt/hatchlock/bin/time", "--zone", "UTC"),
    cwd="/data",
    env={"GREETING": 'say "hello"', "EMPTY": ""},
    secrets={"TOKEN": SecretReference(secret="env:TOKEN", format="Bearer {}", as_="file", required=False)},
    sandbox=Sandbox(
        network=("api.example.com:443",),
        memory="1g",
        cpus=0.5,
        mounts=(
            Mount(source="/srv/data", target="/data", mode="rw", relabel="shared"),
            Mount(source="/a", target="/a"),
        ),
        writable=("/var/lib/time",),
        capabilities=("NET_BIND_SERVICE",),
        seccomp="profile.json",
        seccomp_sha256="7" * 64,
        stop_grace=2.5,
        reason="it keeps its notes",
    ),
    image="hatchlock/acme/time:0",
    engine="unix:///run/engine.sock",
    directory="/srv/acme",
    startup_timeout=12.5,
    source=SourceTree(directory="/opt/hatchlock/src/p", live="/srv/acme/p", sha256="8" * 64),
    trust="internal",
    relay=Relay(image="hatchlock/acme/relay:0", interpreter="/usr/bin/python3", language="python"),
    ca="/etc/ssl/own.pem",
    proxies={"api.example.com:443": "http://proxy.example.com:3128"},
    volumes={"/var/lib/time": "hatchlock-acme-time-0123456789ab"},
)
HOST = SystemSpec(
    name="e",
    packages=(
        HostPackage(name="git", version="1:2.39.5-0+deb12u2", sha256="9" * 64, needs=("libc6",), named=True),
        HostPackage(name="libc6", version="2.36-9", sha256="a" * 64),
    ),
)
BASE = image("base.example.com/python:3.11", "linux/amd64")
BUILD = Build(
    server="own",
    context="own",
    dockerfile="Dockerfile",
    target="final",
    args={"A": "1", "B": ""},
    files=(File(name="own-context.tar", sha256="b" * 64, size=7),),
    images=(BASE.reference,),
    base=BASE.reference,
)
VOLUME = VolumeSpec(
    server="time",
    path="/var/lib/time",
    place=volume_place(HOME, FULL, "/var/lib/time"),
    user="10001:10001",
    runtime="container",
)

MANIFEST = """\
[project]
name = "acme"
platforms = ["linux/amd64"]

[servers.demo]
source = "pypi:demo-server"
runtime = "process"
python = "3.11"
clients = ["cursor"]

[servers.boxed]
source = "pypi:demo-server"
python = "3.11"
base = "oci:base.example.com/python:3.11"

[servers.boxed.sandbox]
writable = ["/var/lib/demo"]
reason = "it keeps its notes"
"""
MACHINE = Machine(
    platform="linux/amd64",
    system="linux",
    home=HOME,
    user_home=Path("/home/ada"),
    directory=Path("/srv/acme"),
    environ={},
    interpreters={"3.11": InterpreterFacts(path="/usr/bin/python3.11", version="3.11.2", prefixes=("/usr",))},
    programs={},
    engine="unix:///run/engine.sock",
)
TARGET = compile_target(manifest_of(MANIFEST), world().lock(MANIFEST), MACHINE)


def entry(client: str, scope: Scope, home: Home) -> str:
    start = start_for(
        scope=scope,
        launcher=str(home.bin / "hatchlock"),
        home=home,
        project="acme",
        server="time",
    )
    return entry_digest(CLIENTS[client].shape.written(start))


NAMES = {
    # environments of processes: directories of the store
    "an environment of Python": PYTHON.key,
    "an environment of Node": NODE.key,
    "an environment of every part that there is": EVERYTHING.key,
    "a build of a package": build_key(
        package="pypi:b@1", archive="1" * 64, wheels=["3", "2"], platform="p", python="3.11.2", base=""
    ),
    "install scripts": scripts_key(
        package="npm:a@1", path="node_modules/a", tree=["b", "a"], platform="p", node="22.4.1", base="sha256:0"
    ),
    "a build of a project": project_key(
        package="path:w@1", archive="1" * 64, inputs=["b", "a"], platform="p", node="22.4.1", base=""
    ),
    # images
    "an image that is assembled": input_key("sha256:0", ["b.whl:1", "a.whl:2"], rule=1, others=["second", "first"]),
    "an image of a user's Dockerfile": dockerfiles.build_key(BUILD, {BASE.reference: BASE}, "linux/amd64"),
    "the tag by which an image is ours": image_tag("acme", "time", "0123"),
    "the tag of an image with bytecode": local_tag(image_tag("acme", "time", "0123")),
    # launch records: what `run` follows, and what containers of sessions are compared with
    "a launch record": PLAIN.digest,
    "a launch record with everything in it": FULL.digest,
    "the user of a process": str(private_uid("acme", "time")),
    "the label of what is ours in an engine": LABEL,
    # data: under another name there would be another volume, and an empty one
    "an engine's volume": volume_place(HOME, FULL, "/var/lib/time"),
    "a directory that a process keeps": volume_place(HOME, PLAIN, "/var/lib/time"),
    "the address of an engine's volume": str(volume_address("time", "/var/lib/time", "container")),
    "the address of such a directory": str(volume_address("time", "/var/lib/time", "process")),
    "whose a volume is": VOLUME.key,
    # saved plans: one that was made before an upgrade is applied after it
    "what a saved plan is bound to": sha256_bytes(canonical_json(target_to_dict(TARGET))),
    # pins: of something else they are stale
    "what a server was pinned of": artefact_of(WORLD, "demo"),
    "what a server that is an image was pinned of": artefact_of(WORLD, "shop"),
    # the host
    "packages of the host": HOST.key,
    # entries in files of applications
    "an entry of claude-code in user scope": entry("claude-code", "user", HOME),
    "an entry of claude-code in user scope, of the usual store": entry("claude-code", "user", USUAL),
    "an entry of claude-code in project scope": entry("claude-code", "project", HOME),
    "an entry of cursor in user scope": entry("cursor", "user", HOME),
    "an entry of cursor in user scope, of the usual store": entry("cursor", "user", USUAL),
    "an entry of cursor in project scope": entry("cursor", "project", HOME),
}
EXPECTED = {
    "an environment of Python": "43f163094d92ba0e4541",
    "an environment of Node": "7acb1726444eea61052b",
    "an environment of every part that there is": "23e56938bedb7a3e5795",
    "a build of a package": "53e45875230f5b6a8c6d91b6149602c2b0916b86dec8d2bc42a3d6795647a70d",
    "install scripts": "a8f9d344c63b2e90df228ab65b08ebcd56e624771ea7824d1013e288fcef1615",
    "a build of a project": "a53197c0b85e2dd5dfb1e6506680c1515e1ee0ebdaf519c1bdeaefb23b5c4855",
    "an image that is assembled": "4437ec0cf5c33716874700c05c3747c98482f564b1138502b0aa08f89ee997b6",
    "an image of a user's Dockerfile": "ea7a81edff9f30bf9709244ced2c4acb1b7d9c89b79d4fbf90c513a2d8152d10",
    "the tag by which an image is ours": "hatchlock/acme/time:0123",
    "the tag of an image with bytecode": "hatchlock/acme/time:0123-local",
    "a launch record": "dfee7dca101a2c57b58a98142ddc4ebf541dc8474e85f9f2a14b37d86eb201c7",
    "a launch record with everything in it": "2aec02b0d6ac3e580d929412f245388dd3b56d7c2278ece1c8dbe2ccafcd483f",
    "the user of a process": "1880482170",
    "the label of what is ours in an engine": "dev.hatchlock",
    "an engine's volume": "hatchlock-acme-time-c90e476b7743",
    "a directory that a process keeps": "/store/projects/acme/volumes/time/var%2Flib%2Ftime",
    "the address of an engine's volume": "volume:time/var/lib/time",
    "the address of such a directory": "volume:time/var/lib/time@process",
    "whose a volume is": "hatchlock-acme-time-c90e476b7743 10001",
    "what a saved plan is bound to": "222e07337c0ef6042a04f9fed20baa669c7c8f6d606af93f182322a1c91906ae",
    "what a server was pinned of": "176a772349216cb39bb52ef870591f6f7b7a773014cfcfa1dc2b24cdaf0046d1",
    "what a server that is an image was pinned of": "f2cef91141a5e601629f992f3ead0e8418255011d563345e45be6318749b6f9c",
    "packages of the host": "2c73785911b8c5ad0e8d6eec2fac07d594fd9634057188a980f5be8578c731c1",
    "an entry of claude-code in user scope": "8167ffce1d48df7d6ecc19d7393034e9c386e0ca5b28147c86d33e502e8f969f",
    "an entry of claude-code in user scope, of the usual store": "49849e6dd37deb4618b3e1ca0bfbb43283daa46543dfdc9301054ecc1087feb9",
    "an entry of claude-code in project scope": "6742f8fa93e5f862e83ea6f5491a6c368729cafc20b5029d3a7e98413c70d5ff",
    "an entry of cursor in user scope": "8167ffce1d48df7d6ecc19d7393034e9c386e0ca5b28147c86d33e502e8f969f",
    "an entry of cursor in user scope, of the usual store": "49849e6dd37deb4618b3e1ca0bfbb43283daa46543dfdc9301054ecc1087feb9",
    "an entry of cursor in project scope": "6742f8fa93e5f862e83ea6f5491a6c368729cafc20b5029d3a7e98413c70d5ff",
}


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_name_that_it_always_had(name: str) -> None:
    assert NAMES[name] == EXPECTED[name]
