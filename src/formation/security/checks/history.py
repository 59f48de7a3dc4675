"""The commands that made the image, as far as its history tells."""

import re
from collections.abc import Iterator
from typing import Final

from formation.security.findings import Check, Hit
from formation.security.subject import Subject

_LONGEST = 1 << 17
"""Characters of a step that are looked at."""
_STEPS_END = re.compile(r"\|\||&&|[;\n]")
_BUILD_ARGUMENTS = re.compile(r"\|[0-9]{1,3} ")
_SHELL = re.compile(r"(?:/usr)?(?:/bin/)?(?:ba|da|z|k)?sh (?:-\S+ ){0,4}")
_DOWNLOADERS = frozenset({"curl", "wget"})
_INTERPRETERS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "python", "python3", "perl", "ruby", "node", "php"})
_WRAPPERS = frozenset({"sudo", "exec", "env", "command", "nice", "time", "-E", "-n", "-u", "root"})
_APT = frozenset({"apt-get", "apt", "aptitude"})
_INSTALLING = frozenset({"install", "upgrade", "dist-upgrade", "full-upgrade", "satisfy", "build-dep", "reinstall"})
_UNCHECKED = frozenset({"-k", "--insecure", "--no-check-certificate"})
_SUBSTITUTED = re.compile(r"[<$]\(\s{0,10}(?:curl|wget)\b|`\s{0,10}(?:curl|wget)\b")
_ARCHIVE = re.compile(r"\S+\.(?:tar|tgz|tar\.[a-z0-9]+|txz|tbz2)\b")


def steps(subject: Subject) -> Iterator[tuple[int, str, str]]:
    """Number from 1, instruction (`RUN`, `ADD`, …) and the rest of each step, in whatever builder's form."""
    for number, step in enumerate(subject.facts.image.config.history, 1):
        text = (step.created_by or "")[:_LONGEST].strip()
        instruction, text = instruction_of(text)
        yield number, instruction, text


def instruction_of(text: str) -> tuple[str, str]:
    """Instruction and rest of one `created_by`: BuildKit's `RUN /bin/sh -c …`, the old builder's `#(nop)  ADD …`."""
    nop = text.find("#(nop)")
    if 0 <= nop < 40:
        word, _, rest = text[nop + len("#(nop)") :].strip().partition(" ")
        return word.upper(), rest.strip()
    word, _, rest = text.partition(" ")
    if word.isupper() and word.isalpha():
        return word, _command(rest.strip()) if word == "RUN" else rest.strip()
    return "RUN", _command(text)


def _command(text: str) -> str:
    """A shell command without build arguments and the shell before it."""
    if match := _BUILD_ARGUMENTS.match(text):
        shell = text.find("/bin/sh -c ", match.end())
        text = text[shell:] if shell >= 0 else text
    if match := _SHELL.match(text):
        text = text[match.end() :]
    return text.removesuffix("# buildkit").strip()


def _commands(text: str) -> Iterator[list[list[str]]]:
    """Each pipeline of a shell command, as its commands' words."""
    for pipeline in _STEPS_END.split(text):
        yield [[word.rpartition("/")[2] for word in command.split()] for command in pipeline.split("|")]


def _program(words: list[str]) -> str:
    """What a command runs, without variables and wrappers before it."""
    return next((word for word in words if "=" not in word and word not in _WRAPPERS), "")


def _apt_update(subject: Subject) -> Iterator[Hit]:
    for number, instruction, text in steps(subject):
        if instruction != "RUN":
            continue
        updates = installs = False
        for pipeline in _commands(text):
            for words in pipeline:
                if _APT.intersection(words[:4]):
                    updates |= "update" in words
                    installs |= bool(_INSTALLING.intersection(words))
        if updates and not installs:
            yield Hit(f"step {number} updates the package lists, and installs nothing")


def _added(subject: Subject) -> Iterator[Hit]:
    for number, instruction, text in steps(subject):
        if instruction != "ADD" or "--checksum=" in text:
            continue
        # A distribution's root file system is added as the first layer; an archive may be unpacked by ADD.
        if number == 1 or _ARCHIVE.search(text[:4096]):
            continue
        remote = "http://" in text or "https://" in text
        what = "adds a remote file without a checksum" if remote else "adds local files with ADD"
        yield Hit(f"step {number} {what}: {text[:80]}")


def _unverified(subject: Subject) -> Iterator[Hit]:
    for number, instruction, text in steps(subject):
        if instruction != "RUN":
            continue
        if _SUBSTITUTED.search(text) or any(map(_runs_download, _commands(text))):
            yield Hit(f"step {number} runs what it downloads: {text[:80]}")
        elif any(_is_unchecked(words) for pipeline in _commands(text) for words in pipeline):
            yield Hit(f"step {number} downloads without checking the server's certificate: {text[:80]}")


def _runs_download(pipeline: list[list[str]]) -> bool:
    downloads = False
    for words in pipeline:
        if downloads and _program(words) in _INTERPRETERS:
            return True
        downloads |= bool(_DOWNLOADERS.intersection(words))
    return False


def _is_unchecked(words: list[str]) -> bool:
    return bool(_DOWNLOADERS.intersection(words)) and bool(_UNCHECKED.intersection(words))


def _sudo(subject: Subject) -> Iterator[Hit]:
    for number, instruction, text in steps(subject):
        if instruction != "RUN":
            continue
        for words in (words for pipeline in _commands(text) for words in pipeline):
            if words[:1] == ["sudo"]:
                yield Hit(f"step {number} uses sudo: {text[:80]}")
                break
            if _APT.intersection(words) and {"dist-upgrade", "full-upgrade"}.intersection(words):
                yield Hit(f"step {number} upgrades the whole distribution: {text[:80]}")
                break


CHECKS: Final = (
    Check(
        12,
        "apt-update-alone",
        "package lists updated in a step of their own",
        "medium",
        "CIS Docker 4.7, CIS-DI-0007, hadolint DL3009",
        "A cached step gives yesterday's lists to today's install, without the security updates since.",
        "One step: RUN apt-get update && apt-get install -y … && rm -rf /var/lib/apt/lists/*",
        _apt_update,
    ),
    Check(
        13,
        "history-add",
        "ADD of local files, or of remote ones without a checksum",
        "low",
        "CIS Docker 4.9, CIS-DI-0009, hadolint DL3020",
        "ADD unpacks archives and follows addresses, which nobody who reads a plain copy expects.",
        "COPY for local files; ADD --checksum=sha256:… for remote ones",
        _added,
    ),
    Check(
        14,
        "unverified-download",
        "downloads that run unverified",
        "high",
        "Docker official-images review guidelines, hadolint DL4006",
        "Whoever controls the server, or the way to it, decides what is in the image.",
        "Download to a file, check its digest or signature, then run it",
        _unverified,
    ),
    Check(
        15,
        "history-sudo",
        "sudo or a distribution upgrade while building",
        "medium",
        "DKL-DI-0001, DKL-DI-0003, hadolint DL3004",
        "sudo leaves a way to become root; an upgrade gives another image every day.",
        "USER root for the step; a newer base instead of an upgrade",
        _sudo,
    ),
)
