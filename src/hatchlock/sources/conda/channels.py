"""Channels: which ones there are, under which names and addresses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["Channels", "CondaChannel"]

_DEFAULT_NAME = "conda"
_DEFAULT_CHANNEL = "conda-forge"


@dataclass(frozen=True, kw_only=True, slots=True)
class CondaChannel:
    """A channel.

    Attributes:
        name: As the lock records it.
        url: Its address (https, file, http to this machine), or a name at the place where conda's channels usually are; "" for
            `name` there, which of `conda` is conda-forge.
        mirrors: Further addresses that serve the same, asked in order when the one before cannot be reached.
        ttl: Seconds for which an answer is not asked for again; None for the usual.
    """

    name: str = _DEFAULT_NAME
    url: str = ""
    mirrors: tuple[str, ...] = ()
    ttl: float | None = None


class Channels:
    """The channels of a project, the first one that has a name owns it. Thread safe.

    Args:
        declared: Those of the manifest, in its order; without any it is the one named `conda`.
        usual: Returns the address of a channel at the place where conda's channels usually are.
        learn: Takes a user name and password out of an address, and returns it without them.
    """

    def __init__(
        self, declared: Sequence[CondaChannel], *, usual: Callable[[str], str], learn: Callable[[str], str]
    ) -> None:
        self._declared = tuple(declared) or (CondaChannel(),)
        self._usual = usual
        self._learn = learn
        self._lock = threading.Lock()
        self._bases: dict[CondaChannel, tuple[str, ...]] = {}

    def named(self, name: str) -> CondaChannel:
        """Return the channel that a requirement or the lock calls `name`.

        That is a declared one of that name, or whose address ends in it; otherwise the one of that name at the usual place.
        """
        ours = [channel for channel in self._declared if channel.name == name]
        ending = [channel for channel in self._declared if _path(channel.url or _meant(channel)).endswith(f"/{name}")]
        return next(iter([*ours, *ending]), CondaChannel(name=name, url=name))

    def with_those_of(self, names: Iterable[str]) -> tuple[CondaChannel, ...]:
        """Return the declared channels in their order, then those of other names, sorted."""
        others = {self.named(name) for name in names} - set(self._declared)
        return (*self._declared, *sorted(others, key=lambda channel: channel.name))

    def bases(self, channel: CondaChannel) -> tuple[str, ...]:
        """Return the addresses of a channel and its mirrors, without user names and slashes at their end."""
        with self._lock:
            if channel not in self._bases:
                urls = (channel.url or _meant(channel), *channel.mirrors)
                full = [url if "://" in url else self._usual(url) for url in urls]
                self._bases[channel] = tuple(self._learn(url).rstrip("/") for url in full)
            return self._bases[channel]


def _meant(channel: CondaChannel) -> str:
    return _DEFAULT_CHANNEL if channel.name == _DEFAULT_NAME else channel.name


def _path(url: str) -> str:
    return "/" + (urlsplit(url).path if "://" in url else url).strip("/")
