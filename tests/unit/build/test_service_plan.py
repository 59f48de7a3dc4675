"""The plan for a service: every wrong input is told before anything is built."""

from dataclasses import replace
from pathlib import Path

import pytest

from debs import file, make_deb, symlink
from elves import ARM64, elf_bytes
from formation.build.opened_base import Places
from formation.build.programs import Having
from formation.build.service import Means, ServicePlan, plan_service
from formation.build.service_tree import Listed
from formation.debian.administration import STATUS
from formation.errors import DefinitionError, FormationError, UsageError
from formation.lock.lockfile import lock_text
from formation.lock.model import Lock, LockedBase, LockedPackage
from formation.oci.reference import parse_reference
from formation.store.blobs import add_image
from formation.store.images import tag_image
from formation.store.store import Store
from services import base_files, service_in
from tiny_images import tiny_image

BODY = """\
files:
  - {path: /usr/local/bin/form-dns, source: target/release/form-dns, mode: "0755"}
  - {path: /etc/formation/dns.conf, content: "zone\\n"}
entrypoint: [/usr/local/bin/form-dns]
"""
PACKAGE = LockedPackage(
    "libnew1", "1.0", "amd64", "new", "1.0", "sha256:" + "3" * 64, 1, 1, "local", "stable", "pool/x.deb",
    ("runtime",), "requested", False,
)  # fmt: skip

STATUS_FILE = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n"


class Bench:
    """A service on a base in a store, and what was asked of the world for its plan."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.store = Store(directory / "store")
        self.base = tiny_image()
        tag_image(self.store, parse_reference("formation/base:1.0.0"), add_image(self.store, self.base))
        self.files = base_files()
        self.debs: list[Path] = []
        self.packages: tuple[LockedPackage, ...] = ()
        self.having: dict[str, tuple[str, ...]] = {}
        self.refused: FormationError | None = None
        self.fetched = 0
        self.asked: list[str] = []
        self.program(elf_bytes(needed=("libc.so.6",), requires={"libc.so.6": ("GLIBC_2.34",)}))

    def program(self, content: bytes) -> None:
        """Makes the service's program."""
        path = self.directory / "service" / "target" / "release" / "form-dns"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def plan(self, body: str = BODY, *, lock: Lock | None = None) -> ServicePlan:
        service = service_in(self.directory / "service", body)
        base = LockedBase(service.base, "amd64", self.base.digest)
        lock = lock or Lock(service.digest, 1000, (), {"amd64": self.packages}, (base,))

        def fetch(packages):
            self.fetched += 1
            return self.debs

        def providers(names):
            self.asked += names
            if self.refused is not None:
                raise self.refused
            return Having(self.having)

        places = Places(self.store, {}, lambda name, platform: self.base)
        means = Means(places, lambda image: self.files, fetch, providers)
        return plan_service(service, lock, lock_text(lock), "amd64", means)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_plan_has_all_that_decides_the_image(bench):
    plan = bench.plan()
    assert plan.base.digest == bench.base.digest
    assert [file.path for file in plan.files] == ["/etc/formation/dns.conf", "/usr/local/bin/form-dns"]
    assert plan.files[1].pinned.size == plan.files[1].size > 0
    assert (bench.fetched, bench.asked) == (0, [])


def test_the_same_inputs_have_the_same_keys(bench):
    assert bench.plan().key == bench.plan().key


def test_another_program_changes_the_key_and_leaves_the_package_layer(bench):
    before = bench.plan()
    bench.program(elf_bytes(interpreter=None))
    after = bench.plan()
    assert before.key != after.key
    assert before.packages_key == after.packages_key


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("zone", "other"),
        ("0755", "0700"),
        ("/etc/formation/dns.conf", "/etc/formation/d.conf"),
        ("files:", "environment: {A: b}\nfiles:"),
        ("files:", "ports: [53/udp]\nfiles:"),
        ("files:", "directories: [{path: /srv/x}]\nfiles:"),
        ("files:", "users: [{name: me}]\nfiles:"),
        ("files:", "health_check: {command: [sh]}\nfiles:"),
    ],
)
def test_whatever_is_in_the_image_is_in_its_key(bench, before, after):
    assert bench.plan().key != bench.plan(BODY.replace(before, after)).key


def test_a_package_layer_has_the_key_of_its_packages_base_and_filters(bench):
    first = bench.plan()
    bench.packages = (PACKAGE,)
    second = bench.plan()
    bench.files = base_files(texts={"etc/dpkg/dpkg.cfg.d/x": b"path-exclude=/usr/share/man/*\n"})
    third = bench.plan()
    assert len({plan.packages_key for plan in (first, second, third)}) == 3


def test_a_lock_that_lost_a_request_which_the_base_does_not_meet_is_refused(bench):
    bench.files = base_files(texts={STATUS: STATUS_FILE})
    assert bench.plan(BODY + "packages: [libc6]\n").packages == ()
    with pytest.raises(UsageError, match="is stale: it has no package for jq, nor has the base"):
        bench.plan(BODY + "packages: [libc6, jq]\n")


def test_a_stale_lock_is_refused_with_a_hint_before_anything_is_read(bench):
    old = Lock("sha256:" + "1" * 64, 0, (), {"amd64": ()}, ())
    bench.files = None
    with pytest.raises(UsageError, match=r"formation.lock is stale: it is of a base, and the definition is a service"):
        bench.plan(lock=old)


def test_a_base_that_moved_is_refused(bench):
    service = service_in(bench.directory / "service", BODY)
    old = LockedBase(service.base, "amd64", "sha256:" + "1" * 64)
    with pytest.raises(UsageError, match=r"the base formation/base:1.0.0 moved since") as error:
        bench.plan(lock=Lock(service.digest, 0, (), {"amd64": ()}, (old,)))
    assert error.value.hint.startswith("formation lock ")


def test_all_wrong_inputs_are_told_at_once(bench):
    bench.program(elf_bytes(machine=ARM64))
    with pytest.raises(DefinitionError) as error:
        bench.plan(BODY.replace("files:", "directories: [{path: /srv/x, owner: formatoin}]\nfiles:"))
    lines = error.value.message.splitlines()
    where = f"{bench.directory}/service/formation.yaml"
    assert lines == [
        f"{where}:5: neither formation/base:1.0.0 nor this has the user 'formatoin'",
        "    hint: did you mean 'formation'?",
        f"{where}:7: target/release/form-dns is for arm64, and the image is for amd64",
        "    hint: build it for amd64, or leave only arm64 in `architectures:`",
    ]


def test_a_missing_program_is_told_with_how_it_is_built(bench):
    (bench.directory / "service" / "target" / "release" / "form-dns").unlink()
    with pytest.raises(DefinitionError, match="there is no 'target/release/form-dns'") as error:
        bench.plan()
    assert error.value.hint == "build it first: cargo build --release"


def test_a_missing_library_is_told_with_the_package_that_has_it(bench):
    bench.program(elf_bytes(needed=("libnew.so.1", "libodd.so.9")))
    bench.having = {"libnew.so.1": ("libnew1",)}
    with pytest.raises(DefinitionError) as error:
        bench.plan()
    assert "form-dns needs libnew.so.1, which neither" in error.value.message
    assert "hint: add libnew1 to `packages:`" in error.value.message
    assert bench.asked == ["libnew.so.1", "libodd.so.9"]


def test_that_nobody_knows_the_package_does_not_hide_what_is_wrong(bench):
    bench.program(elf_bytes(needed=("libnew.so.1",)))

    bench.refused = FormationError("no network")
    with pytest.raises(DefinitionError, match=r"form-dns needs libnew.so.1") as error:
        bench.plan()
    assert error.value.hint.endswith(" (no package is named: the archives could not be asked: no network)")
    bench.program(elf_bytes(needed=("libnew.so.1", "libodd.so.9")))
    with pytest.raises(DefinitionError) as error:
        bench.plan()
    assert error.value.message.count("no package is named") == 1


def test_a_library_of_an_added_package_counts(bench):
    library = elf_bytes(interpreter=None, soname="libnew.so.1")
    bench.debs = [make_deb(bench.directory, "libnew1", files=[file("lib/x86_64-linux-gnu/libnew.so.1", library)])]
    bench.packages = (PACKAGE,)
    bench.program(elf_bytes(needed=("libc.so.6", "libnew.so.1")))
    assert bench.plan().packages == (PACKAGE,)
    assert (bench.fetched, bench.asked) == (1, [])


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/opt/private", "is a file, and a directory in the base"),
        ("/opt/private/libodd.so.1/x", "is below /opt/private/libodd.so.1, which is no directory in the base"),
        ("/link/x", "is below a symbolic link of the base that leads to itself"),
    ],
)
def test_a_file_where_the_base_has_something_else_is_told(bench, path, reason):
    bench.files = base_files({"link": "->link"})
    with pytest.raises(DefinitionError) as error:
        bench.plan(BODY.replace("/etc/formation/dns.conf", path))
    assert error.value.message == f"{bench.directory}/service/formation.yaml:7: {path} {reason}"


def test_a_directory_where_the_base_has_a_file_is_told(bench):
    body = BODY.replace("files:", "directories: [{path: /usr/bin/dash}]\nfiles:")
    with pytest.raises(DefinitionError) as error:
        bench.plan(body)
    assert error.value.message == (
        f"{bench.directory}/service/formation.yaml:5: /usr/bin/dash is a directory, and a file in the base"
    )


def test_the_key_does_not_know_where_the_service_lies(bench, tmp_path):
    other = Bench(tmp_path / "elsewhere")
    assert bench.plan().key == other.plan().key


def test_a_path_through_a_link_of_the_base_becomes_the_path_behind_it(bench):
    bench.files = base_files({"data": "->usr/local"})
    plan = bench.plan(BODY.replace("/etc/formation/dns.conf", "/data/share/dns.conf"))
    assert "/usr/local/share/dns.conf" in [file.path for file in plan.files]


def test_two_paths_that_lead_to_one_place_are_told(bench):
    bench.files = base_files({"data": "->usr/local"})
    with pytest.raises(DefinitionError, match="is the same place as /data/bin/form-dns"):
        bench.plan(BODY.replace("/etc/formation/dns.conf", "/data/bin/form-dns"))


def test_a_directory_of_the_service_may_be_one_of_the_base(bench):
    source = bench.directory / "service" / "share" / "nested"
    source.mkdir(parents=True)
    (source / "file").write_text("text")
    plan = bench.plan().files
    more = bench.plan(BODY.replace("files:", "files:\n  - {path: /usr/local, source: share/}")).files
    assert {file.path for file in more} - {file.path for file in plan} == {
        "/usr/local",
        "/usr/local/nested",
        "/usr/local/nested/file",
    }


SCRIPT = """\
files:
  - {path: /usr/local/bin/run.sh, content: "%s", mode: "%s"}
%s
"""


@pytest.mark.parametrize(
    ("content", "mode", "body", "message", "hint"),
    [
        ("#!/bin/sh", "0755", "entrypoint: [/usr/local/bin/rnu.sh]",
         "no such program in the image: /usr/local/bin/rnu.sh", "did you mean '/usr/local/bin/run.sh'?"),
        ("#!/bin/sh", "0755", "health_check: {command: [curll, x]}", "no such program in the image: curll",
         "add the package that has it to `packages:`"),
        ("#!/bin/sh", "0755", "command: [nothing]", "no such program in the image: nothing", "add the package"),
        ("#!/bin/sh", "0644", "entrypoint: [run.sh]", "run.sh is not executable", 'write mode: "0755" for it'),
        ("exec sh", "0755", "entrypoint: [/usr/local/bin/run.sh]",
         "/usr/local/bin/run.sh is neither a program nor a script: it has no #! line", "begin it with #!/bin/sh"),
        ("exec sh", "0755", "health_check: {command: [./run.sh]}\nworking_directory: /usr/local/bin",
         "./run.sh is neither a program nor a script", "begin it with"),
        ("#!/bin/sh", "0755", "entrypoint: [/opt/gone]", "no such program in the image: /opt/gone", "bring it with"),
    ],
)  # fmt: skip
def test_a_program_that_cannot_be_started_is_told_with_its_line(bench, content, mode, body, message, hint):
    with pytest.raises(DefinitionError) as error:
        bench.plan(SCRIPT % (content, mode, body))
    told = [line for line in error.value.message.splitlines() if message in line]
    assert told[0].startswith(f"{bench.directory}/service/formation.yaml:7: {message}")
    assert hint in (error.value.hint or error.value.message)


@pytest.mark.parametrize(
    ("mode", "advice"), [("", "chmod +x "), (', mode: "0644"', "leave out the `mode` of /srv, and ")]
)
def test_a_file_of_a_directory_is_made_executable_where_it_is(bench, mode, advice):
    script = bench.directory / "service" / "src" / "run.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\n")
    with pytest.raises(DefinitionError) as error:
        bench.plan(f"files:\n  - {{path: /srv, source: src/{mode}}}\nentrypoint: [/srv/run.sh]\n")
    assert error.value.message.endswith(": /srv/run.sh is not executable")
    assert error.value.hint.startswith(advice)
    assert error.value.hint.endswith(f"chmod +x {script}")


@pytest.mark.parametrize(
    "body",
    [
        "entrypoint: [sh, -c, nothing]",
        "entrypoint: [/bin/sh]\ncommand: [nothing]",
        "entrypoint: []\ncommand: [run.sh]",
        "working_directory: /usr/local\nentrypoint: [bin/run.sh]",
        "environment: {PATH: '/opt:/usr/local/bin'}\nhealth_check: {command: [run.sh]}",
    ],
)
def test_a_program_that_can_be_started_passes(bench, body):
    assert bench.plan(SCRIPT % ("#!/bin/sh", "0755", body)).files
    assert bench.asked == []


def test_a_program_may_come_with_a_package_as_a_file_a_link_or_by_its_script(bench):
    postinst = b"#!/bin/sh\nupdate-alternatives --install /usr/bin/java java /usr/lib/jvm/bin/java 1\n"
    files = [file("usr/bin/real", elf_bytes(interpreter=None), mode=0o755), symlink("usr/bin/other", "real")]
    bench.debs = [make_deb(bench.directory, "tools", files=files, control={"postinst": postinst})]
    bench.packages = (PACKAGE,)
    for program in ("java", "/usr/bin/real", "other", "/bin/real"):
        bench.plan(f"health_check: {{command: [{program}]}}\n")
    with pytest.raises(DefinitionError, match=r"no such program in the image: jav$"):
        bench.plan("health_check: {command: [jav]}\n")


def test_a_missing_program_is_told_with_the_package_that_has_it(bench):
    bench.having = {"dig": ("bind9-dnsutils",)}
    with pytest.raises(DefinitionError) as error:
        bench.plan("health_check: {command: [dig]}\n")
    assert error.value.hint == "add bind9-dnsutils to `packages:`"


def test_a_user_that_is_not_there_is_told_once(bench):
    with pytest.raises(DefinitionError) as error:
        bench.plan("user: formaton\ndirectories:\n  - {path: /srv/a}\n  - {path: /srv/b, owner: formaton}\n")
    told = [line.partition("formation.yaml:")[2][:2] for line in error.value.message.splitlines()[::2]]
    assert told == ["5:", "8:"]


def test_a_volume_that_no_layer_has_is_noted_since_engines_give_it_to_root(bench):
    body = "volumes:\n  - /data\n  - /srv/mine\ndirectories: [{path: /srv/mine}]\n"
    (note,) = bench.plan(body).notes
    assert note.startswith(f"{bench.directory}/service/formation.yaml:6: no layer has the volume /data")
    assert note.endswith("and formation cannot write there; add {path: /data} to `directories:`")
    assert bench.plan(f"{body}user: root\n").notes == ()


def test_users_and_groups_of_the_base_are_declared_as_they_are_there_or_not_at_all(bench):
    passwd = b"root:x:0:0:root:/root:/bin/sh\nformation:x:999:999::/home/formation:/usr/sbin/nologin\n"
    bench.files = base_files(texts={"etc/passwd": passwd, "etc/group": b"root:x:0:\nformation:x:999:\n"})
    same = (
        "groups: [{name: formation, gid: 999}]\nusers: [{name: formation, group: formation, home: /home/formation}]\n"
    )
    assert bench.plan(same).files == ()
    with pytest.raises(DefinitionError) as error:
        bench.plan("groups:\n  - {name: formation, gid: 998}\nusers:\n  - {name: formation, home: /srv}\n")
    place = f"{bench.directory}/service/formation.yaml"
    assert (
        f"{place}:6: formation/base:1.0.0 made the group 'formation' with the id 999, and the definition wants 998"
        in error.value.message
    )
    assert f"{place}:8: formation/base:1.0.0 made the user 'formation' with another group" in error.value.message
    assert "hint: leave it out to have it as it is" in error.value.message


@pytest.mark.parametrize(("directory", "line"), [("/usr/local/bin", 6), ("/opt", 7)])
def test_an_empty_program_is_told_once(bench, directory, line):
    body = (SCRIPT % ("", "0755", "entrypoint: [/usr/local/bin/run.sh]")).replace("/usr/local/bin", directory)
    with pytest.raises(DefinitionError) as error:
        bench.plan(body)
    assert error.value.message == f"{bench.directory}/service/formation.yaml:{line}: {directory}/run.sh is empty"


def test_packages_for_a_base_without_dpkg_are_refused_before_anything_is_built(bench):
    bench.packages = (PACKAGE,)
    nodes = {path: node for path, node in bench.files.tree.nodes.items() if path != "usr/bin/dpkg"}
    bench.files = replace(bench.files, tree=Listed(nodes))
    with pytest.raises(DefinitionError, match=r"formation.yaml:1: formation/base:1.0.0 has no dpkg, and only dpkg can"):
        bench.plan()
    # dpkg itself may be what is added.
    bench.packages = (replace(PACKAGE, name="dpkg"),)
    bench.plan()
