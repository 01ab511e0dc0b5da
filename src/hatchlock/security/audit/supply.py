"""Checks of what is installed: where it comes from, how it is pinned, how old it is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from hatchlock.address import Kind
from hatchlock.lock.images import Image
from hatchlock.lock.model import Lock, Package
from hatchlock.security.audit.facts import Facts, IndexFacts, Standing
from hatchlock.security.audit.model import Check, Finding, Level, Outcome

__all__ = ["SUPPLY"]

_MANY_PACKAGES = 200
"""A slim image of Debian with a language has about 100, the same image that is not slim more than 400."""
_LARGE = 200_000_000
_LONG_TTL = 86400
_SHOWN = 5
_NO_FILES = {Kind.MCP, Kind.OCI}
"""An entry of a registry is what it stands for, and an image is its digest."""
_NAMED = re.compile(r"(?:[^:]+):(@?[A-Za-z0-9][\w./-]*)")
_STATES: dict[str, tuple[Level, str]] = {
    "yanked": ("error", "was yanked by its author"),
    "gone": ("error", "is gone from its index"),
    "deleted": ("error", "was deleted by its registry"),
    "deprecated": ("warning", "is deprecated"),
    "moved": ("warning", "is another image under the same tag by now"),
    "": ("note", "has a newer version"),
}


def _some(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _pinned_bases(facts: Facts) -> Outcome:
    images = facts.lock.images
    findings = [
        Finding(address=f"oci:{image.reference}", level="error", what="it has no digest", hint="run `hatchlock lock`")
        for image in images
        if not image.digest.startswith("sha256:")
    ]
    return Outcome(looked_at=tuple(f"oci:{item.reference}" for item in images), findings=tuple(findings))


def _minimal_bases(facts: Facts) -> Outcome:
    findings = [finding for image in facts.lock.images for finding in _of_image(image)]
    return Outcome(looked_at=tuple(f"oci:{item.reference}" for item in facts.lock.images), findings=tuple(findings))


def _of_image(image: Image) -> Iterator[Finding]:
    packages = max((len(item.packages) for item in image.platforms.values()), default=0)
    size = max((sum(layer.size for layer in item.layers) for item in image.platforms.values()), default=0)
    facts = []
    if packages > _MANY_PACKAGES:
        facts.append(f"has {packages} packages of its system")
    if size > _LARGE:
        facts.append(f"has {size / 1e6:.0f} MB to fetch")
    if facts:
        yield Finding(
            address=f"oci:{image.reference}",
            level="warning",
            what=f"it {' and '.join(facts)}, more than a server needs",
            hint="name a slim variant as `base`, or leave `base` out",
        )


def _updated(facts: Facts) -> Outcome:
    asked = [item for item in facts.standings if item.state != "unknown"]
    unknown = [item for item in facts.standings if item.state == "unknown"]
    findings = tuple(_of_standing(item) for item in asked)
    why = facts.standings_unknown
    if unknown and not why:
        cached = "" if facts.online else "in the cache; ask with --online"
        why = f"nothing is known of {_some(item.what for item in unknown)} {cached}".rstrip()
    known = max(facts.asked - len(unknown), 0)
    looked_at = tuple(item.what for item in asked) or (("the lock",) if known else ())
    return Outcome(looked_at=looked_at, findings=findings, unknown=why)


def _of_standing(standing: Standing) -> Finding:
    level, what = _STATES.get(standing.state, ("note", standing.state))
    newer = standing.compatible if standing.compatible != standing.current else standing.newest
    versions = f" ({standing.current}, there is {newer})" if newer != standing.current else f" ({standing.current})"
    reason = f": {standing.reason}" if standing.reason else ""
    name = standing.what.partition(":")[2]
    return Finding(
        address=standing.what,
        level=level,
        what=f"it {what}{versions}{reason}",
        hint=f"hatchlock lock --upgrade {name}",
    )


def _hashes(facts: Facts) -> Outcome:
    packages = [item for item in facts.lock.packages if item.kind not in _NO_FILES]
    findings = [
        Finding(address=item.id, level="error", what="the lock has no hash of its files", hint="run `hatchlock lock`")
        for item in packages
        if not item.files or not all(file.digest for file in item.files)
    ]
    remotes = [item for item in facts.servers if item.url]
    findings += (
        Finding(
            address=item.address,
            level="note" if item.is_pinned else "warning",
            what="somebody else runs it, and may change it at any time"
            + (": what it offers is pinned" if item.is_pinned else ", and nothing pins what it offers"),
            hint="" if item.is_pinned else f"run `hatchlock pin {item.name}`",
            key=("servers", item.name, "url"),
        )
        for item in remotes
    )
    programs = [item for item in facts.here if not item.source and not item.build and item.is_declared]
    findings += (
        Finding(
            address=item.address,
            level="warning",
            what=f"{item.command[0] if item.command else 'its command'} is a program of this machine, which nothing pins",
            hint="name the package that it comes from as `source`",
            key=("servers", item.name, "command"),
        )
        for item in programs
    )
    looked_at = (*(item.id for item in packages), *(item.address for item in (*remotes, *programs)))
    return Outcome(looked_at=looked_at, findings=tuple(findings))


def _sources(facts: Facts) -> Outcome:
    classes = Counter(item.source_class for item in facts.lock.packages)
    words = {
        "local": "from directories of this machine, which others do not have",
        "git": "from repositories",
        "url": "from addresses that the manifest names",
    }
    findings = [
        Finding(
            address="the lock",
            level="note",
            what=f"{classes[name]} of {classes.total()} packages come {where}: "
            + _some(item.id for item in facts.lock.packages if item.source_class == name),
        )
        for name, where in words.items()
        if classes[name]
    ]
    return Outcome(looked_at=_lock_if(facts.lock.packages), findings=tuple(findings))


def _lock_if(packages: Iterable[Package]) -> tuple[str, ...]:
    return ("the lock",) if list(packages) else ()


def _metadata(facts: Facts) -> Outcome:
    asked = _asked_for(facts.lock)
    lacking = {
        "no licence": [item.id for item in asked if not item.licence],
        "no repository": [item.id for item in asked if not item.repository],
        "nobody who made it": [item.id for item in asked if not (item.publisher or item.authors)],
    }
    findings = [
        Finding(
            address="the lock",
            level="note",
            what=f"{len(names)} of {len(asked)} packages that are asked for name {what}: {_some(names)}",
            hint="`hatchlock info KIND:NAME` says what there is",
        )
        for what, names in lacking.items()
        if names
    ]
    return Outcome(looked_at=_lock_if(asked), findings=tuple(findings))


def _asked_for(lock: Lock) -> list[Package]:
    """The packages that the manifest asks for itself; of others somebody else has to answer."""
    requirements = [text for item in lock.environments if not item.makes for text in item.requirements]
    names = {(text.partition(":")[0], match[1].lower()) for text in requirements if (match := _NAMED.match(text))}
    return [item for item in lock.packages if item.source or (item.kind.value, item.name.lower()) in names]


def _signatures(facts: Facts) -> Outcome:
    counts = Counter(item.signature for item in facts.lock.packages if item.kind is not Kind.DEB)
    told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    findings = [
        Finding(address=f"archive:{item.name}", level="error", what="the lock has no key that signed it")
        for item in facts.lock.archives
        if not item.keys
    ]
    return Outcome(
        looked_at=tuple(f"archive:{item.name}" for item in facts.lock.archives),
        findings=tuple(findings),
        unknown=f"no signature but those of Debian's archives is verified; what registries say: {told}" if told else "",
    )


def _privileged(facts: Facts) -> Outcome:
    by_id = {item.id: item for item in facts.lock.packages}
    findings: list[Finding] = []
    for environment in facts.lock.environments:
        address = f"env:{environment.name}"
        debs = [name for name in environment.everywhere if by_id[name].kind is Kind.DEB]
        if debs and environment.runtime == "process":
            what = f"{len(debs)} Debian packages are installed on this machine as root: {_some(debs)}"
            hint = 'in a container they need no root: runtime = "container"'
            findings.append(Finding(address=address, level="warning", what=what, hint=hint))
        run = sorted({*environment.builds, *environment.scripts})
        if run:
            what = f"`apply` runs code of {_some(run)}, in a sandbox without network"
            findings.append(Finding(address=address, level="note", what=what))
    findings += (
        Finding(
            address=f"server:{build.server}",
            level="note",
            what=f"`apply` lets the engine run what {build.context}/{build.dockerfile} says, without network",
            key=("servers", build.server, "build"),
        )
        for build in facts.lock.builds
    )
    built = (f"server:{build.server}" for build in facts.lock.builds)
    looked_at = (*(f"env:{item.name}" for item in facts.lock.environments), *built)
    return Outcome(looked_at=looked_at, findings=tuple(findings))


def _indexes(facts: Facts) -> Outcome:
    findings = [
        Finding(
            address=_named(item),
            level="warning",
            what=f"{item.url} is asked without TLS: its answers can be changed, and a login can be read, on the way",
            hint="use https://",
            key=item.key,
        )
        for item in facts.indexes
        if item.plain
    ]
    return Outcome(looked_at=tuple(dict.fromkeys(map(_named, facts.indexes))), findings=tuple(findings))


def _lifetimes(facts: Facts) -> Outcome:
    said = [item for item in facts.indexes if item.ttl is not None]
    findings = [
        Finding(
            address=_named(item),
            level="note",
            what=f"answers of {item.url or 'the usual index'} are believed for {item.ttl / 3600:.0f} hours",
            hint="a shorter `ttl`, or `hatchlock lock --refresh`",
            key=item.key,
        )
        for item in said
        if item.ttl is not None and item.ttl > _LONG_TTL
    ]
    return Outcome(looked_at=tuple(dict.fromkeys(map(_named, said))), findings=tuple(findings))


def _named(index: IndexFacts) -> str:
    return ".".join(str(part) for part in index.key[:2])


def _bounds(facts: Facts) -> Outcome:
    findings = [
        Finding(address=".".join(map(str, item.key)), level="note", what=item.what, hint=item.hint, key=item.key)
        for item in facts.loose
    ]
    looked_at = (*_lock_if(facts.lock.packages), *(item.address for item in findings))
    return Outcome(looked_at=looked_at, findings=tuple(findings))


def _provenance(facts: Facts) -> Outcome:
    findings = [
        Finding(
            address=f"image:{item.tag}",
            level="warning",
            what="the store has no statement of what it was made from",
            hint="hatchlock verify puts it together again and compares",
        )
        for item in facts.images
        if not item.stated
    ]
    containers = any(item.runtime == "container" for item in facts.servers)
    return Outcome(
        looked_at=tuple(f"image:{item.tag}" for item in facts.images),
        findings=tuple(findings),
        unknown=facts.engine_unknown if containers else "",
    )


def _scanned(facts: Facts) -> Outcome:
    if not facts.lock.packages and not facts.lock.images:
        return Outcome()
    why = "this version asks no list of known vulnerabilities; give `hatchlock export` or the images to a scanner"
    return Outcome(unknown=why)


SUPPLY = (
    Check(id="pinned-images", title="images are pinned by digest", points=("F3", "H17"), decide=_pinned_bases),
    Check(id="minimal-bases", title="base images are minimal", points=("C3", "F3"), decide=_minimal_bases),
    Check(
        id="updated", title="nothing is yanked, deprecated or outdated", points=("C4", "F14", "H29"), decide=_updated
    ),
    Check(id="hashes", title="everything is pinned by its hash", points=("F12", "H3", "H17"), decide=_hashes),
    Check(id="sources", title="where packages come from", points=("H1",), decide=_sources),
    Check(id="metadata", title="who answers for packages", points=("H2",), decide=_metadata),
    Check(id="signatures", title="signatures of packages", points=("H21",), decide=_signatures),
    Check(
        id="privileges",
        title="nothing is installed as root, and no code is run",
        points=("H4", "H18"),
        decide=_privileged,
    ),
    Check(id="encrypted", title="indexes and registries are asked over TLS", points=("F8", "H9"), decide=_indexes),
    Check(id="lifetimes", title="how long answers of indexes are believed", points=("H8", "H12"), decide=_lifetimes),
    Check(id="bounds", title="bounds of requirements", points=("H31",), decide=_bounds),
    Check(id="provenance", title="it is stated what images were made from", points=("F19",), decide=_provenance),
    Check(id="scanned", title="nothing has known vulnerabilities", points=("F13",), decide=_scanned),
)
