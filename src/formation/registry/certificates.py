"""Whom TLS trusts: the machine's authorities, and those that an organisation put where Docker and Podman look.

Source: containers-certs.d(5); Docker, "Verify repository client with certificates".
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from formation.network.access import is_there
from formation.network.tls import trust, trusting, unreadable
from formation.registry.settings import user_configuration

_SYSTEM = ("/etc/containers/certs.d", "/etc/docker/certs.d")


def tls_context(host: str, environment: Mapping[str, str], certificates: Sequence[Path]) -> ssl.SSLContext:
    """TLS for `host`, as written with its port. Raises UsageError for a certificate that cannot be read.

    Besides the machine's: `certificates`, and *.crt, with *.cert and *.key as the client's own, in certs.d/HOST below
    ~/.config/containers, /etc/containers and /etc/docker.
    """
    context = trusting(certificates)(host)
    for directory in _directories(host, environment):
        for path in sorted(directory.glob("*.crt")):
            trust(context, path)
        for path in sorted(directory.glob("*.cert")):
            _present(context, path)
    return context


def _directories(host: str, environment: Mapping[str, str]) -> Iterator[Path]:
    config = user_configuration(environment)
    places = (f"{config}/containers/certs.d",) if config else ()
    for place in (*places, *_SYSTEM):
        directory = Path(place) / host
        # Docker has made /etc/docker for root alone.
        if is_there(directory) and directory.is_dir():
            yield directory


def _present(context: ssl.SSLContext, path: Path) -> None:
    try:
        # A key with a passphrase would ask for it on the terminal; such a key is refused instead.
        context.load_cert_chain(path, path.with_suffix(".key"), password=lambda: "")
    except OSError as error:
        raise unreadable(path, error) from error
