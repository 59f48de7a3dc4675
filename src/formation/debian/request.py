"""A package as somebody asks for it."""

from formation.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """One line of `packages:`, as `name`, `name:arch`, `name=version` or `name/suite`."""

    name: str
    version: str | None = None
    suite: str | None = None
    architecture: str | None = None

    def __str__(self) -> str:
        text = self.name + (f":{self.architecture}" if self.architecture else "")
        return text + (f"={self.version}" if self.version else "") + (f"/{self.suite}" if self.suite else "")
