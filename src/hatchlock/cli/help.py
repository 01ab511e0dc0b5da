"""What `hatchlock --help` prints: the everyday commands first, then the rest in groups, each with one example."""

from __future__ import annotations

__all__ = ["COMMANDS", "overview"]

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Every day": {
        "init": ("write a hatchlock.toml", "hatchlock init"),
        "add": ("add a server and lock it", "hatchlock add pypi:mcp-server-time"),
        "lock": ("resolve everything into hatch.lock", "hatchlock lock --upgrade"),
        "plan": ("show what differs from this machine", "hatchlock plan --check"),
        "apply": ("do what the plan says", "hatchlock apply --yes"),
        "status": ("sync and health of each server", "hatchlock status"),
        "run": ("serve a server over stdio", "hatchlock run time"),
    },
    "Manifest": {
        "import": ("take over what applications have", "hatchlock import --dry-run"),
        "search": ("look for servers in the indexes", "hatchlock search weather"),
        "remove": ("remove servers and lock", "hatchlock remove time"),
        "validate": ("check the manifest, or a Hatch package", "hatchlock validate"),
        "new": ("write a Hatch package", "hatchlock new weather_kit"),
        "schema": ("print a JSON Schema: manifest or plan", "hatchlock schema > hatchlock.schema.json"),
    },
    "Lock": {
        "info": ("what a source is, before it is added", "hatchlock info pypi:mcp-server-time"),
        "tree": ("what each server brings in", "hatchlock tree time"),
        "why": ("why a package is in the lock", "hatchlock why anyio"),
        "diff": ("how two locks differ", "hatchlock diff main --markdown"),
        "pin": ("approve what servers offer, hold them to it", "hatchlock pin time"),
        "outdated": ("what is newer, and what holds it back", "hatchlock outdated --all"),
        "export": ("write another tool's file, or an image", "hatchlock export --format compose.yaml"),
    },
    "World": {
        "show": ("print a saved plan", "hatchlock show plan.json"),
        "up": ("lock, plan, ask, apply", "hatchlock up"),
        "fetch": ("fill the store from the lock", "hatchlock fetch --to bundle.tar"),
        "verify": ("compare what is here with the lock", "hatchlock verify --json"),
        "audit": ("what of the security checklist holds here", "hatchlock audit --fail-on warning"),
        "history": ("what each apply left", "hatchlock history"),
        "rollback": ("go back to what an earlier apply left", "hatchlock rollback 3"),
        "gc": ("delete what nobody uses any more", "hatchlock gc --dry-run"),
        "destroy": ("remove everything of a project", "hatchlock destroy"),
        "cache": ("look after what was fetched", "hatchlock cache gc --dry-run"),
    },
    "Servers": {
        "try": ("serve a server that is in no manifest", "hatchlock try --probe pypi:mcp-server-time"),
        "serve": ("serve a server over HTTP on this machine", "hatchlock serve time --port 8931"),
        "start": ("start servers that stay", "hatchlock start web"),
        "stop": ("stop servers that stay, until started again", "hatchlock stop web"),
        "restart": ("stop servers that stay, and start them again", "hatchlock restart web"),
        "top": ("what the servers take that run", "hatchlock top"),
        "probe": ("speak MCP with servers, list what they offer", "hatchlock probe time"),
        "quarantine": ("cut a server off, keep it from starting", "hatchlock quarantine time"),
        "logs": ("what a server wrote to stderr", "hatchlock logs time"),
        "exec": ("run a command where a server runs", "hatchlock exec time -- python -V"),
    },
    "Applications": {
        "client": ("what applications list; sync, clean, restore", "hatchlock client show cursor"),
    },
    "Secrets": {
        "secret": ("set, list, check and delete secrets", "hatchlock secret set acme-token"),
        "login": ("log in at a remote server, in a browser", "hatchlock login tracker"),
        "logout": ("forget a login at a remote server", "hatchlock logout tracker"),
    },
    "Environments": {
        "env": ("list environments, show one", "hatchlock env show time"),
    },
    "Help": {
        "doctor": ("look for what is missing on this machine", "hatchlock doctor"),
        "report": ("what a bug report needs, without secrets", "hatchlock report --bundle"),
    },
}

_OPTIONS = """\
Options, before or after the command:
  -C DIR                  work as if started in DIR
  --manifest FILE         the manifest, instead of looking for hatchlock.toml here and above
  -g, --global            your own manifest, in your configuration directory
  --home DIR              the store, instead of $HATCHLOCK_HOME
  --project NAME          the project, for run, probe, logs, exec, destroy and secret outside its directory
  --offline               ask no network
  --json                  print JSON documents
  --color WHEN            auto, always or never
  -v, --verbose           say more on stderr
  --debug                 show tracebacks
  -h, --help              this, or help on a command
  --version               print the version"""


def overview() -> str:
    """Return the text of `hatchlock --help`."""
    lines = ["Declare MCP servers, lock everything they need, plan, apply.", "", "Usage: hatchlock COMMAND …", ""]
    for group, commands in COMMANDS.items():
        lines.append(f"{group}:")
        lines += [f"  {name:<12}{what:<46}{example}" for name, (what, example) in commands.items()]
        lines.append("")
    return "\n".join([*lines, _OPTIONS])
