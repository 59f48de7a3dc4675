"""Signatures of archives: which pinned key signed this text, and what exactly did it sign.

Sequoia does the cryptography (pysequoia), under its standard policy: SHA-1 and MD5 signatures do not count, nor do
revoked keys, keys that had expired when they signed, and signatures that this machine's clock puts in the future.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from pysequoia import Cert, Sig, verify
from pysequoia.packet import PacketPile, Tag

from formation.dataclass import dataclass
from formation.errors import IntegrityError, MalformedError

_BEGIN_MESSAGE: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"
_END_SIGNATURE: Final = b"-----END PGP SIGNATURE-----"
_MOST_SIGNATURES: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Keyring:
    """Certificates that may sign an archive."""

    certificates: tuple[Any, ...]
    """pysequoia.Cert, in order of preference: the first that signed a text names its signer."""
    owners: dict[str, str]
    """Fingerprint or key id of each key and subkey → fingerprint of its primary key; all upper-case hexadecimal."""

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of the primary keys: 40 upper-case hexadecimal digits each (64 for version 6 keys)."""
        return tuple(certificate.fingerprint.upper() for certificate in self.certificates)

    def only(self, fingerprints: Iterable[str]) -> "Keyring":
        """The certificates with these primary keys, in the given order. Raises KeyError when one is not there."""
        by_fingerprint = dict(zip(self.fingerprints, self.certificates, strict=True))
        return keyring(by_fingerprint[fingerprint] for fingerprint in fingerprints)

    def __add__(self, other: "Keyring") -> "Keyring":
        return keyring(self.certificates + other.certificates)


@dataclass(frozen=True, slots=True)
class Signed:
    """A text that a pinned key signed."""

    text: bytes
    """Exactly what the signature covers; nothing else of the file may be read."""
    signed_by: str
    """Fingerprint of the *primary* key of the certificate that signed, 40 upper-case hexadecimal digits. The subkey
    that made the signature changes more often, and key lists name the primary."""


def keyring(certificates: Iterable[Any]) -> Keyring:
    """The keyring of these pysequoia certificates, each once."""
    unique = {certificate.fingerprint.upper(): certificate for certificate in certificates}
    owners: dict[str, str] = {}
    for primary, certificate in unique.items():
        for packet in _packets(bytes(certificate), Tag.PublicKey, Tag.PublicSubkey):
            # A subkey of a version that Sequoia does not know, such as GnuPG's 5, has neither, and signs nothing.
            with suppress(RuntimeError):
                owners.update({packet.fingerprint.upper(): primary, packet.key_id.upper(): primary})
    return Keyring(tuple(unique.values()), owners)


def parse_keys(data: bytes, source: str) -> Keyring:
    """The certificates of a key file: binary or armored, one or several, armored blocks one after the other.

    Raises MalformedError, which names `source`, when there is none or the file holds a secret key.
    """
    try:
        certificates = Cert.split_bytes(data)
        secret = next(_packets(data, Tag.SecretKey), None) if certificates else None
        ring = keyring(certificates)
    except Exception as error:
        raise MalformedError(f"{source} is not an OpenPGP key file: {_reason(error)}") from error
    if not certificates:
        raise MalformedError(f"{source} holds no OpenPGP key")
    if b"PRIVATE KEY BLOCK" in data or secret is not None:
        # The file goes into the image as apt's Signed-By.
        raise MalformedError(f"{source} holds a secret key", hint="give the file that `gpg --export` writes")
    return ring


def verify_cleartext(data: bytes, keys: Keyring, source: str, *, now: int) -> Signed:
    """The text of a cleartext-signed file (InRelease) of which one signature is by one of `keys`.

    Lines before and after the signed message, headers within it and further messages are never part of `text`.
    A key that expired before `now`, in seconds since 1970, does not count.
    Raises IntegrityError, which names `source`, the keys that signed and those that are accepted.
    """
    body = data.strip()
    if not body.startswith(_BEGIN_MESSAGE) or not body.endswith(_END_SIGNATURE):
        raise MalformedError(f"{source} is not a cleartext-signed OpenPGP message")
    if len(re.findall(rb"^" + _BEGIN_MESSAGE, body, re.MULTILINE)) != 1:
        raise MalformedError(f"{source} holds more than one OpenPGP message")
    return _verify(body, None, keys, source, now)


def verify_detached(data: bytes, signature: bytes, keys: Keyring, source: str, *, now: int) -> Signed:
    """`data` when one of the signatures in `signature` (Release.gpg; armored or binary) is by one of `keys`.

    `now` and errors are as for `verify_cleartext`.
    """
    try:
        packets = islice(_packets(signature, Tag.Signature), _MOST_SIGNATURES)
        signatures = [Sig.from_bytes(_signature_packet(packet.body)) for packet in packets]
    except Exception as error:
        raise MalformedError(f"the signature of {source} is not an OpenPGP signature: {_reason(error)}") from error
    failure = IntegrityError(f"the signature file of {source} holds no signature")
    accepted: list[Signed] = []
    for one in signatures:
        try:
            accepted.append(_verify(data, one, keys, source, now))
        except IntegrityError as error:
            failure = error
    if not accepted:
        raise failure
    return min(accepted, key=lambda signed: keys.fingerprints.index(signed.signed_by))


def _verify(data: bytes, signature: Sig | None, keys: Keyring, source: str, now: int) -> Signed:
    """What Sequoia says of a message, or of `data` with a detached signature. Raises IntegrityError."""
    issuers: list[str] = []
    # Sequoia asks whether a key was valid when it signed. A stolen key that expired since could sign with an old date.
    usable = [each for each in keys.certificates if _unaccepted(each) is None and not _expired(each, now)]

    def certificates(identifiers: list[str]) -> list[Any]:
        issuers.extend(identifier.upper() for identifier in identifiers)
        return usable

    try:
        result = verify(bytes=data, store=certificates, signature=signature)
    except Exception as error:
        raise _refused(keys, source, issuers, now, _reason(error)) from error
    signers = {signature.certificate.upper() for signature in result.valid_sigs}
    for fingerprint in keys.fingerprints:
        if fingerprint in signers:
            return Signed(data if signature is not None else result.bytes or b"", fingerprint)
    raise _refused(keys, source, issuers, now, "no valid signature by an accepted key")


def _unaccepted(certificate: Any) -> str | None:
    """Why Sequoia takes this for no certificate that holds now; None when it does."""
    try:
        _ = certificate.expiration
    except Exception as error:
        return _cause(error)
    return None


def _expired(certificate: Any, now: int) -> bool:
    """Whether a certificate that holds has expired before `now`."""
    return certificate.expiration is not None and certificate.expiration.timestamp() <= now


def _refused(keys: Keyring, source: str, issuers: list[str], now: int, reason: str) -> IntegrityError:
    """Why no signature counts."""
    if not issuers:
        return MalformedError(f"{source} has no OpenPGP signature that can be read: {reason}")
    hint = "name the right key set or key file under the archive's `keys:`"
    known = {keys.owners[issuer] for issuer in issuers if issuer in keys.owners}
    if not known:
        return IntegrityError(
            f"{source} is signed by {_listed(issuers)}, but accepted are only {_listed(keys.fingerprints)}", hint=hint
        )
    signers = {name: key for key in keys.certificates if (name := key.fingerprint.upper()) in known}
    unaccepted = {name: why for name, key in signers.items() if (why := _unaccepted(key)) is not None}
    if known <= unaccepted.keys():
        return IntegrityError(
            f"{source} is signed by {_listed(known)}, which does not count: {unaccepted[min(known)]}",
            hint="check the clock of this machine; where it is right, get the key anew from whoever runs the archive, "
            "with signatures of its own that are of SHA-256 or better",
        )
    known -= unaccepted.keys()
    expired = {name for name in known if _expired(signers[name], now)}
    if known <= expired:
        hint = (
            "get the key anew from whoever runs the archive, who has extended or replaced it, and name it under "
            "`keys:`; or set the clock of this machine"
        )
        return IntegrityError(f"{source} is signed by {_listed(known)}, which has expired", hint=hint)
    return IntegrityError(
        f"{source} has a bad signature by {_listed(known - expired)}: the text is not what was signed, the signature "
        "is of SHA-1, or the key was not valid then",
        hint="try again later or with another mirror; a clock that is behind refuses signatures of its future",
    )


def _packets(data: bytes, *tags: Tag) -> Iterator[Any]:
    """The packets with one of `tags`. Those of kinds that pysequoia does not know, which raise, are passed over."""
    for packet in PacketPile.from_bytes(data):
        with suppress(RuntimeError):
            if packet.tag in tags:
                yield packet


def _listed(fingerprints: Iterable[str]) -> str:
    return " and ".join(sorted(set(fingerprints)))


def _signature_packet(body: bytes) -> bytes:
    """A signature packet (tag 2) with a five-octet length (RFC 9580, section 4.2.1.3)."""
    return bytes([0xC0 | 2, 0xFF]) + len(body).to_bytes(4, "big") + body


def _cause(error: Exception) -> str:
    """The innermost of the reasons that a pysequoia message gives."""
    reasons = str(error).partition("\n\nStack backtrace:")[0].splitlines()
    return re.sub(r"^\s*(?:\d+: )?", "", reasons[-1]) if reasons else type(error).__name__


def _reason(error: Exception) -> str:
    """The first line of a pysequoia message; a Rust stack trace follows it."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
