"""Which versions exist, as the store and registries tell."""

from formation.errors import UnreachableError
from formation.lint.published import Registries, in_store, once, tags_in_store
from formation.oci.descriptor import Descriptor
from formation.oci.reference import parse_reference
from formation.registry.refusal import NotThere
from formation.store.images import tag_image
from formation.store.store import Store
from linting import SERVICE, findings

DIGEST = "sha256:" + "a" * 64


class Answering:
    """A registry client that answers as it was told, and remembers the questions."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked: list[str] = []

    def find(self, reference):
        self.asked.append(str(reference))
        if self.error:
            raise self.error


def test_the_store_tells_what_it_has_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    descriptor = Descriptor("application/vnd.oci.image.manifest.v1+json", DIGEST, 2)
    tag_image(store, parse_reference("formation/base:1.0.0"), descriptor)
    asked = (
        "formation/base:1.0.0",
        f"formation/base:1.0.0@{DIGEST}",
        f"formation/base@{DIGEST}",
        "formation/base:1.0.1",
    )
    assert [in_store(store, parse_reference(each)) for each in asked] == [True, True, True, None]
    assert tags_in_store(store, "formation/base") == ("1.0.0",)
    assert tags_in_store(store, "formation/other") == ()


def test_a_base_without_a_host_is_asked_for_where_bases_are():
    registry, notes = Answering(), []
    registries = Registries(registry, "r.example.com", notes.append)
    for name in ("formation/base:1.0.0", "other.example.com/formation/base:1.0.0", "localhost/base:1.0.0"):
        assert registries.has(parse_reference(name)) is True
    assert registry.asked == [
        "r.example.com/formation/base:1.0.0", "other.example.com/formation/base:1.0.0", "localhost/base:1.0.0",
    ]  # fmt: skip
    assert notes == []


def test_a_version_that_no_registry_has_is_a_finding():
    registries = Registries(Answering(NotThere("no", status=404)), "r.example.com", print)
    reference = parse_reference("formation/base:1.0.0")
    assert registries.has(reference) is False
    (found,) = findings(SERVICE, published={str(reference): False})
    assert found.message == "there is no formation/base:1.0.0"


def test_a_registry_that_does_not_answer_is_asked_once_and_named():
    registry, notes = Answering(UnreachableError("no route")), []
    registries = Registries(registry, "r.example.com", notes.append)
    assert [registries.has(parse_reference(f"formation/base:1.0.{patch}")) for patch in range(3)] == [None] * 3
    assert len(registry.asked) == 1
    assert notes == ["r.example.com could not be asked for formation/base:1.0.0: no route"]


def test_answers_are_remembered():
    asked = []
    ask = once(asked.append)
    reference = parse_reference("formation/base:1.0.0")
    assert (ask(reference), ask(reference), len(asked)) == (None, None, 1)
