import base64
import json
import stat
from urllib.parse import quote, quote_plus, unquote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_registry import FakeRegistry, Fault
from formation.errors import FormationError, MalformedError, UsageError
from formation.registry import credentials
from formation.registry.challenge import Challenge, parse_challenges
from formation.registry.credentials import Credential, find_credential
from formation.registry.pull import pull_image
from formation.registry.push import push_image
from formation.registry.refusal import LoginNeeded
from formation.registry.registry import Registry
from formation.registry.repository import Repository
from formation.registry.settings import Settings
from tiny_images import noise, tiny_image

REPOSITORY = Repository("registry.example.com:5000", "team/sub/base")


def auth(text):
    return {"auth": base64.b64encode(text.encode()).decode()}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("variable", "file"),
    [
        ("HOME", ".docker/config.json"),
        ("HOME", ".config/containers/auth.json"),
        ("DOCKER_CONFIG", "config.json"),
        ("XDG_CONFIG_HOME", "containers/auth.json"),
        ("XDG_RUNTIME_DIR", "containers/auth.json"),
    ],
)
def test_logins_are_found_where_docker_and_podman_keep_them(tmp_path, variable, file):
    write(tmp_path / file, {"auths": {REPOSITORY.host: auth("me:se:cret")}})
    assert find_credential({variable: str(tmp_path)}, REPOSITORY) == Credential("me", "se:cret")


def test_podmans_file_goes_before_dockers(tmp_path):
    write(tmp_path / "run/containers/auth.json", {"auths": {REPOSITORY.host: auth("podman:a")}})
    write(tmp_path / ".docker/config.json", {"auths": {REPOSITORY.host: auth("docker:b")}})
    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    found = find_credential(environment, REPOSITORY)
    assert found is not None and found.username == "podman"


def test_the_login_of_a_namespace_goes_before_that_of_its_host(tmp_path):
    entries = {
        REPOSITORY.host: auth("host:a"),
        f"{REPOSITORY.host}/team": auth("team:b"),
        "other.example.com": auth("o:c"),
    }
    path = write(tmp_path / "auth.json", {"auths": entries})
    environment = {"REGISTRY_AUTH_FILE": str(path)}
    for name, expected in (("team/base", "team"), ("elsewhere/base", "host")):
        found = find_credential(environment, Repository(REPOSITORY.host, name))
        assert found is not None and found.username == expected
    assert find_credential(environment, Repository("third.example.com", "a")) is None


def test_docker_hub_is_known_by_its_old_url(tmp_path):
    path = write(tmp_path / "auth.json", {"auths": {"https://index.docker.io/v1/": auth("me:s")}})
    found = find_credential({"REGISTRY_AUTH_FILE": str(path)}, Repository("docker.io", "library/debian"))
    assert found is not None and found.username == "me"


@pytest.mark.parametrize("key", ["https://{}", "https://{}/", "http://{}/v1/", "https://{}/v2/"])
def test_a_login_is_found_by_the_url_of_its_host(tmp_path, key):
    path = write(tmp_path / "auth.json", {"auths": {key.format(REPOSITORY.host): auth("me:s")}})
    found = find_credential({"REGISTRY_AUTH_FILE": str(path)}, REPOSITORY)
    assert found is not None and (found.username, found.origin) == ("me", str(path))


def test_a_login_file_that_was_named_must_exist(tmp_path):
    with pytest.raises(UsageError, match="REGISTRY_AUTH_FILE"):
        find_credential({"REGISTRY_AUTH_FILE": str(tmp_path / "no")}, REPOSITORY)


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"auths": []}', '{"auths": {"registry.example.com:5000": {"auth": "%"}}}']
)
def test_a_broken_login_file_is_an_error_that_shows_none_of_it(tmp_path, content):
    (tmp_path / "auth.json").write_text(content)
    with pytest.raises(UsageError, match=r"auth\.json|auth is not"):
        find_credential({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}, REPOSITORY)


def helper(directory, script):
    """A credential helper `test` that keeps what it was asked in the file `asked`."""
    path = directory / "docker-credential-test"
    path.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {directory}/arguments\ncat > {directory}/asked\n{script}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{directory}:/usr/bin:/bin", "REGISTRY_AUTH_FILE": str(directory / "auth.json")}


@pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {REPOSITORY.host: "test"}}])
def test_a_credential_helper_is_asked_through_stdin(tmp_path, config):
    write(tmp_path / "auth.json", config)
    environment = helper(tmp_path, """echo '{"ServerURL":"x","Username":"me","Secret":"s"}'""")
    assert find_credential(environment, REPOSITORY) == Credential("me", "s")
    assert (tmp_path / "asked").read_text() == REPOSITORY.host
    assert (tmp_path / "arguments").read_text() == "get "


def test_a_helper_may_give_an_identity_token(tmp_path):
    write(tmp_path / "auth.json", {"credsStore": "test"})
    environment = helper(tmp_path, """echo '{"Username":"<token>","Secret":"t"}'""")
    found = find_credential(environment, REPOSITORY)
    assert found is not None and found.identity_token == "t"


def test_a_helper_without_a_login_is_no_error(tmp_path):
    write(tmp_path / "auth.json", {"credsStore": "test"})
    environment = helper(tmp_path, "echo credentials not found in native keychain; exit 1")
    assert find_credential(environment, REPOSITORY) is None


@pytest.mark.parametrize(
    "script",
    [
        "echo the-secret; exit 1",
        "echo the-secret",
        "echo '[\"the-secret\"]'",
        r"""printf '%s' '{"Username":"me","Secret":"the-secret\ud800"}'""",
        r"""printf '%s' '{"Username":"\udfff","Secret":"the-secret"}'""",
    ],
)
def test_a_helper_that_fails_is_named_and_what_it_said_is_not_shown(tmp_path, script):
    write(tmp_path / "auth.json", {"credsStore": "test"})
    with pytest.raises(FormationError, match="docker-credential-test") as caught:
        find_credential(helper(tmp_path, script), REPOSITORY)
    assert "the-secret" not in str(caught.value)
    assert str(caught.value.hint).startswith(
        "see what it says: echo registry.example.com:5000 | docker-credential-test get"
    )


def test_a_helper_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(credentials, "_HELPER_SECONDS", 0.2)
    write(tmp_path / "auth.json", {"credsStore": "test"})
    # What it started holds its stdout open after its end.
    with pytest.raises(FormationError, match=r"docker-credential-test gave no login for \S+ in 0.2 s") as caught:
        find_credential(helper(tmp_path, "sleep 60"), REPOSITORY)
    assert f"echo {REPOSITORY.host} | docker-credential-test get" in (caught.value.hint or "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("""sleep 10 & echo '{"Username":"me","Secret":"s"}'""", Credential("me", "s")),
        ("sleep 10 & echo credentials not found in native keychain; exit 1", None),
    ],
)
def test_the_answer_of_a_helper_counts_although_what_it_started_holds_its_stdout(
    tmp_path, monkeypatch, script, expected
):
    monkeypatch.setattr(credentials, "_HELPER_SECONDS", 2)
    write(tmp_path / "auth.json", {"credsStore": "test"})
    assert find_credential(helper(tmp_path, script), REPOSITORY) == expected


def test_a_helper_that_does_not_read_is_asked_all_the_same(tmp_path):
    write(tmp_path / "auth.json", {"credsStore": "test"})
    environment = helper(tmp_path, "")
    (tmp_path / "docker-credential-test").write_text("""#!/bin/sh\necho '{"Username":"me","Secret":"s"}'\n""")
    assert find_credential(environment, REPOSITORY) == Credential("me", "s")


def test_a_helper_that_is_not_installed_or_no_name_is_told(tmp_path):
    path = write(tmp_path / "auth.json", {"credsStore": "nowhere"})
    with pytest.raises(FormationError, match="not installed"):
        find_credential({"REGISTRY_AUTH_FILE": str(path), "PATH": str(tmp_path)}, REPOSITORY)
    write(path, {"credsStore": "../../bin/sh"})
    with pytest.raises(FormationError, match="no credential helper"):
        find_credential({"REGISTRY_AUTH_FILE": str(path)}, REPOSITORY)


def test_a_credential_does_not_show_its_secret():
    shown = repr(Credential("me", "the-secret", "the-token"))
    assert "the-secret" not in shown and "the-token" not in shown


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', (Challenge("basic", {"realm": "x"}),)),
        (
            'Bearer realm="https://a/t?x=1,2",service="s",scope="repository:a/b:pull,push"',
            (Challenge("bearer", {"realm": "https://a/t?x=1,2", "service": "s", "scope": "repository:a/b:pull,push"}),),
        ),
        (
            'Bearer realm="a", Basic realm="b\\"c"',
            (Challenge("bearer", {"realm": "a"}), Challenge("basic", {"realm": 'b"c'})),
        ),
        ("Negotiate", (Challenge("negotiate", {}),)),
        ("", ()),
    ],
)
def test_challenges_are_read(header, expected):
    assert parse_challenges(header) == expected


@given(st.text())
def test_any_header_is_read_without_an_error(header):
    parse_challenges(header)


def image():
    return tiny_image([{"data": noise(20_000)}], compression="none")


def test_a_password_is_given_to_a_registry_that_asks(server, store, name, reference, logged_in):
    server.require_basic("me", "se:cret")
    with logged_in("me", "se:cret") as client:
        push_image(image(), reference("a/b:1"), client)
        assert pull_image(name("a/b:1"), store, client).digest == image().digest


@pytest.mark.parametrize("who", [("me", "secret"), ("", "")])
def test_tokens_are_got_with_a_login_or_without(server, store, name, reference, logged_in, client, who):
    server.require_bearer(*who)
    with logged_in(*who) if who[0] else client as chosen:
        push_image(image(), reference("a/b:1"), chosen)
    scopes = {seen.target.partition("scope=")[2] for seen in server.asked("GET", "/token")}
    assert "repository%3Aa%2Fb%3Apull%2Cpush" in scopes
    # Four threads need the same token, which is asked for once.
    assert len(server.asked("GET", "/token")) == len(scopes)


def test_a_token_that_ends_in_the_middle_of_an_upload_is_renewed(server, reference, logged_in):
    server.require_bearer("me", "secret")
    pieces = []

    def expire(seen):
        if seen.method == "PATCH":
            pieces.append(seen)
            if len(pieces) in (3, 9):
                server.expire()

    server.before = expire
    pushed = image()
    # Alone: a token that another upload has just fetched must not end before it is used.
    with logged_in("me", "secret", connections=1) as client:
        push_image(pushed, reference("a/b:1"), client)
    digest = pushed.manifest.layers[0].digest
    assert server.repository("a/b").blobs[digest] == pushed.source.content[digest]


def test_whether_an_upload_came_whose_answer_was_lost_is_asked_with_the_rights_of_a_push(server, reference, logged_in):
    server.require_bearer("me", "secret")
    pushed = image()
    digest = pushed.manifest.layers[0].digest

    lost = server.lose_answer("a/b", digest, pushed.source.content[digest])
    with logged_in("me", "secret") as client:
        push_image(pushed, reference("a/b:1"), client)
    scopes = {unquote(seen.target.partition("scope=")[2]) for seen in server.asked("GET", "/token")}
    assert (len(lost), scopes) == (1, {"repository:a/b:pull,push"})


def test_a_token_is_renewed_before_it_ends(server, store, name, logged_in):
    server.require_bearer("me", "secret")
    server.add_image("a/b", tiny_image(), "1")
    now = [0.0]
    with logged_in("me", "secret", clock=lambda: now[0]) as client:
        pull_image(name("a/b:1"), store, client)
        server.requests.clear()
        now[0] = 299
        pull_image(name("a/b:1"), store, client)
    assert [seen.path for seen in server.requests] == ["/token", "/v2/a/b/manifests/1"]


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_wrong_password_is_told_and_never_shown(server, store, name, logged_in, scheme):
    getattr(server, f"require_{scheme}")("me", "right")
    with logged_in("me", "the-wrong-one") as client, pytest.raises(LoginNeeded, match="401 Unauthorized") as caught:
        pull_image(name("a/b:1"), store, client)
    assert "the-wrong-one" not in f"{caught.value}{caught.value.hint}"
    assert "podman login" in (caught.value.hint or "")


def test_a_password_that_the_server_echoes_is_blotted_out(server, store, name, logged_in):
    server.require_basic("me", "the-secret")
    server.add_image("a/b", tiny_image(), "1")
    with logged_in("me", "the-secret") as client:
        pull_image(name("a/b:1"), store, client)
        encoded = base64.b64encode(b"me:the-secret").decode()
        said = {"errors": [{"code": "DENIED", "message": f"you sent the-secret, {encoded}"}]}
        server.fail("GET", Fault(status=403, body=json.dumps(said).encode()))
        with pytest.raises(LoginNeeded) as caught:
            pull_image(name("a/b:2"), store, client)
    assert "you sent …, …" in caught.value.message


@pytest.mark.parametrize("strip", ["", "="])
@pytest.mark.parametrize("sent", ["me:p?ssw>rd~", "p?ssw>rd~"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_password_in_any_base64_is_blotted_out_whole(server, store, name, logged_in, strip, sent, encode):
    server.require_basic("me", "p?ssw>rd~")
    server.add_image("a/b", tiny_image(), "1")
    with logged_in("me", "p?ssw>rd~") as client:
        pull_image(name("a/b:1"), store, client)
        said = {"errors": [{"code": "DENIED", "message": f"you sent {encode(sent.encode()).decode().rstrip(strip)}."}]}
        server.fail("GET", Fault(status=403, body=json.dumps(said).encode()))
        with pytest.raises(LoginNeeded) as caught:
            pull_image(name("a/b:2"), store, client)
    assert "you sent …." in caught.value.message


@pytest.mark.parametrize("encode", [quote_plus, lambda text: quote(text, safe="")])
@pytest.mark.parametrize("sent", ["id+tok/en==", "p ss/rd?~", base64.b64encode(b"me:p ss/rd?~").decode()])
def test_a_secret_that_is_echoed_as_a_form_or_url_carries_it_is_blotted_out(encode, sent):
    assert encode(sent) in Credential("me", "p ss/rd?~", "id+tok/en==").secrets


def test_an_identity_token_that_a_token_server_echoes_is_blotted_out(server, store, name, tmp_path, logged_in):
    server.require_bearer()
    logged_in("x", "x")
    (tmp_path / "auth.json").write_text(json.dumps({"auths": {server.host: {"identitytoken": "id+tok/en=="}}}))
    body = json.dumps({"errors": [{"code": "DENIED", "message": f"you sent {urlencode({'a': 'id+tok/en=='})}."}]})
    server.fail("POST", Fault(status=400, body=body.encode()), where="/token")
    settings = Settings({"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}, plain_http=True)
    with Registry(settings) as client, pytest.raises(FormationError, match=r"you sent a=…\."):
        pull_image(name("a/b:1"), store, client)


@pytest.mark.parametrize("known", [True, False])
def test_who_is_refused_by_a_token_server_is_told_to_log_in_to_the_registry(server, store, name, logged_in, known):
    with FakeRegistry() as other:
        realm = {"WWW-Authenticate": f'Bearer realm="http://{other.host}/token",service="fake"'}
        server.fail("GET", Fault(status=401, headers=realm))
        other.fail("GET", Fault(status=401), where="/token")
        client = logged_in("me", "wrong") if known else Registry(Settings(plain_http=True))
        with client, pytest.raises(LoginNeeded, match=f"at {other.host}: {other.host} answers 401") as caught:
            pull_image(name("a/b:1"), store, client)
    assert f"podman login {server.host}" in (caught.value.hint or "")
    assert other.host not in (caught.value.hint or "")


def test_an_identity_token_gets_tokens_by_post(server, store, name, tmp_path, pauses, logged_in):
    server.add_image("a/b", tiny_image(), "1")
    server.require_bearer()
    logged_in("x", "x")
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {server.host: {"identitytoken": "the-identity"}}}))
    with Registry(Settings({"REGISTRY_AUTH_FILE": str(path)}, plain_http=True)) as client:
        pull_image(name("a/b:1"), store, client)
    (asked,) = server.asked("POST", "/token")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "the-identity" not in asked.target


@pytest.mark.parametrize(
    "answer", [b"{}", b"[]", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}', b'{"token":"a","expires_in":-1}']
)
def test_a_token_server_that_answers_nonsense_is_an_error(server, store, name, client, answer):
    server.require_bearer()
    server.fail("GET", Fault(status=200, body=answer), where="/token")
    with pytest.raises(MalformedError):
        pull_image(name("a/b:1"), store, client)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "nonsense", "http://", ""])
def test_a_token_server_must_be_a_url(server, store, name, client, realm):
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
    server.fail("GET", Fault(status=401, headers=challenge))
    with pytest.raises(FormationError):
        pull_image(name("a/b:1"), store, client)
