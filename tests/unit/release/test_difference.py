"""Two images side by side, from their layers to the level."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from elves import elf_bytes
from formation.contents.image import scan_image
from formation.contract.facts import facts_of
from formation.digest import sha256
from formation.lock.lockfile import lock_text
from formation.lock.model import Lock, LockedBase, LockedPackage, LockedSuite
from formation.lock.stored import stored_lock
from formation.oci.annotations import LOCK_DIGEST
from formation.oci.config import Execution, parse_config
from formation.oci.image import Image
from formation.release.changes import Change
from formation.release.difference import Difference, compare, compare_elsewhere
from formation.release.level import Level, level_of
from formation.release.levels import judge
from formation.release.snapshot import Snapshot, snapshot_of_image, snapshot_of_lock
from layer_tars import Member, directory, file, symlink
from sound_image import EXECUTION, STATUS, TOOL, TRIPLET, sound_image

LABEL = "org.opencontainers.image"


def side(*upper: list[Member], name: str = "image", **options: Any) -> Snapshot:
    return snapshot_of_image(facts_of(scan_image(sound_image(*upper, **options), None, workers=1)), name)


def difference(*upper: list[Member], **options: Any) -> Difference:
    """From the sound image to the one with these layers on top."""
    return compare(side(), side(*upper, **options))


def level(found: Difference) -> Level:
    return level_of(judge(found.packages, found.changes, found.files, found.layers))


def whiteout(path: str) -> Member:
    parent, _, name = path.rpartition("/")
    return file(f"{parent}/.wh.{name}")


def libc(*versions: str) -> Member:
    return file(f"{TRIPLET}/libc.so.6", elf_bytes(interpreter=None, soname="libc.so.6", provides=versions))


def test_an_image_and_itself_have_no_difference():
    found = difference()
    assert (found.packages, found.changes, found.files, found.notes) == ((), (), (), ())
    assert {layer.kind for layer in found.layers} == {"kept"}
    assert level(found) is Level.NONE


def test_an_upgraded_package_is_a_patch():
    found = difference([file("var/lib/dpkg/status", STATUS.replace("1.0-1", "1.0-1+deb13u1").encode())])
    (change,) = found.packages
    assert (change.kind, change.name, change.architectures) == ("upgraded", "tool", ("amd64",))
    assert level(found) is Level.PATCH
    assert [layer.kind for layer in found.layers] == ["kept", "added"]


def test_a_removed_library_is_major_and_so_is_a_symbol_version():
    gone = difference([whiteout(f"{TRIPLET}/libc.so.6")])
    assert Change("library", "removed", "libc.so.6") in gone.changes
    assert level(gone) is Level.MAJOR
    less = difference(
        [file(f"{TRIPLET}/libc.so.6", elf_bytes(interpreter=None, soname="libc.so.6", provides=("GLIBC_2.38",)))]
    )
    assert less.changes == (Change("symbol version", "removed", "libc.so.6 GLIBC_2.34"),)
    more = difference([libc("GLIBC_2.34", "GLIBC_2.38", "GLIBC_2.41")])
    assert level(more) is Level.MINOR


def test_another_user_id_is_major_and_named():
    passwd = b"root:x:0:0:root:/root:/bin/sh\nformation:x:998:999::/app:/usr/sbin/nologin\n"
    found = difference([file("etc/passwd", passwd)])
    # Its directory belongs to a number now that nobody has.
    assert [str(change) for change in found.changes] == [
        "user formation: uid 999 → 998",
        "directory /var/log/formation: owner formation → 999",
    ]
    assert level(found) is Level.MAJOR


def test_directories_of_packages_and_of_nobody_are_compared():
    tighter = difference([directory("usr/bin", 0o700)])
    assert [(file.path, file.what, file.package) for file in tighter.files] == [("/usr/bin", ("mode",), "tool")]
    assert level(tighter) is Level.MAJOR
    owner = difference([directory("var/log/formation", 0o750, 0, 999)])
    assert Change("directory", "changed", "/var/log/formation", "owner", "formation", "root") in owner.changes


def test_a_directory_that_a_package_takes_over_is_neither_gone_nor_new():
    taken = difference(
        [file("var/lib/dpkg/info/tool.list", b"/.\n/app\n/usr\n/usr/bin\n/usr/bin/tool\n/etc/tool.conf\n")]
    )
    assert not [change for change in taken.changes if change.name == "/app"]


def test_the_configuration_is_compared_in_full():
    found = difference(
        execution=Execution(
            environment=("PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin", "TZ=UTC"),
            working_directory="/app",
            entrypoint=("tool",),
            exposed_ports=("8080/tcp", "9090/tcp"),
            labels={"org.opencontainers.image.version": "1.0.1"},
        )
    )
    assert {str(change) for change in found.changes} == {
        "environment LANG removed",
        "environment PATH: /usr/local/bin:/usr/bin:/bin → /usr/local/bin:/usr/bin:/bin:/opt/bin",
        "environment TZ added",
        "volume /var/log/formation removed",
        "port 9090/tcp added",
        "label org.opencontainers.image.version: 1.0.0 → 1.0.1",
        "configuration user: formation → root",
        "configuration entrypoint added",
        "configuration command removed",
    }


def test_files_are_compared_by_content_mode_owner_and_type():
    found = difference(
        [
            file("usr/bin/tool", TOOL, mode=0o700, uid=5),
            symlink("etc/tool.conf", "elsewhere"),
            file("opt/new", b"new"),
            whiteout("usr/lib64/ld-linux-x86-64.so.2"),
        ]
    )
    by_path = {file.path: (file.kind, file.what, file.package) for file in found.files}
    assert by_path["/usr/bin/tool"] == ("changed", ("mode", "owner"), "tool")
    assert by_path["/etc/tool.conf"][1] == ("type",)
    assert by_path["/opt/new"] == ("added", (), "")
    assert by_path["/usr/lib64/ld-linux-x86-64.so.2"] == ("removed", (), "libc6")


def test_images_of_two_architectures_say_so():
    found = difference(architecture="arm64")
    assert found.changes[0] == Change("platform", "changed", "architecture", "", "amd64", "arm64")


def locked(version: str) -> Lock:
    package = LockedPackage(
        "tool", version, "arm64", "tool", version, f"sha256:{version[0] * 64}", 1, 1, "debian", "trixie", "pool/t.deb",
        ("runtime",), "requested", False,
    )  # fmt: skip
    suite = LockedSuite(
        "debian", "http://deb.debian.org/debian", "trixie", ("main",), "sha256:" + "0" * 64, 1, None, "0" * 40
    )
    return Lock("sha256:" + "0" * 64, 1, (suite,), {"amd64": (), "arm64": (package,)})


def with_lock(lock: Lock) -> Snapshot:
    text = lock_text(lock).encode()
    image = sound_image(annotations={LOCK_DIGEST: sha256(text)})
    image.source.add(text)  # type: ignore[attr-defined]
    return snapshot_of_image(facts_of(scan_image(image, None, workers=1)), "image")


def test_locks_tell_of_the_architectures_that_the_images_are_not_for():
    old, new = with_lock(locked("1.0-1")), with_lock(locked("2.0-1"))
    assert old.lock == locked("1.0-1")
    found = compare_elsewhere(old, new)
    assert found is not None
    assert [(change.kind, change.name, change.architectures) for change in found.packages] == [
        ("upgraded", "tool", ("arm64",))
    ]
    assert compare_elsewhere(old, old) is None
    assert compare_elsewhere(old, side()) is None


def test_a_package_has_one_measure_in_an_image_and_in_a_lock():
    """An image has less of a package than its control file says: no documentation."""
    status = STATUS.replace("Version: 1.0-1", "Version: 1.0-1\nInstalled-Size: 40")
    image = side([file("var/lib/dpkg/status", status.encode())], name="image")
    lock = snapshot_of_lock(locked("2.0-1"), "lock", None)
    lock = replace(lock, packages={"amd64": (replace(lock.packages["arm64"][0], size=50 * 1024),)})
    assert [change.grown for change in compare(image, lock).packages if change.name == "tool"] == [10 * 1024]
    assert [change.grown for change in compare(lock, image).packages if change.name == "tool"] == [-10 * 1024]


def test_an_image_whose_lock_is_not_there_has_none():
    image = sound_image(annotations={LOCK_DIGEST: "sha256:" + "1" * 64})
    assert stored_lock(image) is None


def test_other_content_that_nobody_relies_on_is_a_patch_still():
    found = difference([file("etc/ld.so.cache", b"cache")])
    (reason,) = judge(found.packages, found.changes, found.files, found.layers)
    assert (reason.level, reason.rule) == (Level.PATCH, "content")
    assert reason.text == "other content in /etc/ld.so.cache"
    same_files = difference([file("etc/tool.conf", b"on")])
    (reason,) = judge(same_files.packages, same_files.changes, same_files.files, same_files.layers)
    assert (reason.level, reason.text) == (Level.PATCH, "the layers are other ones, with the same files")


def test_labels_of_the_build_are_no_other_content():
    assert level(difference(execution=replace(EXECUTION, labels={f"{LABEL}.version": "1.0.1"}))) is Level.NONE


def test_locks_differ_in_their_archives_and_in_the_base_of_a_service():
    def locked(uri: str, digit: str) -> Snapshot:
        suite = LockedSuite("debian", uri, "trixie", ("main",), sha256(b""), 1, None, "0" * 40)
        base = LockedBase("formation/base:1.0.0", "amd64", "sha256:" + digit * 64)
        return snapshot_of_lock(Lock(sha256(b""), 1, (suite,), {"amd64": ()}, (base,)), "lock", None)

    one, two = "http://deb.debian.org/debian", "http://mirror.example.com/debian"
    assert compare(locked(one, "0"), locked(one, "0")).changes == ()
    found = compare(locked(one, "0"), locked(two, "1"))
    assert [(change.topic, change.name) for change in found.changes] == [("archive", "trixie"), ("base", "amd64")]
    assert level(found) is Level.PATCH


def reconfigured(change: Callable[[dict[str, Any]], object], base: Image | None = None) -> Snapshot:
    """The sound image, whose config is `change`d as JSON: with keys that Formation does not write."""
    image = base or sound_image()
    config, manifest = json.loads(image.config_bytes), json.loads(image.manifest_bytes)
    change(config)
    data = json.dumps(config).encode()
    manifest["config"] |= {"digest": sha256(data), "size": len(data)}
    changed = replace(image, config_bytes=data, config=parse_config(data), manifest_bytes=json.dumps(manifest).encode())
    return snapshot_of_image(facts_of(scan_image(changed, None, workers=1)), "image")


def reasons(old: Snapshot, new: Snapshot) -> list[tuple[Level, str, str]]:
    found = compare(old, new)
    return [
        (reason.level, reason.rule, reason.text)
        for reason in judge(found.packages, found.changes, found.files, found.layers)
    ]


CHECKED = {"Test": ["CMD", "true"], "Interval": 10_000_000_000}


def test_a_health_check_is_compared():
    old, new = side(), reconfigured(lambda config: config["config"].update(Healthcheck=CHECKED))
    assert reasons(old, new) == [(Level.MINOR, "health-check-added", "configuration health check added")]
    assert reasons(new, old) == [(Level.MAJOR, "health-check-removed", "configuration health check removed")]
    longer = reconfigured(lambda config: config["config"].update(Healthcheck={**CHECKED, "Interval": 30_000_000_000}))
    text = "configuration health check: CMD true, Interval 10 s → CMD true"
    assert reasons(new, longer) == [(Level.MINOR, "health-check-changed", text)]


def test_what_every_child_image_runs_and_with_which_shell_is_compared():
    found = reasons(side(), reconfigured(lambda config: config["config"].update(OnBuild=["RUN false"])))
    assert found == [(Level.MAJOR, "configuration-added", "configuration OnBuild added")]
    found = reasons(side(), reconfigured(lambda config: config["config"].update(Shell=["/bin/bash", "-c"])))
    assert found == [(Level.MAJOR, "configuration-changed", "configuration Shell: /bin/sh -c → /bin/bash -c")]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: config.update(created="2020-01-01T00:00:00Z"), "created"),
        (lambda config: config.update(author="me"), "author"),
        (lambda config: config["config"]["Env"].reverse(), "the order of config.Env"),
        (lambda config: config["config"].update(ArgsEscaped=True), "config.ArgsEscaped"),
        (lambda config: config["config"].update(Shell=["/bin/sh", "-c"]), "config.Shell"),
        (lambda config: config["config"]["Labels"].update({f"{LABEL}.revision": "a"}), f"label {LABEL}.revision"),
        (lambda config: config["config"]["Labels"].clear(), f"label {LABEL}.version"),
        (lambda config: config.update({f"x{n}": n for n in range(10)}), "x0, x1, x2, x3, x4, x5, x6, x7, 2 more"),
        (lambda config: None, "the JSON, which is written in another way"),
    ],
)
def test_two_images_of_one_version_with_two_digests_never_deserve_nothing(change, named):
    assert reasons(side(), reconfigured(change)) == [(Level.PATCH, "content", f"the image is another one: {named}")]


def test_two_versions_that_differ_in_the_labels_of_their_builds_are_no_other_content():
    def labels(config: dict[str, Any]) -> None:
        config["config"]["Labels"] |= {f"{LABEL}.version": "1.0.1", f"{LABEL}.revision": "a"}

    assert reasons(side(), reconfigured(labels)) == []


def test_an_alias_of_a_merged_usr_is_major_when_it_goes_or_leads_elsewhere():
    gone = reasons(side(), side([whiteout("bin")]))
    assert gone[0] == (Level.MAJOR, "alias-removed", "/bin, which stands for usr/bin, is gone")
    other = reasons(side(), side([symlink("lib64", "usr/lib")]))
    assert other == [(Level.MAJOR, "alias-changed", "/lib64 stands for usr/lib, not for usr/lib64")]
    assert reasons(side(), side([whiteout("lib"), directory("lib")]))[0][1] == "alias-changed"
    assert [rule for _, rule, _ in reasons(side(), side([symlink("lib64", "/usr/lib64")]))] == ["content"]


def test_words_say_what_another_mode_of_a_program_means():
    (private,) = reasons(side(), side([file("usr/bin/tool", TOOL, mode=0o700)]))
    text = "file /usr/bin/tool: mode 0755 → 0700: others cannot read or run it any more"
    assert private == (Level.MAJOR, "file-mode", text)
    (set_id,) = reasons(side(), side([file("usr/bin/tool", TOOL, mode=0o4755)]))
    text = "file /usr/bin/tool: mode 0755 → 4755: whoever runs it, it runs as its owner"
    assert set_id == (Level.MINOR, "file-set-id", text)
    conf = side([file("etc/tool.conf", b"on", mode=0o640, gid=999)])
    (group,) = reasons(conf, side([file("etc/tool.conf", b"on", mode=0o640)]))
    text = "file /etc/tool.conf: owner 0:999 → 0:0: the group 999 cannot read it any more"
    assert group == (Level.MAJOR, "file-owner", text)
    (set_gid,) = reasons(side([file("usr/bin/tool", TOOL, 0o2755, gid=4)]), side([file("usr/bin/tool", TOOL, 0o2755)]))
    assert set_gid == (Level.MAJOR, "file-set-id", "file /usr/bin/tool: owner 0:4 → 0:0: it runs as another group")
    (looser,) = reasons(side(), side([file("usr/bin/tool", TOOL, mode=0o775)]))
    assert looser == (Level.PATCH, "content", "other content in /usr/bin/tool (mode 0755 → 0775)")


def with_capability(value: bytes) -> Snapshot:
    entry, data = file("usr/bin/tool", TOOL, mode=0o755)
    return side([(replace(entry, xattrs=(("security.capability", value),)), data)])


def test_capabilities_of_a_program_are_compared():
    raw = with_capability(bytes.fromhex("0100000200200000"))
    found = reasons(raw, side())
    text = "file /usr/bin/tool: capabilities 0100000200200000 → no capabilities"
    assert found == [(Level.MAJOR, "file-attributes", text)]
    assert reasons(side(), raw)[0][:2] == (Level.MINOR, "file-attributes")
    assert reasons(raw, raw) == []


def test_a_security_update_is_a_patch_whatever_else_it_has_anew():
    """As an update of openssh would: other programs and libraries, a plugin that is no longer executable, more help."""
    libraries = {f"{TRIPLET}/libtool.so.1.0.{number}": number for number in (1, 2)}
    old, new = (
        side(
            [
                file("var/lib/dpkg/status", STATUS.replace("1.0-1", f"1.0-1+deb13u{number}").encode()),
                file("usr/lib/tool/helper", bytes([number]), mode=0o755),
                file("usr/lib/tool/plugin.so", bytes([number]), mode=0o755 if number == 1 else 0o644),
                file("usr/lib/tool/suid", bytes([number]), mode=0o4754, gid=4),
                *(file(path, bytes([number])) for path, of in libraries.items() if of == number),
                file("usr/share/tool/data", bytes([number]), mode=0o664 if number == 1 else 0o644),
            ]
        )
        for number in (1, 2)
    )
    assert reasons(old, new) == [(Level.PATCH, "package-upgraded", "tool 1.0-1+deb13u1 → 1.0-1+deb13u2")]
