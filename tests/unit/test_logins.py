import pytest

from formation.logins import blotted, blotted_reference


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("robot:s3cret@localhost:5611/acme/v:1.0.2", "robot:…@localhost:5611/acme/v:1.0.2"),
        ("https://robot:s3/cr@et@example.com/debian", "https://robot:…@example.com/debian"),
        ("docker:robot:s3cret@example.com/a", "docker:…@example.com/a"),
        ("robot:s3cret@example.com/a@sha256:00", "robot:…@example.com/a@sha256:00"),
        ("cannot take 'me:s3cret@example.com/a' here", "cannot take 'me:…@example.com/a' here"),
        ("me@corp.com:s3cret@127.0.0.1:1/base", "me@corp.com:…@127.0.0.1:1/base"),
        ("https://ghp_token@example.com/a", "https://…@example.com/a"),
        ("https://me:pw@sha1:5000/x", "https://me:…@sha1:5000/x"),
        ("https://:pw@example.com?q=a@b", "https://…@example.com?q=a@b"),
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
        "http://[::1]:8080/a@b",
        "https://host:5000?mail=me@x.de",
        "https://h/a:b@c",
        "compose.yaml:12:getty@tty1.service",
        "'libc6:amd64@2.36'",
        "oci:./dir:tag@1",
    ],
)
def test_what_holds_no_password_stays(text):
    assert blotted(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (":s3cret@host/base", "…@host/base"),
        ("token:/s3cret@host/base", "token:…@host/base"),
        ("me:12345/s3cret@host/base", "me:…@host/base"),
        ("https://token@host/base", "https://…@host/base"),
        ("a/b:1@sha256:00", "a/b:1@sha256:00"),
        ("git@host/base", "git@host/base"),
    ],
)
def test_nothing_that_may_be_a_password_is_left_of_a_reference(text, shown):
    assert blotted_reference(text) == shown


@pytest.mark.parametrize(
    "text", ["@ " + "a:b," * 100_000, "@sha1: " + ",a:" * 100_000, ",a:@sha1:" * 100_000, "a" * 400_000 + "@"]
)
def test_hostile_text_takes_no_longer_than_it_is_long(text):
    # A second, where squares of these lengths are minutes.
    assert len(blotted(text)) <= len(text)
    assert len(blotted_reference(text)) <= len(text)
