"""The exceptions that Formation raises, and the exit code of each.

    FormationError              3  the operation failed
    ├── AnswerIsNo              1  the question was answered, and the answer is no (stale lock, findings)
    ├── UsageError              2  the command line is wrong
    │   └── DefinitionError     2  formation.yaml is wrong; knows file and line
    ├── UnresolvableError       2  the requested packages cannot be installed together
    ├── IntegrityError          4  a signature, digest or size is not what it must be
    │   └── MalformedError      4  bytes from outside that do not follow their format
    └── UnreachableError        5  a server did not answer, or no longer has the file; trying again may help

Errors of lower libraries (httptools, lzma, pydantic, OSError) are mapped to these at the seam that calls the library.
`formation.cli.main` is the one place that prints them.
"""

import errno
from pathlib import Path

_REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there",
    errno.EFBIG: "allow larger files: ulimit -f unlimited",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "look at who owns it, and who may use it",
    errno.EPERM: "look at who owns it, and who may use it",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
}
_PRUNE = "free some space (--images takes the images too): formation cache prune --all"
"""What the store has is seldom as old as a plain prune wants it."""
_STORE_REMEDIES = {
    errno.EROFS: "choose a store that can be written to: --store DIR",
    errno.EACCES: "look at who owns it, or choose another store: --store DIR",
    errno.EPERM: "look at who owns it, or choose another store: --store DIR",
}


class FormationError(Exception):
    """An operation failed for a reason that a person can act on.

    `message` is one sentence: what failed, on which object, and why. `hint` is the next command to type or thing to
    do, or None.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AnswerIsNo(FormationError):
    """The command worked and its answer is no."""

    exit_code = 1


class UsageError(FormationError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = 2


class DefinitionError(UsageError):
    """A definition is wrong. `message` starts with `FILE:LINE: `."""


class UnresolvableError(FormationError):
    """Requested packages cannot be installed together. `message` names the requests and the chain of reasons."""

    exit_code = 2


class IntegrityError(FormationError):
    """Something from outside is not what was promised: signature, digest, size or date."""

    exit_code = 4


class MalformedError(IntegrityError):
    """Bytes from outside do not follow their format, or try to reach where they must not."""


class UnreachableError(FormationError):
    """A server did not answer, answered with an error, or no longer has a file."""

    exit_code = 5


def quoted(word: object) -> str:
    """`word`, such as a path, as a shell takes it: the command of a hint can be pasted."""
    import shlex  # for errors only

    return shlex.quote(str(word))


def remedy(error: OSError, store: Path | None = None) -> str | None:
    """What a person can do about an error of the operating system; None when nothing in general.

    `store` is where the store is: about its files there is more to do, and a prune of it frees its own file system.
    """
    named = [name for name in (error.filename, error.filename2) if isinstance(name, (str, Path))]
    if store is not None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        beside = not named or any(_device(Path(name)) == _device(store) for name in named)
        return _PRUNE if beside else _REMEDIES[error.errno]
    # Above the store it is one that cannot be made.
    if store is not None and any(Path(name).is_relative_to(store) or store.is_relative_to(name) for name in named):
        return _STORE_REMEDIES.get(error.errno or 0) or _REMEDIES.get(error.errno or 0)
    return _REMEDIES.get(error.errno or 0)


def _device(path: Path) -> int | None:
    """The file system that has `path`, or would have it; None: it is not known."""
    for place in (path, *path.parents):
        try:
            return place.stat().st_dev
        except OSError:
            continue
    return None


def system_error(failed: str, error: OSError, store: Path | None = None) -> FormationError:
    """The error for what the operating system refused; `failed` says what did not work, `store` is as for `remedy`."""
    return FormationError(f"{failed}: {error.strerror or error}", hint=remedy(error, store))
