"""What setuptools reads before pyproject.toml had a table for it: setup.cfg, and setup.py as far as it is literal."""

from __future__ import annotations

import ast
import configparser
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

from hatchlock.sources.projects.loose import string, strings, table
from hatchlock.sources.projects.problems import BadProjectFile
from hatchlock.sources.projects.tree import ProjectTree

__all__ = ["SetupFacts", "console_scripts", "read_setup", "read_setup_cfg", "read_setup_py"]

_LONGEST_TEXT = 1 << 20
_MOST_VALUES = 20_000
_COMPILED = ("ext_modules", "cffi_modules", "rust_extensions", "cython_modules", "mypyc_modules")


@dataclass(kw_only=True, slots=True)
class SetupFacts:
    """What such a file declares.

    Attributes:
        name: As written, or "".
        version: As written, or "".
        version_from: Where it is instead: `attr: pkg.__version__` or `file: VERSION`.
        requires_python: As written, or "".
        requirements: PEP 508 lines; None if the file does not declare them or computes them.
        requirement_files: Requirements files that it takes them from.
        extras: Extra -> PEP 508 lines.
        scripts: Console script -> `module:function`.
        licence: As written, or "".
        authors: As written, or "".
        urls: Label -> address.
        classifiers: As written.
        package_dir: Package -> directory; "" stands for all.
        find_in: Where packages are looked for, or "".
        packages: Top-level names that are declared, packages and modules.
        compiled: The keyword that declares an extension module, or "".
        computed: Keywords whose value is computed, so that it cannot be read.
    """

    name: str = ""
    version: str = ""
    version_from: str = ""
    requires_python: str = ""
    requirements: tuple[str, ...] | None = None
    requirement_files: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    authors: str = ""
    urls: Mapping[str, str] = field(default_factory=dict)
    classifiers: tuple[str, ...] = ()
    package_dir: Mapping[str, str] = field(default_factory=dict)
    find_in: str = ""
    packages: tuple[str, ...] = ()
    compiled: str = ""
    computed: tuple[str, ...] = ()


def console_scripts(lines: Iterable[str]) -> dict[str, str]:
    """Read `name = module:function` lines; what is no such line is left out, and an extra behind it too."""
    pairs = (line.partition("=") for line in lines)
    found = {name.strip(): target.partition("[")[0].strip() for name, equals, target in pairs if equals}
    return {name: target for name, target in found.items() if name and target}


def read_setup(tree: ProjectTree) -> SetupFacts | None:
    """Return what setup.cfg says and, over it, what setup.py says; None if there is neither.

    Raises:
        BadProjectFile: One of them cannot be read.
    """
    configured, called = read_setup_cfg(tree), read_setup_py(tree)
    if configured is None or called is None:
        return called or configured
    merged = replace(configured)
    for item in fields(SetupFacts):
        value = getattr(called, item.name)
        if value or (item.name == "requirements" and value is None):
            setattr(merged, item.name, value)
    return merged


def read_setup_cfg(tree: ProjectTree) -> SetupFacts | None:
    """Read setup.cfg; None if there is none or it describes no package (it is other tools' file, too).

    Raises:
        BadProjectFile: It is no such file.
    """
    text = tree.text("setup.cfg")
    if text is None:
        return None
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        why = str(error).replace("\n", " ")
        raise BadProjectFile(file="setup.cfg", why=why) from error
    if not parser.has_section("metadata") and not parser.has_section("options"):
        return None
    return _from_cfg(parser)


def _from_cfg(parser: configparser.RawConfigParser) -> SetupFacts:
    def value(section: str, *names: str) -> str:
        for name in names:
            for spelling in (name, name.replace("_", "-")):
                if parser.has_option(section, spelling):
                    return str(parser.get(section, spelling)).strip()
        return ""

    version = value("metadata", "version")
    named = version.startswith(("attr:", "file:"))
    required = value("options", "install_requires")
    from_files = _words(required.removeprefix("file:")) if required.startswith("file:") else ()
    extras = parser.items("options.extras_require") if parser.has_section("options.extras_require") else []
    finds = parser.has_section("options.packages.find")
    packages = value("options", "packages")
    return SetupFacts(
        name=value("metadata", "name"),
        version="" if named else version,
        version_from=version if named else "",
        requires_python=value("options", "python_requires"),
        requirements=() if from_files else _lines(required),
        requirement_files=from_files,
        extras={name: _lines(lines) for name, lines in extras},
        scripts=console_scripts(_lines(value("options.entry_points", "console_scripts"))),
        licence=value("metadata", "license"),
        authors=value("metadata", "author", "maintainer") or value("metadata", "author_email", "maintainer_email"),
        urls=_urls(value("metadata", "url", "home_page"), _pairs(value("metadata", "project_urls"))),
        classifiers=_lines(value("metadata", "classifiers", "classifier")),
        package_dir=_pairs(value("options", "package_dir")),
        find_in=value("options.packages.find", "where") if finds else "",
        packages=(*(() if "find" in packages else _words(packages)), *_words(value("options", "py_modules"))),
        compiled=next((word for word in _COMPILED if value("options", word)), ""),
    )


def _lines(text: str) -> tuple[str, ...]:
    stripped = (line.strip() for line in text.splitlines())
    return tuple(line for line in stripped if line and not line.startswith("#"))


def _urls(homepage: str, others: Mapping[str, object]) -> dict[str, str]:
    urls = {"homepage": homepage} | {label: string(url) for label, url in others.items()}
    return {label: url for label, url in urls.items() if url}


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for line in _lines(text) for word in line.replace(",", " ").split())


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in _lines(text))
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_setup_py(tree: ProjectTree) -> SetupFacts | None:
    """Read the arguments of `setup(…)` in setup.py without running it; None if there is no such file or no such call.

    Literals are read, lists and tables of them, sums and f-strings, and names bound to them once at the top of the file.
    Everything else is named in `computed`.

    Raises:
        BadProjectFile: It is no Python.
    """
    text = tree.text("setup.py")
    if text is None:
        return None
    try:
        module = ast.parse(text[:_LONGEST_TEXT])
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadProjectFile(file="setup.py", why=f"it is no Python: {error}") from error
    call = next((node for node in ast.walk(module) if _is_setup(node)), None)
    if not isinstance(call, ast.Call):
        return None
    return _from_arguments(_Names.of(module), call)


def _is_setup(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "setup"


class _Computed(Exception):
    """A value is not literal."""


_UNREADABLE = (_Computed, RecursionError)


@dataclass(kw_only=True, slots=True)
class _Names:
    """The names that are bound once, at the top of the module, and how many values were already read."""

    bound: Mapping[str, ast.expr]
    read: int = 0

    @classmethod
    def of(cls, module: ast.Module) -> _Names:
        bindings = (
            node.id for node in ast.walk(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        times = Counter(bindings)
        found: dict[str, ast.expr] = {}
        for statement in module.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                found[statement.targets[0].id] = statement.value
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                found[statement.target.id] = statement.value
        return cls(bound={name: value for name, value in found.items() if times[name] == 1})

    def value(self, node: ast.expr | None) -> object:
        """Return what an expression is.

        Raises:
            _Computed: It is not literal, or it is made to explode.
        """
        self.read += 1
        if self.read > _MOST_VALUES:
            raise _Computed
        match node:
            case ast.Constant():
                return node.value
            case ast.List() | ast.Tuple():
                return [self.value(item) for item in node.elts]
            case ast.Dict():
                return {
                    str(self.value(key)): self.value(value) for key, value in zip(node.keys, node.values, strict=True)
                }
            case _:
                return self._combined(node)

    def _combined(self, node: ast.expr | None) -> object:
        match node:
            case ast.Name() if node.id in self.bound:
                return self.value(self.bound[node.id])
            case ast.BinOp(op=ast.Add()):
                return _sum(self.value(node.left), self.value(node.right))
            case ast.JoinedStr():
                return "".join(str(self.value(part)) for part in node.values)
            case ast.FormattedValue(conversion=-1, format_spec=None):
                return self.value(node.value)
            case _:
                raise _Computed


def _sum(left: object, right: object) -> object:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        return left + right
    raise _Computed


def _arguments(names: _Names, call: ast.Call) -> Iterator[tuple[str, ast.expr | object]]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg, keyword.value
            continue
        try:
            value = names.value(keyword.value)
        except _UNREADABLE:
            yield "**", keyword.value
            continue
        yield from table(value).items()


def _from_arguments(names: _Names, call: ast.Call) -> SetupFacts:
    known: dict[str, object] = {}
    computed: list[str] = []
    find_in = ""
    compiled = ""
    for name, given in _arguments(names, call):
        if name in _COMPILED and not (isinstance(given, ast.List) and not given.elts):
            compiled = name
        if name == "packages" and isinstance(given, ast.Call):
            find_in = _where(names, given)
            continue
        try:
            known[name] = names.value(given) if isinstance(given, ast.expr) else given
        except _UNREADABLE:
            computed.append(name)
    entry_points = table(known, "entry_points").get("console_scripts")
    requirements = known.get("install_requires", None if "install_requires" in computed else ())
    return SetupFacts(
        name=string(known.get("name")),
        version=string(known.get("version")),
        requires_python=string(known.get("python_requires")),
        requirements=None if requirements is None else _texts(requirements),
        extras={name: _texts(lines) for name, lines in table(known, "extras_require").items()},
        scripts=console_scripts(_texts(entry_points)),
        licence=string(known.get("license")),
        authors=string(known.get("author")) or string(known.get("maintainer")) or string(known.get("author_email")),
        urls=_urls(string(known.get("url")), table(known, "project_urls")),
        classifiers=_texts(known.get("classifiers")),
        package_dir={name: string(path) for name, path in table(known, "package_dir").items()},
        find_in=find_in,
        packages=(*_texts(known.get("packages")), *_texts(known.get("py_modules"))),
        compiled=compiled,
        computed=tuple(computed),
    )


def _texts(value: object) -> tuple[str, ...]:
    return _lines(value) if isinstance(value, str) else strings(value)


def _where(names: _Names, call: ast.Call) -> str:
    given = call.args[:1] + [keyword.value for keyword in call.keywords if keyword.arg == "where"]
    try:
        return string(names.value(given[0])) if given else "."
    except _UNREADABLE:
        return ""
