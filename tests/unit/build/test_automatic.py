"""apt's record of what nobody asked for."""

from formation.build.automatic import automatic_packages
from formation.debian.request import PackageRequest
from formation.definition.values import ImageConfig, Variant
from formation.lock.model import LockedPackage


def locked(name: str, because: str, *, essential: bool = False) -> LockedPackage:
    return LockedPackage(
        name, "1", "all", name, "1", "sha256:0", 1, 1, "debian", "trixie", "p", ("runtime",), because, essential
    )


def variant(name: str, *requests: str) -> Variant:
    return Variant(name, None, "", tuple(map(PackageRequest, requests)), (), (), (), (), (), ImageConfig())


PACKAGES = (
    locked("apt", "requested"), locked("bash", "essential", essential=True), locked("curl", "requested"),
    locked("libc6", "bash Pre-Depends", essential=True), locked("libcurl4", "curl Depends"),
    locked("mail-agent", "requested"),
)  # fmt: skip


def automatic(lineage, packages=PACKAGES):
    return "".join(file.content.decode() for file in automatic_packages(packages, lineage, "amd64"))


def test_only_what_was_pulled_in_is_automatic():
    assert automatic([variant("runtime", "apt", "curl")]) == (
        "Package: libcurl4\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    )


def test_what_a_later_variant_asks_for_is_no_longer_automatic():
    assert automatic([variant("runtime", "apt", "curl"), variant("dev", "libcurl4")]) == ""


def test_an_image_without_apt_needs_no_record():
    assert automatic([variant("runtime", "curl")], PACKAGES[1:]) == ""
