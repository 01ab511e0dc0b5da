"""Git itself, run so that it never asks anybody anything, and never runs what a repository or a template brings."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from hatchlock.net.trust import child_environment
from hatchlock.process import ProcessFailed, on_path, run
from hatchlock.sources.projects.git_errors import GitMissing, explained
from hatchlock.sources.projects.git_reference import protocol_of

__all__ = ["Git"]

_REMOTE_SECONDS = 1800.0
_LOCAL_SECONDS = 300.0

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.interactive": "false",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "transfer.bundleURI": "false",
    "transfer.fsckObjects": "true",
}

# Of git's own variables these say how to reach a host; the others name repositories (as in a hook, from which we may have
# been started), trace, prompt or replace programs.
_PASSED_ON = frozenset(
    {
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_SYSTEM",
        "GIT_EXEC_PATH",
        "GIT_PROXY_SSL_CAINFO",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_SSL_CERT",
        "GIT_SSL_KEY",
    }
)
# The versions before 2.45 that know GIT_NO_LAZY_FETCH: minor -> patch.
_PATCHED = {39: 4, 40: 2, 41: 1, 42: 2, 43: 4, 44: 1}
_CERTIFICATES = {"GIT_SSL_CAINFO": "http.sslCAInfo", "GIT_SSL_CAPATH": "http.sslCAPath"}
_SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=20"


class Git:
    """The user's git, with the user's own configuration, credential helpers and SSH set-up. For any number of threads.

    Hooks, templates and prompts are off, objects are checked while they come in, and only the protocol of the address that
    is given is spoken: https and ssh, which the user's `insteadOf` may exchange; http and file only for such an address.

    Args:
        environ: The user's variables; git gets them without most of its own.

    Raises:
        GitMissing: PATH has no git.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        program = on_path("git", environ.get("PATH", os.defpath))
        if program is None:
            raise GitMissing
        self._program = program
        self._environ = environ

    @cached_property
    def fetches_only_when_told(self) -> bool:
        """Whether this git can be kept from fetching by itself what a partial repository lacks.

        One that cannot starts itself again and again, without end, where a server does not deliver what it left out.
        """
        match = re.search(rb"version (\d+)\.(\d+)\.(\d+)", self._alone("version"))
        major, minor, patch = map(int, match.groups()) if match else (0, 0, 0)
        return (major, minor, patch) >= (2, 45, 0) or (major == 2 and patch >= _PATCHED.get(minor, 99))  # noqa: PLR2004

    def local(self, directory: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git in a repository without any way to another one, and return its stdout.

        Raises:
            ProcessFailed: It ends with an error.
        """
        # a partial repository would fetch what it lacks, one by one
        return self._run(directory, arguments, stdin=stdin, allowed="none", more={}, seconds=_LOCAL_SECONDS)

    def remote(self, url: str, directory: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run git with the way to one repository open, and return its stdout.

        Args:
            url: From `repository_url`.
            directory: Where to run it.
            arguments: What to run.
            stdin: What it reads.

        Raises:
            AccessDenied, NoRepository, Unreachable, BadRepository, GitFailed: What its failure means.
        """
        protocol = protocol_of(url)
        more = {}
        if protocol in {"ssh", "https"}:
            allowed = "https:ssh"
            more = self._ssh | self._network
        else:
            allowed = protocol
        try:
            return self._run(directory, arguments, stdin=stdin, allowed=allowed, more=more, seconds=_REMOTE_SECONDS)
        except ProcessFailed as error:
            raise explained(error, url) from error

    def _run(
        self,
        directory: Path,
        arguments: tuple[str, ...],
        *,
        stdin: bytes,
        allowed: str,
        more: Mapping[str, str],
        seconds: float,
    ) -> bytes:
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        env = {
            **self._inherited,
            **more,
            "GIT_ALLOW_PROTOCOL": allowed,
            "GIT_ASKPASS": "false",
            # a project's own repository around the cache is none of ours
            "GIT_CEILING_DIRECTORIES": str(directory.resolve().parent),
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GCM_INTERACTIVE": "never",
            "LC_ALL": "C",
            "SSH_ASKPASS": "false",
            "SSH_ASKPASS_REQUIRE": "never",
        }
        argv = [self._program, *settings, *arguments]
        return run(argv, env=env, cwd=directory, stdin=stdin, timeout=seconds, umask=0o077, new_session=True)

    @cached_property
    def _inherited(self) -> dict[str, str]:
        return {
            name: value
            for name, value in self._environ.items()
            if name in _PASSED_ON
            or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))
            or not name.startswith("GIT_")
        }

    @cached_property
    def _ssh(self) -> dict[str, str]:
        chosen = self._environ.get("GIT_SSH_COMMAND") or self._configured("core.sshCommand")
        command = chosen or shlex.quote(self._environ.get("GIT_SSH") or "ssh")
        variant = self._environ.get("GIT_SSH_VARIANT") or self._configured("ssh.variant")
        if variant not in {"", "ssh", "auto"} or "plink" in command.lower():
            return {}  # it has other options, and no terminal to ask on either
        return {"GIT_SSH_COMMAND": f"{command} {_SSH_OPTIONS}"}

    @cached_property
    def _network(self) -> dict[str, str]:
        given = child_environment(self._environ)
        for variable, key in _CERTIFICATES.items():
            if variable in given and not self._environ.get(variable) and self._configured(key):
                del given[variable]  # what git is configured with counts more than what we derive
        return given

    def _configured(self, key: str) -> str:
        try:
            return self._alone("config", "--get", key).decode().strip()
        except ProcessFailed:
            return ""  # nothing is set

    def _alone(self, *arguments: str) -> bytes:
        nowhere = {"GIT_DIR": os.devnull}
        return self._run(Path("/"), arguments, stdin=b"", allowed="none", more=nowhere, seconds=_LOCAL_SECONDS)
