"""A build as a process of this machine, inside bubblewrap: it sees the system, its interpreter and its own /tmp."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, replace
from typing import BinaryIO

from hatchlock.files import memory_file
from hatchlock.launch import LaunchRecord, Sandbox
from hatchlock.process import ProcessFailed, started
from hatchlock.realise.builds.order import build_environment
from hatchlock.security.bubblewrap import System, bubblewrap_argv, bubblewrap_options, identity_files
from hatchlock.security.sandbox import private_uid

__all__ = ["IsolatedBuild"]

_LARGEST_FILE = 1 << 30
_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class IsolatedBuild:
    """The sandbox of one build.

    It has no network, no capability, a user of its own, and limits; the files of the system and of its interpreter are
    read-only. What it starts ends with it.

    Attributes:
        key: The build's.
        command: The interpreter, absolute, and what it runs.
        prefixes: The directories that the interpreter needs.
        system: This machine.
    """

    key: str
    command: tuple[str, ...]
    prefixes: tuple[str, ...]
    system: System

    def __call__(self, order: BinaryIO, result: BinaryIO, log: BinaryIO) -> int:
        """Run the build to its end and return its exit status, 128+N after signal N.

        Raises:
            ProcessFailed: It could not be started, or does not end.
        """
        uid = private_uid(self.key, "build")
        limited = (self.system.prlimit, f"--fsize={_LARGEST_FILE}:{_LARGEST_FILE}", "--")
        record = LaunchRecord(
            project="build",
            server=self.key[:12],
            runtime="process",
            argv=(*limited, *self.command),
            cwd="/tmp",  # noqa: S108  inside
            sandbox=Sandbox(user=f"{uid}:{uid}", memory="4g", pids=512, files=4096, tmp="4g"),
            key=self.key,
            read_only_paths=self.prefixes,
        )
        contents = identity_files(record, self.system)
        files = {path: memory_file(content.encode()) for path, content in contents.items()}
        seccomp = memory_file(self.system.seccomp)
        # what a build makes, it runs
        system = replace(self.system, no_programs=False)
        options = bubblewrap_options(record, system, env=build_environment(), files=files, seccomp=seccomp)
        arguments = memory_file(b"".join(f"{item}\0".encode() for item in options))
        info = memory_file(b"")
        inherited = (arguments, info, seccomp, *files.values())
        try:
            return _run(bubblewrap_argv(record, self.system, args=arguments, info=info), inherited, order, result, log)
        finally:
            for descriptor in inherited:
                os.close(descriptor)


def _run(argv: tuple[str, ...], inherited: tuple[int, ...], order: BinaryIO, result: BinaryIO, log: BinaryIO) -> int:
    try:
        with started(
            argv, stdin=order, stdout=result, stderr=log, env={}, cwd="/", pass_fds=inherited, umask=0o022
        ) as process:
            try:
                status = process.wait(_SECONDS)
            finally:
                # everything inside dies with it
                process.kill()
    except OSError as error:
        raise ProcessFailed(argv=argv[:1], status=None, output=str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(argv=argv[:1], status=None, output=f"no end within {_SECONDS:g} s") from error
    return status if status >= 0 else 128 - status
