"""Repositories of registries, and how requests name them (OCI distribution-spec 1.1)."""

from formation.dataclass import dataclass
from formation.oci.reference import Reference

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of one registry."""

    host: str
    """With the port where one is written, in lower case: `registry.example.com:5000`."""
    name: str
    """`formation/base`."""

    def __str__(self) -> str:
        return f"{self.host}/{self.name}"

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"/v2/{self.name}"


def repository_of(reference: Reference) -> Repository:
    """The repository that `reference` is in: at Docker Hub when it names no host."""
    host, _, name = Reference(reference.repository, None, None).canonical.partition("/")
    return Repository(host.lower(), name)


def api_host(host: str) -> str:
    """The host that answers for `host`: that of Docker Hub has another name."""
    return _DOCKER_HUB_API if host == DOCKER_HUB else host
