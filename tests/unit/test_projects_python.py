"""What Python projects say without being run: every backend, and the older files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hatchlock.sources.projects.problems import BadProjectFile
from support.trees import facts_of

PACKAGE = {"src/my_server/__init__.py": "", "src/my_server/main.py": "def run(): ...\n"}


def pep621(backend: str = "", **more: str) -> dict[str, Any]:
    build = f'[build-system]\nrequires = []\nbuild-backend = "{backend}"\n' if backend else ""
    extra = "\n".join(more.values())
    return {
        "pyproject.toml": f'[project]\nname = "My_Server"\nversion = "1.0"\n{extra}\n{build}',
        **PACKAGE,
    }


def test_a_project_table_is_read_whatever_the_backend(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "pyproject.toml": """
                [project]
                name = "My_Server"
                version = "1.02"
                requires-python = ">=3.10,<4"
                license = "MIT"
                authors = [{ name = "Ann" }, { email = "bob@example.com" }]
                dependencies = ["MCP[cli] >=1.2", 'tomli>=2 ; python_version < "3.11"', "x @ https://u:p@example.com/x-1-py3-none-any.whl"]
                [project.optional-dependencies]
                Fast_Mode = ["uvloop"]
                [project.scripts]
                my-server = "my_server.main:run"
                [project.urls]
                Repository = "https://git.example.com/my-server"
                [build-system]
                requires = ["hatchling"]
                build-backend = "hatchling.build"
                """,
            **PACKAGE,
        },
    )
    assert facts.ecosystem == "python"
    assert facts.layout == "pyproject.toml (hatchling)"
    assert (facts.name, facts.version) == ("my-server", "1.2")
    assert facts.requirements == (
        "pypi:mcp[cli]>=1.2",
        'pypi:tomli>=2 ; python_version < "3.11"',
        "pypi:x @ https://example.com/x-1-py3-none-any.whl",
    )
    assert facts.extras == {"fast-mode": ("pypi:uvloop",)}
    assert facts.requires_python == "<4,>=3.10"
    assert facts.scripts == {"my-server": "my_server.main:run"}
    assert facts.import_root == "src"
    assert (facts.licence, facts.authors) == ("MIT", "Ann, bob@example.com")
    assert facts.repository == "https://git.example.com/my-server"
    assert facts.needs_build == ""
    assert facts.notes == ()


@pytest.mark.parametrize(
    ("files", "root"),
    [
        (pep621("hatchling.build", a='[tool.hatch.build.targets.wheel]\npackages = ["code/other"]') | {"code/other/__init__.py": ""}, "code"),
        (pep621("hatchling.build", a='[tool.hatch.build.targets.wheel]\nsources = ["code"]') | {"code/my_server/__init__.py": ""}, "code"),
        (pep621("setuptools.build_meta", a='[tool.setuptools.packages.find]\nwhere = ["code"]') | {"code/my_server/__init__.py": ""}, "code"),
        (pep621("setuptools.build_meta", a='[tool.setuptools]\npackage-dir = { "" = "code" }') | {"code/my_server.py": ""}, "code"),
        (pep621("pdm.backend", a='[tool.pdm.build]\npackage-dir = "code"') | {"code/my_server/a.py": ""}, "code"),
        (pep621("uv_build", a='[tool.uv.build-backend]\nmodule-root = ""') | {"my_server/__init__.py": ""}, "."),
        (pep621("uv_build"), "src"),
        ({"pyproject.toml": '[project]\nname = "my-server"\nversion = "1"\n', "my_server/__init__.py": ""}, "."),
        ({"pyproject.toml": '[project]\nname = "my-server"\nversion = "1"\n', "my_server.py": ""}, "."),
        ({"pyproject.toml": '[project]\nname = "my-server"\nversion = "1"\n', "src/else/__init__.py": "", "tests/a.py": ""}, "src"),
        ({"pyproject.toml": '[project]\nname = "acme.server"\nversion = "1"\n', "src/acme/server/a.py": ""}, "src"),
        ({"pyproject.toml": '[project]\nname = "x"\nversion = "1"\n[project.scripts]\nx = "pkg.cli:main"\n', "x/__init__.py": "", "lib/pkg/cli.py": ""}, "lib"),
    ],
)  # fmt: skip
def test_the_directory_to_import_from_is_found(tmp_path: Path, files: dict[str, Any], root: str) -> None:
    facts = facts_of(tmp_path, files)
    assert facts.import_root == root
    assert facts.needs_build == ""


def test_poetrys_own_tables_are_translated(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "pyproject.toml": """
                [tool.poetry]
                name = "my-server"
                version = "0.3.0"
                license = "MIT"
                authors = ["Ann <ann@example.com>"]
                repository = "https://git.example.com/x"
                packages = [{ include = "my_server", from = "code" }]
                [tool.poetry.dependencies]
                python = "^3.10"
                httpx = "^0.27"
                mcp = { version = "~1.2.3", extras = ["cli"] }
                old = { version = "*", python = "<3.12", markers = "os_name == 'posix'" }
                uvloop = { version = "^0.19", optional = true, platform = "linux" }
                core = { path = "../core", develop = true }
                lib = { git = "https://token@git.example.com/lib.git", tag = "v1", subdirectory = "py" }
                many = [{ version = "<2", python = "<3.11" }, { version = ">=2", python = ">=3.11" }]
                [tool.poetry.group.dev.dependencies]
                pytest = "*"
                [tool.poetry.extras]
                fast = ["uvloop"]
                [tool.poetry.scripts]
                my-server = "my_server:main"
                [build-system]
                build-backend = "poetry.core.masonry.api"
                """,
            "code/my_server/__init__.py": "",
        },
    )
    assert facts.requirements == (
        "git:https://git.example.com/lib.git@v1#subdirectory=py",
        "path:../core",
        "pypi:httpx<0.28,>=0.27",
        'pypi:many<2 ; python_version < "3.11"',
        'pypi:many>=2 ; python_version >= "3.11"',
        "pypi:mcp[cli]<1.3.0,>=1.2.3",
        'pypi:old ; os_name == "posix" and python_version < "3.12"',
    )
    assert facts.extras == {"fast": ('pypi:uvloop<0.20,>=0.19 ; sys_platform == "linux"',)}
    assert facts.requires_python == "<4.0,>=3.10"
    assert facts.scripts == {"my-server": "my_server:main"}
    assert (facts.layout, facts.import_root) == ("pyproject.toml (poetry)", "code")
    assert (facts.authors, facts.repository, facts.licence) == ("Ann", "https://git.example.com/x", "MIT")


def test_setup_cfg_is_read(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "setup.cfg": """
                [metadata]
                name = my-server
                version = attr: my_server.__version__
                license = MIT
                author = Ann
                project_urls =
                    Source = https://git.example.com/x
                [options]
                python_requires = >=3.9
                install_requires =
                    mcp>=1
                    tomli ; python_version < "3.11"
                package_dir =
                    = src
                packages = find:
                [options.packages.find]
                where = src
                [options.extras_require]
                fast = uvloop
                [options.entry_points]
                console_scripts =
                    my-server = my_server.main:run [fast]
                """,
            "setup.py": "from setuptools import setup\nsetup()\n",
            **PACKAGE,
            "src/my_server/__init__.py": "__version__ = '2.0'\n",
        },
    )
    assert (facts.name, facts.version, facts.layout) == ("my-server", "2.0", "setup.py, setup.cfg")
    assert facts.requirements == ("pypi:mcp>=1", 'pypi:tomli ; python_version < "3.11"')
    assert facts.extras == {"fast": ("pypi:uvloop",)}
    assert facts.scripts == {"my-server": "my_server.main:run"}
    assert (facts.import_root, facts.requires_python) == ("src", ">=3.9")
    assert (facts.licence, facts.authors, facts.repository) == ("MIT", "Ann", "https://git.example.com/x")


def test_a_literal_setup_py_is_read(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "setup.py": """
                import setuptools
                VERSION = "1." + "5"
                COMMON = ["mcp>=1"]
                meta = dict
                setuptools.setup(
                    name="my-server", version=f"{VERSION}.0", install_requires=COMMON + ["httpx"],
                    packages=setuptools.find_packages(where="src"), package_dir={"": "src"},
                    extras_require={"fast": ["uvloop"]}, python_requires=">=3.9",
                    entry_points={"console_scripts": ["my-server=my_server.main:run"]},
                    long_description=open("README.md").read(), **{"license": "MIT"},
                )
                """,
            **PACKAGE,
        },
    )
    assert (facts.name, facts.version, facts.licence) == ("my-server", "1.5.0", "MIT")
    assert facts.requirements == ("pypi:httpx", "pypi:mcp>=1")
    assert facts.scripts == {"my-server": "my_server.main:run"}
    assert facts.import_root == "src"
    assert facts.needs_build == ""
    assert facts.notes == ()


def test_computed_requirements_are_those_of_requirements_txt_and_it_is_said(tmp_path: Path) -> None:
    files = {
        "setup.py": "from setuptools import setup\nsetup(name='x', packages=['x'], install_requires=open('requirements.txt').read())\n",
        "x/__init__.py": "",
    }
    facts = facts_of(tmp_path / "a", {**files, "requirements.txt": "mcp==1.2\n"})
    assert facts.requirements == ("pypi:mcp==1.2",)
    assert any("computed" in note and "requirements.txt" in note for note in facts.notes)
    assert facts_of(tmp_path / "b", files).needs_build == (
        "the install_requires of setup.py are computed, and are known only when it is built"
    )


def test_names_that_are_bound_twice_or_never_end_are_computed(tmp_path: Path) -> None:
    body = "a = ['x']\na = ['y']\nb0 = ['z']\n" + "".join(f"b{i + 1} = b{i} + b{i}\n" for i in range(60))
    body += "c = [c]\nfrom setuptools import setup\nsetup(name='x', packages=['x'], install_requires={})\n"
    for number, value in enumerate(("a", "b60", "c", "d", "'q'.split()")):
        facts = facts_of(tmp_path / str(number), {"setup.py": body.format(value), "x/__init__.py": ""})
        assert "computed" in facts.needs_build


@pytest.mark.parametrize(
    ("settings", "files", "version"),
    [
        ("[tool.setuptools.dynamic]\nversion = { attr = 'my_server.__version__' }", {"src/my_server/__init__.py": "__version__: str = '1.4'\n"}, "1.4"),
        ("[tool.setuptools.dynamic]\nversion = { file = ['VERSION'] }", {"VERSION": "1.5\n"}, "1.5"),
        ("[tool.setuptools.dynamic]\nversion = { file = 'VERSION' }", {"VERSION": "1.5\n"}, "1.5"),
        ("[tool.hatch.version]\npath = 'src/my_server/about.py'", {"src/my_server/about.py": "# x\n__version__ = 'v1.6'\n"}, "1.6"),
        ("[tool.pdm.version]\nsource = 'file'\npath = 'src/my_server/v.py'", {"src/my_server/v.py": "VERSION = '1.7'\n"}, "1.7"),
        ("[build-system]\nbuild-backend = 'flit_core.buildapi'", {"src/my_server/__init__.py": "__version__ = '1.8'\n"}, "1.8"),
        ("[tool.hatch.version]\nsource = 'vcs'", {}, "0"),
        ("[tool.setuptools.dynamic]\nversion = { attr = 'my_server.version' }", {"src/my_server/__init__.py": "version = compute()\n"}, "0"),
        ("[tool.setuptools.dynamic]\nversion = { file = '../../etc/passwd' }", {}, "0"),
    ],
)  # fmt: skip
def test_a_dynamic_version_is_read_where_it_is_literal(
    tmp_path: Path, settings: str, files: dict[str, Any], version: str
) -> None:
    document = f'[project]\nname = "my-server"\ndynamic = ["version"]\n{settings}\n'
    facts = facts_of(tmp_path, {"pyproject.toml": document, **PACKAGE, **files})
    assert (facts.version, facts.needs_build) == (version, "")


def test_dynamic_dependencies_are_read_from_the_files_that_are_named(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        pep621(a='dynamic = ["dependencies", "optional-dependencies"]\n[tool.setuptools.dynamic]\ndependencies = { file = ["req/base.txt"] }\noptional-dependencies.fast = { file = "req/fast.txt" }')
        | {"req/base.txt": "mcp\n", "req/fast.txt": "uvloop\n"},
    )  # fmt: skip
    assert facts.requirements == ("pypi:mcp",)
    assert facts.extras == {"fast": ("pypi:uvloop",)}


def test_requirements_files_are_read_as_pip_reads_them(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "requirements.txt": """
                # what it needs
                --index-url https://u:secret@example.com/simple
                -r more/base.txt   # and more
                -c constraints.txt
                mcp[cli]==1.9.0 \\
                    --hash=sha256:aaaa \\
                    --hash=sha256:bbbb
                httpx>=0.27;python_version>="3.8"  # comment
                -e .
                -e ./libs/core
                -e git+https://example.com/lib.git@v2#egg=lib&subdirectory=py
                tool @ git+ssh://git@example.com/tool.git@main
                """,
            "more/base.txt": "-r ../requirements.txt\nanyio\n../libs/util\n",
            "constraints.txt": "anyio==4.1\nidna<4\n",
            "server.py": "if __name__ == '__main__':\n    pass\n",
        },
    )
    assert facts.layout == "requirements.txt"
    assert facts.requirements == (
        "git:https://example.com/lib.git@v2#subdirectory=py",
        "git:ssh://git@example.com/tool.git@main",
        "path:libs/core",
        "path:libs/util",
        "pypi:anyio",
        'pypi:httpx>=0.27 ; python_version >= "3.8"',
        "pypi:mcp[cli]==1.9.0",
    )
    assert facts.pins == {"pypi:anyio": ("4.1",), "pypi:mcp": ("1.9.0",)}
    assert facts.import_root == "."
    assert facts.needs_build == ""
    assert "--index-url in requirements.txt is not taken: say it in the manifest if it is needed" in facts.notes
    assert any('["python", "-m", "server"]' in note for note in facts.notes)
    assert not any("secret" in note for note in facts.notes)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("-r ../outside.txt", "not in the project"),
        ("-r missing.txt", "not in the project"),
        ("mcp === = 1", "no requirement"),
        ("https://example.com/x.whl", "does not say which package"),
        ("x @ https://${TOKEN}@example.com/x.whl", "variable of the environment"),
        ("-e /opt/elsewhere", "only one machine has"),
        ("x @ file:///opt/elsewhere", "only one machine has"),
        ("-e ./core[fast]", "without its name"),
    ],
)
def test_what_cannot_be_locked_is_named_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    (tmp_path / "outside.txt").write_text("x\n")
    with pytest.raises(BadProjectFile, match=complaint) as caught:
        facts_of(tmp_path / "p", {"requirements.txt": f"mcp\n{line}\n"})
    assert caught.value.hint


def test_a_pipfile_is_read(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "Pipfile": """
                [packages]
                mcp = "*"
                httpx = { version = ">=0.27", extras = ["http2"], sys_platform = "== 'linux'" }
                lib = { git = "https://example.com/lib.git", ref = "v1" }
                core = { path = "./core", editable = true }
                [dev-packages]
                pytest = "*"
                [requires]
                python_version = "3.11"
                """,
            "main.py": "",
        },
    )
    assert facts.layout == "Pipfile"
    assert facts.requires_python == "==3.11.*"
    assert facts.requirements == (
        "git:https://example.com/lib.git@v1",
        "path:core",
        'pypi:httpx[http2]>=0.27 ; sys_platform == "linux"',
        "pypi:mcp",
    )


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (pep621("maturin"), "it has an extension module that maturin compiles"),
        (pep621("mesonpy"), "it has an extension module that meson-python compiles"),
        (pep621("scikit_build_core.build"), "it has an extension module that scikit-build-core compiles"),
        (pep621("setuptools.build_meta", a="[[tool.setuptools.ext-modules]]\nname = 'x'"), "extension modules"),
        ({"setup.py": "setup(name='x', packages=['x'], ext_modules=[Extension('x.y', ['y.c'])])", "x/__init__.py": ""}, "ext_modules"),
        ({"setup.py": "setup(name='x', packages=['x'], ext_modules=cythonize('x/*.pyx'))", "x/__init__.py": ""}, "ext_modules"),
        (pep621("poetry.core.masonry.api", a='[tool.poetry.build]\nscript = "make.py"'), "make.py"),
        (pep621(a='[project.scripts]\nx = "gone.cli:main"'), "its command calls the module gone.cli, which is not there"),
        ({"pyproject.toml": '[project]\nname = "x"\nversion = "1"\n', "README.md": ""}, "no package or module"),
        (pep621(a='dynamic = ["dependencies"]'), "computed"),
        (
            pep621("hatchling.build", a='[tool.hatch.build.hooks.vcs]\nversion-file = "src/my_server/_version.py"')
            | {"src/my_server/__init__.py": "from my_server._version import version\n"},
            "src/my_server/__init__.py imports _version.py, which only its build makes",
        ),
        (
            pep621("setuptools.build_meta", a='[tool.setuptools_scm]\nwrite_to = "src/my_server/_version.py"')
            | {"src/my_server/__init__.py": "from . import _version\n"},
            "imports _version.py",
        ),
        (pep621("setuptools.build_meta", a='[tool.setuptools]\npackage-dir = { my_server = "lib" }'), "another name"),
    ],
)  # fmt: skip
def test_what_needs_a_build_says_why(tmp_path: Path, files: dict[str, Any], reason: str) -> None:
    assert reason in facts_of(tmp_path, files).needs_build


@pytest.mark.parametrize(
    "files",
    [
        pep621("hatchling.build", a='[tool.hatch.build.hooks.vcs]\nversion-file = "src/my_server/_version.py"')
        | {"src/my_server/__init__.py": "try:\n    from ._version import version\nexcept ImportError:\n    version = '0'\n"},
        pep621("setuptools.build_meta", a='[tool.setuptools_scm]\nversion_file = "src/my_server/_version.py"')
        | {"src/my_server/_version.py": "version = '1'\n", "src/my_server/__init__.py": "from ._version import version\n"},
        {"setup.py": "setup(name='x', packages=['x'], ext_modules=[])", "x/__init__.py": ""},
        pep621("setuptools.build_meta", a='[tool.setuptools]\npackage-dir = { my_server = "src/my_server" }'),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_build_needs_none(tmp_path: Path, files: dict[str, Any]) -> None:
    assert facts_of(tmp_path, files).needs_build == ""


def test_uv_sources_give_requirements_their_place(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        pep621(
            a='dependencies = ["core[fast]>=1", "lib", "wheel-one", "both ; os_name == \'nt\'", "plain"]',
            b="""
[tool.uv.sources]
core = { path = "../core", editable = true }
lib = { git = "https://example.com/lib", branch = "main", subdirectory = "py" }
Wheel_One = { url = "https://example.com/wheel_one-1-py3-none-any.whl" }
both = [{ path = "nt", marker = "sys_platform == 'win32'" }, { index = "inner" }]
""",
        ),
    )
    assert facts.requirements == (
        "git:https://example.com/lib@main#subdirectory=py",
        "path:../core",
        'path:nt ; os_name == "nt" and sys_platform == "win32"',
        'pypi:both ; os_name == "nt"',
        "pypi:core[fast]>=1",
        "pypi:plain",
        "pypi:wheel-one @ https://example.com/wheel_one-1-py3-none-any.whl",
    )
    assert any("index 'inner'" in note for note in facts.notes)


def test_members_of_a_uv_workspace_find_each_other_and_their_lock(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": """
            [project]
            name = "whole"
            version = "1"
            [tool.uv.workspace]
            members = ["packages/*"]
            exclude = ["packages/old"]
            [tool.uv.sources]
            core = { workspace = true }
            vendored = { path = "vendor/v" }
            """,
        "uv.lock": 'version = 1\n[[package]]\nname = "mcp"\nversion = "1.9"\nsource = { registry = "x" }\n[[package]]\nname = "core"\nversion = "1"\nsource = { editable = "packages/core" }\n',
        "packages/core/pyproject.toml": '[project]\nname = "Core"\nversion = "1"\n',
        "packages/core/core.py": "",
        "packages/old/pyproject.toml": '[project]\nname = "old"\nversion = "1"\n',
        "packages/server/pyproject.toml": '[project]\nname = "server"\nversion = "1"\ndependencies = ["core", "mcp", "vendored"]\n',
        "packages/server/server.py": "",
    }
    facts = facts_of(tmp_path, files, "packages/server")
    assert facts.requirements == ("path:../../vendor/v", "path:../core", "pypi:mcp")
    assert facts.pins == {"pypi:mcp": ("1.9",)}
    assert facts.layout == "pyproject.toml, ../../uv.lock"
    alone = facts_of(tmp_path / "packages" / "server", {})
    assert alone.requirements == ("pypi:core", "pypi:mcp", "pypi:vendored")


def test_a_workspace_that_does_not_hold_what_is_asked_of_it_is_named(tmp_path: Path) -> None:
    files = pep621(a='dependencies = ["core"]\n[tool.uv.sources]\ncore = { workspace = true }')
    with pytest.raises(BadProjectFile, match="core is of its workspace"):
        facts_of(tmp_path, files)


@pytest.mark.parametrize(
    ("files", "file"),
    [
        ({"pyproject.toml": "[project\n"}, "pyproject.toml"),
        ({"pyproject.toml": "[project]\nname = 'x'\ndependencies = ['not a requirement at all']\n"}, "pyproject.toml"),
        ({"setup.cfg": "metadata\n"}, "setup.cfg"),
        ({"setup.py": "def (\n"}, "setup.py"),
        ({"Pipfile": "[packages]\nx = 'oops'\n"}, "Pipfile"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, files: dict[str, Any], file: str) -> None:
    with pytest.raises(BadProjectFile) as caught:
        facts_of(tmp_path, files, as_="python")
    assert caught.value.file == file
    assert caught.value.hint


def test_values_of_the_wrong_type_are_no_traceback(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path,
        {
            "pyproject.toml": """
                [project]
                name = 3
                version = ["1"]
                requires-python = "what"
                dependencies = "mcp"
                scripts = 1
                urls = []
                authors = "me"
                [tool]
                hatch = 1
                setuptools = []
                uv.sources = 3
                """,
            "x.py": "",
        },
    )
    assert facts.name == tmp_path.name.replace("_", "-").lower()
    assert facts.version == "0"
    assert any("requires-python 'what'" in note for note in facts.notes)
