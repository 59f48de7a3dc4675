"""What the cases of the benchmarks share: scratch files, a Docker daemon, a registry and a warm store."""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from checks import Checks
from contestants import (
    LEAVES,
    DockerBuild,
    Formation,
    Mmdebstrap,
    lock,
    one_package_changes,
    provide_starting_image,
    requests,
)
from measure import Cost
from patch_releases import patch_releases
from registry import Images, OnePackage, Pull, Push, published_services

from engines import Docker, Registry
from services import DockerService, Service, bytes_of_services, pulled_bytes

Contestants = dict[str, Callable[[], Cost]]


class Bench:
    """Where a run of the benchmarks keeps its scratch files, its Docker daemon and its warm store."""

    def __init__(self, definition: Path, scratch: Path, stack: ExitStack, *, peers: bool, ours: bool) -> None:
        self.definition, self.scratch, self.peers, self.ours = definition, scratch, peers, ours
        self._stack = stack
        self._docker: Docker | None = None
        self._starting_image = ""
        self._images: Images | None = None
        self._registry: Registry | None = None
        self.warm_store = scratch / "warm-store"

    def docker(self) -> Docker:
        """A private daemon; started by the first case that needs one."""
        if self._docker is None:
            say("starting a private dockerd")
            self._docker = Docker(self.scratch / "docker")
            self._stack.callback(self._docker.stop)
        return self._docker

    def docker_build(self, variant: str) -> DockerBuild:
        """A build of the variant's packages on a starting image that the daemon and the registry have."""
        if not self._starting_image:
            say("making the starting image of docker build")
            self._starting_image = provide_starting_image(self.docker(), self.registry(), self.scratch)
        return DockerBuild(self.docker(), requests(self.definition, variant), self.scratch, self._starting_image)

    def cold(self, variant: str) -> Contestants:
        """From nothing, downloads included."""
        packages = requests(self.definition, variant)
        found: Contestants = {}
        if self.ours:
            lock(self.definition, self.warm_store)
            found["formation"] = Formation(self.definition, variant, self.scratch).cold
        if self.peers:
            found["mmdebstrap"] = Mmdebstrap(packages, self.scratch).build
            docker = self.docker_build(variant)
            found["docker build, pulling its starting image"] = docker.cold
            found["docker build, starting image there"] = docker.build
        return found

    def one_package(self, variant: str, packages: Sequence[str] = LEAVES) -> Contestants:
        """Again with a warm store, after one of `packages` changed. Docker builds everything again."""
        found: Contestants = {}
        if self.ours:
            # A store of its own: the other variant may have been built with the same packages.
            store = self.scratch / "one-package-store"
            shutil.rmtree(store, ignore_errors=True)
            change = one_package_changes(self.definition, self.scratch, store, packages)
            Formation(change(), variant, self.scratch).build(store)
            found["formation"] = lambda: Formation(change(), variant, self.scratch).build(store)
        if self.peers:
            found["docker build"] = self.docker_build(variant).build
        return found

    def nothing(self, variant: str) -> Contestants:
        """Again with a warm store; the start of the command is included."""
        if not self.ours:
            return {}
        lock(self.definition, self.warm_store)
        formation = Formation(self.definition, variant, self.scratch)
        formation.build(self.warm_store)
        return {"formation": lambda: formation.build(self.warm_store)}

    def memory(self, variant: str) -> Contestants:
        """From nothing, with the memory of the process tree sampled. Docker's work is done by daemons: not compared."""
        found: Contestants = {}
        if self.ours:
            lock(self.definition, self.warm_store)
            found["formation"] = Formation(self.definition, variant, self.scratch, sample_tree=True).cold
        if self.peers:
            packages = requests(self.definition, variant)
            found["mmdebstrap"] = Mmdebstrap(packages, self.scratch, sample_tree=True).build
        return found

    def service(self, work: str) -> Contestants:
        """A service on the base, which is there: `rebuild` after its program changed, or the `first` build."""
        # A store of its own: the first build of a service must not find the package layer of another.
        service = self._service(store=self.scratch / f"{work}-base-store")
        if work == "rebuild":
            service.build()
        found: Contestants = {"formation": getattr(service, work)} if self.ours else {}
        if self.peers:
            found["docker build"] = getattr(DockerService(service, self.docker(), self.scratch), work)
        return found

    def _service(self, number: int = 0, store: Path | None = None) -> Service:
        store = store or self.warm_store
        lock(self.definition, store)
        Formation(self.definition, "runtime", self.scratch).build(store)
        return Service(self.scratch, store, number=number)

    def service_bytes(self) -> Iterator[str]:
        """What a new program costs a host that has the service, and what ten services cost a store."""
        changed, ours, gzip = pulled_bytes(self._service(1))
        yield (
            f"a new program of 10 MB: {changed} bytes to pull, {changed - ours} more than the program alone with the "
            f"same compressor, {changed - gzip} more than with gzip -6"
        )
        base, added = bytes_of_services(self.scratch, self.warm_store, 10)
        yield f"ten services on one base: its layers once, {base} bytes; {added} bytes for all ten services"

    def checks(self, variant: str, check: str, *, cold: bool) -> Contestants:
        """Verify or audit of a variant. No peer checks the same."""
        if not self.ours:
            return {}
        lock(self.definition, self.warm_store)
        Formation(self.definition, variant, self.scratch).build(self.warm_store)
        checks = Checks(self.definition, variant, self.scratch, self.warm_store)
        if cold:
            return {"formation": lambda: checks.cold(check)}
        getattr(checks, check)()
        return {"formation": getattr(checks, check)}

    def both_checks(self, variant: str) -> Contestants:
        """Verify and then audit of a variant whose layers are unknown."""
        found = self.checks(variant, "verify", cold=False)
        return {name: Checks(self.definition, variant, self.scratch, self.warm_store).both_cold for name in found}

    def push(self, variant: str) -> Contestants:
        """The first push of a variant, into an empty registry."""
        push = Push(self.images(), variant, self.docker() if self.peers else None)
        return self._transfers(push.formation, push.skopeo, push.docker)

    def pull(self, variant: str) -> Contestants:
        """The first pull of a variant, into nothing."""
        pull = Pull(self.images(), variant, self.docker() if self.peers else None, self.registry())
        found = self._transfers(pull.formation, pull.skopeo, pull.docker)
        return {**found, "curl": pull.curl} if self.peers else found

    def push_one_package(self) -> Contestants:
        """A push after one package changed. Docker's own build would change all of the image."""
        push = OnePackage(self.images(), self.registry(), "timed")
        return self._transfers(push.formation, push.skopeo)

    def pushed_bytes(self) -> Iterator[str]:
        """What such a push sends, to a registry that has seen no other: one that knows the blobs needs none of them."""
        registry = Registry(self.scratch / "counting-registry")
        try:
            yield OnePackage(self.images(), registry, "counted").count()
        finally:
            registry.stop()

    def publish_services(self) -> Iterator[str]:
        """What ten services on a published base send."""
        yield from published_services(self.images(), self.registry(), 10)

    def patch_releases(self) -> Iterator[str]:
        """What a host pulls for patch releases, by layer budget."""
        lock(self.definition, self.warm_store)
        Formation(self.definition, "runtime", self.scratch).build(self.warm_store)
        yield from patch_releases(self.definition, self.scratch, self.warm_store)

    def images(self) -> Images:
        """The base in the forms that are pushed."""
        if self._images is None:
            lock(self.definition, self.warm_store)
            self._images = Images(self.definition, self.scratch, self.warm_store)
        return self._images

    def registry(self) -> Registry:
        """A registry that keeps what it gets until the end."""
        if self._registry is None:
            self._registry = Registry(self.scratch / "registry")
            self._stack.callback(self._registry.stop)
        return self._registry

    def _transfers(
        self, ours: Callable[[], Cost], skopeo: Callable[[], Cost], *docker: Callable[[], Cost]
    ) -> Contestants:
        found: Contestants = {"formation": ours} if self.ours else {}
        if self.peers:
            found |= {"skopeo": skopeo, **({"docker": docker[0]} if docker else {})}
        return found


def say(message: str) -> None:
    """Tells on stderr how far it is."""
    print(message, file=sys.stderr, flush=True)
