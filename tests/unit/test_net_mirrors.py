from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from hatchlock.net.http import Http, Offline, Response, Unreachable
from hatchlock.net.mirrors import NoneReachable, first_answer
from hatchlock.net.patience import Patience
from support.faulty import answering, reply
from support.ports import free_port

QUICK = Patience(back_off=0.001)


def dead() -> str:
    return f"http://127.0.0.1:{free_port()}/"


def test_the_next_is_asked_when_one_cannot_be_reached_or_fails() -> None:
    with (
        answering(reply(500)) as broken,
        answering(reply(body=b"here")) as alive,
        Http(environ={}, patience=QUICK) as http,
    ):
        answer = first_answer([dead(), broken.url, alive.url], http.get)
    assert (answer.data, answer.url) == (b"here", alive.url)


def test_what_one_does_not_have_its_mirror_is_not_asked_for() -> None:
    with (
        answering(reply(404)) as first,
        answering(reply(body=b"here")) as second,
        Http(environ={}, patience=QUICK) as http,
    ):
        assert first_answer([first.url, second.url], http.get).status == 404
    assert second.asked == []


def test_a_dead_one_is_asked_once_in_a_run_and_a_failing_one_each_time() -> None:
    asked: list[str] = []
    gone = dead()

    def ask(base: str) -> Response:
        asked.append(base)
        return http.get(f"{base}page")

    known: dict[str, Unreachable] = {}
    with (
        answering(reply(500)) as broken,
        answering(reply(body=b"here")) as alive,
        Http(environ={}, patience=Patience(repeats=0)) as http,
    ):
        bases = [gone, broken.url, alive.url]
        for _ in range(3):
            first_answer(bases, ask, dead=known)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: first_answer(bases, ask, dead=known), range(8)))
    assert asked.count(gone) == 1
    assert asked.count(broken.url) == 11


def test_when_none_answers_each_address_is_named_with_its_reason() -> None:
    first, second = dead(), dead()
    known: dict[str, Unreachable] = {}
    with Http(environ={}, patience=Patience(repeats=0)) as http:
        for _ in range(2):
            with pytest.raises(NoneReachable) as caught:
                first_answer([first.replace("//", "//anna:geheim@"), second], http.get, dead=known)
            assert str(caught.value) == (
                f"{first} cannot be reached: Connection refused; {second} cannot be reached: Connection refused"
            )
            assert "HTTPS_PROXY" in caught.value.hint


def test_a_single_address_gives_its_own_error() -> None:
    with Http(environ={}, patience=Patience(repeats=0)) as http, pytest.raises(Unreachable) as caught:
        first_answer([dead()], http.get)
    assert not isinstance(caught.value, NoneReachable)


def test_offline_no_mirror_is_tried() -> None:
    asked: list[str] = []

    def ask(base: str) -> Response:
        asked.append(base)
        return http.get(base)

    with Http(environ={}, offline=True) as http, pytest.raises(Offline):
        first_answer(["http://127.0.0.1:1/", "http://127.0.0.1:2/"], ask)
    assert len(asked) == 1
