"""One side of a comparison: an image, or the lock of a definition, with what can be said of it."""

import re
from collections.abc import Mapping
from typing import Literal

from formation.contract.facts import Facts, platform_name
from formation.contract.from_definition import base_contract, service_contract
from formation.contract.from_image import contract_of, with_defaults
from formation.contract.promise import Contract
from formation.dataclass import dataclass, replace
from formation.definition.service_values import ServiceDefinition
from formation.definition.values import RUNTIME, Definition
from formation.digest import sha256
from formation.lock.lockfile import lock_text
from formation.lock.model import Lock
from formation.lock.stored import stored_lock
from formation.oci.image import Image
from formation.oci.platform_index import version_of
from formation.registry.tag_plan import VersionTag, parse_version_tag
from formation.release.packages import PackageState, measured_as_in_locks
from formation.store.blobs import StoreBlobs
from formation.store.store import Store


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is compared. An image tells everything; a lock its packages, and with its definition what that promises."""

    name: str
    """As it was asked for."""
    kind: Literal["image", "lock"]
    digest: str
    """Of the manifest, or of the lock's text."""
    packages: Mapping[str, tuple[PackageState, ...]]
    """Per architecture, by Debian's name or as OCI writes it; the one of an image."""
    suites: tuple[str, ...]
    """What it was made of: those of a lock, or the code name that an image states; empty when nothing says."""
    contract: Contract | None
    """None for a lock without its definition."""
    facts: Facts | None
    """None for a lock."""
    lock: Lock | None
    """An image may have one beside it."""
    platforms: tuple[str, ...] = ()
    """All that its name stands for, named as in `packages`; empty: nothing says of which those there are some."""
    version: str = ""
    """That a definition states, without its variant; empty for an image, whose config says it."""

    @property
    def stated_version(self) -> str | None:
        """The version that an image or a definition states, without its variant; None when it states none."""
        tag = self._stated
        return None if tag is None else tag.version

    @property
    def stated_variant(self) -> str:
        """The variant at the end of the version that an image states; `runtime` when there is none."""
        tag = self._stated
        return RUNTIME if tag is None else tag.variant or RUNTIME

    @property
    def _stated(self) -> VersionTag | None:
        """Of an image in its annotation, else its label, else the name that it was asked for by."""
        if self.facts is None:
            return parse_version_tag(self.version)
        return parse_version_tag(version_of(self.facts.image)) or parse_version_tag(self.name.rpartition(":")[2])


def snapshot_of_image(facts: Facts, name: str, *, store: Store | None = None) -> Snapshot:
    """The image that `facts` tell of. Its lock may be in the `store`."""
    image = facts.image
    lock = lock_of(image, store)
    # An index may say more of a platform than the config does: the variant of an ARM.
    listed = [(each.digest, platform_name(each.platform or image.config.platform)) for each in image.listed]
    architecture = next(
        (name for digest, name in listed if digest == image.digest), platform_name(image.config.platform)
    )
    return Snapshot(
        name=name,
        kind="image",
        digest=image.digest,
        packages={architecture: _installed(facts, architecture, lock)},
        suites=_code_name(facts),
        contract=contract_of(facts, name),
        facts=facts,
        lock=lock,
        platforms=tuple(dict.fromkeys(name for _, name in listed)),
    )


def lock_of(image: Image, store: Store | None) -> Lock | None:
    """The lock that `image` was built from, from beside it or from the `store`; None where neither has it."""
    found = stored_lock(image)
    return found if found is not None or store is None else stored_lock(replace(image, source=StoreBlobs(store)))


def snapshot_of_lock(
    lock: Lock, name: str, definition: Definition | ServiceDefinition | None, variant: str | None = None
) -> Snapshot:
    """The lock, with what its `definition` promises for `variant`; None stands for all variants together.

    Raises UsageError when the definition has no such variant.
    """
    contract, names = None, None
    if isinstance(definition, ServiceDefinition):
        contract = service_contract(definition, None, None)
    elif definition is not None:
        contract = with_defaults(base_contract(definition, variant or RUNTIME, None, None))
    if variant is not None and not isinstance(definition, ServiceDefinition):
        # Without the definition nothing says what a variant extends; hardly one extends anything but the runtime.
        lineage = [] if definition is None else definition.lineage(variant)
        names = frozenset({RUNTIME, variant, *(each.name for each in lineage)})
    return Snapshot(
        name=name,
        kind="lock",
        digest=sha256(lock_text(lock).encode()),
        packages={
            architecture: tuple(
                PackageState(
                    each.name,
                    each.version,
                    each.source,
                    each.source_version,
                    each.installed_size * 1024,
                    each.sha256,
                    each.suite,
                    # Where one variant is looked at, it does not matter which of its lineage adds the package.
                    each.variants if names is None else (),
                )
                for each in packages
                if names is None or not names.isdisjoint(each.variants)
            )
            for architecture, packages in lock.packages.items()
        },
        suites=tuple(dict.fromkeys(suite.suite for suite in lock.suites)),
        contract=contract,
        facts=None,
        lock=lock,
        version="" if definition is None else definition.version,
    )


def with_base(side: Snapshot, bases: Mapping[str, Snapshot]) -> Snapshot:
    """`side`, the lock of a service, with all that an image of it has: what its `bases` bring, by its own
    architectures, and what it adds or renews. It is of the suite that these say, as the image would."""
    packages = dict(side.packages)
    for architecture, base in bases.items():
        below = {each.name: each for listed in base.packages.values() for each in measured_as_in_locks(listed)}
        everything = below | {each.name: each for each in side.packages[architecture]}
        packages[architecture] = tuple(everything[name] for name in sorted(everything))
    suites = tuple(dict.fromkeys(suite for base in bases.values() for suite in base.suites))
    return replace(side, packages=packages, suites=suites)


def _installed(facts: Facts, architecture: str, lock: Lock | None) -> tuple[PackageState, ...]:
    locked = {} if lock is None else {(each.name, each.version): each for each in lock.packages.get(architecture, ())}
    found = []
    for package, listing in zip(facts.packages, facts.listings, strict=True):
        if not package.installed:
            continue
        own = package.architecture in ("all", architecture, "")
        pinned = locked.get((package.name, package.version)) if own else None
        found.append(
            PackageState(
                package.name if own else f"{package.name}:{package.architecture}",
                package.version,
                package.source,
                package.source_version,
                _size(facts, listing.paths or ()),
                pinned.sha256 if pinned else "",
                pinned.suite if pinned else "",
                promised_size=_kibibytes(package.stanza.get("Installed-Size", "")) * 1024,
            )
        )
    return tuple(found)


def _size(facts: Facts, paths: tuple[str, ...]) -> int:
    """Bytes of the files among `paths`."""
    nodes = (facts.files.get(path) for path in paths)
    return sum(node.entry.size for node in nodes if node is not None and node.entry.type == "file")


def _kibibytes(text: str) -> int:
    """The number in a control file's field; 0 when it is none."""
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text.strip()) else 0


def _code_name(facts: Facts) -> tuple[str, ...]:
    """The code name in os-release(5)."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        for line in (facts.files.content(path) or b"").decode("utf-8", "replace").splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "VERSION_CODENAME":
                return (value.strip().strip("\"'"),)
    return ()
