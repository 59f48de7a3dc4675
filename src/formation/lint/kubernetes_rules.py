"""The rules about pods in Kubernetes manifests (Pod Security Standards, restricted)."""

import re
from collections.abc import Iterator

from formation.lint.base_rules import World, image_findings
from formation.lint.container_rules import DANGEROUS_CAPABILITIES, capability, covers_logs, is_our_service, is_powerful
from formation.lint.dockerfile_rules import LOG_VOLUME
from formation.lint.findings import Finding, finding
from formation.lint.secrets import is_secret_name, is_secret_value
from formation.lint.text import Edit, Text, shown
from formation.lint.yaml_documents import Mapping, inserted

_TEMPLATE = ("spec", "template", "spec")
_PODS: dict[str, tuple[str, ...]] = {
    "Pod": ("spec",),
    "Deployment": _TEMPLATE,
    "StatefulSet": _TEMPLATE,
    "DaemonSet": _TEMPLATE,
    "ReplicaSet": _TEMPLATE,
    "ReplicationController": _TEMPLATE,
    "Job": _TEMPLATE,
    "CronJob": ("spec", "jobTemplate", *_TEMPLATE),
}
"""Where each kind has the pod's specification."""
_ENDING = frozenset({"Job", "CronJob"})
"""Kinds whose containers end by themselves: a probe tells nothing."""
KINDS = (*_PODS, "Secret", "ConfigMap", "List")

_RELEVANT = re.compile(
    rf"^(?:---[ \t]+)?[\"']?kind[\"']?:[ \t]*[\"']?(?:{'|'.join(KINDS)})[\"']?[ \t]*(?:#.*)?\r?$", re.M
)
_API = re.compile(r"^(?:---[ \t]+)?[\"']?apiVersion[\"']?:", re.M)


def is_manifest(text: str) -> bool:
    """Whether a YAML document is a manifest of a kind that the rules know."""
    return _API.search(text) is not None and _RELEVANT.search(text) is not None


def kubernetes_findings(text: Text, document: Mapping, world: World, depth: int = 0) -> Iterator[Finding]:
    """Findings about one manifest, or the items of a List."""
    kind = document.get("kind")
    if kind == "List" and depth < 3:
        for item in document.mappings("items"):
            yield from kubernetes_findings(text, item, world, depth + 1)
    elif kind == "Secret":
        for key in ("data", "stringData"):
            if document.mapping(key).data:
                yield finding(text, document.at(key), "FL032", "the values of a Secret are in the file")
    elif kind == "ConfigMap":
        for name, value in document.mapping("data").data.items():
            if is_secret_name(name) and value is not None and is_secret_value(str(value)):
                yield finding(text, document.at("data", name), "FL030", f"{shown(name)} has the value of a secret")
    elif kind in _PODS:
        yield from _pod(text, document.mapping(*_PODS[str(kind)]), world, ends=kind in _ENDING)


def _pod(text: Text, pod: Mapping, world: World, *, ends: bool) -> Iterator[Finding]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key) is True:
            yield finding(text, pod.at(key), "FL055", f"the pod has {key}: true")
    for volume in pod.mappings("volumes"):
        path = volume.get("hostPath", "path")
        if isinstance(path, str) and is_powerful(path):
            yield finding(text, volume.at("hostPath"), "FL056", f"{shown(path)} of the host is mounted")
    if pod.get("securityContext", "seccompProfile", "type") == "Unconfined":
        yield finding(text, pod.at("securityContext", "seccompProfile"), "FL057", "the pod runs without seccomp")
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for container in pod.mappings(key):
            yield from _container(text, container, pod, world)
            if key == "containers":
                yield from _running(text, container, world, ends=ends)


def _container(text: Text, container: Mapping, pod: Mapping, world: World) -> Iterator[Finding]:
    who = shown(str(container.get("name") or "the container"))
    image = container.get("image")
    if isinstance(image, str):
        yield from image_findings(text, container.at("image"), image, world)
    yield from _user(text, container, pod, who)
    yield from _security(text, container, who)
    for variable in container.mappings("env"):
        name, value = str(variable.get("name")), variable.get("value")
        if value is not None and is_secret_name(name) and is_secret_value(str(value)) and "$(" not in str(value):
            fix = "take it from a Secret: valueFrom.secretKeyRef"
            yield finding(text, variable.at("value"), "FL030", f"{shown(name)} has the value of a secret", fix=fix)


def _user(text: Text, container: Mapping, pod: Mapping, who: str) -> Iterator[Finding]:
    for level in (container, pod):
        user = level.get("securityContext", "runAsUser")
        if user == 0 and user is not False:
            yield finding(text, level.at("securityContext", "runAsUser"), "FL010", f"{who} runs as root")
        if user is not None:
            break
    own = container.get("securityContext", "runAsNonRoot")
    required = pod.get("securityContext", "runAsNonRoot") if own is None else own
    if required is not True:
        at = container.at() if own is None else container.at("securityContext", "runAsNonRoot")
        yield finding(text, at, "FL011", f"nothing keeps {who} from running as root")


def _security(text: Text, container: Mapping, who: str) -> Iterator[Finding]:
    context = container.mapping("securityContext")
    at = context.at()
    if context.get("privileged") is True:
        yield finding(text, context.at("privileged"), "FL054", f"{who} is privileged")
    if context.get("readOnlyRootFilesystem") is not True:
        message = f"the root file system of {who} can be written to"
        yield finding(text, at, "FL050", message, fix="set securityContext.readOnlyRootFilesystem: true")
    if "ALL" not in map(capability, context.items("capabilities", "drop")):
        fix = "set securityContext.capabilities.drop: [ALL]"
        yield finding(text, at, "FL051", f"{who} keeps capabilities", fix=fix)
    for number, added in enumerate(context.items("capabilities", "add")):
        if capability(added) in DANGEROUS_CAPABILITIES:
            message = f"{who} gets the capability {shown(capability(added))}"
            yield finding(text, context.at("capabilities", "add", number), "FL052", message)
    if context.get("allowPrivilegeEscalation") is not False:
        fix, message = "set securityContext.allowPrivilegeEscalation: false", f"programs of {who} may gain privileges"
        yield finding(text, at, "FL053", message, fix=fix, edits=_no_escalation(text, container))
    if context.get("seccompProfile", "type") == "Unconfined":
        yield finding(text, context.at("seccompProfile"), "FL057", f"{who} runs without seccomp")


def _no_escalation(text: Text, container: Mapping) -> tuple[Edit, ...]:
    context = container.mapping("securityContext")
    # Kubernetes refuses a privileged container, and one with SYS_ADMIN, that may not gain privileges.
    added = {capability(each) for each in context.items("capabilities", "add")}
    if context.get("privileged") is True or "SYS_ADMIN" in added or "allowPrivilegeEscalation" in context.data:
        return ()
    if "securityContext" not in container.data:
        return inserted(text, container, ("securityContext:", "  allowPrivilegeEscalation: false"))
    return inserted(text, context, ("allowPrivilegeEscalation: false",))


def _running(text: Text, container: Mapping, world: World, *, ends: bool) -> Iterator[Finding]:
    """What a container that goes on needs."""
    who = shown(str(container.get("name") or "the container"))
    if not ends and not any(container.get(f"{kind}Probe") for kind in ("liveness", "readiness")):
        fix = "add a livenessProbe or readinessProbe"
        yield finding(text, container.at(), "FL012", f"{who} has no probe", fix=fix)
    mounts = [mount.get("mountPath") for mount in container.mappings("volumeMounts")]
    if is_our_service(container.get("image"), world.configuration) and not any(map(covers_logs, mounts)):
        fix = f"mount a volume at {LOG_VOLUME}"
        yield finding(text, container.at(), "FL042", f"the logs of {who} are lost with its container", fix=fix)
