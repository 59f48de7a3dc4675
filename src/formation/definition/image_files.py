"""The files of an image that say what its definition said, so that apt and dpkg in it go on in the same way.

One place for both the native build and the Dockerfile.
"""

from formation.debian.archive import Archive
from formation.definition.archives import is_key_file
from formation.definition.values import Definition

DPKG_FILTERS = "/etc/dpkg/dpkg.cfg.d/formation"
APT_CHOICES = "/etc/apt/apt.conf.d/00formation"


def dpkg_filters(definition: Definition) -> str:
    """The content of DPKG_FILTERS; empty when nothing is left out.

    The includes stand last: of several patterns that match, dpkg heeds the last (dpkg(1), --path-exclude).
    """
    excludes = [f"path-exclude={pattern}\n" for pattern in definition.path_excludes]
    includes = [f"path-include={pattern}\n" for pattern in definition.path_includes]
    return "".join(excludes + includes) if excludes else ""


def apt_choices(definition: Definition) -> str:
    """The content of APT_CHOICES: whether a later apt-get installs what is only recommended."""
    return f'APT::Install-Recommends "{str(definition.recommends).lower()}";\n'


def sources_path(archive: Archive) -> str:
    """Where apt in the image reads about `archive`."""
    return f"/etc/apt/sources.list.d/{archive.name}.sources"


def apt_sources(archive: Archive) -> str:
    """The content of `sources_path(archive)`, in the form of sources.list(5), "DEB822-STYLE FORMAT"."""
    fields = {
        "Types": "deb",
        "URIs": archive.uri,
        "Suites": " ".join(archive.suites),
        "Components": " ".join(archive.components),
        "Signed-By": keyring_path(archive),
        **({} if archive.check_valid_until else {"Check-Valid-Until": "no"}),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def key_file(archive: Archive) -> str | None:
    """The key file beside the definition that the image needs at `keyring_path(archive)`.

    None when a package brings the keyring: for the shipped key sets, and where the definition says `signed_by`.
    """
    files = [key for key in archive.keys if is_key_file(key)]
    return files[0] if files and archive.signed_by is None else None


def keyring_path(archive: Archive) -> str:
    """The keyring in the image that apt checks `archive` with."""
    if archive.signed_by is not None:
        return archive.signed_by
    file = key_file(archive)
    if file is not None:
        return f"/etc/apt/keyrings/{archive.name}{'.asc' if file.endswith('.asc') else '.gpg'}"
    family = "ubuntu" if archive.keys[0].startswith("ubuntu") else "debian"
    return f"/usr/share/keyrings/{family}-archive-keyring.gpg"
