"""The tree of packages that npm's own resolver makes, over our registries; nothing of a package is run."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import Any

from hatchlock.address import Kind
from hatchlock.digest import canonical_json, key_of
from hatchlock.errors import HatchlockError
from hatchlock.files import private_directory
from hatchlock.lock.model import Package
from hatchlock.process import ProcessFailed, run_until
from hatchlock.sources.base import BadAnswer, UnknownPackage
from hatchlock.sources.npm import facts
from hatchlock.sources.npm.memory import recall, remember
from hatchlock.sources.npm.names import check_name, parse_wanted
from hatchlock.sources.npm.offer import offer
from hatchlock.sources.npm.package_lock import Node, edges_of, nodes_of
from hatchlock.sources.npm.packument import DEPENDENCIES
from hatchlock.sources.npm.program import HERE_ONLY, Npm, find_npm, quiet_settings
from hatchlock.sources.npm.ranges import NpmVersion
from hatchlock.sources.npm.registry import NpmCandidate, NpmSource
from hatchlock.sources.npm.relay import Question, Relay, needs_of, relaying
from hatchlock.sources.npm.trouble import MANIFEST, ForeignDependency, NoNpmVersion, NpmReport

__all__ = ["NpmTree", "resolve_tree"]

_SECONDS = 900.0
_PINS_GIVEN_UP_ONE_BY_ONE = 4
_FOLDER = "node_modules/"
# Nothing answers there: npm has only the relay to talk to, whatever a package asks for.
_NO_PROXY_THERE = "http://127.0.0.1:9"
_SETTINGS = {
    "audit": "false",
    "color": "false",
    "dry_run": "false",
    "fetch_retries": "0",
    "fund": "false",
    "global": "false",
    "https_proxy": _NO_PROXY_THERE,
    "ignore_scripts": "true",
    "lockfile_version": "3",
    "maxsockets": "32",
    "noproxy": "127.0.0.1",
    "package_lock": "true",
    "package_lock_only": "true",
    "progress": "false",
    "proxy": _NO_PROXY_THERE,
    "replace_registry_host": "never",
}
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class NpmTree:
    """Packages, and where each lies.

    Attributes:
        paths: Place below an environment (`node_modules/a/node_modules/b`) -> id of a package; sorted.
        packages: Each package once, sorted by id; of every platform.
        optional: The places of packages that the tree works without, on the platforms that they are not for.
        ignored_pins: Names whose preferred versions would not do, sorted.
    """

    paths: Mapping[str, str]
    packages: tuple[Package, ...]
    optional: frozenset[str]
    ignored_pins: tuple[str, ...] = ()


def resolve_tree(
    roots: Mapping[str, str],
    *,
    overrides: Mapping[str, str],
    preferred: Mapping[str, tuple[str, ...]],
    node: str,
    source: NpmSource,
    scratch: Path,
    optional: Mapping[str, str] = _NOTHING,
    constraints: Mapping[str, tuple[str, ...]] = _NOTHING,
) -> NpmTree:
    """Return the tree that npm makes of some packages. It does not depend on their order, this machine, or its Node.

    Args:
        roots: Name -> version, range or dist-tag.
        overrides: Name -> what is taken whoever wants something else of it.
        preferred: Name -> versions to choose from, as far as they exist and a tree can be made of them.
        node: The Node that the packages are for, "22" or "22.4.1": npm prefers versions for it. "" if that is not to count.
        source: Tells what exists.
        scratch: A directory to work below; it is made if needed, and nothing is left in it.
        optional: As `roots`; what cannot be had of them is left out. Names that are among `roots`, too, count there only.
        constraints: Name -> ranges that every version of it has to be in, wherever it stands.

    Raises:
        NpmNotFound: There is no npm.
        UnknownPackage: Something that is needed is on no index; it names who requires it.
        NoNpmVersion: No version is what somebody wants.
        NpmConflict: Two packages want different versions beside them.
        ForeignDependency: A package needs something that is not from a registry.
        NpmFailed: npm gives up for another reason.
        MissingHash: A package of the tree has no hash that can be locked.
        HatchlockError: See `NpmSource.packument`.
    """
    for name, spec in (*roots.items(), *optional.items(), *overrides.items()):
        if parse_wanted(check_name(name), spec) is None:
            raise ForeignDependency(requirer=MANIFEST, name=name, spec=spec)
    npm = find_npm(source.environ)
    question = Question(
        roots={name: overrides.get(name, spec) for name, spec in sorted(roots.items())},
        overrides=dict(sorted(overrides.items())),
        preferred=dict(preferred),
        node=node,
        optional={name: overrides.get(name, spec) for name, spec in sorted(optional.items()) if name not in roots},
        constraints=dict(sorted(constraints.items())),
    )
    ignored: set[str] = set()
    private_directory(scratch)
    while True:
        try:
            nodes = _nodes(npm, question, source, scratch)
            break
        except _NoTree as failure:
            given_up = failure.blamed & set(question.preferred)
            if not question.preferred:
                raise failure.error from failure
            if not given_up or len(ignored) >= _PINS_GIVEN_UP_ONE_BY_ONE:
                given_up = frozenset(question.preferred)
            ignored |= given_up
            kept = {name: pins for name, pins in question.preferred.items() if name not in given_up}
            question = replace(question, preferred=kept)
    return replace(_tree(nodes, question, source), ignored_pins=tuple(sorted(ignored)))


class _NoTree(Exception):
    def __init__(self, error: HatchlockError, blamed: frozenset[str]) -> None:
        super().__init__(str(error))
        self.error = error
        self.blamed = blamed


def _nodes(npm: Npm, question: Question, source: NpmSource, scratch: Path) -> dict[str, Node]:
    key = _key(npm, question, source)
    known = recall(source, key) if npm.version else None
    return nodes_of(known) if known else _asked(npm, question, source, scratch, key)


def _key(npm: Npm, question: Question, source: NpmSource) -> str:
    limit = source.exclude_newer.isoformat() if source.exclude_newer else ""
    asked = [question.roots, question.optional, question.overrides, question.constraints, question.preferred]
    parts = [npm.version, *asked, question.node, limit, _SETTINGS]
    return key_of("npm-tree:2", [canonical_json(part).decode() for part in parts])


def _asked(npm: Npm, question: Question, source: NpmSource, scratch: Path, key: str) -> dict[str, Node]:
    relay = Relay(source, question)
    relay.look_ahead()
    with tempfile.TemporaryDirectory(dir=scratch, prefix="npm-") as directory, relaying(relay) as address:
        try:
            text = _run(npm, question, Path(directory), address, source.closed)
        except ProcessFailed as failed:
            raise _failure(failed, relay, question, source) from failed
    for error in _in_order(relay.failures):
        # an optional package that no index has may be missing; one that could not be asked for may not
        if not isinstance(error, UnknownPackage):
            raise error
    nodes = nodes_of(text)
    foreign = sorted(found for item in nodes.values() if (found := relay.foreign(item.name)) is not None)
    if foreign:
        raise ForeignDependency(requirer=foreign[0].requirer, name=foreign[0].name, spec=foreign[0].spec)
    remember(source, key, relay.asked, text)
    return nodes


def _run(npm: Npm, question: Question, directory: Path, address: str, stopped: Event) -> str:
    project, programs = directory / "tree", directory / "bin"
    project.mkdir()
    programs.mkdir()
    (programs / "node").symlink_to(npm.node)
    asked = {"dependencies": question.roots, "optionalDependencies": question.optional, "overrides": question.overrides}
    (project / "package.json").write_bytes(canonical_json({"private": True, **asked}))
    settings = {**_SETTINGS, "git": str(programs / "no-git"), "registry": address}
    environment = {
        **quiet_settings(directory),
        # not arguments, which everybody on the machine can read; and no file, which counts for less than what lies above
        **{f"npm_config_{key}": value for key, value in settings.items()},
        "PATH": str(programs) if npm.is_script else npm.path,
        "NODE_NO_WARNINGS": "1",
        "TMPDIR": str(directory),
    }
    argv = [*npm.argv, "install", *HERE_ONLY, "--json", "--loglevel=silent"]
    run_until(stopped, argv, env=environment, cwd=project, timeout=_SECONDS)
    return (project / "package-lock.json").read_text(encoding="utf-8")


def _failure(failed: ProcessFailed, relay: Relay, question: Question, source: NpmSource) -> Exception:
    for error in _in_order(relay.failures):
        if not isinstance(error, UnknownPackage):
            return error
    report = NpmReport.parse(failed.output)
    missing = report.missing
    unknown = relay.failures.get(missing[0]) if missing else None
    if missing is None:
        return _NoTree(report.error({}), frozenset())
    requirers = _requirers(question, source)
    foreign = relay.foreign(missing[0])
    if foreign is not None:
        return ForeignDependency(requirer=foreign.requirer, name=foreign.name, spec=foreign.spec)
    error = report.error(requirers)
    if isinstance(unknown, UnknownPackage):
        unknown.requirer = requirers.get(f"{missing[0]}@{missing[1]}", "")
        error = unknown
    elif isinstance(error, NoNpmVersion):
        error = _with_what_there_is(error, question, source)
    return _NoTree(error, frozenset({missing[0]}))


def _with_what_there_is(error: NoNpmVersion, question: Question, source: NpmSource) -> NoNpmVersion:
    document = source.packument(error.name)
    limits = question.limits(error.name)
    newest = next(iter(offer(document, exclude_newer=source.exclude_newer, within=limits).versions), None)
    asked = parse_wanted(error.name, error.wanted)
    hidden = next(offer(document, within=limits).ranked(asked), None) if asked else None
    constraint = " and ".join(question.constraints.get(error.name, ()))
    return replace(error, newest=str(newest or ""), excluded=str(hidden or ""), constraint=constraint)


def _in_order(failures: Mapping[str, HatchlockError]) -> list[HatchlockError]:
    return [error for _, error in sorted(failures.items())]


def _requirers(question: Question, source: NpmSource) -> dict[str, str]:
    """Who wants what, `name@spec` -> "tool 1.2.3", if each dependency were what npm takes when it is alone."""
    found: dict[str, str] = {}
    waiting = deque((MANIFEST, name, spec) for name, spec in question.roots.items())
    while waiting:
        requirer, name, spec = waiting.popleft()
        asked = parse_wanted(name, question.overrides.get(name, spec))
        if asked is None or f"{asked.name}@{asked.spec}" in found:
            continue
        found[f"{asked.name}@{asked.spec}"] = found[f"{name}@{spec}"] = requirer
        try:
            candidate = next(source.pick(asked.name, asked.spec, node=question.node), None)
        except HatchlockError:
            continue
        if candidate is not None:
            manifest = source.packument(candidate.name).manifest(candidate.spelling)
            waiting.extend((str(candidate), needed, wanted) for needed, wanted in needs_of(manifest).items())
    return found


def _tree(nodes: Mapping[str, Node], question: Question, source: NpmSource) -> NpmTree:
    own = {place: item for place, item in nodes.items() if not item.bundled}
    places: dict[tuple[str, str], list[str]] = {}
    for place, item in own.items():
        places.setdefault((item.name, item.version), []).append(place)
    candidates = {key: _candidate(source, *key, own[found[0]].integrity) for key, found in places.items()}
    for candidate in candidates.values():
        source.describe_ahead(candidate.name, candidate.version)
    packages = [
        _package(source, candidate, edges_of(places[key], _all_needs(source, candidate), nodes, question.overrides))
        for key, candidate in candidates.items()
    ]
    return NpmTree(
        paths={place: candidates[item.name, item.version].id for place, item in own.items()},
        packages=tuple(sorted(packages, key=lambda package: package.id)),
        optional=frozenset(place for place, item in own.items() if item.optional),
    )


def _candidate(source: NpmSource, name: str, version: str, integrity: str) -> NpmCandidate:
    candidate = source.candidate(name, NpmVersion.parse(version))
    if candidate is None:
        raise NoNpmVersion(name=name, wanted=version, requirer="npm's tree")
    # a shrinkwrap inside a package may claim other bytes than the registry has
    if integrity and candidate.file.digest not in facts.hashes(integrity).values():
        raise BadAnswer(what=candidate.id, why=f"a shrinkwrap says that its file is {integrity}, its index does not")
    return candidate


def _all_needs(source: NpmSource, candidate: NpmCandidate) -> dict[str, str]:
    manifest = source.packument(candidate.name).manifest(candidate.spelling)
    return {name: str(spec) for field in reversed(DEPENDENCIES) for name, spec in manifest.get(field, {}).items()}


def _package(source: NpmSource, candidate: NpmCandidate, dependencies: tuple[str, ...]) -> Package:
    manifest = source.packument(candidate.name).manifest(candidate.spelling)
    about = source.describe(candidate.name, candidate.version)
    return Package(
        kind=Kind.NPM,
        name=candidate.name,
        version=candidate.spelling,
        index=candidate.index,
        files=(candidate.file,),
        dependencies=dependencies,
        scripts=manifest.get("bin", {}),
        requires_node=candidate.requires_node,
        systems=facts.words(manifest.get("os")),
        processors=facts.words(manifest.get("cpu")),
        libc=facts.words(manifest.get("libc")),
        install_script=about.install_script,
        licence=about.licence,
        authors=about.authors,
        publisher=about.publisher,
        repository=about.repository,
        signature=about.signature,
    )
