import base64
import json

import pytest

from fake_registry import FakeRegistry
from formation.oci.name import parse_name
from formation.oci.reference import parse_reference
from formation.registry.registry import Registry
from formation.registry.settings import Settings
from formation.store.store import Store


@pytest.fixture
def server():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def pauses():
    """How long the client wanted to wait each time."""
    return []


@pytest.fixture
def client(pauses):
    with Registry(Settings(plain_http=True, pause=pauses.append, chunk=1000, tries=4)) as registry:
        yield registry


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def reference(server):
    """Makes a reference of this server."""
    return lambda text: parse_reference(f"{server.host}/{text}")


@pytest.fixture
def name(server):
    """Makes a docker:// name of this server."""
    return lambda text: parse_name(f"docker://{server.host}/{text}")


@pytest.fixture
def logged_in(server, tmp_path, pauses):
    """Makes a client that has logged in to the server as `podman login` does."""

    def make(username, password, **settings):
        path = tmp_path / "auth.json"
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        path.write_text(json.dumps({"auths": {server.host: {"auth": auth}}}))
        environment = {"REGISTRY_AUTH_FILE": str(path)}
        return Registry(Settings(environment, plain_http=True, pause=pauses.append, chunk=1000, **settings))

    return make
