"""Platforms by the names that the kernel has for machines."""

from formation.oci.descriptor import Platform

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
