"""From a service's own layers to its image in the store: those of the base, unchanged, and these on top."""

from collections.abc import Sequence

from formation.build.image import layer_descriptor, layer_history, time_text, write_image
from formation.build.origin import Origin
from formation.build.service import ServicePlan
from formation.build.service_config import execution_of, history_of, labels_of
from formation.dataclass import replace
from formation.install.built_layer import BuiltLayer
from formation.oci.config import Config
from formation.oci.descriptor import Descriptor
from formation.oci.media_types import LAYERS, Compression, layer_media_type
from formation.store.store import Store


def assemble_service(
    store: Store, plan: ServicePlan, own: Sequence[BuiltLayer], epoch: int, origin: Origin
) -> Descriptor:
    """Writes config and manifest of the image whose layers, those of the base and its `own`, are in the store.

    `epoch` is the time of its creation, in seconds since 1970. Gives the manifest's descriptor. Raises MalformedError
    for a base whose config and manifest differ.
    """
    service, base = plan.service, plan.base
    config = Config(
        platform=base.config.platform,
        diff_ids=(*(layer.diff_id for layer in base.layers), *(layer.diff_id for layer in own)),
        execution=execution_of(plan, labels_of(plan, origin)),
        history=(*history_of(base), *(layer_history(service.short_name, layer, epoch) for layer in own)),
        created=time_text(epoch),
    )
    layers = (*map(_as_oci, base.manifest.layers), *map(layer_descriptor, own))
    return write_image(store, config, layers, plan.lock_text, COMPRESSION)


COMPRESSION: Compression = "gzip"
"""Of a service's own layers: what every engine takes."""


def _as_oci(layer: Descriptor) -> Descriptor:
    """The same blob as an OCI manifest names it: Docker's media types do not belong there."""
    return replace(layer, media_type=layer_media_type(LAYERS[layer.media_type]))
