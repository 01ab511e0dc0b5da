"""The points of the two pages that the project set out to meet, in our own words; `docs/security.md` has a row for each.

`C`: the compliance checklist of Finch-MCP's page on containers. `F`: what else that page asks for. `H`: Hatch's page on
security and trust.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CHECKLIST", "POINTS"]

CHECKLIST: Mapping[str, str] = {
    "C1": "No secret stands where code or configuration does",
    "C2": "Nothing runs as root",
    "C3": "Base images are minimal",
    "C4": "Dependencies are up to date",
    "C5": "File systems are read-only",
    "C6": "Networks are isolated",
    "C7": "Resources are limited",
    "C8": "What happens is logged for audits",
}

POINTS: Mapping[str, str] = {
    **CHECKLIST,
    "F1": "A numeric user that is not root",
    "F2": "An init, signals that arrive, and no orphans",
    "F3": "Small base images, pinned",
    "F4": "Secrets as references, resolved when a server starts",
    "F5": "Secrets as files, and those files private",
    "F6": "No secrets in builds",
    "F7": "No network unless it is asked for",
    "F8": "Private registries and indexes without leaking their logins",
    "F9": "A read-only root file system",
    "F10": "Only the mounts that are needed, read-only, none of the system's",
    "F11": "Temporary files in a place of their own, with a size",
    "F12": "Dependencies verified by their hashes",
    "F13": "Images scanned for known vulnerabilities",
    "F14": "Updates on purpose, and nothing old left behind",
    "F15": "Limits of memory, processor, processes, files and logs",
    "F16": "System call filters and mandatory access control",
    "F17": "No capabilities, no new privileges, nothing privileged",
    "F18": "Logs for audits",
    "F19": "Where images come from",
    "F20": "The checklist, evaluated",
    "F21": "Incidents: isolate, look, clean up, rebuild",
    "F22": "Least privilege, layers of defence, safe defaults, all of it visible",
    "H1": "Sources of different trust are told apart",
    "H2": "Metadata that says whom one trusts",
    "H3": "Python packages installed into their own environment only",
    "H4": "Packages of the system need privileges, and consent",
    "H5": "Access to the container engine",
    "H6": "Archives of packages are unpacked without a way out",
    "H7": "All kinds are installed in the same way",
    "H8": "Caches with a lifetime that can be set",
    "H9": "Mirrors",
    "H10": "An index that cannot be asked",
    "H11": "Cache and store belong to their owner alone",
    "H12": "Short lifetimes where supply chains are at risk",
    "H13": "Caches cleaned by schedule",
    "H14": "Environments are isolated from each other",
    "H15": "Separate names, resolution and configuration for each environment",
    "H16": "What is brought in by what",
    "H17": "The same versions every time",
    "H18": "Kinds of packages with different risks",
    "H19": "Dependencies can be reviewed before anything happens",
    "H20": "Packages are validated before they are installed",
    "H21": "Sources and authors are verified",
    "H22": "Automatic consent with care",
    "H23": "Privileges that are used are seen",
    "H24": "Packages that nobody expected",
    "H25": "What is installed is looked at afterwards",
    "H26": "Tried in an isolated place first",
    "H27": "The health of environments is watched",
    "H28": "Separate environments for different trust",
    "H29": "Regular updates",
    "H30": "Unused environments are removed",
    "H31": "Narrow version bounds",
    "H32": "Permissions and damage are explained, and mended",
    "H33": "Reports of security problems",
}
