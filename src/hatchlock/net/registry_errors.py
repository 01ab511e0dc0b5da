"""The ways in which asking a registry for an image fails, as errors that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hatchlock.errors import HatchlockError

__all__ = [
    "ImageProblem",
    "ImageUnreachable",
    "LoginNeeded",
    "MissingPlatform",
    "NoAccess",
    "UnknownImage",
    "UnsupportedImage",
    "WrongLogin",
]


@dataclass(kw_only=True, eq=False)
class ImageProblem(HatchlockError):
    """An image that a registry does not give.

    Attributes:
        image: As it was asked for.
        registry: `host[:port]` of who was asked: a registry, or a mirror of it.
        tried: What came of the registry's mirrors, in the order in which they were asked before it.
        pushing: Whether the image was to be stored there, and not to come from there.
    """

    image: str
    registry: str
    tried: tuple[ImageProblem, ...] = ()
    pushing: bool = False

    def __str__(self) -> str:
        return "; ".join([self._sentence(), *(f"its mirror: {error}" for error in self.tried)])

    def _sentence(self) -> str:
        return self.code


@dataclass(kw_only=True, eq=False)
class ImageUnreachable(ImageProblem):
    """A registry that does not answer, or not as it should.

    Attributes:
        why: As a clause.
        advice: The hint; "" for the usual one.
        answered: Whether it did answer, though not as it should.
    """

    code: ClassVar[str] = "image-unreachable"

    why: str
    advice: str = ""
    answered: bool = True

    def _sentence(self) -> str:
        what = "pushed to" if self.pushing else "fetched from"
        return f"image {self.image} cannot be {what} {self.registry}: {self.why}"

    def _hint(self) -> str:
        if self.pushing:
            return self.advice or "check the registry's name, and push again: what it has already is not sent twice"
        if self.advice:
            return self.advice
        check = "check that the registry's name is right and that this machine reaches it"
        kind, _, name = self.address.partition(":")
        match kind:
            case "env":  # it is a base
                return f'{check}; a base of your own is named by base = "oci:…", and runtime = "process" needs none'
            case "server":
                return f"{check}; the others can be locked without it: hatchlock remove {name}"
        return check


@dataclass(kw_only=True, eq=False)
class UnknownImage(ImageProblem):
    """A registry that answers, and has no such image.

    Attributes:
        whole: It says that it has nothing at all of this name, whatever the tag.
    """

    code: ClassVar[str] = "unknown-image"

    whole: bool = False

    def _sentence(self) -> str:
        return f"{self.registry} has no image {self.image}" + (", nor any other of that name" if self.whole else "")

    def _hint(self) -> str:
        return "check its name and tag; a private image may also need `docker login`"


@dataclass(kw_only=True, eq=False)
class LoginNeeded(ImageProblem):
    """A registry that shows this image to nobody without a login; many say so of images that they do not have, too.

    Attributes:
        why_none: Why there is no login to give, where there is more to say than that none is known.
        login: Whether `docker login` would help.
    """

    code: ClassVar[str] = "login-needed"

    why_none: str = ""
    login: bool = True

    def _sentence(self) -> str:
        reason = f": {self.why_none}" if self.why_none else ""
        if self.pushing:
            return f"{self.registry} wants a login of whoever pushes {self.image}{reason}"
        return f"{self.registry} wants a login for image {self.image}, or has no such image{reason}"

    def _hint(self) -> str:
        if not self.login:
            return "let the registry speak https, and take plain-http out of its table in the manifest"
        return f"check the image's name, or log in: docker login {self.registry}"


@dataclass(kw_only=True, eq=False)
class WrongLogin(ImageProblem):
    """A registry that does not know the user and password that it was given, or no longer."""

    code: ClassVar[str] = "wrong-login"

    def _sentence(self) -> str:
        what = "pushed" if self.pushing else "fetched"
        return f"{self.registry} does not accept the login that is kept for it, so image {self.image} cannot be {what}"

    def _hint(self) -> str:
        return f"log in again: docker login {self.registry}"


@dataclass(kw_only=True, eq=False)
class NoAccess(ImageProblem):
    """A registry that knows whose login it was given, and does not show this image to them."""

    code: ClassVar[str] = "no-access"

    def _sentence(self) -> str:
        if self.pushing:
            return f"{self.registry} does not let this login push {self.image}"
        return f"{self.registry} does not let this login read image {self.image}, or has no such image"

    def _hint(self) -> str:
        if self.pushing:
            return "check the repository's name, or ask its owner for the right to push to it"
        return "check the image's name, or ask its owner for the right to pull it"


@dataclass(kw_only=True, eq=False)
class UnsupportedImage(ImageProblem):
    """Something that a registry has under this name, in a form that is not understood.

    Attributes:
        form: Its name, or its media type.
    """

    code: ClassVar[str] = "unsupported-image"

    form: str

    def _sentence(self) -> str:
        return f"image {self.image} is stored in {self.registry} as {self.form}, which is not supported"

    def _hint(self) -> str:
        return "push it again with a current tool: an OCI image, or Docker's image manifest version 2, schema 2"


@dataclass(kw_only=True, eq=False)
class MissingPlatform(HatchlockError):
    """An image that does not exist for a declared platform."""

    code: ClassVar[str] = "missing-platform"

    image: str
    platform: str
    available: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"image {self.image} does not exist for {self.platform}, only for {', '.join(self.available) or 'nothing'}"
        )

    def _hint(self) -> str:
        return "choose another image, or take the platform out of `[project] platforms`"
