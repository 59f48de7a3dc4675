"""An image as the checks of a contract look at it: what is derived of its contents, each thing once."""

from formation.contents.accounts import Group, User
from formation.contents.filesystem import Filesystem, filesystem
from formation.contents.image import ImageContents
from formation.contents.libraries import Libraries, commands, libraries
from formation.contents.packages import InstalledPackage, Listing
from formation.dataclass import dataclass
from formation.errors import MalformedError
from formation.oci.descriptor import Platform
from formation.oci.image import Image

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What engines set where an image says nothing (runc, Docker)."""

_MOST_PATHS = 2_000_000

_ARCHITECTURES = {
    ("amd64", None): "amd64",
    ("386", None): "i386",
    ("arm64", None): "arm64",
    ("arm", "v7"): "armhf",
    ("ppc64le", None): "ppc64el",
    ("riscv64", None): "riscv64",
    ("s390x", None): "s390x",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in an image, looked up."""

    image: Image
    contents: ImageContents
    files: Filesystem
    packages: tuple[InstalledPackage, ...]
    """In the dpkg database, whatever their state; sorted by name and architecture."""
    database_problems: tuple[str, ...]
    listings: tuple[Listing, ...]
    """What the database says of the files of each of `packages`, in their order."""
    users: tuple[User, ...]
    groups: tuple[Group, ...]
    uids: dict[str, int]
    """User name → uid; of several with a name the first, as getpwnam(3) has it."""
    gids: dict[str, int]
    user_names: dict[int, str]
    """Uid → name; of several with a uid the first, as getpwuid(3) has it."""
    group_names: dict[int, str]
    libraries: Libraries
    commands: dict[str, str]
    """Name → path of each command in the image's PATH."""
    architecture: str | None
    """Debian's name; None for one that Debian does not have."""
    environment: dict[str, str]


def facts_of(contents: ImageContents) -> Facts:
    """What the checks look at. Raises MalformedError when dpkg's database names more files than any image has."""
    image = contents.image
    files = filesystem(contents.layers)
    packages, problems = files.packages()
    users, groups = files.users()[0], files.groups()[0]
    environment = dict(variable.partition("=")[::2] for variable in image.config.execution.environment)
    return Facts(
        image=image,
        contents=contents,
        files=files,
        packages=packages,
        database_problems=problems,
        listings=_listings(files, packages),
        users=users,
        groups=groups,
        uids={user.name: user.uid for user in reversed(users)},
        gids={group.name: group.gid for group in reversed(groups)},
        user_names={user.uid: user.name for user in reversed(users)},
        group_names={group.gid: group.name for group in reversed(groups)},
        libraries=libraries(files),
        commands=dict(commands(files, environment.get("PATH", DEFAULT_PATH))),
        architecture=debian_architecture(image),
        environment=environment,
    )


def _listings(files: Filesystem, packages: tuple[InstalledPackage, ...]) -> tuple[Listing, ...]:
    listings = []
    left = _MOST_PATHS
    for package in packages:
        listing = files.package_files(package)
        left -= len(listing.paths or ()) + len(listing.md5sums or ())
        if left < 0:
            raise MalformedError(f"dpkg's database names more than {_MOST_PATHS} files")
        listings.append(listing)
    return tuple(listings)


def debian_architecture(image: Image) -> str | None:
    """Debian's name of the architecture that `image` is for; None when Debian has none."""
    return _debian_name(image.config.platform)


def platform_name(platform: Platform) -> str:
    """Debian's name of the architecture, or the platform as OCI writes it where Debian has none: `linux/mips64le`."""
    if (platform.os, platform.architecture, platform.variant) == ("linux", "arm", None):
        # As containerd takes it (its package platforms, database.go): configs leave out what their index says.
        return "armhf"
    return _debian_name(platform) or str(platform)


def _debian_name(platform: Platform) -> str | None:
    variant = platform.variant if platform.architecture == "arm" else None
    return _ARCHITECTURES.get((platform.architecture, variant)) if platform.os == "linux" else None
