"""Files that a definition brings along: they are in its directory, or below."""

import errno
import os
from pathlib import Path

from formation.definition.problems import Invalid, nearest


def beside(directory: Path, name: str) -> Path:
    """The absolute path, without symbolic links, of the file `name` of `directory`.

    Raises Invalid when it is missing, not a regular file, or outside `directory`, be it through a symbolic link: a
    definition that someone else wrote must not put /etc/shadow into an image.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise Invalid(f"{name!r} is outside the definition's directory", "copy the file beside the definition")
    root = directory.resolve()
    try:
        found = (root / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        if why := leads_nowhere(root / name):
            raise Invalid(f"{name!r} {why}") from None
        raise Invalid(f"there is no file {name!r} beside the definition", similar(root, name)) from None
    if not found.is_relative_to(root):
        raise Invalid(f"{name!r} leads outside the definition's directory through a symbolic link")
    if not found.is_file():
        raise Invalid(f"{name!r} is not a regular file")
    return found


def leads_nowhere(path: Path) -> str | None:
    """What is wrong with `path`, as the end of a sentence, when it is a symbolic link to nothing; None otherwise."""
    try:
        target = os.readlink(path)
    except (OSError, ValueError):
        return None
    try:
        path.stat()
    except OSError as error:
        is_loop = error.errno == errno.ELOOP
        return f"is a symbolic link to {target!r}, which {'leads back to it' if is_loop else 'is not there'}"
    return None


def similar(root: Path, name: str) -> str | None:
    """A hint that names what is beside the missing `name` of `root` and is called nearly so; None for nothing."""
    parent = root / Path(name).parent
    try:
        names = [entry.name for entry in parent.iterdir()] if parent.resolve().is_relative_to(root) else []
    except (OSError, RuntimeError, ValueError):
        # RuntimeError: a link that leads to itself.
        return None
    return nearest(Path(name).name, (each for each in names if each != Path(name).name))
