"""Pull, push, copy and publish against Debian's docker-registry with TLS and a password; what others pull of it."""

import base64
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import missing
from cutting_proxy import CuttingProxy
from engines import EngineUnavailable, Registry
from formation.errors import UnreachableError
from formation.oci.layout import write_layout
from formation.oci.name import parse_name
from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.registry import registry as client
from formation.registry.lease import is_lease
from formation.registry.listing import list_tags
from formation.registry.publish import publications, publish
from formation.registry.pull import pull_all, pull_image
from formation.registry.push import push_image
from formation.registry.refusal import LoginNeeded
from formation.registry.settings import Settings
from formation.registry.tag_plan import version_tag
from formation.store.blobs import add_image
from formation.store.images import open_stored, tag_image
from formation.store.store import Store
from loopback import certificate
from runnable import runnable_image
from tiny_images import noise, tiny_image

NAME, PASSWORD = "robot", "s3cret"
HASH = "$2b$04$mx21R7GRUQ2MA5fWBPC12OqIPE9sP6fFPAH0/i7YldvsTkhJpDDrC"
"""bcrypt of PASSWORD: what docker-registry reads of a htpasswd file."""


@dataclass(frozen=True)
class Secure:
    """A registry with TLS and a password, and what a client needs for it."""

    address: str
    certificates: Path
    """A directory with ca.crt."""
    environment: dict[str, str]

    def client(self, **settings):
        ca = (self.certificates / "ca.crt",)
        return client.Registry(Settings(self.environment, certificates=ca, pause=lambda seconds: None, **settings))

    def reference(self, text):
        return parse_reference(f"{self.address}/{text}")


@pytest.fixture(scope="session")
def secure(engine_directory):
    directory = engine_directory("secure-registry")
    certificates = directory / "certificates"
    certificates.mkdir(parents=True)
    certificate(certificates)
    (directory / "htpasswd").write_text(f"{NAME}:{HASH}\n")
    try:
        server = Registry(
            directory / "server",
            http={"tls": {"certificate": str(certificates / "ca.crt"), "key": str(certificates / "key.pem")}},
            auth={"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}},
        )
    except EngineUnavailable as error:
        missing(str(error))
    yield secured(server.address, certificates, directory)
    server.stop()


def secured(address, certificates, directory):
    auth = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
    file = directory / f"{address.rpartition(':')[2]}.json"
    file.write_text(json.dumps({"auths": {address: {"auth": auth}}}))
    return Secure(address, certificates, {"REGISTRY_AUTH_FILE": str(file)})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def name(reference):
    return parse_name(f"docker://{reference}")


def large_image(*sizes):
    return tiny_image([{f"data{n}": noise(size)} for n, size in enumerate(sizes)], compression="none")


def test_a_registry_with_tls_and_a_password_takes_and_gives_images(secure, store):
    image = tiny_image([{"etc/base": b"base"}, {"data": noise(3_000_000)}])
    reference = secure.reference("plain/base:1.0.0")
    with secure.client(chunk=1_000_000) as registry:
        push_image(image, reference, registry)
        pulled = pull_image(name(reference), store, registry)
    assert pulled.digest == image.digest
    assert validate(pulled) == ()


def test_without_a_login_or_with_a_wrong_one_nothing_comes(secure, store, tmp_path):
    reference = secure.reference("plain/base:1.0.0")
    ca = (secure.certificates / "ca.crt",)
    with client.Registry(Settings({}, certificates=ca)) as registry, pytest.raises(LoginNeeded, match="401"):
        pull_image(name(reference), store, registry)
    wrong = tmp_path / "auth.json"
    wrong.write_text(json.dumps({"auths": {secure.address: {"auth": base64.b64encode(b"robot:guess").decode()}}}))
    environment = {"REGISTRY_AUTH_FILE": str(wrong)}
    with client.Registry(Settings(environment, certificates=ca)) as registry, pytest.raises(LoginNeeded) as caught:
        pull_image(name(reference), store, registry)
    assert "guess" not in caught.value.message


def test_a_certificate_that_nobody_signed_is_not_trusted(secure, store):
    with client.Registry(Settings(secure.environment)) as registry:
        with pytest.raises(UnreachableError, match="cannot be trusted: self-signed certificate") as caught:
            pull_image(name(secure.reference("a:1")), store, registry)
    assert f"certs.d/{secure.address}/ca.crt" in (caught.value.hint or "")


def test_a_certificate_in_certs_d_is_trusted(secure, tmp_path):
    directory = tmp_path / "containers" / "certs.d" / secure.address
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes((secure.certificates / "ca.crt").read_bytes())
    environment = {**secure.environment, "XDG_CONFIG_HOME": str(tmp_path)}
    with client.Registry(Settings(environment)) as registry:
        assert client.tags(registry.target(secure.reference("nothing/here"))) == ()


def test_a_registry_on_loopback_may_be_without_tls(registry, store):
    reference = parse_reference(f"{registry.address}/plain/base:1")
    with client.Registry(Settings()) as plain:
        push_image(tiny_image(), reference, plain)
        assert pull_image(name(reference), store, plain).digest == tiny_image().digest


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_connection_that_is_cut_again_and_again_gets_there(secure, store, tmp_path, direction):
    image = large_image(2_000_000, 1_500_000, 900_000)
    repository = f"cut/{direction}"
    with CuttingProxy(secure.address) as proxy:
        through = secured(proxy.address, secure.certificates, tmp_path)
        with through.client(chunk=400_000) as registry:
            for limit in (50_000, 300_000, 500_000, 700_000):
                proxy.cut(**{direction: limit})
            if direction == "up":
                push_image(image, through.reference(f"{repository}:1"), registry)
            else:
                with secure.client() as direct:
                    push_image(image, secure.reference(f"{repository}:1"), direct)
            pulled = pull_image(name(through.reference(f"{repository}:1")), store, registry)
        assert proxy.done >= 3
    assert pulled.digest == image.digest
    assert validate(pulled) == ()


def test_a_service_is_pushed_without_a_byte_of_its_base(secure, store):
    base = tiny_image([{"etc/base": b"base"}, {"data": noise(500_000)}])
    tag_image(store, parse_reference("formation/base:1.0.0"), add_image(store, base))
    with secure.client() as registry:
        stored = open_stored(store, parse_reference("formation/base:1.0.0"))
        publish(
            publications([(version_tag("1.0.0"), stored)]), secure.reference("formation/base"), registry, store=store
        )
        for number in range(3):
            service = tiny_image([{"etc/base": b"base"}, {"data": noise(500_000)}, {"app": b"%d" % number}])
            pushed = push_image(service, secure.reference(f"services/s{number}:1.0.0"), registry, store=store)
            assert (pushed.mounted, pushed.sent) == (2, 2)
            assert pushed.sent_bytes < 2000


def test_an_index_goes_there_and_back(secure, store):
    images = [tiny_image([{"a": arch.encode()}], architecture=arch) for arch in ("amd64", "arm64")]
    reference = secure.reference("many/base")
    with secure.client() as registry:
        publish(publications([(version_tag("1.0.0"), image) for image in images]), reference, registry)
        descriptor = pull_all(name(secure.reference("many/base:latest")), store, registry)
        (first, *_) = list_tags(reference, registry)
    assert first.content.digest == descriptor.digest
    assert first.content.platforms == ("linux/amd64", "linux/arm64")
    for image in images:
        found = open_stored(store, secure.reference("many/base:latest"), image.config.platform)
        assert found.digest == image.digest


def test_publishers_at_once_take_turns(secure):
    reference = secure.reference("race/base")
    versions = ["1.0.0", "1.0.1", "1.0.2", "1.1.0"]

    def work(version):
        settings = Settings(secure.environment, certificates=(secure.certificates / "ca.crt",))
        with client.Registry(settings) as registry:
            image = tiny_image([{"v": version.encode()}])
            publish(publications([(version_tag(version), image)]), reference, registry)

    with ThreadPoolExecutor(len(versions)) as pool:
        list(pool.map(work, versions))
    with secure.client() as registry:
        found = {entry.tag: entry.version for entry in list_tags(reference, registry)}
        assert not [tag for tag in client.tags(registry.target(reference)) if is_lease(tag)]
    assert found == {version: version for version in versions} | {
        "1.0": "1.0.2",
        "1.1": "1.1.0",
        "1": "1.1.0",
        "latest": "1.1.0",
    }


def test_clients_that_upload_one_blob_at_once_all_get_their_manifest_taken(secure):
    # docker-registry cannot read the blob for a moment then, and refuses the manifest that names it.
    image = tiny_image()
    together = threading.Barrier(6)

    def work(reference):
        settings = Settings(secure.environment, certificates=(secure.certificates / "ca.crt",))
        with client.Registry(settings) as registry:
            together.wait(60)
            push_image(image, reference, registry)

    for attempt in range(20):
        references = [secure.reference(f"together/r{attempt}:{n}") for n in range(together.parties)]
        with ThreadPoolExecutor(together.parties) as pool:
            list(pool.map(work, references))


@pytest.fixture(scope="module")
def published(secure):
    """team/base with 1.0.0, a patch, a feature, and a late patch; each prints its version when it runs."""
    with secure.client() as registry:
        for version in ("1.0.0", "1.0.1", "1.1.0", "1.0.2"):
            wanted = publications([(version_tag(version), runnable_image(version))])
            publish(wanted, secure.reference("team/base"), registry)
        assert not [tag for tag in client.tags(registry.target(secure.reference("team/base"))) if is_lease(tag)]
    return {"1.0.0": "1.0.0", "1.0.1": "1.0.1", "1.0": "1.0.2", "1.1": "1.1.0", "1": "1.1.0", "latest": "1.1.0"}


@pytest.mark.root
def test_docker_pulls_each_tag_and_runs_it(secure, published, docker):
    # Docker takes registries on loopback without checking their certificate.
    docker.run("login", "--username", NAME, "--password-stdin", secure.address, input=PASSWORD.encode())
    for tag, version in published.items():
        docker.run("pull", str(secure.reference(f"team/base:{tag}")))
        ran = docker.run("run", "--rm", "--network", "host", str(secure.reference(f"team/base:{tag}")))
        assert ran.stdout == version


def test_podman_pulls_each_tag_and_runs_it(secure, published, podman):
    for tag, version in published.items():
        reference = str(secure.reference(f"team/base:{tag}"))
        podman.run("pull", "--cert-dir", secure.certificates, "--creds", f"{NAME}:{PASSWORD}", reference)
        assert podman.run("run", "--rm", reference).stdout == version


def test_skopeo_copies_each_tag_with_its_digest(secure, published, skopeo, tmp_path):
    for tag, version in published.items():
        source = f"docker://{secure.reference(f'team/base:{tag}')}"
        arguments = ["--src-cert-dir", secure.certificates, "--src-creds", f"{NAME}:{PASSWORD}"]
        skopeo.run("copy", *arguments, source, f"oci:{tmp_path}/layout:{tag}")
        index = json.loads((tmp_path / "layout" / "index.json").read_text())
        digests = {
            entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"] for entry in index["manifests"]
        }
        assert digests[tag] == runnable_image(version).digest


def test_what_others_pushed_is_pulled(secure, store, skopeo, tmp_path):
    image = tiny_image([{"x": b"pushed by skopeo"}])
    write_layout(tmp_path / "layout", image, "1")
    target = secure.reference("skopeo/base:1")
    arguments = ["--dest-cert-dir", secure.certificates, "--dest-creds", f"{NAME}:{PASSWORD}"]
    skopeo.run("copy", *arguments, f"oci:{tmp_path}/layout:1", f"docker://{target}")
    with secure.client() as registry:
        assert pull_image(name(target), store, registry).digest == image.digest


def test_the_password_is_in_no_output_of_a_failing_command(secure, tmp_path):
    from builds import Formation

    formation = Formation().with_environment(
        **secure.environment, FORMATION_CA_FILE=str(secure.certificates / "ca.crt")
    )
    formation = formation.with_environment(FORMATION_DEBUG="1", FORMATION_STORE=str(tmp_path / "store"))
    encoded = base64.b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
    for words in (("pull", f"{secure.address}/no/such:1"), ("tags", f"{secure.address}/no/such")):
        ran = formation.run(*words)
        assert not re.search(f"{PASSWORD}|{re.escape(encoded)}", ran.stdout + ran.stderr)
