"""Secrets: in files of any layer, in variables and labels, in the commands that made the image."""

from collections.abc import Iterator, Mapping
from typing import Final

from formation.security.credentials import known_token, secret_in, secret_names
from formation.security.findings import Check, Hit, Severity
from formation.security.subject import Subject

_CALLED: Final = {
    "private-key": "a private key",
    "aws-key": "an access key of AWS",
    "aws-secret": "a secret access key of AWS",
    "github-token": "a token of GitHub",
    "gitlab-token": "a token of GitLab",
    "slack-token": "a token of Slack",
    "npm-token": "a token of npm",
    "google-key": "an API key of Google",
    "stripe-key": "an API key of Stripe",
    "registry-login": "a login for a registry",
    "login-in-url": "a password in an address",
}
_NEEDS_MATCH = frozenset({".npmrc", ".pypirc", "config.json", ".htpasswd"})
"""Files that mostly hold settings: their name alone says little."""
_LIKELY = frozenset({".env", ".my.cnf", "config", ".boto", ".s3cfg"})


def called(detector: str) -> str:
    """What a detector finds, for people."""
    return _CALLED.get(detector, f"a secret ({detector})")


def _files(subject: Subject) -> Iterator[Hit]:
    told: set[tuple[int, str]] = set()
    for layer, contents in enumerate(subject.facts.contents.layers):
        if not contents.matches:
            continue
        entries = {entry.path: entry for entry in contents.entries if entry.type == "file"}
        for match in contents.matches:
            entry = entries.get(match.path)
            # Test keys of a package are everybody's, and no secret.
            if entry is not None and subject.is_packaged(entry):
                continue
            told.add((layer, match.path))
            fate = subject.fate(layer, match.path)
            yield Hit(f"/{match.path} holds {called(match.detector)}{fate}", match.path, layer, match.line)
    for layer, entry in subject.traces["secret"]:
        name = entry.path.rpartition("/")[2]
        if not entry.size or (layer, entry.path) in told or name in _NEEDS_MATCH or subject.is_packaged(entry):
            continue
        severity: Severity | None = "high" if name in _LIKELY else None
        what = f"/{entry.path} is a file for credentials{subject.fate(layer, entry.path)}"
        yield Hit(what, entry.path, layer, severity=severity)


def _config(subject: Subject) -> Iterator[Hit]:
    execution = subject.facts.image.config.execution
    places: tuple[tuple[str, Mapping[str, str]], ...] = (
        ("the variable", subject.facts.environment),
        ("the label", execution.labels),
        ("the annotation", subject.facts.image.manifest.annotations),
    )
    for what, values in places:
        for name, value in values.items():
            if secret_in(name, value):
                detector = known_token(value)
                yield Hit(f"{what} {name} gives away {called(detector) if detector else 'a secret'}")
    for what, words in (("the entrypoint", execution.entrypoint), ("the command", execution.command)):
        for name in secret_names(" ".join(words or ())):
            yield Hit(f"{what} gives away a secret: {name}")


def _history(subject: Subject) -> Iterator[Hit]:
    for number, step in enumerate(subject.facts.image.config.history, 1):
        text = step.created_by or ""
        names = list(secret_names(text))
        for name in names:
            yield Hit(f"step {number} of the history gives away {name}")
        detector = known_token(text)
        if detector is not None and not names:
            yield Hit(f"step {number} of the history gives away {called(detector)}")


CHECKS: Final = (
    Check(
        4,
        "secret-variable",
        "secrets in variables, labels or commands",
        "critical",
        "CIS Docker 4.10, CIS-DI-0010, hadolint DL3064, DISA 002367",
        "Whoever can pull or inspect the image reads them, and so does every process.",
        "Give it when the container starts, as a file (secrets: of compose, a mounted Secret), and change the secret",
        _config,
    ),
    Check(
        5,
        "secret-history",
        "secrets in the history",
        "critical",
        "CIS Docker 4.10, hadolint DL3064",
        "docker history shows build arguments and commands to whoever can pull the image.",
        "Use RUN --mount=type=secret, build again, and change the secret",
        _history,
    ),
    Check(
        30,
        "secret-file",
        "keys and credentials in files",
        "critical",
        "CIS Docker 4.10, CIS-DI-0010, SSG no_netrc_files, SSG no_rsh_trust_files, DISA 002367",
        "Every layer is pulled as it is: removing the file later hides it from nobody.",
        "Build again without it (RUN --mount=type=secret, .dockerignore), and change the secret",
        _files,
    ),
)
