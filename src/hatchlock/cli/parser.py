"""The arguments of every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from hatchlock.cli.adding import refuse_command_line
from hatchlock.cli.audit_log_command import audit_arguments
from hatchlock.cli.client_arguments import client_arguments
from hatchlock.cli.command_parser import CommandParser
from hatchlock.cli.empty_words import refuse_empty_words
from hatchlock.cli.export_arguments import export_arguments
from hatchlock.cli.health_arguments import HEALTH_ARGUMENTS
from hatchlock.cli.help import COMMANDS
from hatchlock.cli.import_arguments import import_arguments
from hatchlock.cli.keeper_commands import KEEPER_ARGUMENTS, follow_arguments
from hatchlock.cli.login_commands import login_arguments, logout_arguments
from hatchlock.cli.pin_arguments import pin_arguments
from hatchlock.cli.report_command import report_arguments
from hatchlock.cli.serve_commands import serve_arguments
from hatchlock.cli.surplus_words import surplus_words
from hatchlock.cli.trial_arguments import try_arguments
from hatchlock.cli.unknown_options import refuse_unknown_options
from hatchlock.cli.world_arguments import WORLD_ARGUMENTS, lock_timeout, seconds
from hatchlock.errors import UsageError

__all__ = ["command_parsers", "parse"]


_OTHER_LOCK = "another command that changes the manifest or the lock"


def parse(argv: list[str]) -> argparse.Namespace:
    """Read a command line.

    Raises:
        UsageError: It is wrong.
        SystemExit: `--help` was asked for; it was printed.
    """
    parser = CommandParser(prog="hatchlock", parents=[_common(argparse.SUPPRESS)], add_help=False, allow_abbrev=False)
    parser.set_defaults(**_DEFAULTS)
    commands = command_parsers(argv, of=parser)
    try:
        arguments, unknown = parser.parse_known_args(argv)
    except UsageError:
        # argparse takes what follows an option that it does not know for something else, and complains of that
        name = next((word for word in argv if word in commands), "")
        if name or not _has_bare_word(argv, parser):
            refuse_unknown_options(name, argv, commands.get(name, parser))
        raise
    if unknown:
        refuse_command_line(arguments, argv)
        refuse_unknown_options(arguments.command, argv, commands[arguments.command])
        raise surplus_words(arguments, unknown, commands[arguments.command])
    refuse_empty_words(arguments.command, argv, commands[arguments.command].options_with_value)
    return arguments


def _has_bare_word(argv: Sequence[str], parser: CommandParser) -> bool:
    """Whether a word may be meant as a command."""
    pairs = pairwise(["", *argv])
    return any(not word.startswith("-") and before not in parser.options_with_value for before, word in pairs)


def command_parsers(words: Sequence[str], *, of: CommandParser | None = None) -> Mapping[str, CommandParser]:
    """Return what reads each command, by its name.

    Args:
        words: Only the commands among these are meant; where none of them is one, all are.
        of: The parser that the commands become part of; one of their own if not said.
    """
    parser = of or CommandParser(prog="hatchlock", add_help=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=CommandParser)
    common = _common(argparse.SUPPRESS)
    known = {name: texts for group in COMMANDS.values() for name, texts in group.items()}
    # building all of them takes 15 ms; what is not among the words cannot be meant
    for name in [name for name in known if name in words] or known:
        what, example = known[name]
        command = commands.add_parser(
            name,
            parents=[common],
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=f"Example: {example}",
            allow_abbrev=False,
        )
        _ARGUMENTS.get(name, _no_arguments)(command)
    return commands.choices


_DEFAULTS: dict[str, Any] = {
    "directory": ".",
    "manifest": None,
    "use_global": False,
    "home": None,
    "project": None,
    "offline": False,
    "json": False,
    "color": "auto",
    "verbose": False,
    "debug": False,
}


def _common(default: str) -> CommandParser:
    """The options that stand before or after a command; without defaults, so that neither place undoes the other."""
    common = CommandParser(add_help=False, argument_default=default)
    group = common.add_argument_group("options for every command")
    group.add_argument("-C", dest="directory", metavar="DIR", help="work as if started in DIR")
    group.add_argument("--manifest", metavar="FILE", help="the manifest")
    group.add_argument("-g", "--global", dest="use_global", action="store_true", help="your own manifest")
    group.add_argument("--home", metavar="DIR", help="the store")
    group.add_argument("--project", metavar="NAME", help="the project, for run, probe, logs, exec, secret and destroy")
    group.add_argument("--offline", action="store_true", help="ask no network")
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument("--color", choices=["auto", "always", "never"], help="whether to colour")
    group.add_argument("-v", "--verbose", action="store_true", help="say more on stderr")
    group.add_argument("--debug", action="store_true", help="show tracebacks")
    return common


def _no_arguments(_: argparse.ArgumentParser) -> None:
    pass


def _init(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", help="the project's name; the directory's if not said")
    command.add_argument(
        "--platform", action="append", dest="platforms", metavar="OS/ARCH", help="lock for this platform"
    )


def _add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="kind:spec, for example pypi:mcp-server-time; or an application's JSON, or -",
    )
    command.add_argument("--name", help="the server's name")
    command.add_argument("--runtime", choices=["process", "container"], help="where it runs")
    command.add_argument(
        "--client", action="append", dest="clients", metavar="NAME", help="an application that lists it"
    )
    command.add_argument("--env", action="append", metavar="NAME=VALUE", help="a variable of the server")
    command.add_argument(
        "--secret",
        action="append",
        dest="secrets",
        metavar="NAME=REF",
        help="a variable, and where it is: keyring:NAME, file:PATH, env:NAME",
    )
    command.add_argument(
        "--arg", action="append", dest="answers", metavar="NAME=VALUE", help="what an entry of the MCP registry asks"
    )
    lock_timeout(command, _OTHER_LOCK)


def _remove(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="+", metavar="NAME", help="the servers: all of them go, or none")
    lock_timeout(command, _OTHER_LOCK)


def _validate(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", nargs="?", metavar="PATH", help="a Hatch package; the manifest if not said")


def _schema(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "what",
        nargs="?",
        choices=["manifest", "plan"],
        default="manifest",
        metavar="WHAT",
        help="manifest (default) or plan",
    )


def _new(command: argparse.ArgumentParser) -> None:
    command.add_argument("path", metavar="PATH", help="the directory to write")
    command.add_argument("--name", help="the package's name; the directory's if not said")


def _lock(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--upgrade",
        nargs="*",
        metavar="NAME",
        default=None,
        help="let these packages or images move; without a name, all",
    )
    command.add_argument("--refresh", action="store_true", help="ask the index again, even for what is cached")
    command.add_argument("--check", action="store_true", help="write nothing; exit 2 if the lock would change")
    command.add_argument("--images", action="store_true", help="assemble every image, and record what it is")
    lock_timeout(command, _OTHER_LOCK)


def _tree(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="?", metavar="NAME", help="an environment or server; all if not said")
    command.add_argument("--platform", metavar="OS/ARCH", help="this machine's if not said")


def _why(command: argparse.ArgumentParser) -> None:
    command.add_argument("package", metavar="PACKAGE", help="a package's name")


def _server(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="the server")


def _run(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="?", metavar="NAME", help="the server")
    command.add_argument("--group", metavar="GROUP", help="all servers of a group, as one")
    command.add_argument("--dev", action="store_true", help="serve the live directory of a path: source")
    command.add_argument(
        "--learn",
        metavar="DIR",
        help="write what it tries into DIR: no network, wide limits, a root that is thrown away",
    )
    # `probe` and `pin` have to see what no application is to see
    command.add_argument("--without-pins", action="store_true", help=argparse.SUPPRESS)


def _logs(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", nargs="?", metavar="NAME", help="the server")
    follow_arguments(command)
    command.add_argument(
        "--apply",
        dest="run",
        nargs="?",
        type=int,
        const=0,
        metavar="N",
        help="what an apply or rollback did: number N, or the last",
    )
    command.add_argument(
        "--build", action="store_true", help="of a build: ENVIRONMENT.PACKAGE, or a server that is built"
    )
    audit_arguments(command)
    command.add_argument("--network", action="store_true", help="its connections, where its network is a list of hosts")
    command.add_argument("-n", "--lines", type=int, metavar="N", help="the last N lines (50)")


def _secret(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action", choices=["set", "list", "check", "rm"], metavar="ACTION", help="set, list, check or rm"
    )
    command.add_argument(
        "name", nargs="?", metavar="NAME", help="set, rm: the secret; check: a server, all if not said"
    )


def _env(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=["list", "show"], metavar="ACTION", help="list or show")
    command.add_argument("name", nargs="?", metavar="NAME", help="show: the environment, or a server that uses it")
    _which_runtime(command)
    command.add_argument("--platform", metavar="OS/ARCH", help="show: its packages there; this machine if not said")
    command.add_argument("--verify", action="store_true", help="show: read the installed files again")


def _exec(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="a server, or an environment; the command follows --")
    _which_runtime(command)


def _which_runtime(command: argparse.ArgumentParser) -> None:
    command.add_argument("--runtime", choices=["process", "container"], help="which of two environments of that name")


def _diff(command: argparse.ArgumentParser) -> None:
    command.add_argument("before", nargs="?", metavar="A", help="a lock file or a git revision; HEAD if not said")
    command.add_argument("after", nargs="?", metavar="B", help="the same; the lock as it is if not said")
    command.add_argument("--markdown", action="store_true", help="write markdown, for a pull request")
    command.add_argument("--check", action="store_true", help="exit 2 if they differ")


def _outdated(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="packages or images; what is asked for if not said")
    command.add_argument("--all", action="store_true", dest="everything", help="also what these bring in")
    command.add_argument("--refresh", action="store_true", help="ask the indexes again, even for what is cached")
    command.add_argument("--check", action="store_true", help="exit 2 if something is outdated, yanked or deprecated")


def _info(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", metavar="SOURCE", help="kind:spec, for example pypi:mcp-server-time")


def _search(command: argparse.ArgumentParser) -> None:
    command.add_argument("terms", nargs="+", metavar="WORD", help="all of them are in what is found")
    command.add_argument(
        "--kind", action="append", dest="kinds", choices=["mcp", "hatch"], help="ask this index only; both if not said"
    )
    command.add_argument("--limit", type=int, default=20, metavar="N", help="show so many at most (20)")


def _fetch(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--platform",
        action="append",
        dest="platforms",
        metavar="OS/ARCH",
        help="for this platform; this machine's if not said",
    )
    command.add_argument("--all-platforms", action="store_true", help="for every platform of the lock")
    command.add_argument("--to", dest="target", metavar="FILE", help="write it all into one file as well")
    command.add_argument("--from", dest="source", metavar="FILE", help="take what is in such a file first")
    lock_timeout(command, "another command that changes the project, or fetches the same file")


def _verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="servers or environments; all if not said")
    command.add_argument(
        "--against", metavar="FILE", help="compare with what another machine's `verify --json` printed"
    )
    command.add_argument("--rebuild", action="store_true", help="build again what was built, and compare")
    command.add_argument("--deep", action="store_true", help="everything else too: servers, entries, data, sessions")
    command.add_argument(
        "--platform",
        action="append",
        dest="platforms",
        metavar="OS/ARCH",
        help="put images for this platform together; this machine's if not said",
    )


def _audit(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format", dest="form", choices=["text", "json", "sarif"], default="text", help="how it is printed (text)"
    )
    command.add_argument(
        "--fail-on",
        choices=["error", "warning", "note", "never"],
        default="error",
        metavar="LEVEL",
        help="exit 3 if something is found of this level, or a worse one: error, warning, note or never (error)",
    )
    command.add_argument("--online", action="store_true", help="ask the indexes what is outdated")


def _cache(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "action",
        choices=["stats", "verify", "gc", "clear", "path"],
        metavar="ACTION",
        help="stats, verify, gc, clear or path",
    )
    command.add_argument("--older-than", metavar="TIME", help="gc: what was not used for so long (30d)")
    command.add_argument("--dry-run", action="store_true", help="gc, clear: only say what would be deleted")
    command.add_argument("--lock-timeout", type=seconds, default=60.0, metavar="SECONDS", help="wait for an apply")


_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    **WORLD_ARGUMENTS,
    **HEALTH_ARGUMENTS,
    **KEEPER_ARGUMENTS,
    "init": _init,
    "add": _add,
    "remove": _remove,
    "import": import_arguments,
    "validate": _validate,
    "schema": _schema,
    "new": _new,
    "lock": _lock,
    "tree": _tree,
    "why": _why,
    "pin": pin_arguments,
    "run": _run,
    "serve": serve_arguments,
    "try": try_arguments,
    "report": report_arguments,
    "logs": _logs,
    "client": client_arguments,
    "secret": _secret,
    "login": login_arguments,
    "logout": logout_arguments,
    "env": _env,
    "exec": _exec,
    "export": export_arguments,
    "info": _info,
    "search": _search,
    "diff": _diff,
    "outdated": _outdated,
    "fetch": _fetch,
    "cache": _cache,
    "verify": _verify,
    "audit": _audit,
}
