"""Every rule that `formation lint` has of its own. docs/lint.md is made from this table."""

from typing import Literal

from formation.dataclass import dataclass

Severity = Literal["error", "warning", "info"]
"""An error is wrong in production; a warning is worth a change; an info is worth a look, and fails nothing."""

Kind = Literal["Dockerfile", "compose", "Kubernetes"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must be so."""

    id: str
    name: str
    severity: Severity
    kinds: tuple[Kind, ...]
    title: str
    """What is wrong where it is broken, without the particulars."""
    why: str
    fix: str
    """What to do, as an imperative."""
    fixable: bool = False
    """Whether `--fix` does it, at least where that is safe."""


_ALL: tuple[Kind, ...] = ("Dockerfile", "compose", "Kubernetes")
_RUN: tuple[Kind, ...] = ("compose", "Kubernetes")
_DOCKERFILE: tuple[Kind, ...] = ("Dockerfile",)

_TABLE = (
    Rule(
        "FL001", "unreadable", "error", _ALL, "the file cannot be read as what it is",
        "What no tool can read, no tool can check.", "write it as the builder expects it",
    ),
    Rule(
        "FL002", "base-not-ours", "error", _DOCKERFILE, "the image does not stand on the platform's base",
        "Patches of the base reach only what stands on it.", "write FROM formation/base:VERSION in the last stage",
    ),
    Rule(
        "FL003", "base-not-pinned", "error", _DOCKERFILE, "the base has no fixed version",
        "latest, 1 and 1.0 stand for another image tomorrow; versions never move.",
        "name a version, such as 1.0.0, or a digest",
    ),
    Rule(
        "FL004", "image-not-pinned", "error", _ALL, "an image has no fixed version",
        "Nobody can tell what runs, or go back to it.", "name a version or a digest",
    ),
    Rule(
        "FL005", "base-version-unknown", "error", _DOCKERFILE, "there is no such version of the base",
        "The build fails, or takes an image of that name from somewhere else.", "name a version that was published",
    ),
    Rule(
        "FL006", "base-unsupported", "error", _DOCKERFILE, "the version of the base is no longer supported",
        "It gets no security patches.", "move to a version in `supported:` of formation-lint.yaml",
    ),
    Rule(
        "FL010", "runs-as-root", "error", _ALL, "the service runs as root",
        "Who breaks into it is root in the container (CIS Docker 4.1).", "end with USER formation",
    ),
    Rule(
        "FL011", "non-root-not-required", "warning", ("Kubernetes",), "nothing keeps the container from being root",
        "Another image under the same name could (Pod Security Standards, restricted).",
        "set securityContext.runAsNonRoot: true",
    ),
    Rule(
        "FL012", "no-health-check", "warning", _ALL, "the service has no health check",
        "One that hangs is never restarted (CIS Docker 4.6).", "add HEALTHCHECK, healthcheck: or a livenessProbe",
    ),
    Rule(
        "FL013", "shell-form", "error", _DOCKERFILE, "the service is started through a shell",
        "The shell gets SIGTERM and does not pass it on: the service is killed after the grace period.",
        'write the exec form: ENTRYPOINT ["program", "argument"]', fixable=True,
    ),
    Rule(
        "FL020", "lists-not-cleaned", "warning", _DOCKERFILE, "package lists stay in the layer",
        "They are large, differ every day, and a later RUN cannot take them out again.",
        "end the same RUN with rm -rf /var/lib/apt/lists/*", fixable=True,
    ),
    Rule(
        "FL021", "recommends-installed", "warning", _DOCKERFILE, "apt-get installs recommended packages too",
        "Each is something to patch that nobody asked for.", "add --no-install-recommends", fixable=True,
    ),
    Rule(
        "FL022", "package-pinned", "warning", _DOCKERFILE, "a package is pinned to a version that archives drop",
        "Debian keeps only the newest version of a suite: after the next patch the build fails.",
        "leave the version out, or pin by formation.lock: formation build",
    ),
    Rule(
        "FL023", "upgrade", "warning", _DOCKERFILE, "packages of the base are upgraded in the service",
        "The new files lie in a layer of this service, beside the old ones; other services stay unpatched.",
        "move to a newer base",
    ),
    Rule(
        "FL024", "install-without-update", "warning", _DOCKERFILE, "packages are installed without fresh lists",
        "The base has no lists, and those of an earlier layer are as old as that layer is.",
        "run apt-get update in the same RUN, before apt-get install",
    ),
    Rule(
        "FL030", "secret", "error", _ALL, "a secret is written down",
        "Whoever can read the file or the image has it, for ever (CIS Docker 4.10).",
        "give it at run time: a mounted file, RUN --mount=type=secret, secretKeyRef",
    ),
    Rule(
        "FL031", "secret-file", "error", _DOCKERFILE, "a file with a secret is copied into the image",
        "A later layer hides it and keeps it.", "leave it out; mount it with RUN --mount=type=secret, or at run time",
    ),
    Rule(
        "FL032", "secret-manifest", "warning", ("Kubernetes",), "a Secret's values are in the file",
        "base64 hides nothing from who can read the repository.", "keep a sealed or external secret here instead",
    ),
    Rule(
        "FL040", "add-local", "warning", _DOCKERFILE, "ADD copies a local file",
        "ADD also unpacks and downloads; COPY does what it says (CIS Docker 4.9).", "write COPY", fixable=True,
    ),
    Rule(
        "FL041", "mode-after-copy", "warning", _DOCKERFILE, "RUN changes owner or mode of what COPY brought",
        "The files are in the image twice.", "write COPY --chown=USER:GROUP --chmod=MODE",
    ),
    Rule(
        "FL042", "log-volume", "warning", _ALL, "logs do not go to the volume /var/log/formation",
        "Elsewhere they are lost with the container, or fill its file system.", "log to /var/log/formation",
    ),
    Rule(
        "FL050", "writable-root", "warning", _RUN, "the root file system can be written to",
        "Who breaks in can leave something behind (CIS Docker 5.13).",
        "set read_only: true, or readOnlyRootFilesystem: true",
    ),
    Rule(
        "FL051", "capabilities", "warning", _RUN, "capabilities are not dropped",
        "A service needs none of the engine's defaults (CIS Docker 5.4).", "drop ALL",
    ),
    Rule(
        "FL052", "capability-added", "error", _RUN, "a capability that is as good as root is added",
        "It leads out of the container (CIS Docker 5.4).", "do without it",
    ),
    Rule(
        "FL053", "new-privileges", "warning", _RUN, "programs may gain privileges",
        "setuid programs make root of a service's user (CIS Docker 5.26).",
        "set no-new-privileges:true, or allowPrivilegeEscalation: false", fixable=True,
    ),
    Rule(
        "FL054", "privileged", "error", _RUN, "the container is privileged",
        "It is root on the host (CIS Docker 5.5).", "leave it out",
    ),
    Rule(
        "FL055", "host-namespace", "error", _RUN, "the container shares a namespace of the host",
        "It sees or reaches what is none of its business (CIS Docker 5.10, 5.16, 5.17).", "leave it out",
    ),
    Rule(
        "FL056", "host-path", "error", _RUN, "a path of the host that gives power over it is mounted",
        "The engine's socket is root on the host (CIS Docker 5.6, 5.32).", "leave it out",
    ),
    Rule(
        "FL057", "unconfined", "error", _RUN, "seccomp or AppArmor is switched off",
        "Every system call of the kernel can be attacked (CIS Docker 5.2, 5.22).", "leave it out",
    ),
    Rule(
        "FL060", "ignore", "warning", _ALL, "an ignore comment does nothing, or does not say why",
        "Exceptions without a reason stay for ever.", "write # formation-lint ignore=FL003 REASON, or delete it",
    ),
)  # fmt: skip

RULES = {rule.id: rule for rule in _TABLE}
"""By id, in their order."""


def rules_table() -> str:
    """The rules as a Markdown table."""
    lines = ["| id | name | severity | looks at | what is wrong | why | fix |", "|---|---|---|---|---|---|---|"]
    for rule in RULES.values():
        fix = f"{rule.fix} · `--fix`" if rule.fixable else rule.fix
        looks_at = ", ".join(rule.kinds)
        lines.append(f"| {rule.id} | {rule.name} | {rule.severity} | {looks_at} | {rule.title} | {rule.why} | {fix} |")
    return "".join(f"{line}\n" for line in lines)
