import pytest

from fake_registry import FakeRegistry
from formation.errors import FormationError, UsageError
from formation.network.url import is_loopback, is_plain_loopback
from formation.oci.reference import parse_reference
from formation.registry.pull import pull_image
from formation.registry.push import push_image
from formation.registry.refusal import NotThere
from formation.registry.registries import read_registries
from formation.registry.registry import Registry
from formation.registry.repository import Repository, repository_of
from formation.registry.settings import Settings
from tiny_images import noise, tiny_image

CONF = """
unqualified-search-registries = ["docker.io"]

[[registry]]
prefix = "example.com/team"
location = "moved.example.com/old"
[[registry.mirror]]
location = "mirror.example.com:5000/team"
insecure = true
[[registry.mirror]]
location = "digests.example.com/team"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example.com/team"
pull-from-mirror = "tag-only"

[[registry]]
location = "blocked.example.com"
blocked = true

[[registry]]
prefix = "*.internal.example.com"
insecure = true
"""


def read(tmp_path, text=CONF):
    path = tmp_path / "registries.conf"
    path.write_text(text)
    return read_registries({"CONTAINERS_REGISTRIES_CONF": str(path)})


def places(registries, host, name):
    found = registries.places(Repository(host, name))
    return [(str(place.repository), place.insecure, place.by_digest_only) for place in found]


def test_mirrors_are_asked_before_the_place_itself(tmp_path):
    assert places(read(tmp_path), "example.com", "team/base") == [
        ("mirror.example.com:5000/team/base", True, False),
        ("digests.example.com/team/base", False, True),
        ("moved.example.com/old/base", False, False),
    ]


def test_other_repositories_stay_where_they_are(tmp_path):
    for name in ("teams/base", "base"):
        assert places(read(tmp_path), "example.com", name) == [(f"example.com/{name}", False, False)]
    assert places(read(tmp_path), "a.internal.example.com", "x") == [("a.internal.example.com/x", True, False)]


def test_a_blocked_registry_is_an_error(tmp_path):
    with pytest.raises(FormationError, match=r"blocks blocked\.example\.com/a"):
        places(read(tmp_path), "blocked.example.com", "a")


@pytest.mark.parametrize(
    "text", ['[["registry"]]\nlocation = "a.example.com"\n', 'registry = [{location = "a.example.com"}]\n']
)
def test_a_rule_may_be_written_in_any_way_of_toml(tmp_path, text):
    assert [rule.location for rule in read(tmp_path, "# registry\n" + text).rules] == ["a.example.com"]


def test_a_file_of_short_names_has_no_rules(tmp_path):
    assert read(tmp_path, '[aliases]\n  "registry" = "docker.io/library/registry"\n').rules == ()


@pytest.mark.parametrize("text", ["[[registry", "registry = 5", "[[registry]]\nlocation = 5", "[registry]\na = 1"])
def test_a_broken_file_is_a_usage_error(tmp_path, text):
    with pytest.raises(UsageError, match=r"registries\.conf"):
        read(tmp_path, text)


def test_the_users_directory_adds_to_the_users_file(tmp_path):
    directory = tmp_path / "containers" / "registries.conf.d"
    directory.mkdir(parents=True)
    (tmp_path / "containers" / "registries.conf").write_text(
        '[[registry]]\nlocation = "a.example.com"\nblocked = true\n'
    )
    (directory / "50.conf").write_text('[[registry]]\nlocation = "a.example.com"\n')
    found = read_registries({"XDG_CONFIG_HOME": str(tmp_path)})
    assert places(found, "a.example.com", "x") == [("a.example.com/x", False, False)]


@pytest.fixture
def mirrored(server, tmp_path, pauses):
    """A client for which a second registry mirrors the first."""
    with FakeRegistry() as mirror:
        path = tmp_path / "registries.conf"
        path.write_text(
            f'[[registry]]\nlocation = "{server.host}"\n[[registry.mirror]]\nlocation = "{mirror.host}/copy"\n'
        )
        environment = {"CONTAINERS_REGISTRIES_CONF": str(path)}
        with Registry(Settings(environment, plain_http=True, pause=pauses.append, tries=2)) as client:
            yield mirror, client


def test_an_image_comes_from_the_mirror_that_has_it(server, store, name, mirrored):
    mirror, client = mirrored
    mirror.add_image("copy/a/b", tiny_image(), "1")
    assert pull_image(name("a/b:1"), store, client).digest == tiny_image().digest
    assert server.requests == []


def test_a_mirror_that_lacks_it_is_passed_over(server, store, name, mirrored):
    mirror, client = mirrored
    server.add_image("a/b", tiny_image(), "1")
    pull_image(name("a/b:1"), store, client)
    assert mirror.asked("GET", "/v2/copy/a/b/manifests/1")
    with pytest.raises(NotThere):
        pull_image(name("a/b:2"), store, client)


def test_a_blob_that_the_mirror_lacks_or_spoils_comes_from_the_place_itself(server, store, name, mirrored):
    mirror, client = mirrored
    image = tiny_image([{"a": noise(5000)}, {"b": noise(6000)}], compression="none")
    for each, repository in ((server, "a/b"), (mirror, "copy/a/b")):
        each.add_image(repository, image, "1")
    blobs = mirror.repository("copy/a/b").blobs
    first, second = (layer.digest for layer in image.manifest.layers)
    del blobs[first]
    blobs[second] = b"x" + blobs[second][1:]
    assert pull_image(name("a/b:1"), store, client).digest == image.digest
    assert {seen.path.rpartition("/")[2] for seen in server.asked("GET", "/blobs/")} == {first, second}


def test_nothing_is_pushed_to_a_mirror(server, reference, mirrored):
    mirror, client = mirrored
    push_image(tiny_image(), reference("a/b:1"), client)
    assert mirror.requests == []


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("debian:12", "docker.io", "library/debian"),
        ("formation/base:1", "docker.io", "formation/base"),
        ("localhost/a:1", "localhost", "a"),
        ("Registry.Example.com:5000/a/b", "registry.example.com:5000", "a/b"),
        ("[::1]:5000/a", "[::1]:5000", "a"),
    ],
)
def test_a_reference_is_in_a_repository_of_a_host(text, host, name):
    assert repository_of(parse_reference(text)) == Repository(host, name)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("localhost:5000", True), ("127.0.0.1:80", True), ("127.9.9.9", True), ("[::1]:5000", True),
     ("a.localhost:1", True), ("127.example.com", False), ("localhost.example.com", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_only_loopback_may_be_spoken_to_without_tls(host, expected):
    assert is_loopback(host) is expected
    assert is_plain_loopback(host) is (expected and host != "a.localhost:1")


@pytest.mark.parametrize("key", ["location", "prefix"])
def test_a_login_in_registries_conf_is_refused_and_not_shown(tmp_path, key):
    path = tmp_path / "registries.conf"
    path.write_text(f'[[registry]]\n{key} = "me:s3cret@registry.example.com"\n')
    with pytest.raises(UsageError, match=f"{key} holds a login") as caught:
        read_registries({"CONTAINERS_REGISTRIES_CONF": str(path)})
    assert "s3cret" not in caught.value.message
