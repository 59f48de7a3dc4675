"""What is installed: what should not be, what is more than was declared, what is half there."""

import re
from collections.abc import Iterator
from typing import Final

from formation.contract.database import check_database, check_unowned
from formation.debian.administration import STATUS
from formation.oci.platform_index import VERSION
from formation.security.findings import CannotTell, Check, Hit
from formation.security.subject import Subject

_SSH_PACKAGES = ("openssh-server", "dropbear", "dropbear-bin", "tinysshd", "lsh-server")
_SSH_PROGRAMS = ("sshd", "dropbear")
_FORBIDDEN: Final = frozenset(
    {"telnetd", "inetutils-telnetd", "telnetd-ssl", "telnet", "inetutils-telnet", "rsh-server", "rsh-redone-server"}
    | {"rsh-client", "rsh-redone-client", "tftpd-hpa", "tftpd", "atftpd", "vsftpd", "ftpd", "proftpd-core", "pure-ftpd"}
    | {
        "ftp",
        "inetutils-ftp",
        "inetutils-ftpd",
        "ypserv",
        "ypbind",
        "nis",
        "xinetd",
        "openbsd-inetd",
        "inetutils-inetd",
    }
    | {"talk", "talkd", "inetutils-talk", "inetutils-talkd", "ntalk", "snmpd", "slapd", "rpcbind", "nfs-kernel-server"}
    | {"cups", "avahi-daemon", "isc-dhcp-server", "samba", "xserver-xorg-core"}
)
_DEVELOPMENT = re.compile(
    r"(?:gcc|g\+\+|cpp|clang|llvm|gfortran|gnat|gdc|rustc|golang|lldb|lld)(?:-[0-9][0-9.]*)?(?:-[a-z0-9-]*linux-gnu.*)?"
    r"|build-essential|dpkg-dev|binutils(?:-.*)?|make|cmake|ninja-build|meson|cargo|golang-.*-go|gdb|gdbserver|strace"
    r"|ltrace|valgrind|tcc|nasm|yasm|bison|flex|autoconf|automake|libtool|(?!debconf)[a-z0-9.+-]+-dev(?:-bin)?"
)
_COMPILERS = ("cc", "gcc", "g++", "c++", "clang", "clang++", "tcc", "rustc", "go", "gdb", "lldb", "strace", "ld", "as")
_VERSION_OF_DEV = re.compile(r".*-dev(?:el|elop|elopment)?")
_MOST_EXTRA = 50
_ID_OF_CHANGES = frozenset({"package-file-changed", "package-file-missing", "statoverride-ignored"})


def _ssh(subject: Subject) -> Iterator[Hit]:
    for name in _SSH_PACKAGES:
        if name in subject.installed:
            yield Hit(f"the package {name} {subject.installed[name]} is installed")
    for name in _SSH_PROGRAMS:
        path = subject.facts.commands.get(name)
        if path is not None and not subject.is_owned(path):
            yield Hit(f"/{path} is an SSH server", path, subject.files.layer_of(path))
    for layer, entry in subject.traces["host-key"]:
        if entry.size and not entry.path.endswith(".pub"):
            yield Hit(f"/{entry.path} is a host key{subject.fate(layer, entry.path)}", entry.path, layer)


def _forbidden(subject: Subject) -> Iterator[Hit]:
    for name, version in subject.installed.items():
        if name in _FORBIDDEN:
            yield Hit(f"the package {name} {version} is installed")


def _development(subject: Subject) -> Iterator[Hit]:
    version = subject.facts.image.config.execution.labels.get(VERSION, "")
    if _VERSION_OF_DEV.fullmatch(version):
        raise CannotTell(f"its version, {version[:40]}, says that it is for building")
    found = [name for name in subject.installed if _DEVELOPMENT.fullmatch(name)]
    yield from (Hit(f"the package {name} {subject.installed[name]} is installed") for name in found)
    for name in _COMPILERS:
        path = subject.facts.commands.get(name)
        if path is not None and not subject.is_owned(path):
            yield Hit(f"/{path} is for building or debugging, and of no package", path, subject.files.layer_of(path))


def _declared(subject: Subject) -> Iterator[Hit]:
    if subject.declared is None:
        raise CannotTell("needs --definition with its formation.lock")
    if isinstance(subject.declared.packages, str):
        raise CannotTell(subject.declared.packages)
    versions: dict[str, set[str]] = {}
    for name, version in subject.declared.packages:
        versions.setdefault(name, set()).add(version)
    extra = [name for name in subject.installed if name not in versions]
    for name in extra[:_MOST_EXTRA]:
        yield Hit(f"the package {name} {subject.installed[name]} is installed, and not in the lock")
    if len(extra) > _MOST_EXTRA:
        yield Hit(f"{len(extra) - _MOST_EXTRA} more packages are installed, and not in the lock")
    for name, version in subject.installed.items():
        if name in versions and version not in versions[name]:
            yield Hit(f"the package {name} has the version {version}, and the lock {', '.join(sorted(versions[name]))}")


def _states(subject: Subject) -> Iterator[Hit]:
    for package in subject.facts.packages:
        if package.installed:
            continue
        if package.status.endswith((" config-files", " not-installed")):
            yield Hit(f"the package {package.name} was removed, and left its configuration")
        else:
            yield Hit(f"the package {package} is {package.status[:60]!r}", severity="medium")
    layer = subject.files.layer_of(STATUS)
    yield from (
        Hit(f"dpkg's database: {each}", STATUS, layer, severity="medium") for each in subject.facts.database_problems
    )


def _changed(subject: Subject) -> Iterator[Hit]:
    for finding in check_database(subject.facts):
        if finding.id in _ID_OF_CHANGES:
            yield Hit(finding.message, finding.path.lstrip("/"), finding.layer)


def _unowned(subject: Subject) -> Iterator[Hit]:
    for finding in check_unowned(subject.facts):
        yield Hit(finding.message, finding.path.lstrip("/"), finding.layer, severity="info")


def _files(subject: Subject) -> Iterator[Hit]:
    if not subject.facts.packages:
        raise CannotTell("the image has no dpkg database")
    yield from _changed(subject)
    yield from _unowned(subject)


CHECKS: Final = (
    Check(
        31,
        "ssh-server",
        "an SSH server, or host keys",
        "high",
        "DISA 000381, DISA container guide 2.1",
        "A container is reached through its engine; all containers of the image share the host key.",
        "apt-get purge openssh-server; rm /etc/ssh/ssh_host_* in the layer that makes them",
        _ssh,
    ),
    Check(
        32,
        "forbidden-package",
        "packages of services that no container needs",
        "high",
        "SSG package_telnetd_removed, SSG package_rsh-server_removed, SSG package_xinetd_removed and others",
        "Such services are insecure by design, or another container's work.",
        "apt-get purge NAME",
        _forbidden,
    ),
    Check(
        33,
        "development-tool",
        "compilers, debuggers and headers in a runtime image",
        "medium",
        "CIS Docker 4.3, CIS-DI-0003",
        "They make it easy to build an attack where the service runs, and the image large.",
        "Build in a stage of its own (FROM formation/base:VERSION-dev AS builder), and copy the result",
        _development,
    ),
    Check(
        34,
        "undeclared-package",
        "packages that the definition's lock does not have",
        "medium",
        "CIS Docker 4.3",
        "Nobody decided to have them, and nobody watches them.",
        "Add it to formation.yaml and lock again, or build from the lock: formation build --locked",
        _declared,
    ),
    Check(
        37,
        "package-state",
        "packages that are not properly installed",
        "low",
        "Lynis PKGS-7346",
        "Half of a package is there, and no update mends it.",
        "dpkg --configure --pending; apt-get purge NAME",
        _states,
    ),
    Check(
        38,
        "changed-file",
        "files that are not as their package has them",
        "high",
        "CIS Docker 4.11, Lynis PKGS-7370 (debsums)",
        "A program that somebody changed is no longer what the distribution signed.",
        "Reinstall the package; change behaviour by configuration; dpkg-divert for a replacement",
        _files,
    ),
)
