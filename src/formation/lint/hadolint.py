"""hadolint's findings about Dockerfiles, where it is installed: the general rules, which need not be written again."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from formation.errors import FormationError
from formation.lint.findings import Finding
from formation.lint.rules import Severity
from formation.lint.targets import Target
from formation.lint.text import shown

LONGEST: Final = 120
"""Seconds that it may take for all files."""
LARGEST: Final = 128 << 10
"""Bytes of a Dockerfile that is given to it. One of 1.6 MB takes it minutes."""
MEMORY: Final = 1 << 30
"""Bytes that it may write to. It reserves a terabyte of addresses, as all programs of GHC do."""

LEFT_OUT: Final[Mapping[str, str]] = {
    "DL3002": "FL010 looks at the last stage only, as only its USER runs",
    "DL3006": "FL003 and FL004",
    "DL3007": "FL003 and FL004",
    "DL3008": "the opposite of FL022: Debian's archive keeps no old versions",
    "DL3009": "FL020",
    "DL3015": "FL021",
    "DL3020": "FL040",
    "DL3025": "FL013",
    "DL3057": "FL012",
    "DL3066": "users have names here; their numbers are the base's own",
    "SC2016": "`formation render` writes files with single quotes, so that nothing in them is expanded",
}
"""Rules of hadolint that are not merged, and why."""

_SEVERITIES: Final[Mapping[str, Severity]] = {"error": "error", "warning": "warning", "info": "info", "style": "info"}
_PARSER = "DL1000"
_WIKI = "https://github.com/hadolint/hadolint/wiki/"
_SHELLCHECK = "https://www.shellcheck.net/wiki/"


def find_hadolint(environment: Mapping[str, str]) -> Path | None:
    """The program: beside this Python, where the extra installs it, or in PATH; None when there is none."""
    beside = Path(sys.executable).parent / "hadolint"
    if beside.is_file() and os.access(beside, os.X_OK):
        return beside
    found = shutil.which("hadolint", path=environment.get("PATH", ""))
    return Path(found) if found else None


def hadolint_findings(
    program: Path, targets: Sequence[Target], directory: Path, environment: Mapping[str, str]
) -> tuple[Finding, ...]:
    """What `program` finds in the Dockerfiles `targets`. It reads `.hadolint.yaml` of `directory`, as people expect.

    Raises FormationError when it cannot be run, fails, or does not answer in LONGEST seconds with MEMORY bytes.
    """
    names = {str(target.path): target.shown for target in targets}
    if not names:
        return ()
    command = [str(program), "--no-fail", "--no-color", "--format", "json", "--", *names]
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST,
            preexec_fn=_limit_memory,
        )
    except subprocess.TimeoutExpired:
        raise FormationError(f"hadolint took more than {LONGEST} seconds") from None
    except OSError as error:
        raise FormationError(f"hadolint cannot be run: {error.strerror}") from None
    try:
        entries = json.loads(done.stdout)
        return tuple(found for entry in entries if (found := _finding(entry, names)) is not None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        reason = shown(done.stderr.decode(errors="replace").strip().partition("\n")[0])
        raise FormationError(f"hadolint failed: {reason or f'exit code {done.returncode}'}") from None


def _limit_memory() -> None:
    """In the child: RLIMIT_DATA counts what can be written to (setrlimit(2)), RLIMIT_AS all that is reserved."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


def _finding(entry: dict[str, Any], names: Mapping[str, str]) -> Finding | None:
    code = str(entry["code"])
    if code in LEFT_OUT:
        return None
    wiki = f"{_SHELLCHECK if code.startswith('SC') else _WIKI}{code}"
    path = names.get(str(entry["file"]), str(entry["file"]))
    # What its parser cannot read may be sound all the same, a heredoc say: FL001 is what our own has to say.
    severity = "info" if code == _PARSER else _SEVERITIES.get(str(entry["level"]), "info")
    # It is one line, whatever shellcheck quotes from the file.
    message = " ".join(str(entry["message"]).split())
    return Finding(path, int(entry["line"]), int(entry["column"]), code, severity, message, f"see {wiki}")
