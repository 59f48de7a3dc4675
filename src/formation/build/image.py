"""From layers to an image in the store: config, manifest, and the tags of the definition."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from formation.definition.values import ImageConfig
from formation.install.built_layer import BuiltLayer
from formation.oci.annotations import COMPRESSOR, LAYER_KIND, LAYER_PACKAGES, LOCK_DIGEST, packages_text
from formation.oci.compression import FORMAT
from formation.oci.config import Config, Execution, History, config_bytes
from formation.oci.descriptor import Descriptor, Platform
from formation.oci.manifest import Manifest, manifest_bytes
from formation.oci.media_types import OCI_CONFIG, OCI_MANIFEST, Compression, layer_media_type
from formation.store.blobs import add_bytes
from formation.store.store import Store

if TYPE_CHECKING:
    # Services share the rest, and need not wait for what a base's plan imports.
    from formation.build.plan import Plan
    from formation.install.job import BuiltVariant

_GO_ARCHITECTURES = {
    "amd64": Platform("linux", "amd64"),
    "arm64": Platform("linux", "arm64", "v8"),
    "armhf": Platform("linux", "arm", "v7"),
    "armel": Platform("linux", "arm", "v5"),
    "i386": Platform("linux", "386"),
    "ppc64el": Platform("linux", "ppc64le"),
    "riscv64": Platform("linux", "riscv64"),
    "s390x": Platform("linux", "s390x"),
}
_SHOWN = 6


def platform_of(architecture: str) -> Platform:
    """What OCI calls a Debian architecture."""
    return _GO_ARCHITECTURES.get(architecture, Platform("linux", architecture))


def assemble_image(store: Store, plan: "Plan", variants: "Sequence[BuiltVariant]") -> Descriptor:
    """Writes config and manifest of the image whose layers are in the store. Gives the manifest's descriptor."""
    layers = [layer for variant in variants for layer in variant.layers]
    config = Config(
        platform=platform_of(plan.architecture),
        diff_ids=tuple(layer.diff_id for layer in layers),
        execution=_execution(plan),
        history=tuple(
            layer_history(variant.name, layer, variant.epoch) for variant in variants for layer in variant.layers
        ),
        created=time_text(variants[-1].epoch),
    )
    return write_image(store, config, map(layer_descriptor, layers), plan.lock_text, plan.compression)


def write_image(
    store: Store, config: Config, layers: Iterable[Descriptor], lock_text: str, compression: Compression
) -> Descriptor:
    """Writes `config`, and a manifest that names it and `layers`, base layer first, and says what its labels say.

    `compression` is that of our own layers. Gives the manifest's descriptor.
    """
    config_data = config_bytes(config)
    manifest = Manifest(
        config=Descriptor(OCI_CONFIG, add_bytes(store, config_data), len(config_data)),
        layers=tuple(layers),
        annotations={
            **config.execution.labels,
            LOCK_DIGEST: add_bytes(store, lock_text.encode()),
            COMPRESSOR: FORMAT[compression],
        },
    )
    data = manifest_bytes(manifest)
    return Descriptor(OCI_MANIFEST, add_bytes(store, data), len(data), platform=config.platform)


def _execution(plan: "Plan") -> Execution:
    config: ImageConfig = plan.lineage[-1].config
    return Execution(
        environment=tuple(f"{name}={value}" for name, value in config.environment),
        user=config.user or "",
        working_directory=config.working_directory or "",
        entrypoint=config.entrypoint,
        command=config.command,
        volumes=tuple(sorted(config.volumes)),
        labels=dict(config.labels),
        stop_signal=config.stop_signal or "",
    )


def layer_descriptor(layer: BuiltLayer) -> Descriptor:
    """What a manifest says of a layer."""
    annotations = {LAYER_KIND: layer.kind}
    if layer.packages:
        annotations[LAYER_PACKAGES] = packages_text(layer.packages)
    return Descriptor(layer_media_type(layer.compression), layer.digest, layer.size, annotations)


def layer_history(what: str, layer: BuiltLayer, epoch: int) -> History:
    """How a layer of `what`, a variant or service, came to be; `epoch` in seconds since 1970."""
    return History(created=time_text(epoch), created_by=_created_by(what, layer), comment="formation")


def _created_by(what: str, layer: BuiltLayer) -> str:
    if layer.kind == "application":
        return f"formation: files of {what}"
    names = [f"{name}={version}" for name, version in layer.packages]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    packages = f"{' '.join(names[:_SHOWN])}{more}"
    if layer.kind == "effects":
        return f"formation: configuration of {what}" + (f", with {packages}" if packages else "")
    return f"formation: {packages}"


def time_text(epoch: int) -> str:
    """Seconds since 1970 as RFC 3339 writes them."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
