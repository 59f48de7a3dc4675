import pytest

from formation.logins import blotted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("robot:s3cret@localhost:5611/acme/v:1.0.2", "robot:…@localhost:5611/acme/v:1.0.2"),
        ("https://robot:s3/cr@et@example.com/debian", "https://robot:…@example.com/debian"),
        ("docker:robot:s3cret@example.com/a", "docker:…@example.com/a"),
        ("robot:s3cret@example.com/a@sha256:00", "robot:…@example.com/a@sha256:00"),
        ("cannot take 'me:s3cret@example.com/a' here", "cannot take 'me:…@example.com/a' here"),
    ],
)
def test_the_password_of_a_login_is_blotted_out(text, shown):
    assert blotted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "formation/base:1.0.0",
        "base:1.0.0@sha256:00",
        "localhost:5000/a/b:1@sha512:00",
        "[::1]:5000/a:1@sha256:00",
        "formation.yaml:23: ask me@example.com: no",
        "git@example.com",
        "runtime:/lib/systemd/system/getty@.service",
        "docker-archive:base@1.tar",
    ],
)
def test_what_holds_no_password_stays(text):
    assert blotted(text) == text
