"""`login`: OAuth at a server that wants it, with an authorization server of the SDK's on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hatchlock.errors import UsageError
from hatchlock.net.exchange import Unreachable
from hatchlock.paths import Home
from hatchlock.security.secrets.logins import Login, Logins, end_of
from hatchlock.serve.remote.logged_in import LoggedIn
from hatchlock.serve.remote.login import LoginFailed, NoLoginWanted
from hatchlock.usecases.logins import NotLoggedIn, declared_remotes, list_logins, log_in, log_out, remote_of
from hatchlock.usecases.logins import RemoteServer as Declared
from hatchlock.usecases.project import open_project
from support.project import TrialProject
from support.remote_server import RemoteServer, record_of, remote_server
from support.runs import BARE, HELLO, Run, apply_records, run_command
from support.scripted_http import Asked, Reply, polite, scripted_http


def open_address(address: str) -> None:
    urllib.request.urlopen(address, timeout=30).read()


# a browser: it opens the address, and does as it is redirected
BROWSER = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()"


@pytest.fixture(scope="module")
def guarded() -> Iterator[RemoteServer]:
    with remote_server("guarded") as server:
        yield server


class Project:
    """A project with one remote server, and a store of its own."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.home = root / "store"
        browser = root / "browser.py"
        browser.write_text(BROWSER)
        text = f'[project]\nname = "trial"\nplatforms = ["linux/amd64"]\n\n[servers.far]\nurl = "{url}"\n'
        (root / "hatchlock.toml").write_text(text)
        self.env = {
            "HOME": str(root),
            "PATH": "/usr/bin:/bin",
            "HATCHLOCK_HOME": str(self.home),
            "BROWSER": f"{sys.executable} {browser} %s",
        }

    def hatchlock(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hatchlock", *words],
            cwd=self.root,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def remote(self) -> Declared:
        found = open_project(directory=self.root, manifest=None, use_global=False, home=self.store, environ=self.env)
        return remote_of(declared_remotes(found), "far")

    @property
    def store(self) -> Home:
        return Home(root=self.home, is_default=False)

    def log_in(self, *, timeout: float = 30.0, browse: Callable[[str], None] | None = None) -> None:
        """Log in, in this process."""

        def show(address: str) -> None:
            threading.Thread(target=browse or open_address, args=(address,), daemon=True).start()

        log_in(self.remote, self.store, BARE, timeout=timeout, show=show)

    @property
    def state(self) -> str:
        return list_logins((self.remote,), self.store, BARE)[0].state

    @property
    def kept(self) -> Login:
        found = Logins(self.home, "trial", BARE).get("far")
        assert found is not None
        return found


@pytest.fixture
def project(guarded: RemoteServer, tmp_path: Path) -> Project:
    guarded.control("lifetime=3600")
    found = Project(tmp_path, guarded.url)
    apply_records(found.home, [record_of(guarded.url)])
    return found


def running(project: Project) -> Run:
    return Run(command=run_command(project.home, "far"), env=BARE)


def word_of(project: Project) -> str:
    with running(project) as run:
        run.hello()
        run.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        said = run.call("secret_word")
        assert run.end()[0] == 0
    return said


def test_log_in_use_it_and_log_out(project: Project, guarded: RemoteServer) -> None:
    assert project.state == "out"
    done = project.hatchlock("login", "far")
    assert done.returncode == 0, done.stderr
    assert "/authorize?" in done.stderr
    assert "code_challenge_method=S256" in done.stderr
    login = project.kept
    shown = done.stdout + done.stderr + project.hatchlock("login", "--status", "--json").stdout
    assert project.state == "in"
    assert word_of(project) == "swordfish"
    out = project.hatchlock("logout", "far", "--json")

    assert not any(secret in shown for secret in login.hidden)
    assert json.loads(out.stdout)["server"] == "far"
    assert project.state == "out"
    with pytest.raises(NotLoggedIn):
        log_out("trial", "far", project.store, BARE)
    assert oct((project.home / "secrets.json").stat().st_mode)[-3:] == "600"


def test_the_authorization_server_is_told_that_a_login_is_over(tmp_path: Path) -> None:
    def answering(asked: Asked) -> Reply:
        return Reply(status=200 if asked.path == "/revoke" else 400)

    with scripted_http(answering) as server:
        here = server.url.removesuffix("/mcp")
        login = Login(url=server.url, access_token="a-token", refresh_token="r-token", client_id="us")
        store, logins = Home(root=tmp_path, is_default=False), Logins(tmp_path, "trial", BARE)
        logins.set("far", replace(login, revocation_endpoint=f"{here}/revoke"))
        assert log_out("trial", "far", store, BARE)
        logins.set("far", replace(login, revocation_endpoint=f"{here}/refuse"))
        assert not log_out("trial", "far", store, BARE)
        logins.set("far", login)
        assert not log_out("trial", "far", store, BARE)

    assert [asked.body for asked in server.asked] == [b"token=r-token&client_id=us"] * 2
    assert logins.get("far") is None


def session_of(logins: Logins, login: Login) -> LoggedIn:
    lease = logins.lease_path("far")
    return LoggedIn({}, server="far", login=login, logins=logins, lease=lease, environ={}, hide=lambda _: None)


def test_a_logout_is_not_undone_by_a_session_that_refreshes(tmp_path: Path) -> None:
    held, asked = threading.Event(), threading.Event()

    def answering(_: Asked) -> Reply:
        asked.set()
        return Reply(parts=(b'{"access_token":', b'"b-token"}'), held=held)

    logins = Logins(tmp_path, "trial", BARE)
    with scripted_http(answering) as server, ThreadPoolExecutor() as pool:
        login = Login(url=server.url, access_token="a-token", refresh_token="r-token", token_endpoint=server.url)
        ended = replace(login, expires=time.time() - 1)
        logins.set("far", ended)
        told = pool.submit(session_of(logins, ended).headers)
        assert asked.wait(60)
        out = pool.submit(log_out, "trial", "far", Home(root=tmp_path, is_default=False), BARE)
        wait([out], 0.3)
        held.set()
        assert told.result(60)["Authorization"] == "Bearer b-token"
        out.result(60)

    assert logins.get("far") is None


@pytest.mark.parametrize(("left", "goes"), [(30.0, True), (-1.0, False)])
def test_a_token_is_used_to_its_end_where_nobody_gives_another(tmp_path: Path, left: float, goes: bool) -> None:
    logins = Logins(tmp_path, "trial", BARE)
    nobody = "http://127.0.0.1:1/token"
    login = Login(url=nobody, access_token="a-token", refresh_token="r-token", token_endpoint=nobody)
    ending = replace(login, expires=time.time() + left)
    logins.set("far", ending)
    with contextlib.nullcontext() if goes else pytest.raises(Unreachable):
        assert session_of(logins, ending).headers() == {"Authorization": "Bearer a-token"}


@pytest.mark.parametrize("lasting", [10**400, 1e300, float("nan"), float("inf"), -5, True, "3600", None])
def test_a_time_that_is_none_is_no_end(lasting: object) -> None:
    assert end_of(lasting, now=1000.0) == 0.0
    assert end_of(60, now=1000.0) == 1060.0


def test_without_a_login_run_says_how_and_ends(project: Project) -> None:
    with running(project) as run:
        run.write(HELLO)
        assert "hatchlock login far" in json.loads(run.line())["error"]["message"]
        assert run.wait() == 1
        err = run.end()[2].decode()

    assert "hint: hatchlock login far" in err
    assert "Traceback" not in err


def test_who_is_not_logged_in_yet_can_apply(guarded: RemoteServer, tmp_path: Path) -> None:
    far = f'[servers.far]\nurl = "{guarded.url}"\n'
    trial = TrialProject(tmp_path, f'[project]\nname = "trial"\nplatforms = ["linux/amd64"]\n\n{far}')
    trial.ok("lock")
    applied = trial.ok("apply", "--yes")
    status = trial.ok("status", "--json").document["servers"][0]
    probed = trial.run("probe", "far", "--json")

    assert "not probed" in applied.said
    assert "hint: hatchlock login far" in applied.said
    assert "by hand" not in applied.said
    assert (status["health"], status["counts"]["unauthorized"]) == ("unknown", 1)
    assert (probed.status, probed.document["error"]["code"]) == (1, "login-needed")


def test_a_header_that_is_refused_is_no_missing_login(guarded: RemoteServer, tmp_path: Path) -> None:
    far = f'[servers.far]\nurl = "{guarded.url}"\nheaders.Authorization = {{ secret = "env:TOKEN" }}\n'
    trial = TrialProject(tmp_path, f'[project]\nname = "trial"\nplatforms = ["linux/amd64"]\n\n{far}', TOKEN="wrong")
    trial.ok("lock")
    applied = trial.run("apply", "--yes")

    assert applied.status == 1, applied.said
    assert "set it again" in applied.said


def test_a_token_that_has_ended_is_refreshed_by_run(project: Project, guarded: RemoteServer) -> None:
    project.log_in()
    first = project.kept
    Logins(project.home, "trial", BARE).set("far", replace(first, expires=time.time() - 1))
    before = guarded.control("")["refreshed"]

    assert word_of(project) == "swordfish"
    assert guarded.control("")["refreshed"] == before + 1
    assert project.kept.access_token != first.access_token


def test_several_sessions_refresh_a_token_once(project: Project, guarded: RemoteServer) -> None:
    """A refresh token of this server is good for one use: a second use would end the login."""
    project.log_in()
    logins = Logins(project.home, "trial", BARE)
    ended = replace(project.kept, expires=time.time() - 1)
    logins.set("far", ended)
    hidden: list[str] = []
    sessions = [
        LoggedIn(
            {"X-Team": "blue"},
            server="far",
            login=ended,
            logins=logins,
            lease=project.root / "far.lock",
            environ={},
            hide=hidden.extend,
        )
        for _ in range(4)
    ]
    before = guarded.control("")["refreshed"]
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda session: session.headers(), sessions))

    assert guarded.control("")["refreshed"] == before + 1
    assert told == [{"X-Team": "blue", "Authorization": f"Bearer {project.kept.access_token}"}] * 4
    assert set(project.kept.hidden) <= set(hidden)
    assert sessions[0].renewed(told[0])


def test_a_token_that_ends_within_a_session(project: Project, guarded: RemoteServer) -> None:
    """Refused by the server though it should last: another one is got, and the message sent again."""
    project.log_in()
    with running(project) as run:
        run.hello()
        run.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert run.call("secret_word") == "swordfish"
        guarded.control("end=1")
        assert run.call("secret_word") == "swordfish"


def test_a_login_that_was_revoked_says_to_log_in_again(project: Project, guarded: RemoteServer) -> None:
    project.log_in()
    guarded.control("end=1&revoke=1")
    with running(project) as run:
        run.write(HELLO)
        error = json.loads(run.line())["error"]["message"]
        assert run.wait() == 1

    assert "does not accept the login" in error
    assert "hatchlock login far" in error


def test_a_consent_that_is_denied(project: Project, guarded: RemoteServer) -> None:
    guarded.control("deny=1")
    with pytest.raises(LoginFailed, match=r"it was refused \(access_denied\)"):
        project.log_in()

    assert project.state == "out"


def test_a_browser_that_brings_another_state_is_not_heard(project: Project) -> None:
    """Any page can send a browser to a port of this machine; the login goes on waiting."""
    refused = []

    def browse(address: str) -> None:
        back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        for query in ("code=stolen&state=other", "code=stolen", "error=access_denied"):
            try:
                urllib.request.urlopen(f"{back}?{query}", timeout=60)
            except urllib.error.HTTPError as error:
                refused.append(error.code)
        open_address(address)

    project.log_in(browse=browse)

    assert refused == [400] * 3
    assert project.state == "in"


def test_nobody_comes_back(project: Project) -> None:
    for seconds in (1.0, 4.0, 16.0):  # it may take a slow machine longer to find out where to log in
        with pytest.raises(LoginFailed) as caught:
            project.log_in(timeout=seconds, browse=lambda _: None)
        if "did not answer" not in str(caught.value):
            break
    assert f"nobody came back from the browser within {seconds:g} s" in str(caught.value)


def test_an_authorization_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    held = threading.Event()

    def answering(asked: Asked) -> Reply:
        if asked.path == "/mcp":
            return Reply(status=401)
        return Reply(parts=(b"{", b"}"), held=held)

    with scripted_http(answering) as server:
        project = Project(tmp_path, server.url)
        for seconds in (1.0, 4.0, 16.0):  # as above
            with pytest.raises(LoginFailed) as caught:
                project.log_in(timeout=seconds)
            if "/.well-known/" in str(caught.value):
                break
        held.set()
    named = rf"the authorization server \(.*/\.well-known/.*\) did not answer within {seconds:g} s"
    assert re.search(named, str(caught.value))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://nowhere.invalid/mcp", "it cannot be reached: the name nowhere.invalid does not resolve"),
        ("http://127.0.0.1:1/mcp", "it cannot be reached: "),
    ],
)
def test_a_server_that_cannot_be_reached_is_said_to_be_that(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(LoginFailed) as failed:
        Project(tmp_path, url).log_in()
    assert f"no login at {url}: {why}" in str(failed.value)
    assert "check the address and the network" in failed.value.hint


def test_a_server_that_wants_a_token_and_knows_no_login_is_said_to_take_a_header(tmp_path: Path) -> None:
    reply = scripted_http(lambda asked: Reply(status=401 if asked.path == "/mcp" else 404))
    with reply as server, pytest.raises(LoginFailed) as failed:
        Project(tmp_path, server.url).log_in()
    assert "headers.Authorization" in failed.value.hint


def test_the_address_is_said_before_the_time_is_over(project: Project) -> None:
    for seconds in ("2", "8", "32"):  # as above
        done = project.hatchlock("login", "far", "--no-browser", "--timeout", seconds)
        if "did not answer" not in done.stderr:
            break

    assert done.returncode == 1
    assert "/authorize?" in done.stderr
    told = f"nobody came back from the browser within {seconds} s"
    assert done.stderr.index("/authorize?") < done.stderr.index(told)


def test_a_token_goes_to_no_other_address(project: Project, guarded: RemoteServer, tmp_path: Path) -> None:
    """Somebody changes the url of a server: the login is for the one that was."""
    project.log_in()
    token = project.kept.access_token
    with scripted_http(polite) as other:
        apply_records(project.home, [record_of(other.url)])
        with running(project) as run:
            run.hello()

    assert all(token not in str(asked.headers) for asked in other.asked)
    text = (tmp_path / "hatchlock.toml").read_text().replace(guarded.url, other.url)
    (tmp_path / "hatchlock.toml").write_text(text)
    assert project.state == "elsewhere"


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"authorization_endpoint": "http://example.com/authorize"}, "read and changed on its way"),
        ({"token_endpoint": "http://example.com/token"}, "read and changed on its way"),
        ({"registration_endpoint": "http://example.com/register"}, "read and changed on its way"),
        ({"issuer": "https://somebody.example.com"}, "mismatch"),
    ],
)
def test_addresses_that_an_authorization_server_must_not_name(
    metadata: dict[str, str], words: str, tmp_path: Path
) -> None:
    def answering(asked: Asked) -> Reply:
        here = server.url.removesuffix("/mcp")
        if asked.path.startswith("/.well-known/oauth-protected-resource"):
            return said({"resource": server.url, "authorization_servers": [here]})
        if asked.path.startswith("/.well-known/"):
            names = {name: f"{here}/{name}" for name in ("authorization_endpoint", "token_endpoint")}
            usual = {"issuer": here, **names, "registration_endpoint": f"{here}/register"}
            return said({**usual, "response_types_supported": ["code"], **metadata})
        if asked.path == "/register":
            return said({**asked.message, "client_id": "us"}, status=201)
        if asked.path.startswith("/authorization_endpoint"):
            query = {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}
            back = f"{query['redirect_uri']}?code=x&state={query['state']}"
            return Reply(status=302, headers={"Location": back})
        return Reply(status=401)

    def said(value: Mapping[str, Any], status: int = 200) -> Reply:
        return Reply(status=status, parts=(json.dumps(value).encode(),))

    with scripted_http(answering) as server, pytest.raises(LoginFailed) as caught:
        Project(tmp_path, server.url).log_in()

    assert words in str(caught.value)
    assert not any(asked.path == "/token_endpoint" for asked in server.asked)


def test_what_login_refuses(project: Project) -> None:
    text = (project.root / "hatchlock.toml").read_text()
    (project.root / "hatchlock.toml").write_text(
        f'{text}headers.Authorization = {{ secret = "env:TOKEN" }}\n\n[servers.near]\ncommand = "/bin/true"\n'
    )

    with pytest.raises(UsageError, match="which says who asks"):
        project.log_in()
    refused = project.hatchlock("login", "near")
    assert refused.returncode == 64
    assert "no remote server 'near'" in refused.stderr
    assert project.state == "header"


def test_a_server_that_wants_no_login(tmp_path: Path) -> None:
    with scripted_http(polite) as server, pytest.raises(NoLoginWanted):
        Project(tmp_path, server.url).log_in()
