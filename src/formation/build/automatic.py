"""Which packages nobody asked for: apt's extended_states, so that `apt-get autoremove` above the image knows them.

Source: apt's apt-pkg/depcache.cc, pkgDepCache::writeStateFile.
"""

from collections.abc import Iterable, Sequence

from formation.definition.values import File, Variant
from formation.lock.model import LockedPackage

STATES = "/var/lib/apt/extended_states"


def automatic_packages(
    packages: Sequence[LockedPackage], lineage: Iterable[Variant], architecture: str
) -> tuple[File, ...]:
    """The file for an image of `packages`; none when apt is not among them, or all were asked for.

    Essential packages, and what they need, count as asked for: a bootstrap installs them without apt. `lineage` are the
    image's variants: a later one may ask for what an earlier one only needed.
    """
    asked = {request.name for variant in lineage for request in variant.packages}
    stanzas = [
        f"Package: {package.name}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n"
        for package in packages
        if not package.essential and package.because != "requested" and package.name not in asked
    ]
    if not stanzas or all(package.name != "apt" for package in packages):
        return ()
    return (File(STATES, "root", "root", 0o644, "".join(stanzas).encode(), None),)
