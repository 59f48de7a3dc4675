"""The labels of a base that a service does not take over: they tell of one image."""

from formation.oci.annotations import BASE_DIGEST, BASE_NAME

_LABELS = "org.opencontainers.image"
REVISION = f"{_LABELS}.revision"
SOURCE = f"{_LABELS}.source"
_ABOUT_ONE_IMAGE = ("title", "description", "version", "revision", "source", "created", "url", "documentation")
NOT_INHERITED = frozenset((*(f"{_LABELS}.{name}" for name in (*_ABOUT_ONE_IMAGE, "ref.name")), BASE_NAME, BASE_DIGEST))
"""Labels that tell of the base, and would be wrong of a service."""
