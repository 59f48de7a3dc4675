"""The rules: what deserves which level. Pure, so hypothesis can look for what breaks them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.contract.promise import (
    Contract,
    DirectoryPromise,
    FilePromise,
    GroupPromise,
    SonamePromise,
    UserPromise,
)
from formation.release.changes import Change, FileChange, FileState
from formation.release.contract_changes import contract_changes
from formation.release.file_levels import is_tighter
from formation.release.level import Level, Reason, level_of
from formation.release.levels import judge
from formation.release.packages import PackageState, package_changes

BASE = Contract(
    source="base",
    users=(UserPromise("app", 990, "app", ("adm",), "/app", "/bin/sh"),),
    groups=(GroupPromise("app", 990),),
    directories=(DirectoryPromise("/app", "app", "app", 0o755),),
    environment=(("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")),
    volumes=("/var/log/app",),
    ports=("80/tcp",),
    labels=(("team", "platform"), ("org.opencontainers.image.version", "1.0.0")),
    user="app",
    working_directory="/app",
    entrypoint=("app",),
    command=(),
    stop_signal="SIGTERM",
    commands=("app", "sh"),
    files=(FilePromise("/etc/app.conf", "root", "app", 0o640, "a" * 64),),
    sonames=(SonamePromise("libc.so.6", ("GLIBC_2.34", "GLIBC_2.38")), SonamePromise("libz.so.1", ())),
)


def changed(**fields: object) -> Contract:
    return dataclasses.replace(BASE, **fields)


def contract_level(old: Contract, new: Contract) -> Level:
    return level_of(judge((), contract_changes(old, new)))


USER = BASE.users[0]
BREAKING = {
    "a user is gone": {"users": ()},
    "a user id changed": {"users": (dataclasses.replace(USER, uid=991),)},
    "a user left a group": {"users": (dataclasses.replace(USER, groups=()),)},
    "a home moved": {"users": (dataclasses.replace(USER, home="/home/app"),)},
    "a group is gone": {"groups": ()},
    "a group id changed": {"groups": (GroupPromise("app", 991),)},
    "a directory is gone": {"directories": ()},
    "a directory has another owner": {"directories": (DirectoryPromise("/app", "root", "app", 0o755),)},
    "a directory is tighter": {"directories": (DirectoryPromise("/app", "app", "app", 0o750),)},
    "a file is gone": {"files": ()},
    "a file has another owner": {"files": (FilePromise("/etc/app.conf", "app", "app", 0o640, "a" * 64),)},
    "a file is tighter": {"files": (FilePromise("/etc/app.conf", "root", "app", 0o600, "a" * 64),)},
    "an environment value changed": {"environment": (("LANG", "C"), ("PATH", "/usr/bin:/bin"))},
    "an environment value is gone": {"environment": (("PATH", "/usr/bin:/bin"),)},
    "PATH lost a directory": {"environment": (("LANG", "C.UTF-8"), ("PATH", "/usr/bin"))},
    "PATH finds something else first": {"environment": (("LANG", "C.UTF-8"), ("PATH", "/opt:/usr/bin:/bin"))},
    "a volume is gone": {"volumes": ()},
    "a port is gone": {"ports": ()},
    "the default user changed": {"user": "root"},
    "the working directory changed": {"working_directory": "/"},
    "the entrypoint is gone": {"entrypoint": ()},
    "a command is there": {"command": ("serve",)},
    "the stop signal changed": {"stop_signal": "SIGINT"},
    "nothing says who runs it": {"user": None},
    "nothing says what runs": {"entrypoint": None},
    "nothing says where it runs": {"working_directory": None},
    "a command in PATH is gone": {"commands": ("sh",)},
    "a library is gone": {"sonames": BASE.sonames[:1]},
    "a symbol version is gone": {"sonames": (SonamePromise("libc.so.6", ("GLIBC_2.34",)), BASE.sonames[1])},
}
MORE_LIBC = SonamePromise("libc.so.6", ("GLIBC_2.34", "GLIBC_2.38", "GLIBC_2.41"))
ADDING = {
    "a user": {"users": (USER, UserPromise("more", 1, "more", (), "/", "/bin/sh"))},
    "a membership": {"users": (dataclasses.replace(USER, groups=("adm", "tty")),)},
    "a group": {"groups": (*BASE.groups, GroupPromise("more", 1))},
    "a directory": {"directories": (*BASE.directories, DirectoryPromise("/srv/more", "root", "root", 0o755))},
    "a looser directory": {"directories": (DirectoryPromise("/app", "app", "app", 0o775),)},
    "a looser file": {"files": (FilePromise("/etc/app.conf", "root", "app", 0o644, "a" * 64),)},
    "a file's content": {"files": (FilePromise("/etc/app.conf", "root", "app", 0o640, "b" * 64),)},
    "a variable": {"environment": (*BASE.environment, ("TZ", "UTC"))},
    "a last directory in PATH": {"environment": (("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin:/opt/bin"))},
    "a volume": {"volumes": ("/data", *BASE.volumes)},
    "a port": {"ports": ("443/tcp", *BASE.ports)},
    "a command": {"commands": ("app", "more", "sh")},
    "a library": {"sonames": (*BASE.sonames, SonamePromise("libmore.so.1", ()))},
    "a symbol version": {
        "sonames": (SonamePromise("libc.so.6", (*BASE.sonames[0].versions, "GLIBC_2.41")), BASE.sonames[1])
    },
}


@pytest.mark.parametrize("change", BREAKING)
def test_what_a_service_may_rely_on_is_major_when_it_goes_or_changes(change: str):
    assert contract_level(BASE, changed(**BREAKING[change])) is Level.MAJOR


@pytest.mark.parametrize("change", ADDING)
def test_an_addition_is_minor(change: str):
    assert contract_level(BASE, changed(**ADDING[change])) is Level.MINOR


def test_what_nobody_said_before_changes_what_runs_as_well():
    silent = changed(user=None, entrypoint=None)
    rules = [reason.rule for reason in judge((), contract_changes(silent, BASE))]
    assert rules == ["configuration-added", "configuration-added"]
    assert contract_level(silent, BASE) is Level.MAJOR


def test_labels_keep_the_contract_and_those_of_every_build_do_not_count():
    labels = (("team", "other"), ("org.opencontainers.image.version", "1.0.1"))
    (reason,) = judge((), contract_changes(BASE, changed(labels=labels)))
    assert (reason.level, reason.rule) == (Level.PATCH, "label-changed")


def test_identical_contracts_deserve_nothing():
    assert judge((), contract_changes(BASE, BASE)) == ()
    assert level_of(()) is Level.NONE


@given(st.sets(st.sampled_from(sorted(ADDING))), st.sets(st.sampled_from(sorted(BREAKING)), min_size=1))
def test_a_breaking_change_is_major_whatever_is_added_beside_it(adding: set[str], breaking: set[str]):
    fields: dict[str, object] = {}
    for name in adding:
        fields |= ADDING[name]
    for name in breaking:
        fields |= BREAKING[name]
    assert contract_level(BASE, changed(**fields)) is Level.MAJOR


versions = st.sampled_from(["1.0-1", "1.0-1+deb13u1", "1.1-1", "2:0.9-1"])
suites = st.sampled_from(["", "trixie", "trixie-security", "trixie-updates", "trixie-backports", "bookworm"])
states = st.builds(
    PackageState,
    st.sampled_from(["libc6", "curl", "openssl", "zlib1g"]),
    versions,
    st.just("source"),
    versions,
    st.integers(0, 10),
    st.sampled_from(["", "sha256:a", "sha256:b"]),
    suites,
    st.sampled_from([(), ("runtime",), ("dev",)]),
)
sides = st.lists(states, max_size=4, unique_by=lambda each: each.name).map(lambda each: {"amd64": each})
changes = st.lists(
    st.builds(
        Change,
        st.sampled_from(["user", "environment", "volume", "command", "library", "suite", "label", "configuration"]),
        st.sampled_from(["added", "removed", "changed"]),
        st.sampled_from(["one", "two", "PATH"]),
        st.just(""),
        st.sampled_from(["a", "a:b"]),
        st.sampled_from(["a", "a:b", "b"]),
    ),
    max_size=5,
)


@given(sides, sides, changes, changes)
def test_more_changes_never_lower_the_level(old, new, some, more):
    packages = package_changes(old, new)
    assert level_of(judge(packages, [*some, *more])) >= level_of(judge(packages, some))
    assert level_of(judge(packages, some)) >= level_of(judge((), some))


@given(sides)
def test_the_same_packages_deserve_nothing(side):
    assert judge(package_changes(side, side), ()) == ()


@given(sides, sides)
def test_a_package_that_is_gone_is_major(old, new):
    lost = {each.name for each in old["amd64"]} - {each.name for each in new["amd64"]}
    if lost:
        assert level_of(judge(package_changes(old, new), ())) is Level.MAJOR


def of(name: str, version: str, suite: str = "trixie", variants: tuple[str, ...] = ("runtime",)) -> PackageState:
    return PackageState(name, version, name, version, 0, f"sha256:{version}", suite, variants)


def package_reasons(old: PackageState | None, new: PackageState | None) -> tuple[Reason, ...]:
    return judge(package_changes({"amd64": [old] if old else []}, {"amd64": [new] if new else []}), ())


@pytest.mark.parametrize(
    ("old", "new", "rules"),
    [
        (of("openssl", "3.5.1-1"), of("openssl", "3.5.4-1", "trixie-security"), ["package-upgraded"]),
        (of("openssl", "3.5.1-1"), None, ["package-removed"]),
        (None, of("openssl", "3.5.1-1"), ["package-added"]),
        (of("openssl", "3.5.4-1"), of("openssl", "3.5.1-1"), ["package-downgraded"]),
        (of("libc6", "2.41-12"), of("libc6", "2.41-12+deb13u1"), ["package-upgraded"]),
        (of("libc6", "2.36-9"), of("libc6", "2.41-12"), ["libc", "package-upgraded"]),
        (of("x", "1-1", "bookworm"), of("x", "1-1", "trixie"), ["package-suite"]),
        (of("x", "1-1"), of("x", "2-1", "trixie-backports"), ["package-suite", "package-upgraded"]),
        (of("x", "1-1"), of("x", "1-1", variants=("dev",)), ["package-variant-removed"]),
        (of("x", "1-1", variants=("dev",)), of("x", "1-1"), ["package-variant-added"]),
        (
            of("x", "1-1", variants=("a",)),
            of("x", "1-1", variants=("b",)),
            ["package-variant-removed", "package-variant-added"],
        ),
    ],
)
def test_packages(old: PackageState | None, new: PackageState | None, rules: list[str]):
    assert [reason.rule for reason in package_reasons(old, new)] == rules


@pytest.mark.parametrize(
    ("change", "level"),
    [
        (Change("suite", "added", "trixie-security"), Level.PATCH),
        (Change("suite", "added", "trixie-backports"), Level.MINOR),
        (Change("suite", "removed", "bookworm"), Level.MAJOR),
        (Change("platform", "removed", "arm64"), Level.MAJOR),
        (Change("directory", "removed", "/var/cache/man"), Level.PATCH),
        (Change("directory", "removed", "/srv/data"), Level.MAJOR),
    ],
)
def test_suites_platforms_and_directories(change: Change, level: Level):
    assert level_of(judge((), [change])) is level


def test_a_mode_is_tighter_when_it_denies_something():
    assert is_tighter("0755", "0750")
    assert is_tighter("0777", "1777")
    assert is_tighter("2775", "0775")
    assert not is_tighter("0750", "0755")
    assert not is_tighter("1777", "0777")


def file(path: str, kind: str, what: tuple[str, ...] = (), package: str = "", **new: object) -> FileChange:
    state = FileState("file", 0o644, 0, 0, 1, "", "a")
    old = dataclasses.replace(
        state,
        type=str(new.get("type", "file")),
        mode=new.pop("was", state.mode),
        capabilities=str(new.pop("had", "")),
    )
    return FileChange(
        kind,
        path,
        what,
        None if kind == "added" else old,
        None if kind == "removed" else dataclasses.replace(old, **new),
        package,
    )


@pytest.mark.parametrize(
    ("change", "level"),
    [
        (file("/etc/app/defaults.conf", "removed"), Level.MAJOR),
        (file("/etc/app/defaults.conf", "changed", ("content",), sha256="b"), Level.MINOR),
        (file("/etc/app/defaults.conf", "changed", ("mode",), mode=0o600), Level.MAJOR),
        (file("/etc/app/more.conf", "added"), Level.MINOR),
        (file("/etc/ssl/certs/ca-certificates.crt", "changed", ("content",), sha256="b"), Level.NONE),
        (file("/etc/openssl.cnf", "removed", package="openssl"), Level.NONE),
        (file("/usr/bin/grep", "changed", ("mode",), "grep", was=0o755, mode=0o700), Level.MAJOR),
        (file("/usr/bin/grep", "changed", ("mode",), was=0o755, mode=0o750), Level.MAJOR),
        (file("/usr/bin/grep", "changed", ("mode",), "grep", was=0o755, mode=0o4755), Level.MINOR),
        (file("/usr/bin/su", "changed", ("mode",), "util-linux", was=0o4755, mode=0o755), Level.MAJOR),
        (file("/usr/lib/libz.so.1.3.1", "changed", ("content", "mode"), "zlib1g", mode=0o600), Level.MAJOR),
        (file("/usr/share/x/example.sh", "changed", ("mode",), "x", was=0o755, mode=0o644), Level.NONE),
        (file("/usr/lib/openssh/sftp-server", "changed", ("mode",), "ssh", was=0o755, mode=0o644), Level.MAJOR),
        (file("/usr/lib/libz.so.1.3.1", "changed", ("mode",), "zlib1g", was=0o755, mode=0o644), Level.NONE),
        (file("/usr/lib/x/plugin.so", "changed", ("mode",), "x", was=0o755, mode=0o644), Level.NONE),
        (file("/usr/lib64/ld-linux-x86-64.so.2", "changed", ("mode",), "libc6", was=0o755, mode=0o644), Level.MAJOR),
        (file("/usr/bin/tool", "changed", ("group",), "tool", was=0o2755, gid=4), Level.MAJOR),
        (file("/usr/bin/tool", "changed", ("owner",), "tool", was=0o4755, uid=4), Level.MAJOR),
        (file("/usr/bin/tool", "changed", ("owner", "group"), "tool", was=0o755, uid=4, gid=4), Level.NONE),
        (file("/usr/share/x/a", "changed", ("owner",), "x", uid=4), Level.NONE),
        (file("/usr/share/x/a", "changed", ("group",), "x", gid=4), Level.NONE),
        (file("/etc/x.conf", "changed", ("group",), "x", was=0o640, gid=4), Level.MAJOR),
        (file("/etc/x.conf", "changed", ("group", "mode"), "x", was=0o640, mode=0o644, gid=4), Level.NONE),
        (file("/etc/x.conf", "changed", ("owner",), "x", was=0o600, uid=4), Level.NONE),
        (file("/usr/bin/ping", "changed", ("attributes",), "iputils-ping", had="01", capabilities=""), Level.MAJOR),
        (file("/usr/bin/ping", "changed", ("attributes",), "iputils-ping", had="01", capabilities="02"), Level.MAJOR),
        (file("/usr/bin/ping", "changed", ("attributes",), "iputils-ping", capabilities="01"), Level.MINOR),
        (file("/usr/local/bin/own", "changed", ("attributes",), had="01", capabilities=""), Level.MAJOR),
        (file("/usr/bin/ping", "changed", ("attributes",), "iputils-ping"), Level.NONE),
        (file("/usr/share/doc/x/a", "changed", ("mode",), "x", mode=0o600), Level.NONE),
        (file("/etc/passwd", "changed", ("mode",), mode=0o600), Level.MAJOR),
        (file("/lib64", "removed", type="symlink", target="usr/lib64"), Level.MAJOR),
        (file("/lib64", "changed", ("target",), type="symlink", target="lib"), Level.MAJOR),
        (file("/var/lib/dpkg/status", "changed", ("content",), sha256="b"), Level.NONE),
        (file("/tmp", "changed", ("mode",), "base-files", type="directory", mode=0o600), Level.MAJOR),
        (file("/var/log", "changed", ("owner",), "base-files", type="directory", uid=1), Level.MAJOR),
    ],
)
def test_files_that_nobody_packaged_and_access_to_directories(change: FileChange, level: Level):
    assert level_of(judge((), (), [change])) is level
