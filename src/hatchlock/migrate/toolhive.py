"""ToolHive's run configurations, as `thv export` writes them and `thv` keeps them, and its registries.

The form is that of `RunConfig` with the schema version v0.1.0 (`pkg/runner/config.go`), of its permission profiles
(`permissions/profile.go`), and of the registry that is compiled into it (`registry/types`).
Variables and headers reach the server as they are written: nothing is put into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchlock.clients.shape import Address, Start, Transport
from hatchlock.migrate.document import Part
from hatchlock.migrate.gathering import (
    contained,
    each,
    enriched,
    gathered,
    groups,
    is_set,
    kept_elsewhere,
    number,
    recognised,
    said,
    sandboxed,
    structured,
    texts,
    unread,
    with_values,
    words,
)
from hatchlock.migrate.image_use import ImageUse
from hatchlock.migrate.model import Format, Left, Proposed, Reading, Secret
from hatchlock.migrate.names import server_name
from hatchlock.migrate.toolhive_profile import Permitted, permitted
from hatchlock.migrate.translate import translated

__all__ = ["TOOLHIVE"]

_TITLE = "ToolHive run configuration"
_BUILT = "toolhivelocal/"
_RUNNERS = {"uvx": ("uvx",), "npx": ("npx", "-y")}
_SECRET = re.compile(r"(?P<name>[^,]+),target=(?P<target>.+)")
_DEFAULT_GROUP = "default"
_FILTERS = ("tool-filter", "tool-call-filter")
_OWN = frozenset(
    {
        *("schema_version", "name", "base_name", "container_name", "container_labels", "debug", "host", "proxy_mode"),
        *("mcpserver_generation", "registry_api_url", "registry_url", "registry_server_name", "env_file_dir"),
        *(
            "stateless",
            "session_ttl",
            "trust_proxy_headers",
            "endpoint_prefix",
            "thv_ca_bundle",
            "jwks_auth_token_file",
        ),
    }
)
"""What only ToolHive itself needs."""
_READ = frozenset(
    {
        *("image", "remote_url", "cmd_args", "transport", "target_port", "permission_profile", "isolate_network"),
        *("env_vars", "secrets", "volumes", "group", "tools_filter", "middleware_configs", "header_forward"),
        *("remote_auth_config", "target_host"),
    }
)
_NOBODY_ASKS = "applications of this machine start the server themselves, and nobody else is asked who they are"
_WHY = {
    "port": 'ToolHive\'s proxy listened there; for programs that still connect to it write serve = "http" and host-port',
    "publish": "no port besides the server's own is published",
    "permission_profile_name_or_path": "it names a profile that is not in the file",
    "oidc_config": _NOBODY_ASKS,
    "authz_config": _NOBODY_ASKS,
    "authz_config_path": _NOBODY_ASKS,
    "token_exchange_config": _NOBODY_ASKS,
    "upstream_swap_config": _NOBODY_ASKS,
    "embedded_auth_server_config": _NOBODY_ASKS,
    "aws_sts_config": "the server gets its credentials as secrets",
    "audit_config": 'write audit = "calls" into [project]',
    "audit_config_path": 'write audit = "calls" into [project]',
    "telemetry_config": "nothing is sent anywhere",
    "tools_override": "tools keep the names and descriptions that the server gives them",
    "ignore_config": "a mount shows all of its directory; mount the directories that it needs one by one",
    "allow_docker_gateway": "an engine's socket and gateway are out of reach",
    "runtime_config": "name packages of the system in `with`, and an image to start from in `base`",
    "k8s_pod_template_patch": "it is for Kubernetes",
    "scaling_config": "it is for Kubernetes",
    "rate_limit_config": "it is for Kubernetes",
}
_MIDDLEWARE = {
    "mcp-parser": "",
    "auth": _NOBODY_ASKS,
    "authz": _NOBODY_ASKS,
    "tokenexchange": _NOBODY_ASKS,
    "audit": 'write audit = "calls" into [project]',
    "telemetry": "nothing is sent anywhere",
}


def _matches(path: Path, data: bytes) -> bool:
    if path.parent.name == "runconfigs" and path.suffix == ".json":
        return True
    return recognised(data, ("schema_version", "transport"), lambda root: "image" in root or "remote_url" in root)


def _read(path: Path, data: bytes) -> Reading:
    document = structured(data, file=str(path))
    return gathered(document, _TITLE, [_server(document.root)])


def _server(part: Part) -> Proposed | Left:
    name = said(part, "name") or said(part, "base_name") or said(part, "container_name")
    found = _remote(part, name) if said(part, "remote_url") else _local(part, name)
    group = said(part, "group")
    return enriched(
        found,
        {**groups([group] if group != _DEFAULT_GROUP else ()), **_tools(part)},
        left=(*_middleware(part), *unread(part, _OWN | _READ, _WHY)),
    )


def _remote(part: Part, name: str) -> Proposed | Left:
    forward, auth = part.get("header_forward"), part.get("remote_auth_config")
    how: Transport = "sse" if said(part, "transport") == "sse" else "http"
    headers = texts(forward, "add_plaintext_headers") if forward else {}
    kept = texts(forward, "add_headers_from_secret") if forward else {}
    found = translated(Address(url=said(part, "remote_url"), transport=how), name=name, line=part.line)
    secrets = [kept_elsewhere("headers", header, kept_as) for header, kept_as in kept.items()]
    return enriched(
        with_values(found, "headers", headers, line=part.line),
        {},
        secrets=(*secrets, *_bearer(auth)),
        left=_oauth(auth, name),
        notes=[*_set_again(secrets)],
    )


def _bearer(auth: Part | None) -> Iterator[Secret]:
    """Yield the token that every request has: under its name in ToolHive's store, in a file, or as older versions wrote it."""
    token = said(auth, "bearer_token") if auth else ""
    if match := _SECRET.fullmatch(token):
        yield kept_elsewhere("headers", "Authorization", match["name"], shown="Bearer {}")
    elif token:
        yield Secret(table="headers", key="Authorization", value=token, format="Bearer {}")
    elif file := said(auth, "bearer_token_file") if auth else "":
        yield Secret(table="headers", key="Authorization", reference=f"file:{file}", format="Bearer {}")


def _oauth(auth: Part | None, name: str) -> Iterator[Left]:
    if auth is not None and any(
        said(auth, key) for key in ("client_id", "issuer", "authorize_url", "cached_client_id")
    ):
        yield auth.left(f"log in with `hatchlock login {server_name(name)}`")


def _local(part: Part, name: str) -> Proposed | Left:
    image, transport = part.need("image").text(), said(part, "transport", "stdio")
    if transport == "sse":
        return Left(
            line=part.line,
            what=f"`{name}`: it speaks the older HTTP with server-sent events, which hatchlock speaks to remote servers only",
        )
    may = permitted(part.get("permission_profile"), words(part, "volumes"))
    use = ImageUse(
        image=image,
        args=words(part, "cmd_args"),
        mounts=may.mounts,
        hosts=may.hosts,
    )
    found = sandboxed(_started(use, may.reason, name, part.line), {"network": may.word}, reason=may.reason)
    found = with_values(found, "env", texts(part, "env_vars"), line=part.line)
    secrets = [_secret(item) for item in each(part, "secrets")]
    port = {"transport": "http", "port": number(part, "target_port")} if transport == "streamable-http" else {}
    return enriched(
        found,
        {key: value for key, value in port.items() if value},
        secrets=secrets,
        left=may.left,
        notes=[*_set_again(secrets), *may.notes, *_unenforced(part, may)],
    )


def _started(use: ImageUse, reason: str, name: str, line: int) -> Proposed | Left:
    """Return the server that is in an image: one of a registry, or one that ToolHive has built, or would, of a package."""
    scheme, there, package = use.image.partition("://")
    if not there and use.image.removeprefix("localhost/").startswith(_BUILT):
        kind = "pypi:" if "/uvx-" in use.image else "npm:"
        note = (
            f'ToolHive built its image on this machine, where alone it is: name the package instead, source = "{kind}…"'
        )
        in_engine = {"source": f"oci:docker-daemon:{use.image}"}
        return enriched(contained(use, name=name, line=line, reason=reason, made_of=in_engine), {}, notes=[note])
    if not there:
        return contained(use, name=name, line=line, reason=reason)
    if scheme not in _RUNNERS:
        what = f"hatchlock has no source for {scheme}:// packages; name an image of it, or a program"
        return Left(line=line, what=f"`{name}`: {what}")
    runner, *options = _RUNNERS[scheme]
    meant = translated(Start(command=runner, args=(*options, package)), name=name, line=line)
    if isinstance(meant, Left):
        return meant
    found = contained(use, name=name, line=line, reason=reason, made_of=meant.fields)
    return enriched(found, {}, left=meant.left, notes=meant.notes)


def _secret(item: Part) -> Secret:
    match = _SECRET.fullmatch(item.text())
    if match is None:
        item.fail("it must be NAME,target=VARIABLE")
    return kept_elsewhere("env", match["target"], match["name"])


def _set_again(secrets: list[Secret]) -> Iterator[str]:
    names = dict.fromkeys(secret.reference.removeprefix("keyring:") for secret in secrets)
    for name in names:
        yield f"its secret is in ToolHive's own store, as {name}: set it here too"


def _unenforced(part: Part, may: Permitted) -> Iterator[str]:
    if may.hosts and not is_set(part, "isolate_network"):
        yield "ToolHive did not hold it to the hosts of its profile; here it reaches no others"


def _tools(part: Part) -> dict[str, Any]:
    names = list(words(part, "tools_filter"))
    for middleware in each(part, "middleware_configs"):
        parameters = middleware.get("parameters")
        if said(middleware, "type") in _FILTERS and parameters is not None:
            names += words(parameters, "filter_tools")
    return {"tools": {"allow": list(dict.fromkeys(names))}} if names else {}


def _middleware(part: Part) -> Iterator[Left]:
    for item in each(part, "middleware_configs"):
        kind, parameters = said(item, "type"), item.get("parameters")
        if kind in _FILTERS:
            if parameters is not None and "tools_override" in parameters and parameters.need("tools_override").value:
                yield parameters.need("tools_override").left(_WHY["tools_override"])
        elif why := _MIDDLEWARE.get(kind, "nothing corresponds to it"):
            yield Left(line=item.line, what=f"the middleware `{kind}`: {why}")


TOOLHIVE = Format(name="toolhive", title=_TITLE, matches=_matches, read=_read)
"""A workload of ToolHive."""
