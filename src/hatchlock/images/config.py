"""An image's config: canonical JSON, made from the base's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hatchlock.digest import canonical_json
from hatchlock.images.layer import USER_HOME, USER_ID, USER_NAME

__all__ = ["KEY_LABEL", "image_config"]

KEY_LABEL = "dev.hatchlock.key"
"""Says which input key an image was assembled for."""

_CREATED = "1970-01-01T00:00:00Z"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def image_config(
    base_config: bytes,
    *,
    layer_diff_ids: Sequence[str],
    labels: Mapping[str, str],
    env: Mapping[str, str],
    path: Sequence[str],
) -> bytes:
    """Return the config (OCI image specification) of a base plus layers.

    The base gives platform, layers and variables. Its entrypoint, command, user, volumes, ports, health check and labels
    are left out: what runs, and how, is the launch record's business.

    Args:
        base_config: The base's config, JSON.
        layer_diff_ids: Of the added layers, lowest first.
        labels: The image's only labels.
        env: Variables beside HOME, USER, PATH and PYTHONUNBUFFERED; they win over the base's.
        path: Directories to search before the base's.
    """
    base = json.loads(base_config)
    given = dict(item.split("=", 1) for item in (base.get("config") or {}).get("Env") or ())
    variables = {
        **given,
        "HOME": USER_HOME,
        "USER": USER_NAME,
        "PYTHONUNBUFFERED": "1",
        **env,
        "PATH": ":".join([*path, given.get("PATH") or _PATH]),
    }
    document: dict[str, Any] = {
        **{name: base[name] for name in ("architecture", "os", "variant", "os.version") if base.get(name)},
        "created": _CREATED,
        "config": {
            "Env": [f"{name}={value}" for name, value in sorted(variables.items())],
            "User": f"{USER_ID}:{USER_ID}",
            "WorkingDir": USER_HOME,
            "Labels": dict(labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], *layer_diff_ids]},
        "history": [
            *({"created": _CREATED, "created_by": "base"} for _ in base["rootfs"]["diff_ids"]),
            *({"created": _CREATED, "created_by": "hatchlock"} for _ in layer_diff_ids),
        ],
    }
    return canonical_json(document)
