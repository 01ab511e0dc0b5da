"""`probe`: start a server as an application would, speak MCP with it, and remember whether it answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hatchlock.errors import HatchlockError
from hatchlock.state.project import ProjectState
from hatchlock.state.quarantine import InQuarantine, check_quarantine
from hatchlock.usecases.probe_kept import keep_answer, keep_failure

if TYPE_CHECKING:
    from hatchlock.launch import LaunchRecord
    from hatchlock.manifest.model import ProbeSpec
    from hatchlock.paths import Home
    from hatchlock.serve.probe import Call, ProbedDefinition, ProbeFailed, ProbeResult
    from hatchlock.serve.remote.failures import LoginNeeded
    from hatchlock.state.counts import Counts
    from hatchlock.usecases.denials import Stopped
    from hatchlock.usecases.project import Project
    from hatchlock.usecases.surfaces import SurfaceStatus

__all__ = ["CallFailed", "Probed", "probe_as_declared", "probe_server", "wanted_probes"]

_CALL_SECONDS = 60.0


@dataclass(kw_only=True, eq=False)
class CallFailed(HatchlockError):
    """A server answered, but the tool that was called for the probe failed.

    Attributes:
        tool: Its name.
        said: What it said.
        explained: What its sandbox has stopped meanwhile, with what would permit it; "" for nothing.
        is_withheld: Whether no client is offered it: then nobody can call it by hand.
    """

    code: ClassVar[str] = "call-failed"

    tool: str
    said: str
    explained: str = ""
    is_withheld: bool = False

    def __str__(self) -> str:
        return f"it answers, but its tool {self.tool} fails: {self.said or 'it says no more'}"

    def _hint(self) -> str:
        if self.explained:
            return self.explained
        name = self.address.removeprefix("server:") or "NAME"
        by_hand = "" if self.is_withheld else f"; call it by hand with `hatchlock probe {name} --call {self.tool}`"
        return f"see `hatchlock logs {name}`{by_hand}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What a probe gave.

    Attributes:
        server: The server's name.
        result: What it said; None when it was not started, or did not answer.
        error: Why it did not answer, or could not be started, or what its tool answered; None when all went well.
        skipped: A secret or a login is missing, it is in quarantine, it was stopped by hand, or nobody may call that tool:
            nothing is known of the server, and that is no failure of it.
        noise: Lines on its stdout that were no messages.
        secrets: The variables and headers whose secrets were there, sorted.
        reveals: What of the result had the value of a secret in it, which is not there any more: `tool NAME`, `prompt NAME`,
            `instructions`; a stranger's text.
        surface: How what it was last seen to offer, by us or by a client, stands to its pins; None where there are none.
        stopped: What its sandbox has stopped meanwhile, the newest last.
        explained: The same for people, with what would permit it.
        withheld: Tools that its clients are not offered -> the rule that keeps them back, "allow" or "deny".
        unmatched: What of these rules matches none of its tools: the rule, and the name or pattern.
        unkept: Why nothing of it is remembered; "" when it is. That is no failure of the server.
    """

    server: str
    result: ProbeResult | None = None
    error: HatchlockError | None = None
    skipped: bool = False
    noise: int = 0
    secrets: tuple[str, ...] = ()
    reveals: tuple[str, ...] = ()
    surface: SurfaceStatus | None = None
    stopped: tuple[Stopped, ...] = ()
    explained: str = ""
    withheld: Mapping[str, str] = field(default_factory=dict)
    unmatched: tuple[tuple[str, str], ...] = ()
    unkept: str = ""


def wanted_probes(project: Project, servers: Iterable[str]) -> tuple[tuple[str, ProbeSpec], ...]:
    """Return how each of some servers is to be probed after it was applied, without those that are not to be."""
    from hatchlock.manifest.model import ProbeSpec

    names, usual = tuple(servers), ProbeSpec()
    if not names or b"probe" not in project.manifest_bytes + project.overlay_bytes:
        return tuple((name, usual) for name in names)  # reading a manifest needs a library that is slow to load
    from hatchlock.manifest.load import load_bytes

    declared = load_bytes(project.manifest, project.manifest_bytes, project.overlay_bytes).manifest.servers
    specs = [(name, declared[name].probe if name in declared else usual) for name in names]
    return tuple((name, spec) for name, spec in specs if spec is not None)


def probe_as_declared(home: Home, project: str, name: str, spec: ProbeSpec, *, environ: Mapping[str, str]) -> Probed:
    """Probe an applied server as its manifest says; the rest as `probe_server`."""
    from hatchlock.serve.probe import Call

    call = Call(tool=spec.call, arguments=spec.arguments) if spec.call else None
    timeout = spec.timeout or None
    return probe_server(home, project, name, environ=environ, timeout=timeout, call=call, call_counts=True)


def probe_server(
    home: Home,
    project: str,
    name: str,
    *,
    environ: Mapping[str, str],
    timeout: float | None = None,
    call: Call | None = None,
    call_counts: bool = False,
    capable: bool = False,
) -> Probed:
    """Probe an applied server under its own sandbox: all that it offers, whatever its clients may see of it.

    Args:
        home: The store.
        project: The project's name.
        name: The server's name.
        environ: What its secrets are taken from.
        timeout: Seconds for all of it; None for the server's `startup-timeout`, and a minute more for a call.
        call: A tool to run as well.
        call_counts: Whether a server whose tool fails is not healthy, and whether that may be one that no client is offered:
            the manifest names it. Else it may be what the tool was given.
        capable: Whether it is told that we can do more than we can; nothing of that is remembered.

    Raises:
        NoSuchProject, NoSuchServer, BrokenState: It was not applied.
    """
    from hatchlock.security.secrets.redact import forms
    from hatchlock.security.secrets.resolve import MissingSecret, Places, resolve
    from hatchlock.serve.probe import ProbeFailed, probe
    from hatchlock.serve.tally import PROBE
    from hatchlock.usecases.bridging import StoppedByHand, check_wanted
    from hatchlock.usecases.run import find_record
    from hatchlock.usecases.withheld import WithheldTool, check_offered

    record = find_record(home, project, name)
    state = ProjectState(home.project(project))
    try:
        check_quarantine(state.root, name)
        check_wanted(state.root, record)
        if call and not call_counts:
            check_offered(record, call.tool)
        places = Places(environ=environ, directory=record.directory, project=project, store=home.root)
        values = resolve(record.references, places).bare
        hidden = forms(values.values())
    except (MissingSecret, InQuarantine, StoppedByHand, WithheldTool) as error:
        return Probed(server=name, error=error, skipped=True)
    except HatchlockError as error:
        error.address = f"server:{name}"
        return Probed(server=name, error=error)
    command = [str(home.bin / "hatchlock"), "run", "--home", str(home.root), "--project", project, name]
    command += ["--without-pins"] if record.surface else []
    seconds = timeout or record.startup_timeout + (_CALL_SECONDS if call else 0)
    began = _Began(at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), counts=_counts(state, record))
    try:
        # where an application would start it for this project
        here = record.directory if Path(record.directory).is_dir() else None
        found = probe(
            command, timeout=seconds, environ={**environ, PROBE: "1"}, directory=here, call=call, capable=capable
        )
    except ProbeFailed as error:
        if began.counts.unauthorized != _counts(state, record).unauthorized and (
            wanted := _login_wanted(home, record, environ)
        ):
            return Probed(server=name, error=wanted, skipped=True)
        return _unanswered(error, state, record, began=began, hidden=hidden, is_remembered=not capable)
    result = _redacted(found, hidden)
    told = Probed(server=name, result=result, secrets=tuple(sorted(values)), reveals=_reveals(found, result))
    return told if capable else _answered(told, result, state, record, began=began, call=call, call_counts=call_counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Began:
    """When a probe began, and what had been counted of the server's sessions until then."""

    at: str
    counts: Counts


def _unanswered(
    error: ProbeFailed,
    state: ProjectState,
    record: LaunchRecord,
    *,
    began: _Began,
    hidden: tuple[str, ...],
    is_remembered: bool,
) -> Probed:
    """Say why a server did not answer, without what must not be shown."""
    from hatchlock.security.secrets.redact import redact

    error.address, error.tried = f"server:{record.server}", record.is_tried
    error.why, error.said = redact(error.why, hidden), tuple(redact(line, hidden) for line in error.said)
    error.said = _once(error.said, record)
    _explain(error, state, record, since=began.at)
    unkept = keep_failure(state, record, error.why) if is_remembered else ""
    noise = _counts(state, record).noise - began.counts.noise
    return Probed(server=record.server, error=error, noise=noise, unkept=unkept)


def _once(said: tuple[str, ...], record: LaunchRecord) -> tuple[str, ...]:
    """Where `run` has said at its end what the server said before, leave out the first of both, and a hint that we have too."""
    ends = [number for number, line in enumerate(said) if line.startswith(f"server:{record.server}: it ended with ")]
    words = said[ends[-1] :] if ends else said
    ours = ends and record.is_tried and words[-1].startswith("hint: what it lacks ")
    return words[:-2] if ours else words


def _answered(
    told: Probed,
    result: ProbeResult,
    state: ProjectState,
    record: LaunchRecord,
    *,
    began: _Began,
    call: Call | None,
    call_counts: bool,
) -> Probed:
    """Remember what a server answered, and say how that stands to its pins, and whether its tool failed."""
    from hatchlock.usecases.denials import explained, stopped
    from hatchlock.usecases.surfaces import seen_surface

    items = stopped(state.root, record, since=began.at)
    why = explained(items, record)
    failure = _failure(call, result, record, why) if call and result.failed else None
    unkept = keep_answer(state, record, result, failure if call_counts else None)
    surface = seen_surface(state.root, record, record.digest)
    noise = _counts(state, record).noise - began.counts.noise
    names = [item.name for item in result.tools]
    return replace(
        told,
        error=failure,
        noise=noise,
        surface=surface,
        stopped=items,
        explained=why,
        withheld={name: by for name in names if record.surface and (by := record.surface.withheld_by(name))},
        unmatched=record.surface.unmatched(names) if record.surface else (),
        unkept=unkept,
    )


def _failure(call: Call, result: ProbeResult, record: LaunchRecord, explained: str) -> HatchlockError:
    from hatchlock.usecases.no_such_tool import NoSuchTool

    address, rules = f"server:{record.server}", record.surface
    known = tuple(item.name for item in result.tools)
    if call.tool not in known:
        return NoSuchTool(address=address, tool=call.tool, known=known)
    withheld = bool(rules and rules.withheld_by(call.tool))
    return CallFailed(address=address, tool=call.tool, said=result.called, explained=explained, is_withheld=withheld)


def _counts(state: ProjectState, record: LaunchRecord) -> Counts:
    from hatchlock.state.counts import counts_path, read_counts

    return read_counts(counts_path(state.root, record.server), record.digest)


def _login_wanted(home: Home, record: LaunchRecord, environ: Mapping[str, str]) -> LoginNeeded | None:
    """Return what a remote server that has refused us wants: a login; None where its headers have said who asks."""
    from hatchlock.net.exchange import bare_address
    from hatchlock.security.secrets.logins import Logins
    from hatchlock.serve.remote.failures import LoginNeeded

    remote = record.remote
    if remote is None or any(header.lower() == "authorization" for header in (*remote.headers, *remote.secrets)):
        return None
    login = Logins(home.root, record.project, environ).get(record.server)
    told = "the login" if login and login.url == remote.url else ""
    return LoginNeeded(
        address=f"server:{record.server}",
        url=bare_address(remote.url),
        server=record.server,
        told=told,
        tried=record.is_tried,
    )


def _explain(error: ProbeFailed, state: ProjectState, record: LaunchRecord, *, since: str) -> None:
    """Let an error say what the sandbox stopped, once: `run` has said it on stderr as well."""
    from hatchlock.usecases.denials import remedied, stopped

    items = stopped(state.root, record, since=since)
    if not items:
        return
    told = {line.strip() for item in items for line in item.explanation.splitlines()}
    error.stopped = tuple(item.sentence for item in items)
    error.remedy = remedied(items, record)
    error.said = tuple(line for line in error.said if line.removeprefix("hatchlock: ").strip() not in told)


def _redacted(result: ProbeResult, hidden: tuple[str, ...]) -> ProbeResult:
    """A server may well say of itself what it was told."""
    if not hidden:
        return result
    from hatchlock.security.secrets.redact import redact, redact_document

    def harmless(definitions: Iterable[ProbedDefinition]) -> tuple[ProbedDefinition, ...]:
        return tuple(
            replace(
                item,
                name=redact(item.name, hidden),
                description=redact(item.description, hidden),
                definition=redact_document(item.definition, hidden),
            )
            for item in definitions
        )

    return replace(
        result,
        server=redact(result.server, hidden),
        version=redact(result.version, hidden),
        instructions=None if result.instructions is None else redact(result.instructions, hidden),
        tools=harmless(result.tools),
        prompts=harmless(result.prompts),
        resources=harmless(result.resources),
        templates=harmless(result.templates),
        called=redact(result.called, hidden),
    )


def _reveals(found: ProbeResult, redacted: ProbeResult) -> tuple[str, ...]:
    """Return what of it is another one when it is redacted."""
    pairs = [
        (f"{what} {after.name}", before != after)
        for what in ("tool", "prompt")
        for before, after in zip(getattr(found, f"{what}s"), getattr(redacted, f"{what}s"), strict=True)
    ]
    pairs.append(("instructions", found.instructions != redacted.instructions))
    return tuple(name for name, differs in pairs if differs)
