"""The lock of a service: what it adds to its base, and what it changes there because it was asked to."""

import dataclasses
from collections.abc import Callable

import pytest

from archives import HOUR
from formation.debian.package import BinaryPackage
from formation.definition.load import load_service
from formation.definition.service_values import ServiceDefinition
from formation.errors import DefinitionError, UnresolvableError
from formation.lock.base_facts import BaseFacts
from formation.lock.check import staleness
from formation.lock.lockfile import lock_text, parse_lock
from formation.lock.model import Lock, LockedBase
from formation.lock.service import make_service_lock
from formation.lock.service_check import locked_archives, service_staleness
from formation.network import Downloader, GoneError
from formation.progress import Silent
from services import installed
from workshop import NOW, PACKAGES, Workshop

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
HEAD = "kind: service\nname: formation/form-dns\nversion: 1.0.0\nbase: formation/base:1.0.0\n"
BASE = (
    installed("base-files", Essential="yes", Pre_Depends="awk"),
    installed("libc6", Source="glibc"),
    installed("mawk", Provides="awk", Pre_Depends="libc6"),
    installed("libnghttp2-14", Depends="libc6", Recommends="libllvm", Suggests="curl"),
)

Define = Callable[..., ServiceDefinition]


@pytest.fixture
def define(published: Workshop) -> Define:
    """Writes and loads a service with these requests, on the workshop's archive."""

    def define(
        packages: str = "", more: str = "", *, archives: bool = True, suites: str = "stable"
    ) -> ServiceDefinition:
        requests = ", ".join(f'"{each}"' for each in packages.split())
        local = f"{{name: local, uri: '{published.url}/archive', suites: [{suites}], keys: [./archive.asc]}}"
        written = f"archives:\n  - {local}\n" if archives else ""
        (published.base / "formation.yaml").write_text(f"{HEAD}{written}packages: [{requests}]\n{more}")
        return load_service(published.base)

    return define


def of_base(architecture: str) -> tuple[BinaryPackage, ...]:
    return BASE


def facts(*packages, digest: str = DIGEST, epoch: int = 1000, archives=()) -> BaseFacts:
    return BaseFacts(digest, epoch, packages or BASE, archives)


def locked(workshop: Workshop, service: ServiceDefinition, base: BaseFacts | None = None, **arguments) -> Lock:
    bases = dict.fromkeys(service.architectures, base or facts())
    with Downloader(progress=Silent(), tries=1, pause=lambda seconds: None) as downloader:
        return make_service_lock(
            service, bases, downloader=downloader, store=workshop.store, now=NOW, progress=Silent(), **arguments
        )


def names(lock: Lock) -> dict[str, str]:
    return {package.name: package.because for package in lock.packages["amd64"]}


def test_only_what_the_base_lacks_is_locked_with_the_reason(published, define):
    lock = locked(published, define("curl"))
    assert names(lock) == {"curl": "requested", "libcurl4": "curl Depends"}
    assert not any(package.essential for package in lock.packages["amd64"])
    assert lock.base == (LockedBase("formation/base:1.0.0", "amd64", DIGEST),)


def test_a_reason_never_leads_into_the_base(published, define):
    lock = locked(published, define("gdb"))
    assert names(lock) == {"gdb": "requested", "libllvm": "gdb Depends"}


def test_a_lock_is_the_same_whenever_it_is_made_and_reads_back(published, define):
    service = define("curl gdb clang")
    lock = locked(published, service)
    assert lock_text(lock) == lock_text(locked(published, service))
    assert parse_lock(lock_text(lock), "formation.lock") == lock


def test_without_packages_there_is_only_the_base_and_no_archive_is_asked(define, published):
    service = define("", "labels: {a: b}\n")
    (published.directory / "served" / "archive" / "dists" / "stable" / "InRelease").unlink()
    lock = locked(published, service, facts(epoch=1234))
    assert (lock.suites, lock.packages, lock.epoch) == ((), {"amd64": ()}, 1234)
    assert parse_lock(lock_text(lock), "formation.lock") == lock


def test_what_the_base_has_or_provides_needs_no_package(published, define):
    assert locked(published, define("libc6=1.0 mawk")).packages == {"amd64": ()}
    assert locked(published, define("awk")).packages == {"amd64": ()}


@pytest.mark.parametrize("request_", ["awk=5", "awk/stable"])
def test_a_version_or_suite_of_what_the_base_only_provides_is_refused(published, define, request_):
    published.publish({"mawk": {"Provides": "awk"}, "gawk": {"Provides": "awk"}})
    with pytest.raises(DefinitionError, match=r":\d+: .*awk"):
        locked(published, define(request_))


def test_a_package_of_the_base_stays_although_the_archive_has_a_newer_one(published, define):
    published.publish({"libc6": {"Version": "2.0"}, "new": {"Depends": "libc6"}})
    assert names(locked(published, define("new libc6"))) == {"new": "requested"}


def test_another_version_of_a_base_s_package_is_locked_when_it_is_asked_for(published, define):
    published.publish({"libc6": {"Version": "2.0"}, "mawk": {"Provides": "awk"}, "new": {"Depends": "libc6 (>= 2.0)"}})
    lock = locked(published, define("libc6=2.0 mawk/stable new"))
    # The archive's mawk is the base's.
    assert names(lock) == {"libc6": "requested", "new": "requested"}
    assert lock.packages["amd64"][0].version == "2.0"
    assert parse_lock(lock_text(lock), "formation.lock") == lock


def test_what_another_version_needs_of_the_base_has_to_be_asked_for_too(published, define):
    packages = {"mawk": {"Version": "2.0", "Depends": "libc6 (>= 2.0)", "Provides": "awk"}, "libc6": {"Version": "2.0"}}
    published.publish(packages)
    with pytest.raises(UnresolvableError) as error:
        locked(published, define("mawk=2.0"))
    assert "mawk 2.0 Depends: libc6 (>= 2.0)\n    libc6 1.0 is installed and stays as it is" in error.value.message
    assert error.value.hint == "ask for these too: libc6=2.0; or build a base that has them"
    assert names(locked(published, define("mawk=2.0 libc6=2.0"))) == {"mawk": "requested", "libc6": "requested"}


def test_what_another_version_needs_that_the_base_lacks_comes_along(published, define):
    published.publish({"mawk": {"Version": "2.0", "Depends": "libnew", "Provides": "awk"}, "libnew": {}})
    assert names(locked(published, define("mawk/stable"))) == {"libnew": "mawk Depends", "mawk": "requested"}


def test_an_older_version_than_the_base_s_is_refused_with_the_line(published, define):
    published.publish({"libc6": {"Version": "0.9"}})
    with pytest.raises(DefinitionError) as error:
        locked(published, define("libc6=0.9"))
    place = f"{published.base}/formation.yaml"
    assert error.value.message == (
        f"{place}:7: libc6 0.9 is older than the 1.0 that the base has, and dpkg undoes no upgrade"
    )


def test_an_older_version_is_told_so_also_where_it_needs_more_that_is_older(published, define):
    published.publish({"mawk": {"Version": "0.9", "Depends": "libc6 (= 0.9)"}, "libc6": {"Version": "0.9"}})
    with pytest.raises(DefinitionError, match=r":7: mawk 0\.9 is older than the 1\.0 that the base has"):
        locked(published, define("mawk/stable"))


def test_archives_that_are_older_than_the_base_are_told_as_that(published, define):
    published.publish({"new": {"Depends": "libc6 (= 0.9)"}, "libc6": {"Version": "0.9"}})
    with pytest.raises(UnresolvableError, match=r"libc6 1\.0 is installed and stays as it is") as error:
        locked(published, define("new"))
    assert error.value.hint == "the archives are older than the base: take those that the base was made from"


def test_what_the_base_has_of_a_suite_that_is_not_automatic_is_told_as_that(published, define):
    published.publish({"new": {"Depends": "libc6 (= 0.9)"}, "libc6": {"Version": "0.9"}})
    backports = {"new": {"Version": "2.0", "Depends": "libc6 (= 1.0)"}, "libc6": {"Version": "1.0"}}
    published.publish(backports, suite="backports", release={"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"})
    service = define("new", suites="stable, backports")
    with pytest.raises(UnresolvableError, match=r"libc6 1\.0 is installed and stays as it is") as error:
        locked(published, service)
    assert error.value.hint is not None and error.value.hint.startswith("the base has libc6 of backports: ask ")
    assert names(locked(published, define("new/backports", suites="stable, backports"))) == {"new": "requested"}


def test_what_is_left_out_and_needed_is_no_matter_of_the_base(published, define):
    published.publish({"aa": {"Depends": "bb"}, "bb": {}})
    with pytest.raises(UnresolvableError, match="bb is left out by the definition") as error:
        locked(published, define("aa -bb"))
    assert error.value.hint is None


def test_another_version_that_breaks_the_base_is_refused(published, define):
    published.publish({"libc6": {"Version": "2.0", "Breaks": "mawk"}})
    with pytest.raises(UnresolvableError, match="mawk"):
        locked(published, define("libc6=2.0"))


def test_a_dependency_that_needs_a_newer_base_is_refused_with_what_the_base_has(published, define):
    published.publish({"libc6": {"Version": "2.0"}, "new": {"Depends": "libc6 (>= 2.0)"}})
    with pytest.raises(UnresolvableError) as error:
        locked(published, define("new"))
    assert error.value.message.startswith(f"{published.base}/formation.yaml:7: on amd64, with the packages of the base")
    assert "libc6 1.0 is installed and stays as it is" in error.value.message
    assert error.value.hint == "ask for these too: libc6=2.0; or build a base that has them"


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"Depends": "mawk (>= 9)"}, "a base that is older than its archives is locked and built anew"),
        ({"Depends": "mawk (<< 1)"}, "a base that is older than its archives is locked and built anew"),
        ({"Conflicts": "mawk"}, "take a base without mawk, or leave out what cannot be with it"),
        ({"Breaks": "mawk (>= 1)"}, "take a base without mawk, or leave out what cannot be with it"),
        ({"Breaks": "mawk (<< 2)"}, "ask for these too: mawk=2.0; or build a base that has them"),
    ],
)
def test_a_newer_version_is_advised_only_where_it_would_do(published, define, fields, hint):
    published.publish({"mawk": {"Version": "2.0", "Provides": "awk"}, "new": fields})
    with pytest.raises(UnresolvableError) as error:
        locked(published, define("new"))
    assert error.value.hint.startswith(hint)


def test_a_dependency_that_nothing_has_is_no_matter_of_versions(published, define):
    published.publish({"new": {"Depends": "libnone"}})
    with pytest.raises(UnresolvableError) as error:
        locked(published, define("new"))
    assert "is locked and built anew: formation lock, then formation build" in error.value.hint


def test_a_package_that_would_break_the_base_is_refused(published, define):
    published.publish({"new": {"Conflicts": "mawk"}, "old": {"Breaks": "libc6 (<< 2)"}})
    for name, field, rival in (("new", "Conflicts: mawk", "mawk"), ("old", "Breaks: libc6 (<< 2)", "libc6")):
        with pytest.raises(UnresolvableError, match=name) as error:
            locked(published, define(name))
        assert field in error.value.message
        assert error.value.hint == f"take a base without {rival}, or leave out what cannot be with it"


def test_a_service_cannot_go_without_a_package_of_its_base(published, define):
    with pytest.raises(DefinitionError, match=r"has mawk 1.0, and a service removes nothing from it"):
        locked(published, define("curl -mawk"))


def test_what_is_left_out_is_not_chosen(published, define):
    published.publish({"aa": {"Depends": "bb | cc"}, "bb": {}, "cc": {}})
    assert names(locked(published, define("aa -bb"))) == {"aa": "requested", "cc": "aa Depends"}


def test_an_unknown_package_is_told_with_its_line_and_the_nearest(published, define):
    with pytest.raises(DefinitionError) as error:
        locked(published, define("crul"))
    assert error.value.message == (
        f"{published.base}/formation.yaml:7: no archive of the definition has a package crul"
    )
    assert error.value.hint == "did you mean curl?"


def test_a_base_without_a_database_takes_no_packages(published, define):
    bare = BaseFacts(DIGEST, 0, None, ())
    with pytest.raises(DefinitionError, match="has no dpkg database, so no package can be added to it"):
        locked(published, define("curl"), bare)
    assert locked(published, define(""), bare).packages == {"amd64": ()}


def test_without_archives_of_its_own_those_of_the_base_are_asked(published, define):
    archives = define("curl").archives
    lock = locked(published, define("curl", archives=False), facts(archives=archives))
    assert [suite.archive for suite in lock.suites] == ["local"]


def test_a_base_that_names_no_archives_or_no_keys_is_told(published, define):
    with pytest.raises(DefinitionError, match=r"nothing in formation/base:1.0.0 says which archives") as error:
        locked(published, define("curl", archives=False))
    assert "distribution: debian/trixie" in error.value.hint
    keyless = dataclasses.replace(define("curl").archives[0], keys=())
    with pytest.raises(DefinitionError, match="has no keys for it"):
        locked(published, define("curl", archives=False), facts(archives=(keyless,)))


def test_a_package_for_one_architecture_is_added_there_only(published, define):
    published.publish(architectures=("amd64", "arm64"))
    service = define("curl libllvm:arm64", "architectures: [amd64, arm64]\n")
    lock = locked(published, service)
    assert set(names(lock)) == {"curl", "libcurl4"}
    assert "libllvm" in {package.name for package in lock.packages["arm64"]}
    assert [base.architecture for base in lock.base] == ["amd64", "arm64"]


def test_older_metadata_than_that_of_the_lock_before_is_refused(published, define):
    service = define("curl")
    before = locked(published, service)
    published.publish(age=20 * HOUR)
    with pytest.raises(Exception, match="replay"):
        locked(published, service, previous=before)


def test_a_fresh_lock_is_not_stale(published, define):
    service = define("curl libc6")
    assert service_staleness(service, locked(published, service), {"amd64": DIGEST}, of_base) is None


@pytest.mark.parametrize(
    ("packages", "more", "reason"),
    [
        ("gdb", "", "curl was removed from the definition"),
        ("curl=2.0", "", "the definition asks for curl=2.0, and it has 1.0 of stable"),
        ("curl -libcurl4", "", "the definition leaves out libcurl4, and it has that"),
        ("curl gdb", "", "what decides its packages was changed in the definition"),
        ("curl", "architectures: [amd64, arm64]\n", "it has no packages for arm64"),
        ("curl", "recommends: true\n", "what decides its packages was changed in the definition"),
    ],
)
def test_a_stale_lock_is_told_with_the_reason(published, define, packages, more, reason):
    lock = locked(published, define("curl"))
    assert service_staleness(define(packages, more), lock, {"amd64": DIGEST}, of_base) == reason


def test_a_base_that_moved_makes_a_lock_stale(published, define):
    service = define("curl")
    lock = locked(published, service)
    moved = service_staleness(service, lock, {"amd64": OTHER}, of_base)
    assert moved == f"the base formation/base:1.0.0 moved since: it was {DIGEST}, and is {OTHER}"


def test_another_base_is_told_by_its_name(published, define):
    lock = locked(published, define("curl"))
    path = published.base / "formation.yaml"
    path.write_text(path.read_text().replace("base:1.0.0", "base:2.0.0"))
    reason = service_staleness(load_service(published.base), lock, {"amd64": OTHER}, of_base)
    assert reason == "its base is formation/base:1.0.0, and the definition has formation/base:2.0.0"


def test_other_archives_make_a_lock_stale(published, define):
    lock = locked(published, define("curl"))
    path = published.base / "formation.yaml"
    path.write_text(path.read_text().replace(published.url, "http://127.0.0.1:1"))
    reason = service_staleness(load_service(published.base), lock, {"amd64": DIGEST}, of_base)
    assert reason == "local moved to http://127.0.0.1:1/archive"


def test_a_lock_of_a_base_is_none_of_a_service_and_the_other_way_round(published, define):
    base_lock = published.lock(published.define("curl"))
    of_service = locked(published, define("curl"))
    assert "it is of a base, and the definition is a service" in service_staleness(
        define("curl"), base_lock, {}, of_base
    )
    assert staleness(published.define("curl"), of_service) is not None


def test_the_archives_of_a_lock_have_the_snapshots_that_are_known(published, define):
    lock = locked(published, define("curl"))
    suite = dataclasses.replace(lock.suites[0], uri="https://deb.debian.org/debian/", archive="debian")
    (local,) = locked_archives(lock)
    (debian,) = locked_archives(dataclasses.replace(lock, suites=(suite,)))
    assert (local.name, local.suites, local.snapshot) == ("local", ("stable",), None)
    assert debian.snapshot == "https://snapshot.debian.org/archive/debian/{timestamp}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace(DIGEST, "sha256:1"), "digest is not a digest"),
        (
            lambda text: text.replace('name = "formation/base:1.0.0"', 'name = "a b"'),
            "name is not the name of an image",
        ),
        (
            lambda text: text.replace('architecture = "amd64"\ndigest', 'architecture = "arm64"\ndigest'),
            "are for amd64",
        ),
        (lambda text: text.replace("digest = ", "digits = "), "base has no digest"),
        (lambda text: text + text[text.index("\n[[base]]") :], "the bases of this lock are for amd64, each once"),
        (lambda text: text.replace('["amd64"]', '["amd64", "arm64"]'), "this lock has no base for arm64"),
    ],
)
def test_a_lock_with_a_wrong_base_is_refused_with_its_line(define, published, change, reason):
    text = lock_text(locked(published, define("")))
    with pytest.raises(DefinitionError, match=r"^formation.lock:\d+: ") as error:
        parse_lock(change(text), "formation.lock")
    assert reason in error.value.message


def test_what_neither_the_lock_nor_the_base_has_is_lacking(published, define):
    service = define("curl mawk awk gdb libc6=1.0")
    lock = locked(published, service)
    assert service_staleness(service, lock, {"amd64": DIGEST}, of_base) is None
    packages = tuple(each for each in lock.packages["amd64"] if each.name != "gdb")
    lost = dataclasses.replace(lock, packages={"amd64": packages})
    reason = service_staleness(service, lost, {"amd64": DIGEST}, of_base)
    assert reason is not None and reason.startswith("it has no package for gdb, nor has the base")
    newer = (*BASE[2:], installed("libc6", "2.0"))
    reason = service_staleness(service, lock, {"amd64": DIGEST}, lambda _: newer)
    assert reason == "it has no package for libc6=1.0, and the base has 2.0"


def test_a_lock_of_the_very_service_with_another_version_or_what_is_left_out_is_stale(published, define):
    service = define("curl=1.0 -gdb")
    lock = locked(published, service)
    for changed, reason in (
        ({"version": "2.0"}, "the definition asks for curl=1.0, and it has 2.0 of stable"),
        ({"name": "gdb"}, "the definition leaves out gdb, and it has that"),
    ):
        packages = tuple(
            dataclasses.replace(each, **changed) if each.name == "curl" else each for each in lock.packages["amd64"]
        )
        bad = dataclasses.replace(lock, packages={"amd64": packages})
        assert (service_staleness(service, bad, {"amd64": DIGEST}, of_base) or "").startswith(reason)


def test_a_virtual_package_that_a_service_adds_is_known_by_what_stands_for_it(published, define):
    published.publish({**PACKAGES, "sendmail": {"Provides": "mta"}})
    service = define("mta")
    lock = locked(published, service)
    assert [(each.name, each.requested_as) for each in lock.packages["amd64"]] == [("sendmail", ("mta",))]
    assert parse_lock(lock_text(lock), "formation.lock") == lock
    assert service_staleness(service, lock, {"amd64": DIGEST}, lambda _: pytest.fail("nobody needs the base")) is None


def test_an_archive_of_a_service_is_told_with_its_own_line(published, define):
    path = define("curl").path
    path.write_text(path.read_text().replace("[stable]", "[nosuch]"))
    with pytest.raises(GoneError) as caught:
        locked(published, load_service(path))
    assert caught.value.message.startswith(f"{path}:6: ")
