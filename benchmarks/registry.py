"""Benchmarks of pushing and pulling: Formation, skopeo and Docker against the same kind of registry on loopback."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from contestants import FORMATION, Formation, one_package_changes
from measure import Cost, measure

from engines import Docker, Registry, Skopeo
from services import SERVICE, Service

REPOSITORY = "formation/base"
_UPLOADED = re.compile(r'"PUT /v2/[^ ]+/blobs/uploads/[^ ]* HTTP/1\.[01]" 201 ')
"""The end of an upload, in the registry's log."""


class Images:
    """The base's images, in the form that is each contestant's own: store, OCI layout, Docker daemon."""

    def __init__(self, definition: Path, scratch: Path, store: Path) -> None:
        self.definition, self.scratch, self.store = definition, scratch, store
        self.layout = scratch / "pushed-layout"
        self.log = scratch / "registry-client.log"
        self.skopeo = Skopeo(scratch / "skopeo")

    def build(self, variant: str) -> str:
        """Makes the store's tag stand for the variant of the definition; gives its version tag."""
        Formation(self.definition, variant, self.scratch).build(self.store)
        return "1.0.0" if variant == "runtime" else f"1.0.0-{variant}"

    def formation(self, *words: str | Path, store: Path | None = None) -> Cost:
        """The cost of `formation WORDS`."""
        return measure([FORMATION, *words, "--quiet", "--store", store or self.store], log=self.log)

    def copy_with_skopeo(self, *words: str) -> Cost:
        """The cost of `skopeo copy WORDS`, with the registry spoken to without TLS, as all do here."""
        options = ["--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
        policy = ["--policy", self.skopeo.directory / "policy.json"]
        return measure([self.skopeo.client, *policy, "copy", *options, *words], log=self.log)

    def write_layout(self, tag: str) -> str:
        """Writes the store's image into the layout; its name for skopeo."""
        subprocess.run(
            [FORMATION, "copy", f"{REPOSITORY}:{tag}", f"oci:{self.layout}:{tag}", "--store", self.store],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return f"oci:{self.layout}:{tag}"

    def load(self, docker: Docker, tag: str) -> None:
        """Gives the store's image to the daemon."""
        command = [FORMATION, "build", self.definition, "--variant", _variant(tag), "--load", "docker"]
        words = [str(word) for word in (*command, "--store", self.store)]
        subprocess.run(
            words, check=True, stdout=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", **docker.environment}
        )

    def forget(self) -> None:
        """Takes out of the store what pushes noted down, so that no later run finds what this one learnt."""
        shutil.rmtree(self.store / "sent", ignore_errors=True)


class Push:
    """The first push of a variant: each into an empty registry of its own."""

    def __init__(self, images: Images, variant: str, docker: Docker | None) -> None:
        self._images, self._docker, self._variant = images, docker, variant
        self._tag = images.build(variant)
        self._layout = images.write_layout(self._tag)
        if docker is not None:
            images.load(docker, self._tag)

    def formation(self) -> Cost:
        """`formation publish`: it also writes 1.0, 1 and latest, under a lease."""

        def push(address: str) -> Cost:
            cost = self._images.formation("publish", f"{REPOSITORY}:{self._tag}", f"docker://{address}/{REPOSITORY}")
            self._images.forget()
            return cost

        return self._into_empty(push)

    def skopeo(self) -> Cost:
        """`skopeo copy`, from a layout with the same layers."""
        return self._into_empty(
            lambda address: self._images.copy_with_skopeo(self._layout, f"docker://{address}/{REPOSITORY}:{self._tag}")
        )

    def docker(self) -> Cost:
        """`docker push`, from the daemon, which compresses the layers again."""
        docker = self._docker
        assert docker is not None

        def push(address: str) -> Cost:
            name = f"{address}/{REPOSITORY}:{self._tag}"
            docker.run("tag", f"{REPOSITORY}:{self._tag}", name)
            cost = measure([docker.client, "push", name], log=self._images.log, environment=docker.environment)
            docker.run("rmi", name)
            return cost

        return self._into_empty(push)

    def _into_empty(self, push: Callable[[str], Cost]) -> Cost:
        registry = Registry(self._images.scratch / "empty-registry")
        try:
            return push(registry.address)
        finally:
            registry.stop()


class Pull:
    """The first pull of a variant, from one registry that has it in our layers."""

    def __init__(self, images: Images, variant: str, docker: Docker | None, registry: Registry) -> None:
        self._images, self._docker = images, docker
        tag = images.build(variant)
        self._name = f"{registry.address}/{REPOSITORY}:{tag}"
        images.formation("publish", f"{REPOSITORY}:{tag}", f"docker://{registry.address}/{REPOSITORY}")
        images.forget()
        # The daemon must not have the layers from elsewhere, as from the other variant.
        if docker is not None:
            # Services that were built on it first, tagged or not.
            docker.run("image", "rm", SERVICE, check=False)
            docker.run("image", "prune", "--force")
            if loaded := docker.run("images", "--quiet", REPOSITORY).stdout.split():
                docker.run("image", "rm", "--force", *loaded)

    def formation(self) -> Cost:
        """`formation pull` into an empty store."""
        store = self._images.scratch / "pulled-store"
        cost = self._images.formation("pull", self._name, store=store)
        shutil.rmtree(store)
        return cost

    def skopeo(self) -> Cost:
        """`skopeo copy` into a new layout."""
        layout = self._images.scratch / "pulled-layout"
        cost = self._images.copy_with_skopeo(f"docker://{self._name}", f"oci:{layout}:pulled")
        shutil.rmtree(layout)
        return cost

    def curl(self) -> Cost:
        """The layers alone, four at once, neither hashed nor kept: how fast the registry gives them to anybody."""
        address, _, name = self._name.partition("/")
        repository, _, tag = name.rpartition(":")
        urls = [
            f"url = http://{address}/v2/{repository}/blobs/{digest}\noutput = /dev/null\n"
            for digest in _layers(self._images, tag)
        ]
        listed = self._images.scratch / "urls"
        listed.write_text("".join(urls))
        command = ["curl", "--silent", "--parallel", "--parallel-max", "4", "--config", listed]
        return measure(command, log=self._images.log)

    def docker(self) -> Cost:
        """`docker pull`, which unpacks the layers as well."""
        docker = self._docker
        assert docker is not None
        cost = measure([docker.client, "pull", self._name], log=self._images.log, environment=docker.environment)
        docker.run("rmi", self._name)
        return cost


class OnePackage:
    """A push after one package changed, into a registry that has the image from before."""

    def __init__(self, images: Images, registry: Registry, name: str) -> None:
        """`name` is of repositories that nothing else is pushed to."""
        self._images, self._registry = images, registry
        self._change = one_package_changes(images.definition, images.scratch, images.store)
        tag = images.build("runtime")
        layout = images.write_layout(tag)
        self._ours, self._theirs = (f"docker://{registry.address}/{name}/{who}" for who in ("ours", "skopeo"))
        images.formation("copy", f"{REPOSITORY}:{tag}", f"{self._ours}:{tag}")
        images.copy_with_skopeo(layout, f"{self._theirs}:{tag}")
        self._number = 0

    def formation(self) -> Cost:
        """`formation copy` of the changed image; the build is not timed."""
        self._build()
        return self._push()

    def skopeo(self) -> Cost:
        """`skopeo copy` of the changed image, from a layout."""
        self._build()
        layout = self._images.write_layout("1.0.0")
        return self._images.copy_with_skopeo(layout, f"{self._theirs}:changed-{self._number}")

    def count(self) -> str:
        """What one such push sends, against the layers that changed."""
        before = _layers(self._images)
        self._build()
        changed = [size for digest, size in _layers(self._images).items() if digest not in before]
        sent, uploads = sent_bytes(self._registry, self._push)
        return (
            f"a push after one package changed: {sum(changed)} bytes in {len(changed)} changed layers; {sent} bytes "
            f"sent in {uploads} blobs, config included"
        )

    def _build(self) -> None:
        Formation(self._change(), "runtime", self._images.scratch).build(self._images.store)
        self._number += 1

    def _push(self) -> Cost:
        return self._images.formation("copy", f"{REPOSITORY}:1.0.0", f"{self._ours}:changed-{self._number}")


def published_services(images: Images, registry: Registry, count: int) -> Iterator[str]:
    """What the registry receives when `count` services are published on a base that it has."""
    tag = images.build("runtime")
    images.formation("publish", f"{REPOSITORY}:{tag}", f"docker://{registry.address}/{REPOSITORY}")
    base = _layers(images)
    own: dict[str, int] = {}
    sent = uploads = 0
    for number in range(count):
        service = Service(images.scratch, images.store, packages="", number=200 + number)
        service.build()
        own |= {digest: size for digest, size in service.layers().items() if digest not in base}
        target = f"docker://{registry.address}/{service.name.partition(':')[0]}"
        added, times = sent_bytes(registry, partial(images.formation, "publish", service.name, target))
        sent, uploads = sent + added, uploads + times
    yield (
        f"{count} services published on a published base of {sum(base.values())} bytes: {sent} bytes sent in {uploads} "
        f"blobs (of each its layer, its config and that of a lease); the services' own {len(own)} layers have "
        f"{sum(own.values())} bytes"
    )


def sent_bytes(registry: Registry, push: Callable[[], object]) -> tuple[int, int]:
    """Bytes of the blobs that the registry has received by `push`, and how many uploads its log says those were.

    The log counts a blob that was sent although it was there; then the two numbers do not fit together.
    """
    blobs, uploads = _blobs(registry), _uploads(registry)
    push()
    new = {path: size for path, size in _blobs(registry).items() if path not in blobs}
    return sum(new.values()), _uploads(registry) - uploads


def _blobs(registry: Registry) -> dict[str, int]:
    """Size of each blob that a repository has as a layer or config; manifests are blobs too, and not uploads."""
    stored = registry.directory / "data/docker/registry/v2"
    known = {path.parent.name for path in stored.glob("repositories/**/_layers/sha256/*/link")}
    return {digest: (stored / "blobs/sha256" / digest[:2] / digest / "data").stat().st_size for digest in sorted(known)}


def _uploads(registry: Registry) -> int:
    return len(_UPLOADED.findall((registry.directory / "log").read_text(errors="replace")))


def _layers(images: Images, tag: str = "1.0.0") -> dict[str, int]:
    command = [FORMATION, "inspect", f"{REPOSITORY}:{tag}", "--json", "--store", images.store]
    shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {layer["digest"]: layer["size"] for layer in shown["layers"]}


def _variant(tag: str) -> str:
    return tag.partition("-")[2] or "runtime"
