"""One question to a registry or a mirror: with the user's login where it wants one, and every failure as an error of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import urllib3

from hatchlock.net.failures import Unreachable
from hatchlock.net.registry_errors import ImageUnreachable
from hatchlock.net.registry_login import Logins
from hatchlock.net.registry_places import Place
from hatchlock.net.registry_wire import Answer, Wire, discard, reason_of, same_origin

__all__ = ["Session"]

_FOLLOWED = frozenset({"GET", "HEAD"})
_UNAUTHORIZED = 401
_FORBIDDEN = 403


class Session:
    """Connections and logins. May be used from several threads.

    Args:
        environ: The user's variables: credentials (`HOME`, `DOCKER_CONFIG`), proxies, certificate files.
        actions: What a token is asked for where the registry does not say it: "pull" or "pull,push".
    """

    def __init__(self, environ: Mapping[str, str], *, actions: str = "pull") -> None:
        self._wire = Wire(environ)
        self._logins = Logins(environ, self._wire, actions=actions)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    @contextlib.contextmanager
    def ask(
        self,
        place: Place,
        image: str,
        url: str,
        headers: Mapping[str, str],
        *,
        method: str = "GET",
        body: bytes | Path | None = None,
        repeat: bool = True,
    ) -> Iterator[Answer]:
        """Ask, and once more with a login where the registry itself wants one; its answer lives inside the block.

        Args:
            place: Who is asked.
            image: For messages.
            url: Below the place's own address, or where it has sent us: another host is told no login.
            headers: Beside those of logins.
            method: Redirects are followed if it only reads.
            body: What is sent, or the file that has it.
            repeat: Ask again after what fails in passing.

        Raises:
            LoginNeeded, WrongLogin, NoAccess: The registry does not let us.
            ImageUnreachable: It does not answer, or breaks off, also inside the block.
        """
        answered = False
        try:
            answer = self._admitted(place, image, _Question(method, url, headers, body, repeat=repeat))
            answered = True
            try:
                yield answer
                discard(answer)
            finally:
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            why = reason_of(error)
            raise ImageUnreachable(image=image, registry=place.host, why=why, answered=answered) from error
        except Unreachable as error:
            raise ImageUnreachable(image=image, registry=place.host, why=error.why, advice=error.advice) from error

    def _admitted(self, place: Place, image: str, question: _Question) -> Answer:
        trusted = same_origin(question.url, place.url)
        admission = self._logins.known(place) if trusted else None
        answer, own = question.put(self._wire, admission.header if admission else "")
        own = own and trusted
        if answer.status == _UNAUTHORIZED and own:
            challenge = ", ".join(answer.headers.getlist("WWW-Authenticate"))
            discard(answer)
            admission = self._logins.admit(place, challenge, image)
            answer, own = question.put(self._wire, admission.header)
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            answer.close()
            if own:
                raise self._logins.refused(place, admission, answer.status, image)
            why = f"the storage that it redirects to refuses (status {answer.status})"
            raise ImageUnreachable(image=image, registry=place.host, why=why)
        return answer


class _Question:
    def __init__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Path | None, *, repeat: bool
    ) -> None:
        self.url = url
        self._method = method
        self._headers = {"Accept-Encoding": "identity", **headers}
        self._body = body
        self._repeat = repeat

    def put(self, wire: Wire, authorization: str) -> tuple[Answer, bool]:
        """Send it, and return the answer and whether it is that host's own."""
        headers = {**self._headers, **({"Authorization": authorization} if authorization else {})}
        if self._method in _FOLLOWED:
            return wire.follow(self.url, headers, method=self._method)
        with _opened(self._body) as body:
            return wire.ask(self._method, self.url, headers, body=body, repeat=self._repeat), True


@contextlib.contextmanager
def _opened(body: bytes | Path | None) -> Iterator[bytes | BinaryIO | None]:
    if not isinstance(body, Path):
        yield body
        return
    with body.open("rb") as stream:
        yield stream
