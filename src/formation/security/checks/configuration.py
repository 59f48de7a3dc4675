"""How an engine runs the image: user, ports, volumes, commands, variables."""

import re
from collections.abc import Iterator
from typing import Final

from formation.security.findings import Check, Hit
from formation.security.subject import Subject

_NO_HOME = ("/nonexistent", "/dev/null", "/")
_REMOTE_CONTROL = {22: "SSH", 23: "Telnet", 2375: "Docker's API without TLS"}
_FIRST_FREE = 1024
_SYSTEM_PLACES = ("/", "/etc", "/usr", "/dev", "/proc", "/sys", "/bin", "/sbin", "/lib", "/boot", "/var/lib/dpkg")
_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock")
_SHELLS = ("sh", "bash", "dash", "zsh", "ash")
_LOADER = ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/.*)?")


def user_id(subject: Subject) -> int | None:
    """The uid that the image runs as; None for a name that its passwd does not have."""
    name = subject.facts.image.config.execution.user.partition(":")[0]
    if not name:
        return 0
    for user in subject.facts.users:
        if user.name == name:
            return user.uid
    return int(name) if name.isascii() and name.isdigit() and len(name) <= 10 else None


def _root(subject: Subject) -> Iterator[Hit]:
    said = subject.facts.image.config.execution.user
    uid = user_id(subject)
    if uid is None:
        yield Hit(f"the image runs as {said!r}, a user that its passwd does not have")
    elif uid == 0:
        yield Hit(
            f"the image runs as root: its user is {said!r}" if said else "the image names no user and runs as root"
        )


def _home(subject: Subject) -> Iterator[Hit]:
    uid = user_id(subject)
    if not uid:
        return
    user = next((user for user in subject.facts.users if user.uid == uid), None)
    passwd = "etc/passwd"
    if user is None:
        yield Hit(
            f"uid {uid}, which the image runs as, has no line in /etc/passwd", passwd, subject.files.layer_of(passwd)
        )
        return
    if user.home in _NO_HOME:
        return
    path = user.home.strip("/")
    node = subject.files.find(path)
    if node is None or node.entry.type != "directory":
        yield Hit(f"{user.home}, the home of {user.name!r}, is no directory", path)
    elif node.entry.uid != uid:
        yield Hit(f"{user.home}, the home of {user.name!r}, belongs to uid {node.entry.uid}", path, node.layer)


def _health(subject: Subject) -> Iterator[Hit]:
    check = subject.facts.image.config.execution.health_check
    if check is None or check.test[:1] in ((), ("NONE",)):
        yield Hit("no health check: an engine knows that the process runs, and not that it works")


def _ports(subject: Subject) -> Iterator[Hit]:
    for port in subject.facts.image.config.execution.exposed_ports:
        match = _PORT.fullmatch(port)
        if match is None:
            yield Hit(f"{port[:40]!r} is no port")
            continue
        first, last = int(match[1]), int(match[2] or match[1])
        control = [what for number, what in _REMOTE_CONTROL.items() if first <= number <= last]
        if control:
            yield Hit(f"port {port} is for {control[0]}", severity="high")
        elif first < _FIRST_FREE:
            yield Hit(f"port {port} is below {_FIRST_FREE}, where only root may listen outside of containers")


def _volumes(subject: Subject) -> Iterator[Hit]:
    for volume in subject.facts.image.config.execution.volumes:
        place = "/" + volume.strip("/")
        if place in _SYSTEM_PLACES:
            yield Hit(f"a volume hides {place}, which belongs to the system", place.strip("/"))
        elif place in _SOCKETS or place.endswith(("/docker.sock", "/containerd.sock")):
            yield Hit(f"a volume at {place} hands the host's engine to the container", place.strip("/"))


def _commands(subject: Subject) -> Iterator[Hit]:
    execution = subject.facts.image.config.execution
    if subject.kind == "base":
        if execution.entrypoint:
            yield Hit(f"the base has an entrypoint, {execution.entrypoint[0]!r}, which every image on it inherits")
        return
    for what, words in (("entrypoint", execution.entrypoint), ("command", execution.command)):
        if words and len(words) > 1 and words[0].rpartition("/")[2] in _SHELLS and words[1] == "-c":
            yield Hit(f"the {what} runs in a shell, which gets the signals instead of the service")


def _variables(subject: Subject) -> Iterator[Hit]:
    environment = subject.facts.environment
    for name in _LOADER:
        if environment.get(name):
            yield Hit(f"{name} makes every program load {environment[name][:80]!r}")
    if "PATH" not in environment:
        return
    for place in environment["PATH"].split(":"):
        if not place.startswith("/"):
            yield Hit(f"PATH has {place[:80]!r}, which depends on the current directory")
            continue
        node = subject.files.find(place)
        if node is not None and node.entry.type == "directory" and (node.entry.uid or node.entry.mode & 0o022):
            what = f"{place[:80]}, in PATH, can be changed by others than root"
            yield Hit(f"{what}: mode {node.entry.mode:04o}, uid {node.entry.uid}", node.entry.path, node.layer)


CHECKS: Final = (
    Check(
        1,
        "user-root",
        "the image runs as root",
        "high",
        "CIS Docker 4.1, CIS-DI-0001, DISA 002235",
        "Who breaks into the service is root in the container, and closer to the host.",
        "USER formation, or a number: USER 65532:65532",
        _root,
        base="info",
    ),
    Check(
        2,
        "user-home",
        "the user of the image has no account or home",
        "low",
        "hadolint DL3066, SSG file_ownership_home_directories",
        "Programs that look up their user, or write to its home, fail.",
        "Add the user to /etc/passwd; chown its home, or give it /nonexistent",
        _home,
    ),
    Check(
        3,
        "health-check",
        "no health check",
        "info",
        "CIS Docker 4.6, CIS-DI-0006, hadolint DL3057",
        "A service that hangs goes on to be sent requests.",
        "health_check: in formation.yaml, HEALTHCHECK in a Dockerfile, or probes in Kubernetes",
        _health,
        strict="low",
        only="service",
    ),
    Check(
        6,
        "privileged-port",
        "ports below 1024, or for remote control",
        "medium",
        "DISA 001762, hadolint DL3011",
        "Such a port needs root where the engine does not open it to all.",
        "Listen on a port from 1024 on, and publish it under the number that clients know: -p 53:5353",
        _ports,
    ),
    Check(
        7,
        "system-volume",
        "volumes at system directories or engine sockets",
        "high",
        "DKL-DI-0002",
        "A volume hides the image's files below it, and outlives its security updates.",
        "Drop the VOLUME; keep data below /var/lib/NAME",
        _volumes,
    ),
    Check(
        8,
        "shell-command",
        "an entrypoint in a base, or a command that runs in a shell",
        "low",
        "Docker official-images override-cmd, hadolint DL3025",
        "A shell in front takes the stop signal, and the service is killed after ten seconds.",
        'The JSON form: ENTRYPOINT ["/usr/local/bin/service"]; a base has a command only',
        _commands,
    ),
    Check(
        9,
        "unsafe-path",
        "a PATH or loader variable that others control",
        "medium",
        "SSG root_path_no_dot, SSG accounts_root_path_dirs_no_write, Lynis HOME-9314, own",
        "Whoever can write there, or choose the current directory, runs code as everyone.",
        "Absolute directories that only root can change; no LD_PRELOAD and no LD_LIBRARY_PATH",
        _variables,
    ),
)
