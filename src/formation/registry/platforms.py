"""Platforms by the names that the kernel has for machines."""

from formation.errors import FormationError
from formation.oci.descriptor import Platform
from formation.oci.image import Image, choose_manifest

_GO_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "i686": "386",
    "loongarch64": "loong64",
}


def machine_platform(machine: str) -> Platform:
    """What images for Linux on this `machine`, as `uname -m` says it, are for."""
    return Platform("linux", _GO_ARCHITECTURES.get(machine, machine))


def is_for(image: Image, platform: Platform) -> bool:
    """Whether `image` would be chosen from an index for `platform`."""
    try:
        choose_manifest((image.descriptor,), platform)
    except FormationError:
        return False
    return True


def require_platform(image: Image, platform: Platform, name: str) -> None:
    """Raises FormationError when `image`, which messages call `name`, is not for `platform`."""
    if not is_for(image, platform):
        raise FormationError(f"{name} has no image for {platform}; it has: {image.config.platform}")
