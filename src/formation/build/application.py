"""What a service adds besides packages, as the installer's words for it, and the image below as those look at it."""

from formation.build.service import ServicePlan
from formation.build.service_checks import place_of_file
from formation.contents.filesystem import Filesystem
from formation.dataclass import dataclass, replace
from formation.definition.service_values import CollectedFile, Kind
from formation.definition.values import Directory, File
from formation.entry import Entry
from formation.errors import FormationError
from formation.install.additions import Additions, Link


@dataclass(frozen=True, slots=True)
class FactsView:
    """The merged layers of an image, of which nothing needs to be unpacked."""

    merged: Filesystem

    def find(self, path: str) -> Entry | None:
        node = self.merged.get(path)
        if node is None:
            return None
        entry = node.entry
        return Entry(path, entry.type, entry.mode, entry.uid, entry.gid, target=entry.target)

    def read(self, path: str) -> bytes:
        content = self.merged.content(path)
        if content is None:
            raise FormationError(f"/{path} of the base is too large to be what it should be")
        return content


def additions_of(plan: ServicePlan, below: FactsView) -> Additions:
    """The accounts, directories, files and links of the service.

    A directory where the image has a link to one is that one: what is in it goes there, and the link stays.
    """
    service = plan.service
    copied = [file for file in plan.files if file.kind is Kind.DIRECTORY and not _is_link(file.path, below)]
    directories = [Directory(file.path, file.owner, file.group, file.mode) for file in copied]
    files = [file for file in plan.files if file.kind is Kind.FILE]
    links = [file for file in plan.files if file.kind is Kind.SYMLINK]
    return Additions(
        service.groups,
        service.users,
        (*directories, *(_followed(directory, below) for directory in service.directories)),
        tuple(File(f.path, f.owner, f.group, f.mode, f.content, f.local, f.pinned, _place(plan, f)) for f in files),
        tuple(Link(f.path, f.owner, f.group, f.target or "", _place(plan, f)) for f in links),
        run_directories=service.config.run_directories,
    )


def _is_link(path: str, below: FactsView) -> bool:
    there = below.find(path.lstrip("/"))
    return there is not None and there.type == "symlink"


def _followed(directory: Directory, below: FactsView) -> Directory:
    if not _is_link(directory.path, below):
        return directory
    place = below.merged.resolve(directory.path)
    return directory if place is None else replace(directory, path=f"/{place}")


def _place(plan: ServicePlan, file: CollectedFile) -> str:
    return place_of_file(plan.service, file.path)
