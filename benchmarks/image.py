"""The image of one Python server, with everything cached: `hatchlock apply` against `docker build` with uv or pip inside.

    python benchmarks/image.py --base REGISTRY/NAME:TAG [--rounds 5] [--memory] [REQUIREMENT]

The base is an image with Python at a registry that the engine may ask (scripts/base-image --push makes one). Without a
requirement: mcp-server-time, 31 packages. All install the very same wheels, out of the store and out of a build context
without network, and get the bytecode of the packages or do not: `uv` and `apply` both ways, pip always makes it. Images are
deleted before each round, base layers stay; rounds alternate; whole processes are timed, but for `assemble`, which is the
pinned image alone, without reading lock and plan. What is kept of bytecode is deleted before the first image of a base, and
that of its packages before a second one; an image that is made again finds all. Then one package of another version, a
second apply, and the time until `initialize` is answered: `hatchlock run` against `docker run -i` of the image that pip made.

With --memory: peak memory of an apply of the 20 environments of servers.txt, all in images.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from run import seconds_to_answer

from hatchlock.engines.docker import Engine
from hatchlock.engines.locate import find_engine
from hatchlock.images.assemble import load
from hatchlock.images.key import image_tag
from hatchlock.paths import Home
from hatchlock.resources.image_build import composed
from hatchlock.usecases.plan import read_target
from hatchlock.usecases.project import open_project

HATCHLOCK = str(Path(sys.executable).with_name("hatchlock"))
UV = str(Path(sys.executable).with_name("uv"))
TOOLS = "hatchlock-benchmark/tools"
SERVERS = Path(__file__).with_name("servers.txt")
MANIFEST = """\
[project]
name = "image-benchmark"

[servers.bench]
source = "pypi:{requirement}"
base = "oci:{base}"
runtime = "container"
clients = []
constraints = [{constraints}]
"""
ENVIRONMENT = """
[environments.e{number}]
base = "oci:{base}"
dependencies = ["pypi:{requirement}"]
"""
TOOLS_FILE = """\
FROM {base}
COPY uv pip.whl /
"""
UV_FILE = """\
FROM {tools}
COPY wheels /wheels
RUN /uv venv --quiet /opt/env && \\
    /uv pip install --quiet {options} --python /opt/env/bin/python --no-index --find-links /wheels {names}
"""
PIP_FILE = """\
FROM {tools}
COPY wheels /wheels
RUN python3 -m venv --without-pip /opt/env && \\
    PYTHONPATH=/pip.whl /opt/env/bin/python -m pip install --quiet --no-index --find-links /wheels {names}
"""


class Bench:
    """A project, a store and build contexts of its own, in one directory."""

    def __init__(self, directory: Path, base: str, requirement: str) -> None:
        self.directory = directory
        self.base = base
        self.requirement = requirement
        self.env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.env["HATCHLOCK_HOME"] = str(directory / "home")
        self.engine = find_engine(os.environ)
        self.memory = 0

    def hatchlock(self, *words: str) -> float:
        return self.process([HATCHLOCK, *words], cwd=self.directory)

    def build(self, name: str) -> float:
        options = ["--quiet", "--no-cache", "--network", "none", "--tag", f"hatchlock-benchmark/{name}"]
        return self.process([*self.docker(), "build", *options, str(self.directory / name)], cwd=self.directory)

    def build_again(self, name: str) -> float:
        options = ["--quiet", "--network", "none", "--tag", f"hatchlock-benchmark/{name}"]
        return self.process([*self.docker(), "build", *options, str(self.directory / name)], cwd=self.directory)

    def docker(self) -> list[str]:
        return ["docker", "--host", self.engine]

    def process(self, argv: Sequence[str], cwd: Path) -> float:
        with (self.directory / "log").open("w+") as log:
            began = time.perf_counter()
            process = subprocess.Popen(argv, cwd=cwd, env=self.env, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            taken = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                log.seek(0)
                raise SystemExit(f"{' '.join(argv)}: {log.read()}")
        self.memory = usage.ru_maxrss
        return taken

    def lock(self, *constraints: str) -> None:
        text = ", ".join(f'"{item}"' for item in constraints)
        (self.directory / "hatchlock.toml").write_text(
            MANIFEST.format(requirement=self.requirement, base=self.base, constraints=text)
        )
        self.hatchlock("lock")
        self.hatchlock("fetch")

    def keep(self, name: str) -> None:
        for file in ("hatchlock.toml", "hatch.lock"):
            shutil.copy(self.directory / file, self.directory / f"{file}-{name}")

    def use(self, name: str) -> None:
        for file in ("hatchlock.toml", "hatch.lock"):
            shutil.copy(self.directory / f"{file}-{name}", self.directory / file)

    def wheels(self) -> dict[str, Path]:
        """Return the wheels of the lock for this machine, by package."""
        lock = tomllib.loads((self.directory / "hatch.lock").read_text())
        files = {file["sha256"]: file["name"] for package in lock["package"] for file in package.get("files", ())}
        blobs = self.directory / "home" / "blobs"
        found = {path.name: path for path in blobs.rglob("*") if path.name in files}
        return {files[digest]: path for digest, path in found.items() if files[digest].endswith(".whl")}

    def contexts(self) -> None:
        """Make the build contexts, and the image that has uv and pip."""
        wheels = self.wheels()
        names = " ".join(f"{name.split('-')[0]}=={name.split('-')[1]}" for name in sorted(wheels))
        files = {
            "uv": UV_FILE.format(tools=TOOLS, names=names, options=""),
            "uv-compiled": UV_FILE.format(tools=TOOLS, names=names, options="--compile-bytecode"),
            "pip": PIP_FILE.format(tools=TOOLS, names=names),
        }
        for context, text in files.items():
            (self.directory / context / "wheels").mkdir(parents=True)
            (self.directory / context / "Dockerfile").write_text(text)
            for name, path in wheels.items():
                shutil.copyfile(path, self.directory / context / "wheels" / name)
        tools = self.directory / "tools"
        tools.mkdir()
        shutil.copyfile(UV, tools / "uv")
        (tools / "uv").chmod(0o755)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tools), "pip"]
        subprocess.run(pip, check=True, capture_output=True)
        next(tools.glob("pip-*.whl")).rename(tools / "pip.whl")
        (tools / "Dockerfile").write_text(TOOLS_FILE.format(base=self.base))
        subprocess.run([*self.docker(), "pull", "--quiet", self.base], check=True, capture_output=True)
        build = [*self.docker(), "build", "--quiet", "--tag", TOOLS, str(tools)]
        subprocess.run(build, check=True, capture_output=True)

    def untag(self, project: str = "image-benchmark") -> None:
        with Engine(self.engine) as engine:
            for tag in engine.images():
                if tag.startswith(f"hatchlock/{project}/"):
                    engine.untag(tag)

    def forget(self, *, library: bool) -> None:
        """Delete what is kept of bytecode: that of packages, and, if wanted, that of the interpreter's library."""
        for path in (self.directory / "home" / "cache" / "bytecode").glob("*.tar"):
            with tarfile.open(path) as archive:
                is_library = not any(name.startswith("opt/hatchlock/") for name in archive.getnames())
            if library or not is_library:
                path.unlink()

    def remove(self) -> None:
        """Take away all images that were made."""
        self.untag()
        names = [TOOLS, *(f"hatchlock-benchmark/{name}" for name in ("uv", "uv-compiled", "pip"))]
        subprocess.run([*self.docker(), "image", "rm", "--force", *names], check=False, capture_output=True)


def assemble(directory: Path) -> None:
    """Put the pinned image alone together, and load it; print the seconds."""
    home = Home.locate(explicit=None, environ=os.environ)
    project = open_project(directory=directory, manifest=None, use_global=False, home=home, environ=os.environ)
    target = read_target(project)
    (spec,) = target.images
    with Engine(target.engine) as engine:
        began = time.perf_counter()
        with composed(spec, home=home) as image:
            load(image, engine=engine, tag=image_tag(target.project, spec.server, spec.key))
        print(time.perf_counter() - began)


def assembled(bench: Bench) -> float:
    argv = [sys.executable, __file__, "--assemble", str(bench.directory)]
    done = subprocess.run(argv, env=bench.env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def rounds(number: int, works: Mapping[str, Callable[[], float]], before: Callable[[], None]) -> dict[str, float]:
    """Return the medians, and print them; who goes first alternates."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(number):
        for name in sorted(works, reverse=turn % 2 == 1):
            before()
            taken[name].append(works[name]())
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, seconds in medians.items():
        print(f"{name:28} median {seconds:.2f} s   ({' '.join(f'{each:.2f}' for each in taken[name])})")
    return medians


def compare(medians: Mapping[str, float], *pairs: tuple[str, str]) -> None:
    for ours, theirs in pairs:
        print(f"{ours} / {theirs}: {medians[ours] / medians[theirs]:.2f} x")


def measure_images(bench: Bench, number: int) -> None:
    apply = ("apply", "--yes", "--no-probe", "--offline")
    bench.lock()
    bench.keep("first")
    click = next(name.split("-")[1] for name in bench.wheels() if name.startswith("click-"))
    bench.lock(f"pypi:click<{click}")
    bench.keep("second")
    bench.use("first")
    bench.contexts()
    bench.hatchlock(*apply)
    print(f"{len(bench.wheels())} packages, rounds: {number}")

    def forgetful(*, library: bool) -> float:
        bench.forget(library=library)
        return bench.hatchlock(*apply)

    works = {
        "apply": lambda: forgetful(library=True),
        "apply, second of the base": lambda: forgetful(library=False),
        "apply, made again": lambda: bench.hatchlock(*apply),
        "assemble": lambda: assembled(bench),
        **{f"build with {name}": lambda name=name: bench.build(name) for name in ("uv", "uv-compiled", "pip")},  # type: ignore[misc]
    }
    medians = rounds(number, works, bench.untag)
    compare(
        medians,
        ("assemble", "build with uv"),
        *(
            (ours, f"build with {theirs}")
            for ours in ("apply", "apply, second of the base", "apply, made again")
            for theirs in ("uv", "uv-compiled", "pip")
        ),
    )
    taken = []
    for turn in range(number):
        bench.use("second" if turn % 2 == 0 else "first")
        taken.append(forgetful(library=False))
        bench.untag()
        bench.hatchlock(*apply)
    print(f"{'one package changed':28} median {statistics.median(taken):.2f} s")
    unchanged = {
        "unchanged, apply": lambda: bench.hatchlock(*apply),
        "unchanged, build with uv": lambda: bench.build_again("uv"),
    }
    bench.use("first")
    bench.hatchlock(*apply)
    bench.build_again("uv")
    compare(rounds(number, unchanged, lambda: None), ("unchanged, apply", "unchanged, build with uv"))
    command = re.split(r"[<>=!~\[; ]", bench.requirement)[0]
    run = [*bench.docker(), "run", "--rm", "-i", "--network", "none", "--init"]
    starts = {
        "run": lambda: seconds_to_answer([HATCHLOCK, "-C", str(bench.directory), "run", "bench"], bench.env),
        "docker run of pip's": lambda: seconds_to_answer(
            [*run, "--entrypoint", f"/opt/env/bin/{command}", "hatchlock-benchmark/pip"], bench.env
        ),
    }
    compare(rounds(2 * number, starts, lambda: None), ("run", "docker run of pip's"))


def measure_memory(bench: Bench) -> None:
    requirements = SERVERS.read_text().split()
    text = '[project]\nname = "image-benchmark"\n\n[defaults]\nruntime = "container"\n' + "".join(
        ENVIRONMENT.format(number=number, base=bench.base, requirement=name) for number, name in enumerate(requirements)
    )
    (bench.directory / "hatchlock.toml").write_text(text)
    bench.hatchlock("lock")
    bench.hatchlock("fetch")
    bench.untag()
    seconds = bench.hatchlock("apply", "--yes", "--no-probe", "--offline")
    print(f"{len(requirements)} images: {seconds:.1f} s, peak memory {bench.memory / 1024:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requirement", nargs="?", default="mcp-server-time")
    parser.add_argument("--base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--assemble", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.assemble:
        assemble(options.assemble)
        return
    if not options.base:
        parser.error("--base is missing")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), options.base, options.requirement)
        try:
            if options.memory:
                measure_memory(bench)
            else:
                measure_images(bench, options.rounds)
        finally:
            bench.remove()


if __name__ == "__main__":
    main()
