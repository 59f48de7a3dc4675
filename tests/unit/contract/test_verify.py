"""Verifying whole images: the database, libraries, layers, the base below, and the checks of a definition."""

import dataclasses
import json
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elves import ARM64, elf_bytes
from formation.contract.base_layers import BASE_DIGEST, BASE_NAME
from formation.contract.checks import Ran
from formation.contract.findings import TOPICS
from formation.contract.from_definition import service_contract
from formation.contract.promise import Contract
from formation.definition.image_checks import Checks, CommandCheck, FileCheck
from formation.definition.load import load_service
from formation.entry import Entry
from formation.errors import FormationError
from formation.oci.annotations import LAYER_KIND
from formation.oci.image import Image, image_of
from formation.oci.manifest import manifest_bytes
from formation.oci.rules import broken_rules
from hostile import hostile
from layer_tars import directory, file, hardlink, image_of_layers, symlink
from sound_image import EXECUTION, LIBC, STATUS, TOOL, TRIPLET, changed, ids, sound_image, sound_members, verified

OTHER_DIGEST = "sha256:" + "0" * 64


def found(*upper, **options) -> list[str]:
    return ids(verified(sound_image(*upper, **options)).findings)


def test_a_sound_image_has_no_findings():
    report = verified(sound_image())
    assert report.findings == () and report.ok


def test_an_image_without_any_package_is_sound_too():
    assert found() == ids(verified(image_of_layers([file("hello", b"#!")])).findings)


@pytest.mark.parametrize(
    ("member", "id_"),
    [
        (changed("usr/bin/tool", b"#!/bin/sh", mode=0o755), "package-file-changed"),
        (symlink("usr/bin/tool", "other"), "package-file-changed"),
        (file("usr/bin/.wh.tool"), "package-file-missing"),
        (changed("etc/tool.conf", b"off"), "conffile-changed"),
        (file("usr/bin/extra", b"#!", mode=0o755), "file-unowned"),
        (file("var/lib/dpkg/info/.wh.tool.list"), "list-missing"),
        (changed("var/lib/dpkg/info/tool.md5sums", b"nonsense\n"), "md5sums-malformed"),
        (changed("var/lib/dpkg/status", b"nonsense\n\n" + STATUS.encode()), "database-damaged"),
        (changed("var/lib/dpkg/statoverride", b"root root 755 /app\n"), None),
        (changed("var/lib/dpkg/statoverride", b"root root 4755 /usr/bin/tool\n"), "statoverride-ignored"),
        (changed("var/lib/dpkg/statoverride", b"what\n"), "statoverride-malformed"),
        (changed("var/lib/dpkg/statoverride", b"#9999999999 root 755 /none\n"), "statoverride-malformed"),
        (changed("var/lib/dpkg/statoverride", b"root root 17755 /none\n"), "statoverride-malformed"),
        (changed("var/lib/dpkg/statoverride", b"nobody-here root 755 /none\n"), "statoverride-malformed"),
    ],
)
def test_a_database_that_is_not_true_is_told_of(member, id_):
    expected = [] if id_ is None else [id_]
    assert found([member]) == expected


def test_what_dpkg_statoverride_was_told_is_a_warning_since_it_changes_nothing_that_is_there():
    report = verified(sound_image([changed("var/lib/dpkg/statoverride", b"root root 4755 /usr/bin/tool\n")]))
    assert [finding.severity for finding in report.findings] == ["warning"] and report.ok


def test_an_override_is_of_the_file_that_a_package_ships_and_of_a_symlink_s_owner_alone():
    lines = b"root root 600 /srv/link\nroot root 600 /srv/a\nroot root 600 /srv/b.away\n"
    told = [
        directory("srv"),
        changed("var/lib/dpkg/statoverride", lines),
        changed("var/lib/dpkg/diversions", b"/srv/a\n/srv/a.away\ntool\n/srv/b\n/srv/b.away\ntool\n"),
        symlink("srv/link", "a.away"),
        file("srv/b.away", b"", mode=0o755),
    ]
    assert found([*told, file("srv/a.away", b"", mode=0o600)]) == []
    assert found([*told, file("srv/a.away", b"", mode=0o644)]) == ["statoverride-ignored"]


def test_a_file_that_another_package_replaces_is_not_the_first_ones_any_more():
    info = "var/lib/dpkg/info"
    taken = changed("usr/bin/tool", b"another", mode=0o755)
    disowned = changed(f"{info}/tool.list", b"/.\n/etc\n/etc/tool.conf\n")
    other = "\nPackage: other\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
    owner = [
        changed("var/lib/dpkg/status", f"{STATUS}{other}".encode()),
        file(f"{info}/other.list", b"/usr/bin/tool\n"),
    ]
    assert found([taken, disowned, *owner]) == []
    # The checksum of a file that nobody has on a list is still a promise.
    assert "package-file-changed" in found([taken, disowned])


def test_a_changed_configuration_file_is_a_warning_also_where_dpkg_wrote_the_checksums():
    sums = changed("var/lib/dpkg/info/tool.md5sums", f"{md5(b'on').hexdigest()}  etc/tool.conf\n".encode())
    assert found([changed("etc/tool.conf", b"off"), sums]) == ["conffile-changed"]


def status_of_tool(status: str) -> list[str]:
    before, after = STATUS.rsplit("install ok installed", 1)
    return found([changed("var/lib/dpkg/status", f"{before}{status}{after}".encode())])


def test_half_installed_packages_and_leftovers_are_told_of():
    assert "package-unfinished" in status_of_tool("install ok half-configured")
    assert "package-unfinished" in status_of_tool("")
    assert "package-leftover" in status_of_tool("deinstall ok config-files")


def test_paths_that_dpkg_leaves_out_are_not_missed_and_diverted_ones_are_looked_for_where_they_are():
    out = file("etc/dpkg/dpkg.cfg.d/slim", b"path-exclude=/usr/bin/*\npath-include=/usr/bin/keep*\n")
    assert found([directory("etc/dpkg"), directory("etc/dpkg/dpkg.cfg.d"), out, file("usr/bin/.wh.tool")]) == []
    keep = (out[0], out[1].replace(b"keep", b"tool"))
    entry = Entry(out[0].path, "file", 0o644, size=len(keep[1]))
    layer = [directory("etc/dpkg"), directory("etc/dpkg/dpkg.cfg.d"), (entry, keep[1]), file("usr/bin/.wh.tool")]
    assert found(layer) == ["package-file-missing"]


def test_a_dockerfile_may_remove_the_lists_of_apt_with_their_directory():
    """As `rm -rf /var/lib/apt/lists/*` does, which `audit` and `lint` advise."""
    listed = b"/.\n/usr\n/usr/bin\n/usr/bin/tool\n/var/lib/apt/lists/partial\n/var/cache/apt/archives/partial\n"
    assert found([changed("var/lib/dpkg/info/tool.list", listed)]) == []
    listed += b"/var/lib/apt/mirrors\n"
    assert found([changed("var/lib/dpkg/info/tool.list", listed)]) == ["package-file-missing"]


def test_diverted_files_are_looked_for_where_they_are():
    diverted = [
        changed("var/lib/dpkg/diversions", b"/usr/bin/tool\n/usr/bin/tool.real\nother\n"),
        file("usr/bin/tool.real", TOOL, mode=0o755),
        changed("usr/bin/tool", b"#!/bin/sh\n", mode=0o755),
    ]
    assert found(diverted) == []
    assert found([diverted[0], diverted[2]]) == ["package-file-missing"]


def test_libraries_and_versions_that_programs_lack_are_told_of():
    needy = elf_bytes(needed=("libssl.so.3", "libc.so.6"), requires={"libc.so.6": ("GLIBC_2.99",)})
    findings = verified(sound_image([file("usr/local/bin/service", needy, mode=0o755)])).findings
    assert ids(findings) == ["library-missing", "symbol-version-missing"]
    assert "libssl.so.3" in findings[0].message and "GLIBC_2.99" in findings[1].message
    assert {finding.layer for finding in findings} == {1}


def test_programs_of_another_architecture_or_loader_are_told_of():
    strange = elf_bytes(machine=ARM64, interpreter="/lib/ld-linux-aarch64.so.1")
    assert found([file("usr/local/bin/service", strange, mode=0o755)]) == ["architecture", "interpreter-missing"]


def test_layers_that_are_wrong_and_layers_that_are_odd_are_told_apart():
    report = verified(sound_image([file("new/x"), hardlink("l", "nowhere")]))
    assert {(finding.id, finding.severity) for finding in report.findings} == {
        ("layer-missing-parent", "warning"),
        ("layer-hard-link", "error"),
    }
    image = sound_image([file("new", b"one")])
    digest = image.manifest.layers[1].digest
    image.source.content[digest] = image.source.content[digest].replace(b"one", b"two")
    assert ids(verified(image).findings) == ["layer-diff-id", "layer-digest"]


def with_config(image: Image, change) -> Image:
    """`image` with a config that `change` made of its JSON, and a manifest that fits."""
    config = json.loads(image.config_bytes)
    change(config)
    data = json.dumps(config).encode()
    manifest = json.loads(image.manifest_bytes)
    manifest["config"] |= {"digest": image.source.add(data), "size": len(data)}
    return image_of(image.source, json.dumps(manifest).encode())


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        (("architecture",), "x86_64", "architecture"),
        (("os",), "Linux", "operating system"),
        (("created",), "yesterday", "RFC 3339"),
        (("history",), [{"created": "x"}], "history"),
        (("config", "Env"), ["NOVALUE"], "NAME=VALUE"),
        (("config", "Env"), ["A=1", "A=2"], "more than once"),
        (("config", "ExposedPorts"), {"99999/tcp": {}}, "99999"),
        (("config", "Volumes"), {"data": {}}, "absolute"),
        (("config", "Volumes"), {"/data": {"a": 1}}, "not {}"),
        (("config", "WorkingDir"), "app", "absolute"),
        (("config", "Cmd"), [""], "empty word"),
    ],
)
def test_each_rule_of_the_specification_is_looked_at(path, value, rule):
    def change(config):
        for key in path[:-1]:
            config = config[key]
        config[path[-1]] = value

    broken = list(broken_rules(with_config(sound_image(), change)))
    assert len(broken) == 1 and rule in broken[0]


@pytest.mark.parametrize(
    "change", [{"working_directory": "/etc/tool.conf"}, {"volumes": ("/var/log/formation", "/etc/tool.conf")}]
)
def test_a_working_directory_or_volume_that_is_a_file_is_told_of(change):
    (finding,) = verified(sound_image(execution=dataclasses.replace(EXECUTION, **change))).findings
    assert (finding.id, finding.severity, finding.path) == ("not-a-directory", "error", "/etc/tool.conf")
    missing = dataclasses.replace(EXECUTION, working_directory="/made/by/the/engine", volumes=("/data",))
    assert found(execution=missing) == []


def test_a_history_that_does_not_fit_is_told_of():
    image = with_config(sound_image(), lambda config: config.update(history=[{}, {}, {}]))
    assert ids(verified(image).findings) == ["oci-metadata"]


def test_too_few_diff_ids_hide_nothing_else():
    image = sound_image([changed("usr/bin/tool", b"x")])
    fewer = with_config(image, lambda config: config["rootfs"]["diff_ids"].pop())
    assert ids(verified(fewer).findings) == ["oci-metadata", "layer-diff-id", "package-file-changed"]


def test_what_a_service_copies_as_a_whole_directory_belongs_to_it(tmp_path):
    (tmp_path / "formation.yaml").write_text(
        "kind: service\nname: a/b\nversion: 1.0.0\nbase: a/base:1.0.0\n"
        "files:\n  - {path: /usr/share/app, source: app/}\n"
    )
    contract = service_contract(load_service(tmp_path), "amd64", None)
    image = sound_image([file("usr/share/app/main.py", b"#!"), file("usr/share/application", b"")])
    unowned = [each for each in verified(image, contract).findings if each.id == "file-unowned"]
    assert [each.path for each in unowned] == ["/usr/share/application"]


def test_a_link_to_a_page_that_a_script_makes_needs_no_package():
    # As dash of Debian 12 does for sh(1), also where its page is left out.
    image = sound_image([symlink("usr/share/man/man1/sh.1.gz", "dash.1.gz"), file("usr/share/man/man1/own.1.gz")])
    unowned = [each.path for each in verified(image).findings if each.id == "file-unowned"]
    assert unowned == ["/usr/share/man/man1/own.1.gz"]


def test_the_layers_of_the_base_below_a_service_are_compared():
    base = sound_image()
    said = {BASE_DIGEST: base.digest, BASE_NAME: "formation/base:1.0.0"}
    service = sound_image([file("srv", b"1")], annotations=said)
    assert ids(verified(service, bases=(base.source,)).findings) == []
    assert ids(verified(service).findings) == ["base-unknown"]
    other = image_of_layers([*sound_members(), file("more")], [file("srv")], execution=EXECUTION, annotations=said)
    assert ids(verified(other, bases=(base.source,)).findings) == ["base-layer"]
    locked = Contract("f.yaml", base_digest=OTHER_DIGEST)
    assert ids(verified(service, locked, bases=(base.source,)).findings) == ["base-other"]
    lying = sound_image(annotations={BASE_DIGEST: "sha256:nonsense"})
    assert ids(verified(lying).findings) == ["base-damaged"]
    # How a Dockerfile takes back what the image below it says.
    silent = sound_image(annotations={BASE_DIGEST: "", BASE_NAME: ""})
    assert ids(verified(silent).findings) == []
    base.source.content[base.digest] = b"{}"
    assert ids(verified(service, bases=(base.source,)).findings) == ["base-damaged"]


def test_an_image_that_names_no_base_has_the_layers_of_the_promised_one_or_stands_on_another():
    base, service = sound_image(), sound_image([file("srv", b"1")])
    promised = Contract("f.yaml", base_digest=base.digest)
    assert found_of(service, promised, bases=(base.source,)) == []
    ((id_, severity, message),) = found_of(service, Contract("f.yaml", base_digest=OTHER_DIGEST))
    assert (id_, severity) == ("base-unknown", "warning")
    assert f"the base {OTHER_DIGEST} is not at hand" in message
    other = image_of_layers([*sound_members(), file("more")], [file("srv")], execution=EXECUTION)
    ((id_, severity, message),) = found_of(other, promised, bases=(base.source,))
    assert (id_, severity) == ("base-other", "error")
    assert f"names no base, and was promised to stand on {base.digest}, whose layer 0 it does not have" in message


def found_of(image: Image, contract: Contract | None = None, **options) -> list[tuple[str, str, str]]:
    return [(each.id, each.severity, each.message) for each in verified(image, contract, **options).findings]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("formation/base:1.0.0", "intact"),
        ("registry.example.com/base:1.0.0", "intact: formation pull registry.example.com/base:1.0.0"),
        ("docker://formation/base:1.0.0", "intact: formation pull formation/base:1.0.0"),
        ("oci:../base", "intact"),
    ],
)
def test_a_base_that_is_not_at_hand_is_pulled_where_its_name_has_a_registry(name, advice):
    service = sound_image(annotations={BASE_DIGEST: OTHER_DIGEST, BASE_NAME: name})
    ((_, _, message),) = found_of(service)
    assert message.endswith(advice)


def checks(*files: FileCheck, **options) -> Checks:
    return Checks(files=files, place="f.yaml:1", **options)


def file_check(path: str, **options) -> FileCheck:
    defaults = {"exists": True, "type": None, "owner": None, "group": None, "mode": None, "contains": (), "lacks": ()}
    return FileCheck(path=path, **(defaults | options), place="f.yaml:2")


@pytest.mark.parametrize(
    ("check", "id_"),
    [
        (file_check("/etc/tool.conf", mode=0o644, owner="root", group="0", type="file", contains=("^on$",)), None),
        (file_check("/etc/none", exists=False), None),
        (file_check("/bin", type="symlink"), None),
        (file_check("/bin/tool", type="file"), None),
        (file_check("/etc/tool.conf", exists=False), "check-file-exists"),
        (file_check("/etc/none"), "check-file-missing"),
        (file_check("/etc/tool.conf", type="directory"), "check-file-type"),
        (file_check("/etc/tool.conf", mode=0o600), "check-file-mode"),
        (file_check("/etc/tool.conf", owner="formation"), "check-file-owner"),
        (file_check("/etc/tool.conf", contains=("off",)), "check-file-content"),
        (file_check("/etc/tool.conf", lacks=("on",)), "check-file-content"),
        (file_check("/usr/bin", contains=("x",)), "check-file-content"),
        # Not among what is kept: its layer is read again.
        (file_check("/usr/bin/tool", contains=("GLIBC_2.34",)), None),
        (file_check("/usr/bin/tool", lacks=("GLIBC_2.34",)), "check-file-content"),
    ],
)
def test_file_checks_of_a_definition_are_looked_at(check, id_):
    findings = verified(sound_image(), checks=checks(check)).findings
    assert ids(findings) == ([] if id_ is None else [id_])
    assert all(finding.place == "f.yaml:2" for finding in findings)


def test_of_two_users_with_one_name_the_first_counts_as_in_a_container():
    twice = b"root:x:0:0:root:/root:/bin/sh\nroot:x:5:5::/:/bin/sh\n"
    override = changed("var/lib/dpkg/statoverride", b"root root 755 /app\n")
    check = checks(file_check("/etc/tool.conf", owner="root"))
    assert ids(verified(sound_image([changed("etc/passwd", twice), override]), checks=check).findings) == []


def test_metadata_checks_match_whole_values():
    sound = checks(environment=(("LANG", "C.*"),), labels=(("org.opencontainers.image.version", r"1\.\d+\.0"),))
    assert verified(sound_image(), checks=sound).findings == ()
    wrong = checks(environment=(("LANG", "C"), ("TZ", ".*")), labels=(("x", ""),))
    assert ids(verified(sound_image(), checks=wrong).findings) == ["check-metadata"] * 3


class Scripted:
    """A Runner that knows what comes."""

    def run(self, command: tuple[str, ...], user: str | None) -> Ran:
        if command == ("missing",):
            raise FormationError("no such program")
        return Ran(0 if user is None else 1, f"{' '.join(command)} 1.2\n")


def command_check(*command: str, **options) -> CommandCheck:
    defaults = {"user": None, "exit_code": 0, "output": (), "no_output": ()}
    return CommandCheck(run=command, **(defaults | options), place="f.yaml:3")


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        (command_check("tool", "--version", output=("^tool",), no_output=("rror",)), 0),
        (command_check("tool", user="nobody"), 1),
        (command_check("tool", output=("^2",), no_output=("1",), exit_code=3), 3),
        (command_check("missing"), 1),
    ],
)
def test_command_checks_are_run_by_who_can(check, broken):
    report = verified(sound_image(), checks=Checks(commands=(check,)), runner=Scripted())
    assert ids(report.findings) == ["check-command"] * broken


def test_command_checks_that_nobody_runs_are_told_of():
    report = verified(sound_image(), checks=Checks(commands=(command_check("tool"),)))
    assert ids(report.findings) == ["check-not-run"] and report.ok
    assert report.findings[0].message.startswith("1 command check was left out: ")


def test_findings_come_by_topic_and_errors_first():
    report = verified(
        sound_image([file("new/x"), changed("usr/bin/tool", b"x"), file("usr/bin/extra"), hardlink("l", "nowhere")])
    )
    topics = [TOPICS.index(finding.topic) for finding in report.findings]
    assert topics == sorted(topics)
    assert [finding.severity for finding in report.findings if finding.topic == "database"] == ["error", "warning"]


PLACES = (
    *("usr/bin/tool", "usr/lib", "lib64", f"{TRIPLET}/libc.so.6"),
    *("etc/passwd", "etc/group", "etc/ld.so.conf", "etc/dpkg/dpkg.cfg"),
    *(f"var/lib/dpkg/{name}" for name in ("status", "diversions", "statoverride")),
    *(f"var/lib/dpkg/info/tool.{name}" for name in ("list", "md5sums")),
)
_KNOWN = (b"/usr/bin/tool\n", b"root:x:0:0::/:/\n", b"Package: x\n", b"\n", b"\xff\xfe", b"include /etc/*\n")
_SOME = st.sampled_from([*_KNOWN, b"path-exclude=/[\n", LIBC[:80], b"a b 755 /x\n"]) | st.binary(max_size=20)


@hostile
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.lists(_SOME, max_size=6).map(b"".join)), max_size=4))
def test_no_content_of_an_image_makes_verifying_raise(files):
    report = verified(sound_image([file(path, content) for path, content in dict(files).items()]))
    assert all(finding.message for finding in report.findings)


PRIVATE = f"{TRIPLET}/suite"


def suite(*members, needed=("libinner.so", "libouter.so"), run_path=f"/{PRIVATE}") -> list[str]:
    """What is found in an image with a program and the two libraries of its own, of which one needs the other."""
    outer = elf_bytes(
        interpreter=None, soname="libouter.so", needed=("libinner.so",), requires={"libinner.so": ("V2",)}
    )
    program = elf_bytes(needed=needed, run_path=run_path)
    return found([
        directory(PRIVATE),
        file(f"{PRIVATE}/libinner.so", elf_bytes(interpreter=None, soname="libinner.so", provides=("V1", "V2"))),
        file(f"{PRIVATE}/libouter.so", outer),
        file("usr/local/bin/suite", program, mode=0o755),
        *members,
    ])  # fmt: skip


def test_a_library_of_a_program_finds_what_the_program_loads_anyway():
    assert "library-missing" not in suite()
    old = elf_bytes(interpreter=None, soname="libinner.so", provides=("V1",))
    assert "symbol-version-missing" in suite(changed(f"{PRIVATE}/libinner.so", old))


def test_a_library_that_nobody_loads_together_with_what_it_needs_would_not_find_it():
    assert "library-missing" in suite(needed=("libouter.so",))
    assert "library-missing" in suite(run_path="/opt")
    alone = elf_bytes(needed=("libouter.so",), run_path=f"/{PRIVATE}")
    assert "library-missing" in suite(file("usr/local/bin/alone", alone, mode=0o755))
    public = elf_bytes(interpreter=None, soname="libpublic.so", needed=("libinner.so",))
    assert "library-missing" in suite(
        file(f"{TRIPLET}/libpublic.so", public), needed=("libinner.so", "libouter.so", "libpublic.so")
    )


def test_what_a_package_keeps_for_itself_is_its_own_affair():
    # As collectd's plugins, Java's libraries (which find libjvm.so loaded) and QEMU's firmware do.
    path = "usr/lib/tool/plugin.so"
    plugin = file(path, elf_bytes(interpreter="/lib/ld-hppa.so.1", soname="plugin.so", needed=("libnowhere.so.1",)))
    listed = changed("var/lib/dpkg/info/tool.list", b"/usr/bin/tool\n/etc/tool.conf\n/lib/tool/plugin.so\n")
    parent = directory("usr/lib/tool")
    assert found([parent, plugin, listed]) == []
    assert {"library-missing", "interpreter-missing"} <= set(found([parent, plugin]))
    # What commands and services are linked to, and they themselves, are not.
    needy = elf_bytes(interpreter=None, soname="libtool.so.1", needed=("libnowhere.so.1",))
    listed = changed(
        "var/lib/dpkg/info/tool.list", f"/etc/tool.conf\n/usr/bin/tool\n/{TRIPLET}/libtool.so.1\n".encode()
    )
    library = file(f"{TRIPLET}/libtool.so.1", needy)
    assert found([library, listed]) == []
    service = elf_bytes(needed=("libtool.so.1",))
    assert found([library, listed, file("usr/local/bin/service", service, mode=0o755)]) == ["library-missing"]
    assert "library-missing" in found([library, listed, changed("usr/bin/tool", service, mode=0o755)])
    assert "library-missing" in found([changed("usr/bin/tool", elf_bytes(needed=("libnowhere.so.1",)), mode=0o755)])


def test_a_private_file_is_no_affair_of_a_package_that_lacks_what_it_depends_on():
    # As after `dpkg --purge --force-depends`, and in a minimal variant, which has packages without their dependencies.
    plugin = file("usr/lib/tool/plugin.so", elf_bytes(interpreter=None, soname="plugin.so", needed=("libgone.so.1",)))
    listed = changed("var/lib/dpkg/info/tool.list", b"/usr/bin/tool\n/etc/tool.conf\n/usr/lib/tool/plugin.so\n")

    def with_status(fields: str, *more: tuple[Entry, bytes]) -> list[str]:
        status = STATUS.replace("Version: 1.0-1\n", f"Version: 1.0-1\n{fields}").encode()
        return found([directory("usr/lib/tool"), plugin, listed, changed("var/lib/dpkg/status", status), *more])

    assert with_status("Pre-Depends: libc6 (>= 2.38)\nDepends: other | libc6:any, virtual\nProvides: virtual\n") == []
    assert with_status("Depends: libc6, libgone1 (>= 1)\n") == ["library-missing"]
    assert with_status("Pre-Depends: libgone1\n") == ["library-missing"]
    assert with_status("Depends: (what)\n") == ["library-missing"]
    # Who loads the plugin may have loaded this before.
    elsewhere = file("usr/lib/tool/server/libgone.so.1", elf_bytes(interpreter=None, soname="libgone.so.1"))
    assert "library-missing" not in with_status("Depends: libgone1\n", directory("usr/lib/tool/server"), elsewhere)


def test_what_is_in_formations_own_layers_besides_packages_needs_no_package():
    image = sound_image([file("usr/share/tool.cache")])
    *below, top = image.manifest.layers

    def unowned(kind: str) -> bool:
        layers = (*below, dataclasses.replace(top, annotations={LAYER_KIND: kind}))
        marked = image_of(image.source, manifest_bytes(dataclasses.replace(image.manifest, layers=layers)))
        return "file-unowned" in ids(verified(marked).findings)

    assert unowned("packages")
    assert not unowned("effects")
    assert not unowned("application")


@pytest.mark.parametrize("most", [1, 8])
def test_what_would_take_too_long_to_look_up_is_told_of(monkeypatch, most):
    assert "library-unchecked" not in suite()
    monkeypatch.setattr("formation.contract.linking._MOST_STEPS", most)
    assert "library-unchecked" in suite()


def test_a_derived_image_that_names_no_base_begins_with_the_layers_of_that_of_the_contract_or_is_told_of():
    base, service = sound_image(), sound_image([file("srv", b"1")])
    contract = Contract("f.yaml")

    def warned(image: Image, base: Image | None) -> list[tuple[str, str, str]]:
        report = verified(image, contract, derived=True, stands_on=("formation/base:1.0.0", base))
        return [(each.id, each.severity, each.message) for each in report.findings]

    assert warned(service, base) == []
    flat = image_of_layers([*sound_members(), file("srv", b"1")], execution=EXECUTION)
    ((id_, severity, message),) = warned(flat, base)
    assert (id_, severity) == ("base-unknown", "warning")
    assert "its lowest layers are not those of the formation/base:1.0.0 in the store" in message
    ((id_, severity, message),) = warned(service, None)
    assert (id_, severity) == ("base-unknown", "warning")
    assert "the store has no formation/base:1.0.0 to compare" in message
