"""Which version an image says it is, and as which it is published: by the name that it was given, too."""

import re
from collections.abc import Callable, Iterator, Mapping

from formation.errors import UsageError
from formation.oci.image import Image
from formation.oci.platform_index import VERSION
from formation.registry.tag_plan import VersionTag, parse_version_tag

_ONE_NAME = (
    f"make them agree. A label that FROM brought is the base's: write LABEL {VERSION}=… into the Dockerfile, or "
    "version: into the definition, and name the image by that version"
)


def image_version(image: Image, name: str, tag: str | None, variant: str | None) -> VersionTag:
    """The version in the manifest's annotation, else in the label, else the `tag` by which `name` names the image.

    Raises UsageError where those of them that are versions are not the same, and when none is one of `variant`; None
    reads the variant off each. Where it is given, a version may stand without its suffix.
    """
    said = _said(image, tag)
    parsed = {where: parse_version_tag(text, variant) for where, text in said.items()}
    plain = {where: found or parse_version_tag(said[where], "") for where, found in parsed.items()}
    versions = {where: found for where, found in plain.items() if found is not None}
    if len({found.version if variant is not None else found.text for found in versions.values()}) > 1:
        listed = ", ".join(f"{where} says {found.text}" for where, found in versions.items())
        hint = _ONE_NAME
        if variant is None and len({found.version for found in versions.values()}) == 1:
            hint = f"say of which variant it is: --variant {max(found.variant for found in versions.values())}"
        raise UsageError(f"{name} has more than one version: {listed}", hint=hint)
    for found in parsed.values():
        if found is not None:
            return found
    if variant is not None and versions:
        version = next(iter(versions.values())).text
        raise UsageError(
            f"{name} is {version}, which is no version of the variant {variant or 'runtime'}",
            hint=f"the variant's own image is {version}-{variant}" if variant else None,
        )
    why = "".join(f"; {where} says {text[:100]!r}: {_why_not(text)}" for where, text in said.items())
    raise UsageError(
        f"{name} carries no version{why}", hint="give its definition a version, or name it by one: formation/base:1.0.1"
    )


def stated_version(
    annotations: Mapping[str, str], labels: Callable[[], Mapping[str, str]], variant: str | None = None
) -> VersionTag | None:
    """The version in a manifest's annotation, else in its config's label; None when neither is one of `variant`.

    `labels` is called only where the annotation is no such version. Variants are read as `parse_version_tag` does.
    """
    found = (parse_version_tag(text, variant) for _, text in _stated(annotations, labels))
    return next((version for version in found if version is not None), None)


def _said(image: Image, tag: str | None) -> dict[str, str]:
    """Where something is said about the version, for messages → what; what counts most comes first."""
    found = dict(_stated(image.manifest.annotations, lambda: image.config.execution.labels))
    return found | {"its name": tag} if tag else found


def _stated(annotations: Mapping[str, str], labels: Callable[[], Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    if text := annotations.get(VERSION):
        yield "its annotation", text
    if text := labels().get(VERSION):
        yield "its label", text


def _why_not(text: str) -> str:
    """Why `text` is no version."""
    if text[0] in "vV" and parse_version_tag(text[1:]):
        return f"a version is written without {text[0]}"
    if "+" in text and parse_version_tag(text.partition("+")[0]):
        return "no tag can have a +"
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return "a version has three numbers"
    return "a version is MAJOR.MINOR.PATCH"
