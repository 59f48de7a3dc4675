"""Building the image of a service: from a plan to an image in the store, or straight to it when nothing has changed."""

from collections.abc import Sequence

from formation.build.application import FactsView, additions_of
from formation.build.origin import Origin
from formation.build.package_layers import Tools, package_layers
from formation.build.recall import BuiltImage, known_image, known_or_built, tag
from formation.build.service import ServicePlan
from formation.build.service_image import COMPRESSION, assemble_service
from formation.contents.image import scan_layers
from formation.install.application import application_layer
from formation.install.built_layer import BuiltLayer
from formation.install.layer import LayerStore
from formation.oci.descriptor import Descriptor
from formation.oci.image import Image, Layer
from formation.oci.media_types import layer_media_type
from formation.store.blobs import StoreBlobs
from formation.store.locking import in_use, work_directory
from formation.store.store import Store


def build_service(plan: ServicePlan, store: Store, tools: Tools, origin: Origin) -> BuiltImage:
    """Builds the image of `plan`, tags it and gives it.

    Raises FormationError and its kinds; the store keeps what was made until then, and the tag stays where it was.
    """
    with in_use(store):
        image, reused = service_image(plan, store, tools, origin)
        reference = f"{plan.service.name}:{plan.service.version}"
        base_layers = len(plan.base.manifest.layers)
        return BuiltImage(tag(store, [reference], [image]), image, len(plan.packages), reused, base_layers)


def service_image(plan: ServicePlan, store: Store, tools: Tools, origin: Origin) -> tuple[Image, bool]:
    """The image of `plan`, built unless the store has it, and whether it was there; no tag is moved.

    Raises as `build_service`. The caller uses the store.
    """
    return known_or_built(store, _key(plan, origin), lambda: _build(plan, store, tools, origin))


def known_service_image(plan: ServicePlan, store: Store, origin: Origin) -> Image | None:
    """The image of `plan` when the store has it; None when it has to be built. The caller uses the store."""
    return known_image(store, _key(plan, origin))


def _key(plan: ServicePlan, origin: Origin) -> str:
    return f"{plan.key}-{origin.key}"


def _build(plan: ServicePlan, store: Store, tools: Tools, origin: Origin) -> Descriptor:
    packages = package_layers(plan, store, tools)
    above = scan_layers(_as_layers(packages.layers, store), store, workers=tools.workers)
    below = FactsView(plan.below.with_layers(above))
    with work_directory(store) as work:
        kept = LayerStore(store.segments, store.trees, store.layers, store.blobs, work, COMPRESSION)
        top = application_layer(kept, additions_of(plan, below), below, packages.epoch)
    return assemble_service(store, plan, (*packages.layers, top), packages.epoch, origin)


def _as_layers(built: Sequence[BuiltLayer], store: Store) -> tuple[Layer, ...]:
    return tuple(
        Layer(Descriptor(layer_media_type(each.compression), each.digest, each.size), each.diff_id, StoreBlobs(store))
        for each in built
    )
