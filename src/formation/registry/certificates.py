"""Whom TLS trusts: the machine's authorities, and those that an organisation put where Docker and Podman look.

Source: containers-certs.d(5); Docker, "Verify repository client with certificates".
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from formation.errors import FormationError
from formation.registry.settings import user_configuration

_SYSTEM = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def tls_context(host: str, environment: Mapping[str, str], certificates: Sequence[Path]) -> ssl.SSLContext:
    """TLS for `host`, as written with its port. Raises FormationError for a certificate that cannot be read.

    Besides the machine's: `certificates`, the files in SSL_CERT_FILE and FORMATION_CA_FILE, and *.crt, with *.cert and
    *.key as the client's own, in certs.d/HOST below ~/.config/containers, /etc/containers and /etc/docker.
    """
    context = ssl.create_default_context()
    named = (environment.get("FORMATION_CA_FILE"), environment.get("SSL_CERT_FILE"))
    for path in (*certificates, *(Path(name) for name in named if name)):
        _trust(context, path)
    for directory in _directories(host, environment):
        for path in sorted(directory.glob("*.crt")):
            _trust(context, path)
        for path in sorted(directory.glob("*.cert")):
            _present(context, path)
    return context


def _directories(host: str, environment: Mapping[str, str]) -> Iterator[Path]:
    config = user_configuration(environment)
    places = (f"{config}/containers/certs.d",) if config else ()
    for place in (*places, *_SYSTEM):
        directory = Path(place) / host
        if directory.is_dir():
            yield directory


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise _unreadable(path, error) from error


def _present(context: ssl.SSLContext, path: Path) -> None:
    try:
        # A key with a passphrase would ask for it on the terminal; such a key is refused instead.
        context.load_cert_chain(path, path.with_suffix(".key"), password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> FormationError:
    return FormationError(f"the certificate {path} cannot be read: {error.strerror or error}")
