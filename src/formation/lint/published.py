"""Whether a version of a base exists: what the local store and registries know."""

from collections.abc import Callable

from formation.errors import FormationError
from formation.lint.base_rules import Published
from formation.oci.reference import Reference
from formation.registry.refusal import NotThere
from formation.registry.registry import Registry
from formation.store.images import find_image, list_images
from formation.store.store import Store


def in_store(store: Store, reference: Reference) -> bool | None:
    """True when `store` has `reference`; None when it has not: it need not have every version there is."""
    # With tag and digest, engines go by the digest.
    named = Reference(reference.repository, None if reference.digest else reference.tag, reference.digest)
    try:
        find_image(store, named)
    except FormationError:
        return None
    return True


def tags_in_store(store: Store, repository: str) -> tuple[str, ...]:
    """The tags under which `store` has images of `repository`, sorted; none when it cannot be read."""
    try:
        references = [image.reference for image in list_images(store)]
    except FormationError:
        return ()
    return tuple(each.tag for each in references if each.repository == repository and each.tag is not None)


class Registries:
    """Asks registries. One that does not answer is asked once, and named in a note."""

    def __init__(self, registry: Registry, host: str, note: Callable[[str], object]) -> None:
        """`host` is that of references without one."""
        self._registry = registry
        self._host = host
        self._note = note
        self._silent: set[str] = set()

    def has(self, reference: Reference) -> bool | None:
        """Whether the registry has `reference`; None when it cannot be asked."""
        host, name = self._host, reference.repository
        # A canonical reference is one with a host.
        if reference.canonical == str(reference):
            host, _, name = name.partition("/")
        if host in self._silent:
            return None
        try:
            self._registry.find(Reference(f"{host}/{name}", reference.tag, reference.digest))
        except NotThere:
            return False
        except FormationError as error:
            self._silent.add(host)
            self._note(f"{host} could not be asked for {reference}: {error.message}")
            return None
        return True


def once(ask: Published) -> Published:
    """`ask`, remembering its answers."""
    known: dict[Reference, bool | None] = {}

    def answer(reference: Reference) -> bool | None:
        if reference not in known:
            known[reference] = ask(reference)
        return known[reference]

    return answer
