"""Signatures, SBOMs and provenance are found beside an image, whoever wrote them."""

import pytest

from fake_registry import Fault
from formation.errors import MalformedError
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.manifest import Index, Manifest, index_bytes, manifest_bytes
from formation.oci.media_types import OCI_INDEX, OCI_MANIFEST
from formation.registry.referrers import artifact_types
from tiny_images import tiny_image

NOTATION = "application/vnd.cncf.notary.signature"
SPDX = "application/spdx+json"
SLSA = "https://slsa.dev/provenance/v1"
EMPTY = Descriptor("application/vnd.oci.empty.v1+json", f"sha256:{'0' * 64}", 2)


def index(*types):
    return index_bytes(
        Index(tuple(Descriptor(OCI_MANIFEST, f"sha256:{'1' * 64}", 10, artifact_type=kind) for kind in types))
    )


def artifact(**annotations):
    return manifest_bytes(Manifest(EMPTY, (Descriptor("application/vnd.in-toto+json", EMPTY.digest, 2, annotations),)))


@pytest.fixture
def digest(server):
    return server.add_image("a/b", tiny_image(), "1")


def tag_of(digest, suffix=""):
    return digest.replace(":", "-") + suffix


def test_an_image_that_nobody_vouches_for_has_none(client, reference, digest):
    assert artifact_types(reference("a/b:1"), digest, client) == ()


def test_a_registry_that_lists_referrers_is_asked(server, client, reference, digest):
    server.repository("a/b").referrers = {digest: index(NOTATION, SPDX, SPDX)}
    assert artifact_types(reference("a/b:1"), digest, client) == (SPDX, NOTATION)


def test_one_that_cannot_has_them_under_a_tag(server, client, reference, digest):
    server.add_manifest("a/b", OCI_INDEX, index(NOTATION), tag_of(digest))
    assert artifact_types(reference("a/b:1"), digest, client) == (NOTATION,)


@pytest.mark.parametrize(
    "answer",
    [*(Fault(status=status) for status in (400, 403, 405)), Fault(200, {"Content-Type": "text/html"}, b"<html>")],
)
def test_one_that_refuses_the_question_is_asked_for_the_tag(server, client, reference, digest, answer):
    server.add_manifest("a/b", OCI_INDEX, index(NOTATION), tag_of(digest))
    server.fail("GET", answer, where="/referrers/")
    assert artifact_types(reference("a/b:1"), digest, client) == (NOTATION,)


def test_tags_of_cosign_count(server, client, reference, digest):
    server.add_manifest("a/b", OCI_MANIFEST, artifact(), tag_of(digest, ".sig"))
    server.add_manifest("a/b", OCI_MANIFEST, artifact(predicateType=SLSA), tag_of(digest, ".att"))
    assert artifact_types(reference("a/b:1"), digest, client) == (SLSA, "signature")


def test_attestations_of_buildkit_count_for_their_image_and_signatures_for_the_whole_index(
    server, client, reference, digest
):
    data = artifact(**{"in-toto.io/predicate-type": SLSA})
    attestation = server.add_manifest("a/b", OCI_MANIFEST, data)
    other = f"sha256:{'2' * 64}"
    unknown = Platform("unknown", "unknown")
    entries = (
        Descriptor(
            OCI_MANIFEST, digest, len(server.repository("a/b").manifests[digest][1]), {}, Platform("linux", "amd64")
        ),
        Descriptor(OCI_MANIFEST, attestation, len(data), {"vnd.docker.reference.digest": digest}, unknown),
        Descriptor(OCI_MANIFEST, other, 10, {"vnd.docker.reference.digest": other}, unknown),
    )
    root = server.add_manifest("a/b", OCI_INDEX, index_bytes(Index(entries)), "2")
    server.add_manifest("a/b", OCI_INDEX, index(NOTATION), tag_of(root))
    assert artifact_types(reference("a/b:2"), digest, client) == (NOTATION, SLSA)


@pytest.mark.parametrize("answer", [b"[]", b"{}", b"nonsense", index("x").replace(b"sha256:1", b"sha256:x")])
def test_an_answer_that_is_no_index_is_an_error(server, client, reference, digest, answer):
    server.repository("a/b").referrers = {digest: answer}
    with pytest.raises(MalformedError):
        artifact_types(reference("a/b:1"), digest, client)
