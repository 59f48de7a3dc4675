"""Which key signed, and what exactly."""

import base64
import hashlib
import time
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysequoia import ArmorKind, Cert, Profile, Tsk, armor

from formation.debian.keys import KEY_SETS, key_set, keys_of
from formation.debian.openpgp import keyring, parse_keys, verify_cleartext, verify_detached
from formation.errors import FormationError, IntegrityError, MalformedError, UsageError
from signed_archive import clear_signed, detached_signature, new_key, ring

# Sequoia compares signatures with the real clock, so the present of these tests is the real one.
NOW = int(time.time())
TEXT = b"Suite: stable\n- a dashed line\nSHA256:\n 00 1 x"
KEY = new_key()
OTHER = new_key("other")
SIGNED = clear_signed(KEY, TEXT)

SELF_SIGNED_BY_SHA1 = (
    "mDMEaw4L4hYJKwYBBAHaRw8BAQdAhpQt1jLZg5yFn12kUM+m4n29V4M71dQ4P7zjEByOvwK0A29sZIiQBBMWAgA4FiEEIH97L4zmeHMtOKajd2tv"
    "he2O6Q0FAmsOC+ICGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQd2tvhe2O6Q36zgD+LCcJn7QwIVTWdTagIRpe+Qi+oou2eIMJp2goTAZw"
    "p30A/0pT8qnXloI7kgnOlQOzVB41rC8XHk12pxj5MioNTH4O",
    "iHUEARYIAB0WIQQgf3svjOZ4cy04pqN3a2+F7Y7pDQUCaw4L4gAKCRB3a2+F7Y7pDTBvAP44b/KqsZXsdTF54xJa3ai1D86RmOK7UgDijsI9Nou"
    "lvwD+MPlKQY681f/JKmfTV+ewfvghFMEV322+ICNRAR2bmgU=",
)
"""What gpg --cert-digest-algo SHA1 made: a key, and its signature of FOREIGN_TEXT by SHA-256, in base64."""
OF_2099 = (
    "mDME8qUjgBYJKwYBBAHaRw8BAQdAdtMo7lXRWMbDpAUfj1x4pbgKv3jtJRlZMlXWDVw7qQW0A25ld4iQBBMWCAA4FiEEL6b3DqXoV3UBmPuWyD/3"
    "UVZcH8cFAvKlI4ACGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQyD/3UVZcH8cHpwD9EpPrAAszXPXt5HmmHLt2Fskuq1H9CiVqLvWst4Dy"
    "KeEA/j9sy84litOQLtp8qDhwjp86gwnwELuh85uo+ERn1OMN",
    "iHUEARYIAB0WIQQvpvcOpehXdQGY+5bIP/dRVlwfxwUC8qUjgAAKCRDIP/dRVlwfx4t9AP9R0iEJVIv3GYFzdOGe25mA0nhrzHXKDMQiLVws6CPu"
    "NgD/djxkNdOAktXgcdTY/26FXm9Vtci9XFtOno9pjnzISgo=",
)
"""The same of gpg --faked-system-time 20990101T000000."""
FOREIGN_TEXT = b"Suite: stable"


def fingerprint(key: object) -> str:
    return ring(key).fingerprints[0]


def test_a_signed_text_comes_back_with_the_primary_key_that_signed_it():
    signed = verify_cleartext(SIGNED, ring(OTHER, KEY), "InRelease", now=NOW)
    assert signed.text.rstrip(b"\n") == TEXT
    assert signed.signed_by == fingerprint(KEY)
    assert len(signed.signed_by) == 40
    assert signed.signed_by == signed.signed_by.upper()


def test_a_changed_text_is_refused_and_names_the_key():
    with pytest.raises(IntegrityError, match=f"InRelease has a bad signature by {fingerprint(KEY)}"):
        verify_cleartext(SIGNED.replace(b"stable", b"unsafe"), ring(KEY), "InRelease", now=NOW)


def test_an_unknown_key_is_refused_with_the_keys_that_signed_and_those_accepted():
    with pytest.raises(IntegrityError) as caught:
        verify_cleartext(SIGNED, ring(OTHER), "InRelease", now=NOW)
    issuer = next(owner for owner, primary in ring(KEY).owners.items() if owner in caught.value.message)
    assert ring(KEY).owners[issuer] == fingerprint(KEY)
    assert f"accepted are only {fingerprint(OTHER)}" in caught.value.message


def test_a_key_that_has_expired_is_refused_though_it_signed_in_time():
    key = Tsk.generate("short <short@example.com>", profile=Profile.RFC4880, validity_seconds=3600)
    signed = clear_signed(key, TEXT)
    assert verify_cleartext(signed, ring(key), "InRelease", now=NOW).signed_by == fingerprint(key)
    with pytest.raises(IntegrityError, match=f"signed by {fingerprint(key)}, which has expired") as caught:
        verify_cleartext(signed, ring(key), "InRelease", now=NOW + 7200)
    assert (caught.value.hint or "").startswith("get the key anew from whoever runs the archive")


@pytest.mark.parametrize(
    ("made", "reason"), [(SELF_SIGNED_BY_SHA1, "SHA1 is not considered secure"), (OF_2099, "No binding signature at")]
)
def test_a_key_that_does_not_hold_now_is_told_and_keeps_no_other_from_signing(made: tuple[str, str], reason: str):
    key, signature = map(base64.b64decode, made)
    keys = parse_keys(key, "key.gpg")
    with pytest.raises(IntegrityError, match=f"signed by {keys.fingerprints[0]}, which does not count: {reason}"):
        verify_detached(FOREIGN_TEXT, signature, keys, "Release", now=NOW)
    assert verify_cleartext(SIGNED, keys + ring(KEY), "InRelease", now=NOW).signed_by == fingerprint(KEY)
    changed = SIGNED.replace(b"stable", b"unsafe")
    with pytest.raises(IntegrityError, match=f"has a bad signature by {fingerprint(KEY)}"):
        verify_cleartext(changed, keys + ring(KEY), "InRelease", now=NOW)


@pytest.mark.parametrize(
    "smuggled",
    [
        b"Evil: before\n" + SIGNED,
        SIGNED + b"Evil: after\n",
        SIGNED.replace(b"\n\n", b"\nEvil: in the header\n\n", 1),
        SIGNED.replace(b"-----BEGIN PGP SIGNATURE-----\n", b"-----BEGIN PGP SIGNATURE-----\nComment: Evil: x\n"),
        SIGNED + SIGNED,
        clear_signed(OTHER, b"Evil: by another key") + SIGNED,
        SIGNED + clear_signed(OTHER, b"Evil: by another key"),
        SIGNED.replace(b"\n", b"\r\n"),
    ],
    ids=["before", "after", "header", "armor header", "twice", "other first", "other last", "line ends"],
)
def test_only_the_signed_text_is_ever_given(smuggled: bytes):
    try:
        text = verify_cleartext(smuggled, ring(KEY), "InRelease", now=NOW).text
    except IntegrityError:
        return
    assert text.replace(b"\r", b"").rstrip(b"\n") == TEXT


@pytest.mark.parametrize(
    "data", [b"", b"Suite: stable\n", TEXT, SIGNED[: len(SIGNED) // 2], b"\xff" * 100], ids=range(5)
)
def test_what_is_not_a_signed_message_is_malformed(data: bytes):
    with pytest.raises(MalformedError, match=r"^InRelease"):
        verify_cleartext(data, ring(KEY), "InRelease", now=NOW)


def test_a_message_without_a_readable_signature_shows_no_stack_of_the_library():
    broken = SIGNED.split(b"-----BEGIN PGP SIGNATURE-----")[0] + (
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    )
    with pytest.raises(MalformedError) as caught:
        verify_cleartext(broken, ring(KEY), "InRelease", now=NOW)
    assert "\n" not in caught.value.message


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_anywhere_gives_a_clear_error_or_the_very_text(data: st.DataObject):
    damaged = bytearray(SIGNED)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        text = verify_cleartext(bytes(damaged), ring(KEY), "InRelease", now=NOW).text
    except FormationError:
        return
    assert [line.rstrip() for line in text.strip().split(b"\n")] == TEXT.split(b"\n")


def test_one_of_several_detached_signatures_suffices_armored_or_binary():
    armored = detached_signature(KEY, TEXT)
    several = dearmored(detached_signature(OTHER, TEXT)) + dearmored(armored)
    for signature in (armored, several):
        signed = verify_detached(TEXT, signature, ring(KEY), "Release", now=NOW)
        assert (signed.text, signed.signed_by) == (TEXT, fingerprint(KEY))


@pytest.mark.parametrize(
    "bad_one", [clear_signed(OTHER, TEXT), clear_signed(KEY, b"another text")], ids=["unknown", "bad"]
)
def test_one_good_signature_among_several_suffices(bad_one: bytes):
    packets = dearmored(signature_block(bad_one)) + dearmored(signature_block(SIGNED))
    message = SIGNED.replace(signature_block(SIGNED), armor(packets, ArmorKind.Signature).encode())
    assert message != SIGNED
    assert verify_cleartext(message, ring(KEY), "InRelease", now=NOW).signed_by == fingerprint(KEY)


def test_a_revoked_key_is_refused():
    key = new_key()
    signed = clear_signed(key, TEXT)
    certificate = key.extract_certificate()
    revocation = certificate.revoke(key.certifier())
    revoked = certificate.merge(Cert.from_bytes(bytes(certificate) + bytes(revocation)))
    assert revoked.is_revoked
    with pytest.raises(IntegrityError, match="bad signature"):
        verify_cleartext(signed, keyring([revoked]), "InRelease", now=NOW)


def test_a_detached_signature_of_another_text_is_refused():
    with pytest.raises(IntegrityError, match="Release has a bad signature"):
        verify_detached(TEXT + b"x", detached_signature(KEY, TEXT), ring(KEY), "Release", now=NOW)
    with pytest.raises(MalformedError, match="Release"):
        verify_detached(TEXT, b"no signature", ring(KEY), "Release", now=NOW)


def signature_block(message: bytes) -> bytes:
    return message[message.index(b"-----BEGIN PGP SIGNATURE-----") :]


def dearmored(armored: bytes) -> bytes:
    lines = armored.split(b"\n\n", 1)[1].split(b"\n")
    return base64.b64decode(b"".join(line for line in lines if not line.startswith((b"-", b"="))))


def test_key_files_are_read_binary_armored_and_several_in_one():
    one, other = KEY.extract_certificate(), OTHER.extract_certificate()
    expected = ring(KEY, OTHER).fingerprints
    assert parse_keys(bytes(one) + bytes(other), "keys.gpg").fingerprints == expected
    assert parse_keys(f"{one}\n{other}".encode(), "keys.asc").fingerprints == expected


def test_a_packet_of_a_kind_that_nobody_knows_is_passed_over_in_a_key_file():
    keys = parse_keys(bytes(KEY.extract_certificate()) + b"\xfc\x01x", "keys.gpg")
    assert verify_cleartext(SIGNED, keys, "InRelease", now=NOW).signed_by == fingerprint(KEY)


def test_a_key_that_cannot_be_written_out_again_is_named():
    # The version of an issuer's fingerprint, in a subpacket of the key's own signature (RFC 9580, 5.2.3.35).
    certificate = bytes(KEY.extract_certificate()).replace(b"\x16\x21\x04", b"\x16\x21\x63")
    with pytest.raises(MalformedError, match=r"^mine\.gpg is not an OpenPGP key file: "):
        parse_keys(certificate, "mine.gpg")


@pytest.mark.parametrize("secret", [bytes(KEY), str(KEY).encode()], ids=["binary", "armored"])
def test_a_secret_key_in_a_key_file_is_refused(secret: bytes):
    with pytest.raises(MalformedError, match=r"mine\.asc holds a secret key"):
        parse_keys(secret, "mine.asc")


@pytest.mark.parametrize("data", [b"", b"hello", SIGNED, b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n"], ids=range(4))
def test_a_file_without_keys_is_named(data: bytes):
    with pytest.raises(MalformedError, match=r"^mine\.asc"):
        parse_keys(data, "mine.asc")


@pytest.mark.parametrize("name", KEY_SETS)
def test_every_shipped_set_loads(name: str):
    assert key_set(name).fingerprints


def test_an_unknown_key_set_is_told_the_known_ones():
    with pytest.raises(UsageError, match="debian-trixie") as caught:
        key_set("debian-trixy")
    assert caught.value.hint == "did you mean debian-trixie?"


def test_key_files_of_a_definition_are_relative_to_it(tmp_path: Path):
    (tmp_path / "mine.asc").write_text(str(KEY.extract_certificate()))
    keys = keys_of(("./mine.asc", "ubuntu"), tmp_path)
    assert keys.fingerprints == (fingerprint(KEY), *key_set("ubuntu").fingerprints)
    with pytest.raises(UsageError, match=r"cannot read the key file .*missing\.asc: No such file"):
        keys_of(("missing.asc",), tmp_path)


def test_the_readme_of_the_keys_tells_the_digest_of_every_key_file():
    directory = files("formation.debian.keys")
    readme = directory.joinpath("README.md").read_text()
    shipped = [file for file in directory.iterdir() if file.name.endswith(".asc")]
    assert len(shipped) == 7
    for file in shipped:
        assert f"| {file.name} |" in readme
        assert hashlib.sha256(file.read_bytes()).hexdigest() in readme
