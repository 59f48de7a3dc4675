"""Whether a service still stands on the very layers of the base that it names (annotations.md, image.base.digest)."""

from collections.abc import Iterator

from formation.contract.findings import Finding
from formation.dataclass import dataclass
from formation.digest import check_digest
from formation.errors import FormationError, IntegrityError, UsageError, quoted
from formation.oci.annotations import BASE_DIGEST, BASE_NAME
from formation.oci.descriptor import Descriptor
from formation.oci.image import BlobSource, Image, read_image
from formation.oci.manifest import media_type_of
from formation.oci.reference import parse_reference
from formation.oci.strict_json import MAXIMUM_SIZE


@dataclass(frozen=True, slots=True)
class BaseOf:
    """What an image says that it stands on."""

    name: str | None
    digest: str | None


def base_of(image: Image) -> BaseOf:
    """What the manifest's annotations, or else the config's labels, say.

    An empty one says nothing: that is how a Dockerfile takes back a label of the image below.
    """

    def said(name: str) -> str | None:
        return image.manifest.annotations.get(name) or image.config.execution.labels.get(name) or None

    return BaseOf(said(BASE_NAME), said(BASE_DIGEST))


def check_base(image: Image, sources: tuple[BlobSource, ...], promised: str | None = None) -> Iterator[Finding]:
    """What is wrong with the base of `image`, whose manifest and config one of `sources` may have.

    `promised` is the digest that it must have; an image that names none, as Docker builds them, is held to its layers.
    Nothing is wrong with an image that names no base and needs none.
    """
    said = base_of(image)
    if promised is not None and said.digest not in (None, promised):
        yield Finding(
            "base", "base-other", f"the image stands on {said.digest}, and was promised to stand on {promised}"
        )
    digest = said.digest or promised
    if digest is None:
        return
    name = (said.name if said.digest else None) or digest
    try:
        base = find_base(check_digest(digest), sources, image)
    except IntegrityError as error:
        yield Finding("base", "base-damaged", f"the base {name}: {error.message}")
        return
    if base is None:
        what = f"the base {name} is not at hand, so nobody can tell whether its layers are intact{_pull(name)}"
        yield Finding("base", "base-unknown", what, "warning")
        return
    below, own = base.config.diff_ids, image.config.diff_ids
    number = next((number for number, diff_id in enumerate(below) if own[number : number + 1] != (diff_id,)), None)
    if number is None:
        return
    layer = number if number < len(own) else None
    if said.digest is None:
        what = f"the image names no base, and was promised to stand on {name}, whose layer {number} it does not have"
        yield Finding("base", "base-other", what, layer=layer)
    else:
        what = f"layer {number} is not that of the base {name}, which has {len(below)} layers"
        yield Finding("base", "base-layer", what, layer=layer)


def _pull(name: str) -> str:
    """The command that brings the base, as the end of a sentence; empty where no registry is named: a name without one
    was built here, and Docker Hub's image of that name is a stranger's."""
    _, docker, rest = name.rpartition("docker://")
    try:
        reference = parse_reference(rest)
    except UsageError:
        return ""
    return f": formation pull {quoted(rest)}" if docker or reference.host is not None else ""


def check_unnamed_base(image: Image, base: "Image | None", name: str) -> Iterator[Finding]:
    """A warning when `image`, which is said to stand on `base`, names no base and does not begin with its layers.

    None for `base`: nobody has the image `name`. Builders that name none may have built on another build of it.
    """
    if base_of(image).digest is not None:
        return
    below = () if base is None else base.config.diff_ids
    if base is None:
        what = f"the image names no base, and the store has no {name} to compare its layers with"
    elif image.config.diff_ids[: len(below)] != below:
        what = f"the image names no base, and its lowest layers are not those of the {name} in the store"
    else:
        return
    yield Finding("base", "base-unknown", f"{what}, so nobody can tell whether it stands on it", "warning")


def find_base(digest: str, sources: tuple[BlobSource, ...], image: Image) -> Image | None:
    """The image with this digest, an index or a manifest; None when no source has it. Raises IntegrityError."""
    for source in sources:
        try:
            with source.open_blob(digest) as stream:
                data = stream.read(MAXIMUM_SIZE + 1)
        except FormationError:
            continue
        descriptor = Descriptor(media_type_of(data), digest, len(data))
        try:
            return read_image(source, descriptor, image.config.platform)
        except IntegrityError:
            raise
        except FormationError:
            continue
    return None
