"""What a variant asks for on one architecture."""

from formation.debian.request import PackageRequest
from formation.definition.values import Variant


def requests_for(variant: Variant, architecture: str) -> tuple[PackageRequest, ...]:
    """The requests that count on `architecture`, in the definition's order: `name:arm64` is for arm64 alone."""
    return tuple(request for request in variant.packages if request.architecture in (None, architecture))
