"""`server.json`, the document that describes an MCP server: every schema of it since 2025-07-09, as one set of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import rfc8785
from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from hatchlock.sources.base import BadAnswer

__all__ = [
    "Argument",
    "Document",
    "Input",
    "NamedInput",
    "Package",
    "Repository",
    "Server",
    "Transport",
    "canonical_document",
    "parse_server",
    "read_document",
]


def _both_spellings(name: str) -> AliasChoices:
    return AliasChoices(to_camel(name), name)


class Document(BaseModel):
    """What is read tolerantly: unknown keys are left out, null is absent, names are camelCase or, as of old, snake_case."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=AliasGenerator(validation_alias=_both_spellings)
    )

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


def _as_text(value: Any) -> Any:
    """Publishers write `8080` and `true` where the schema says "8080" and "true"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


_Value = Annotated[str, BeforeValidator(_as_text)]
_Flag = Annotated[bool, Field(strict=True)]


class Input(Document):
    """A value that is fixed, has a default, or is to be given by whoever sets the server up.

    Attributes:
        description: For people.
        is_required: Whether there has to be a value.
        format: "string", "number", "boolean", "filepath", or what a publisher made up.
        value: Fixed; may hold `{name}` of `variables`. "" if it is not fixed.
        is_secret: Whether nobody may see the value.
        default: "" if there is none.
        placeholder: An example for people.
        choices: The values that are allowed; empty: any.
        variables: What `{name}` in `value` stands for.
    """

    description: str = ""
    is_required: _Flag = False
    format: str = "string"
    value: _Value = ""
    is_secret: _Flag = False
    default: _Value = ""
    placeholder: _Value = ""
    choices: tuple[_Value, ...] = ()
    variables: dict[str, Input] = {}


class NamedInput(Input):
    """An environment variable or a header."""

    name: str


class Argument(Input):
    """An argument of a command line.

    Attributes:
        type: "named" for an option with its dashes, "positional" for a word.
        name: The option.
        value_hint: What to call a word.
        is_repeated: Whether it may be given several times.
    """

    type: Literal["positional", "named"]
    name: str = ""
    value_hint: str = ""
    is_repeated: _Flag = False

    @model_validator(mode="before")
    @classmethod
    def _with_type(cls, value: Any) -> Any:
        if isinstance(value, dict) and "type" not in value:
            return {**value, "type": "named" if value.get("name") else "positional"}
        return value


class Transport(Document):
    """How a server is spoken to.

    Attributes:
        type: "stdio", "streamable-http" or "sse".
        url: Where it answers, unless it is stdio; may hold `{name}`.
        headers: What requests carry.
        variables: What `{name}` in `url` stands for; of packages it may also be an argument or a variable of theirs.
    """

    type: str = Field(default="stdio", validation_alias=AliasChoices("type", "transportType", "transport_type"))
    url: str = ""
    headers: tuple[NamedInput, ...] = ()
    variables: dict[str, Input] = {}


class Package(Document):
    """One form in which a server is published.

    Attributes:
        registry_type: "npm", "pypi", "oci", "mcpb", "nuget", "cargo", "go", or what is yet to come.
        registry_base_url: Which registry has it; "" for the usual one of its kind.
        identifier: The package's name, the image's reference, or the bundle's address.
        version: Exact; "" where the identifier holds it.
        file_sha256: Of a bundle, 64 hex digits; "" if it is not said.
        runtime_hint: The program that is meant to start it (`uvx`); free text.
        transport: How it is spoken to.
        runtime_arguments: Those before the package, meant for the program that starts it.
        package_arguments: Those behind it.
        environment_variables: What it reads.
    """

    registry_type: str
    registry_base_url: str = ""
    identifier: str
    version: _Value = ""
    file_sha256: str = ""
    runtime_hint: str = ""
    transport: Transport = Transport()
    runtime_arguments: tuple[Argument, ...] = ()
    package_arguments: tuple[Argument, ...] = ()
    environment_variables: tuple[NamedInput, ...] = ()


class Repository(Document):
    """Where the source is.

    Attributes:
        url: Its address.
        source: The forge: "github".
        subfolder: Where in it.
    """

    url: str = ""
    source: str = ""
    subfolder: str = ""


class Server(Document):
    """A whole `server.json`.

    Attributes:
        schema_url: Which schema it says that it has.
        name: `io.github.owner/name`.
        description: One sentence.
        title: A name for people, or "".
        version: Exact.
        website_url: Or "".
        repository: Where the source is.
        packages: The forms in which it can be installed.
        remotes: Where it runs already.
    """

    schema_url: str = Field(default="", validation_alias="$schema")
    name: str
    description: str = ""
    title: str = ""
    version: _Value = ""
    website_url: str = ""
    repository: Repository = Repository()
    packages: tuple[Package, ...] = ()
    remotes: tuple[Transport, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_version(cls, value: Any) -> Any:
        detail = value.get("version_detail") if isinstance(value, dict) else None
        if isinstance(detail, dict) and "version" not in value:
            return {**value, "version": detail.get("version")}
        return value


_Read = TypeVar("_Read", bound=BaseModel)


def read_document(model: type[_Read], value: Any, *, what: str) -> _Read:
    """Return a part of an answer as a value.

    Args:
        model: Which part.
        value: JSON values.
        what: Where it is from, for messages.

    Raises:
        BadAnswer: It does not have that form; it says where.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadAnswer(what=what, why=f"{where}: {first['msg']}" if where else first["msg"]) from None
    except RecursionError:
        raise BadAnswer(what=what, why="its values are nested too deeply") from None


def parse_server(value: Any, *, what: str) -> Server:
    """Return a `server.json` as a value.

    Args:
        value: JSON values.
        what: Where it is from, for messages.

    Raises:
        BadAnswer: It is none; it says where.
    """
    return read_document(Server, value, what=what)


def canonical_document(value: Mapping[str, Any], *, what: str) -> bytes:
    """Return a document in the one form that is hashed: canonical JSON by RFC 8785.

    Args:
        value: JSON values.
        what: Where it is from, for messages.

    Raises:
        BadAnswer: It holds a number that has no such form.
    """
    try:
        return rfc8785.dumps(dict(value))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise BadAnswer(what=what, why=f"it has no canonical form ({error})") from None
