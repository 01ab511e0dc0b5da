"""What a newer lock lets its servers and packages do that the older one did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hatchlock.address import Kind
from hatchlock.launch import Mount, Sandbox
from hatchlock.lock.model import Lock, Package, Server

__all__ = ["Privilege", "new_privileges"]

_ROOT = frozenset({"0", "root"})
_DEFAULT = Sandbox()


@dataclass(frozen=True, kw_only=True, slots=True)
class Privilege:
    """Something that is allowed now.

    Attributes:
        what: `server:time`, `pypi:anyio`, `publisher:NAME`.
        field: "network", "mounts", "install-script".
        value: What of it is new.
        note: Why it matters, or the manifest's reason.
    """

    what: str
    field: str
    value: str
    note: str = ""


def new_privileges(before: Lock, after: Lock) -> Iterator[Privilege]:
    """Yield what is newly allowed.

    That is: to servers by their sandboxes and Dockerfiles, to packages by their scripts and builds, what is installed as root on this machine or needs
    its engine, and new publishers.
    """
    servers = {server.name: server for server in before.servers}
    for server in after.servers:
        yield from _of_server(servers.get(server.name), server)
    packages: dict[str, list[Package]] = {}
    for package in before.packages:
        packages.setdefault(f"{package.kind}:{package.name}", []).append(package)
    for package in after.packages:
        what = f"{package.kind}:{package.name}"
        if package.install_script and not any(item.install_script for item in packages.get(what, ())):
            note = "wants to run a script when it is installed"
            yield Privilege(what=what, field="install-script", value=package.version, note=note)
    built = {build.server for build in before.builds}
    for build in after.builds:
        if build.server not in built:
            note = "what its Dockerfile says is run by the container engine, without network"
            yield Privilege(what=f"server:{build.server}", field="build", value=build.context, note=note)
    yield from _of_builds(before, after)
    yield from _of_machine(before, after)
    if before.packages:
        yield from _publishers(before, after)


def _of_builds(before: Lock, after: Lock) -> Iterator[Privilege]:
    known, found = _run_by_apply(before), _run_by_apply(after)
    for what, note in sorted(found.keys() - known.keys()):
        yield Privilege(what=what, field="build", value=found[what, note], note=note)


def _run_by_apply(lock: Lock) -> dict[tuple[str, str], str]:
    """Return the packages of which `apply` runs something, each with how -> its version."""
    ids = {(name, "is built from source, in a sandbox") for item in lock.environments for name in item.builds}
    ids |= {(name, "has its install scripts run, in a sandbox") for item in lock.environments for name in item.scripts}
    return {(name.rpartition("@")[0], note): name.rpartition("@")[2] for name, note in sorted(ids)}


def _of_machine(before: Lock, after: Lock) -> Iterator[Privilege]:
    """Debian packages of the machine are new by their names: a newer version of one is no further privilege."""
    known, found = _system_packages(before), _system_packages(after)
    for name in sorted(found.keys() - known.keys()):
        note = "is installed on the machine, as root"
        yield Privilege(what=f"{Kind.DEB}:{name}", field="root", value=found[name], note=note)
    images = {package.name for package in before.packages if package.kind is Kind.OCI}
    for package in after.packages:
        if package.kind is Kind.OCI and package.name not in images:
            note = "is an image for the container engine"
            yield Privilege(what=f"{Kind.OCI}:{package.name}", field="engine", value=package.version, note=note)


def _system_packages(lock: Lock) -> dict[str, str]:
    """Return the Debian packages of environments that are no images, name -> version."""
    ids = frozenset[str]().union(*(item.everywhere for item in lock.environments if item.runtime == "process"))
    return {
        package.name: package.version for package in lock.packages if package.kind is Kind.DEB and package.id in ids
    }


def _publishers(before: Lock, after: Lock) -> Iterator[Privilege]:
    known = {package.publisher for package in before.packages}
    published: dict[str, list[str]] = {}
    for package in after.packages:
        if package.publisher not in known:
            published.setdefault(package.publisher, []).append(f"{package.kind}:{package.name}")
    for publisher, names in published.items():
        note = "published nothing that was locked before"
        yield Privilege(what=f"publisher:{publisher}", field="of", value=", ".join(sorted(set(names))), note=note)


def _of_server(before: Server | None, after: Server) -> Iterator[Privilege]:
    what = f"server:{after.name}"
    old = before.sandbox if before else _DEFAULT
    for field, values in _relaxations(old, after.sandbox):
        yield Privilege(what=what, field=field, value=", ".join(values), note=after.sandbox.reason)
    if after.isolation == "best-effort" and (before is None or before.isolation != "best-effort"):
        yield Privilege(
            what=what, field="isolation", value="best-effort", note="runs without a sandbox where there is none"
        )
    if after.url and (before is None or before.url != after.url):
        yield Privilege(what=what, field="url", value=after.url, note="everything it is asked goes there")
    secrets = set(after.references) - set(before.references if before else ())
    if secrets:
        yield Privilege(what=what, field="secrets", value=", ".join(sorted(secrets)), note="is given these")


def _relaxations(old: Sandbox, new: Sandbox) -> Iterator[tuple[str, list[str]]]:
    lists = {
        "network": [item for item in new.network if item not in {*old.network, "none"}],
        "mounts": [_mount(item) for item in new.mounts if not _covered(item, old)],
        "writable": [item for item in new.writable if item not in old.writable],
        "capabilities": [item for item in new.capabilities if item not in old.capabilities],
    }
    if old.read_only and not new.read_only:
        lists["read-only"] = ["false"]
    if _is_root(new) and not _is_root(old):
        lists["user"] = [new.user]
    if new.run_as not in {old.run_as, _DEFAULT.run_as}:
        lists["run-as"] = [new.run_as]
    for name in ("seccomp", "apparmor", "selinux"):
        now = getattr(new, name)
        if now not in {getattr(old, name), getattr(_DEFAULT, name)}:
            lists[name] = [now]
    if "seccomp" not in lists and new.seccomp_sha256 not in {old.seccomp_sha256, ""}:
        lists["seccomp"] = [f"{new.seccomp}, which has another content"]
    yield from ((name, values) for name, values in lists.items() if values)


def _is_root(sandbox: Sandbox) -> bool:
    return sandbox.user.partition(":")[0] in _ROOT


def _covered(mount: Mount, sandbox: Sandbox) -> bool:
    return any(
        (item.source, item.target) == (mount.source, mount.target) and item.mode in {mount.mode, "rw"}
        for item in sandbox.mounts
    )


def _mount(mount: Mount) -> str:
    return f"{mount.source} at {mount.target} ({mount.mode})"
