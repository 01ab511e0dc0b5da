"""Checks of secrets: that none stands where it can be read, and that files which hold them are private."""

from __future__ import annotations

from collections.abc import Iterator

from hatchlock.manifest.suspicion import looks_secret, secret_arguments
from hatchlock.security.audit.facts import Facts, SecretFile, ServerFacts
from hatchlock.security.audit.model import Check, Finding, Level, Outcome

__all__ = ["SECRECY"]


def _literals(facts: Facts) -> Outcome:
    findings = [finding for server in facts.servers for finding in _of_server(server)]
    for build in facts.lock.builds:
        findings += (
            Finding(
                address=f"server:{build.server}",
                level="error",
                what=f"the build argument {name} looks like a secret, and stays readable in the image's history",
                hint="let the server read it when it starts: env.NAME = { secret = … }",
                key=("servers", build.server, "build", "args", name),
            )
            for name, value in sorted(build.args.items())
            if looks_secret(name, value)
        )
    looked_at = (*(item.address for item in facts.servers), *(f"server:{item.server}" for item in facts.lock.builds))
    return Outcome(looked_at=tuple(dict.fromkeys(looked_at)), findings=tuple(findings))


def _of_server(server: ServerFacts) -> Iterator[Finding]:
    for name, value in sorted(server.env.items()):
        if looks_secret(name, value):
            yield Finding(
                address=server.address,
                level="error",
                what=f"the value of {name} looks like a secret",
                hint=f'write env.{name} = {{ secret = "file:PATH" }} or another reference',
                key=("servers", server.name, "env", name),
            )
    if found := secret_arguments(server.command):
        yield Finding(
            address=server.address,
            level="error",
            what=f"{len(found)} of its arguments look like secrets, and everyone on this machine can read arguments",
            hint="give it as a variable or a file: env.NAME = { secret = … }",
            key=("servers", server.name, "args"),
        )


def _exposure(facts: Facts) -> Outcome:
    having = [item for item in facts.servers if item.secrets]
    findings = []
    for server in having:
        shown = sorted(name for name, reference in server.secrets.items() if reference.as_ == "variable")
        if shown and not server.url:
            where = "the engine's inspect and in /proc" if server.runtime == "container" else "/proc"
            findings.append(
                Finding(
                    address=server.address,
                    level="note",
                    what=f"while it runs, {', '.join(shown)} can be seen in {where}",
                    hint='a server that can read a file gets it with as = "file"',
                    key=("servers", server.name, "env", shown[0]),
                )
            )
    return Outcome(looked_at=tuple(item.address for item in having), findings=tuple(findings))


def _files(facts: Facts) -> Outcome:
    findings = [finding for file in facts.secret_files for finding in _of_file(file)]
    looked_at = dict.fromkeys(f"server:{file.server}" for file in facts.secret_files)
    return Outcome(looked_at=tuple(looked_at), findings=tuple(findings))


def _of_file(file: SecretFile) -> Iterator[Finding]:
    def finding(level: Level, what: str, hint: str) -> Finding:
        return Finding(
            address=f"server:{file.server}",
            level=level,
            what=f"{file.path}, for {file.variable}, {what}",
            hint=hint,
            key=("servers", file.server, "env", file.variable),
        )

    if file.committed:
        hint = "name it in .gitignore, or move it out; if it was committed, change the secret"
        yield finding("error", "is in the project's repository, and git does not ignore it", hint)
    if not file.exists:
        if file.required:
            yield finding("warning", "is not there", "`hatchlock secret check` says how to set it")
        return
    if file.open_to:
        yield finding("error", f"is open to {file.open_to}", f"chmod 600 {file.path}")
    if not file.mine:
        yield finding("warning", "belongs to another user", "keep it in a file of your own")


SECRECY = (
    Check(
        id="no-literal-secrets",
        title="no secret stands in manifest, lock, arguments or builds",
        points=("C1", "F4", "F6"),
        decide=_literals,
    ),
    Check(
        id="secret-exposure", title="who can see the secrets of running servers", points=("F4", "F5"), decide=_exposure
    ),
    Check(id="secret-files", title="files with secrets are private", points=("F5",), decide=_files),
)
