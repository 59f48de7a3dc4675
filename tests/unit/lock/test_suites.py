"""Archives that are asked at once, and a person who does not want to wait for them."""

import signal
import threading

import pytest

from formation.dataclass import replace
from formation.debian.openpgp import keyring
from formation.definition.load import load_definition
from formation.lock import suites
from formation.network import Downloader
from formation.progress import Silent
from formation.store.store import Store
from scripted_server import Peer, ScriptedServer

DEFINITION = """\
kind: base
name: test/base
version: 1.0.0
distribution: debian/trixie
architectures: [amd64]
archives:
  - {{name: own, uri: "{url}/debian", suites: [one, two], components: [main], keys: [key.gpg]}}
packages: [dash]
"""


def test_ctrl_c_waits_for_no_archive(tmp_path, monkeypatch):
    """Two suites are asked for, by threads that the main one waits for, of a server that says nothing."""
    both = threading.Barrier(2, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT))

    def silent(peer: Peer) -> None:
        if peer.hear():
            both.wait(60)
            peer.wait_for_end()

    monkeypatch.setattr(suites, "keys_of", lambda keys, directory: keyring(()))
    with ScriptedServer(silent) as server, Downloader(progress=Silent(), timeout=600) as downloader:
        (tmp_path / "formation.yaml").write_text(DEFINITION.format(url=server.url))
        (tmp_path / "key.gpg").write_bytes(b"key")
        definition = load_definition(tmp_path / "formation.yaml")
        own = tuple(archive for archive in definition.archives if archive.name == "own")
        with pytest.raises(KeyboardInterrupt):
            suites.fetch_suites(
                replace(definition, archives=own),
                downloader=downloader,
                store=Store(tmp_path / "store"),
                now=0,
                progress=Silent(),
                previous=None,
            )
    assert len(server.requests) == 2
