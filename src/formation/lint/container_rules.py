"""What the rules about compose files and Kubernetes manifests share."""

from formation.errors import UsageError
from formation.lint.configuration import Configuration
from formation.lint.dockerfile_rules import LOG_VOLUME
from formation.oci.reference import parse_reference

DANGEROUS_CAPABILITIES = frozenset({
    "ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME", "BPF", "PERFMON",
    "DAC_READ_SEARCH", "DAC_OVERRIDE", "MAC_ADMIN", "MAC_OVERRIDE", "SYSLOG", "NET_ADMIN", "SETUID", "SETGID", "MKNOD",
})  # fmt: skip
"""Those that lead to root, to other containers or out of this one (capabilities(7))."""

_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "cri-dockerd.sock")
_POWERFUL = ("/etc", "/proc", "/sys", "/dev", "/boot", "/root", "/usr", "/lib", "/run", "/var/run", "/var/lib/docker",
             "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/containers", "/lib/modules", "/home")  # fmt: skip


def capability(name: object) -> str:
    """A capability's name without CAP_."""
    return str(name).upper().removeprefix("CAP_")


def is_powerful(path: str) -> bool:
    """Whether who may write to `path` of the host has power over it."""
    clean = path.rstrip("/") or "/"
    if clean == "/" or clean.endswith(_SOCKETS):
        return True
    # Single files such as /etc/localtime give none.
    return clean in _POWERFUL or clean.startswith(("/proc/", "/sys/fs/cgroup", "/var/lib/docker/", "/var/lib/kubelet/"))


def is_root(user: object) -> bool:
    """Whether `user`, as compose files and manifests write it, is root."""
    if isinstance(user, bool):
        return False
    name = str(user).partition(":")[0].strip()
    return name == "root" or (name.isdecimal() and int(name[:9]) == 0)


def is_our_service(image: object, configuration: Configuration) -> bool:
    """Whether `image`, as compose files and manifests write it, is in the namespace of one of our bases."""
    try:
        return isinstance(image, str) and configuration.is_service(parse_reference(image).repository)
    except UsageError:
        return False


def covers_logs(path: object) -> bool:
    """Whether a volume at `path` holds the log directory."""
    clean = str(path).rstrip("/")
    return bool(clean) and f"{LOG_VOLUME}/".startswith(f"{clean}/")
