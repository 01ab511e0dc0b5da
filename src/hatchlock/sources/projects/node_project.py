"""Node projects: what package.json says."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from hatchlock.sources.npm.names import without_secrets
from hatchlock.sources.npm.ranges import BadNpmRange, BadNpmVersion, NpmRange, NpmVersion
from hatchlock.sources.projects.loose import Document, rows, string, table
from hatchlock.sources.projects.model import ProjectFacts
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.requirements import path_location, without_credentials
from hatchlock.sources.projects.tree import ProjectTree
from hatchlock.sources.projects.workspaces import Member, Workspace, node_workspace

__all__ = ["BUILDERS", "read_node"]

_FILE = "package.json"
_NPM = "npm:"
_OPTIONAL = "optionalDependencies"
BUILDERS = ("build", "prepare", "prepack", "prepublishOnly", "compile")
"""Scripts that make what a project lacks, the first that it has. npm runs `prepare` of what comes from git, which mostly calls
`build`, or sets up what only people need (git hooks)."""

_INSTALLERS = ("preinstall", "install", "postinstall")
_ENDINGS = ("", ".js", ".mjs", ".cjs", ".json", "/index.js", "/index.mjs", "/index.cjs")
_TYPESCRIPT = (".ts", ".mts", ".cts", ".tsx")
_ARCHIVES = (".tgz", ".tar.gz", ".tar")
_STARTED = re.compile(r"^(?:[A-Z_][A-Z0-9_]*=\S+\s+)*node\s+(?:--?[\w-]+(?:=\S+)?\s+)*(?P<file>[^\s-]\S*)")
_NAME = re.compile(r"(@[^/\s@]+/)?[^/\s@]+")


def read_node(tree: ProjectTree) -> ProjectFacts | None:
    """Read a Node project; None if there is no package.json.

    Dependencies are requirements; peer and development dependencies are none. An optional dependency on a sibling is
    a requirement, too: that is always there. Scripts are never run. An entry that is not there, and that a script makes,
    counts as what it will be.

    Raises:
        BadProjectFile: package.json is no JSON object, or a dependency cannot be locked.
    """
    if _FILE not in tree.files:
        return None
    document = tree.json(_FILE)
    workspace = node_workspace(tree)
    notes = list(_workspace_notes(tree, document, workspace))
    commands = _commands(document)
    declared_entries = commands or _main(tree, document)
    present = {name: found for name, path in declared_entries.items() if (found := _file_of(tree, path))}
    if not declared_entries:
        present, entry_notes = _started(tree, document)
        notes += entry_notes
    notes += _typescript_notes(present.values())
    needed = set(_edges(tree, table(document, "dependencies"), workspace, but=table(document, _OPTIONAL)))
    perhaps = set(_edges(tree, table(document, _OPTIONAL), workspace))
    return ProjectFacts(
        ecosystem="node",
        layout=_layout(tree, workspace),
        name=_name(tree, document),
        version=_version(document),
        requirements=tuple(sorted({*needed, *(text for text in perhaps if not text.startswith(_NPM))})),
        optional=tuple(sorted(text for text in perhaps if text.startswith(_NPM))),
        requires_node=string(table(document, "engines").get("node")).strip(),
        scripts=dict(sorted((declared_entries | present).items())),
        needs_build=_needs_build(tree, document, declared_entries),
        build_requirements=_build_requirements(tree, document, declared_entries, workspace),
        install_script=_wants_install_script(tree, document),
        licence=_licence(document),
        authors=_person(document.get("author")) or ", ".join(_people(document)),
        repository=_repository(document),
        notes=tuple(notes),
    )


def _layout(tree: ProjectTree, workspace: Workspace | None) -> str:
    if workspace is None:
        return _FILE
    role = "root" if workspace.root == tree.root else "member"
    return f"{_FILE} ({role} of a workspace in {workspace.declared_in})"


def _name(tree: ProjectTree, document: Document) -> str:
    named = string(document.get("name")).strip()
    if _NAME.fullmatch(named):
        return named
    return re.sub(r"[^a-z0-9._-]+", "-", tree.root.name.lower()).strip("-._") or "project"


def _version(document: Document) -> str:
    try:
        return str(NpmVersion.parse(string(document.get("version"))))
    except BadNpmVersion:
        return "0"


def _edges(
    tree: ProjectTree, wanted: Document, workspace: Workspace | None, *, but: Collection[str] = ()
) -> Iterator[str]:
    for name, spec in wanted.items():
        if name in but:
            continue
        if not isinstance(spec, str):
            raise BadProjectFile(file=_FILE, why=f"the range of its dependency {name} is no text")
        yield _edge(tree, name, spec.strip(), workspace)


def _edge(tree: ProjectTree, name: str, spec: str, workspace: Workspace | None) -> str:
    member = workspace.members.get(name) if workspace else None
    protocol, colon, rest = spec.partition(":")
    if colon and protocol == "catalog":
        return _edge(tree, name, _catalogued(name, rest, workspace), workspace)
    if colon and protocol == "workspace":
        return _workspace_edge(tree, name, rest, workspace)
    if colon and protocol in {"link", "portal", "file"} and not rest.endswith(_ARCHIVES):
        return _path_edge(tree, name, rest)
    if not colon and spec.startswith(("./", "../", "/", "~/")) and not spec.endswith(_ARCHIVES):
        return _path_edge(tree, name, spec)
    if member is not None and _satisfies(member, spec):
        return f"path:{tree.relative(member.directory)}"
    return f"{_NPM}{name}@{without_secrets(spec) or '*'}"


def _catalogued(name: str, catalogue: str, workspace: Workspace | None) -> str:
    settings = workspace.settings if workspace else {}
    named = table(settings, "catalogs", catalogue) if catalogue not in {"", "default"} else {}
    plain = {**table(settings, "catalogs", "default"), **table(settings, "catalog")}
    spec = string((named or plain).get(name))
    if not spec or spec.startswith("catalog:"):
        raise BadProjectFile(
            file=_FILE,
            why=f"{name} is of catalogue {catalogue or 'default'!r}, which pnpm-workspace.yaml does not hold",
            advice="name the workspace's root, or write the range",
        )
    return spec


def _workspace_edge(tree: ProjectTree, name: str, rest: str, workspace: Workspace | None) -> str:
    if rest.startswith("."):
        return _path_edge(tree, name, rest)
    alias = _NAME.match(rest) if "@" in rest[1:] else None
    member = workspace.members.get(alias[0] if alias else name) if workspace else None
    if member is None:
        raise BadProjectFile(
            file=_FILE,
            why=f"{name} is of its workspace, which does not hold it",
            advice="use it where its workspace is: a git: source with #subdirectory=, or the repository's own directory",
        )
    return _path_edge(tree, name, tree.relative(member.directory))


def _path_edge(tree: ProjectTree, name: str, path: str) -> str:
    if path.startswith("~"):
        raise BadProjectFile(
            file=_FILE,
            why=f"{name} is {path}, which only one machine has",
            advice="write a path relative to the project, or a range",
        )
    location = path_location(re.sub(r"^//(?=/)", "", path), tree=tree, file=_FILE)
    inside = location.removeprefix("path:")
    called = "" if tree.is_outside(inside) else string(tree.outer_json(tree.root / inside / _FILE).get("name"))
    if called not in {"", name}:
        raise BadProjectFile(
            file=_FILE,
            why=f"it calls the project {called} in {inside} by another name, {name}, which cannot be locked",
            advice=f"write {called} in package.json and where it is imported",
        )
    return location


def _satisfies(member: Member, spec: str) -> bool:
    try:
        return NpmRange.parse(spec).contains(NpmVersion.parse(member.version))
    except (BadNpmRange, BadNpmVersion):
        return False


def _commands(document: Document) -> dict[str, str]:
    declared = document.get("bin")
    if isinstance(declared, str) and declared:
        return {string(document.get("name")).rpartition("/")[2]: _inside(declared)} if document.get("name") else {}
    return {
        name.rpartition("/")[2]: _inside(path)
        for name, path in table(declared).items()
        if isinstance(path, str) and path and name.rpartition("/")[2]
    }


def _inside(path: str) -> str:
    """A path below the package: what leads out of it ends at its root."""
    return posixpath.normpath("/" + path).lstrip("/")


def _file_of(tree: ProjectTree, path: str) -> str:
    """The file that Node would load for a path, or ""."""
    return next((path + ending for ending in _ENDINGS if path + ending in tree.files), "")


def _main(tree: ProjectTree, document: Document) -> dict[str, str]:
    name = _name(tree, document).rpartition("/")[2]
    if main := string(document.get("main")):
        return {name: _completed(tree, _inside(main))}
    return {name: "index.js"} if "index.js" in tree.files else {}


def _completed(tree: ProjectTree, path: str) -> str:
    """A file that a build makes under the name that Node will find it by; of what is there its own ending tells."""
    if _file_of(tree, path) or posixpath.splitext(path)[1]:
        return path
    return f"{path}.js" if "/" in path else f"{path}/index.js"


def _started(tree: ProjectTree, document: Document) -> tuple[dict[str, str], list[str]]:
    start = string(table(document, "scripts").get("start"))
    match = _STARTED.match(start)
    if match and (file := _file_of(tree, _inside(match["file"]))):
        return {_name(tree, document).rpartition("/")[2]: file}, []
    if start:
        return {}, [f"it has neither `bin` nor `main`; its `npm start` is `{start}`, which is not run"]
    return {}, ["it has neither `bin` nor `main`: it declares no command"]


def _needs_build(tree: ProjectTree, document: Document, entries: Mapping[str, str]) -> str:
    missing = next((path for path in entries.values() if not _file_of(tree, path)), "")
    if not missing:
        return ""
    lies_there = (tree.root / missing).exists()
    left_out = "; the one that lies there is left out by .gitignore or .dockerignore" if lies_there else ""
    if builder := _builder(document):
        return f"its entry {missing} is made by `npm run {builder}`{left_out}"
    if "tsconfig.json" in tree.files:
        return f"its entry {missing} is made by the TypeScript compiler (tsconfig.json){left_out}"
    return f"its entry {missing} is not there, and no script of package.json makes it{left_out}"


def _builder(document: Document) -> str:
    scripts = table(document, "scripts")
    return next((name for name in BUILDERS if string(scripts.get(name))), "")


def _build_requirements(
    tree: ProjectTree, document: Document, entries: Mapping[str, str], workspace: Workspace | None
) -> tuple[str, ...] | None:
    """What `npm install` would have there, but for what is optional."""
    if all(_file_of(tree, path) for path in entries.values()) or not _builder(document):
        return None
    optional = table(document, "peerDependenciesMeta")
    peers = {
        name: spec
        for name, spec in table(document, "peerDependencies").items()
        if table(optional, name).get("optional") is not True
    }
    wanted = {**peers, **table(document, "devDependencies"), **table(document, "dependencies")}
    return tuple(sorted(set(_edges(tree, wanted, workspace, but=table(document, _OPTIONAL)))))


def _typescript_notes(entries: Iterable[str]) -> list[str]:
    files = [path for path in entries if path.endswith(_TYPESCRIPT)]
    return [f"its entry {files[0]} is TypeScript, which Node itself runs only from 22.18 on"] if files else []


def _wants_install_script(tree: ProjectTree, document: Document) -> bool:
    scripts = table(document, "scripts")
    if any(string(scripts.get(name)) for name in _INSTALLERS):
        return True
    return "binding.gyp" in tree.files and document.get("gypfile") is not False


def _workspace_notes(tree: ProjectTree, document: Document, workspace: Workspace | None) -> Iterator[str]:
    if workspace is None:
        return
    if workspace.problem:
        yield f"{workspace.declared_in} was not understood: {workspace.problem}"
    if workspace.root == tree.root and workspace.members and not document.get("bin"):
        places = ", ".join(sorted(tree.relative(member.directory) for member in workspace.members.values()))
        yield f"it is the root of a workspace, whose projects are in {places}: name the directory of one of them"


def _licence(document: Document) -> str:
    declared = document.get("licence", document.get("license"))
    old = [string(row.get("type")) for row in rows(document.get("licenses"))]
    return string(declared) or string(table(declared).get("type")) or " OR ".join(filter(None, old))


def _person(value: object) -> str:
    name = string(value) or string(table(value).get("name"))
    return re.split(r"\s*[<(]", name)[0].strip() or name


def _people(document: Document) -> Iterator[str]:
    for key in ("maintainers", "contributors"):
        people = document.get(key)
        if isinstance(people, list) and people:
            yield from filter(None, map(_person, people))
            return


def _repository(document: Document) -> str:
    declared = document.get("repository")
    url = string(declared) or string(table(declared).get("url"))
    return without_credentials(url.removeprefix("git+")).removesuffix(".git")
