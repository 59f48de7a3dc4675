"""The archives of a definition: those of its distribution, and those written out."""

from pathlib import Path

from formation.debian.archive import Archive
from formation.definition.beside import beside
from formation.definition.data_path import DataPath
from formation.definition.distribution import archives_of
from formation.definition.model import ArchiveEntry, Identity
from formation.definition.problems import Invalid, Problem, nearest


def archives_from(model: Identity, directory: Path, problems: list[Problem]) -> tuple[Archive, ...]:
    """The archives, the distribution's first. `directory` is the definition's, for key files."""
    archives = list(archives_of(model.distribution)) if model.distribution else []
    _check_architectures(model, problems)
    for index, entry in enumerate(model.archives):
        path: DataPath = ("archives", index)
        if entry.name in {archive.name for archive in archives}:
            problems.append(Problem((*path, "name"), f"the archive {entry.name!r} is there already"))
        _check_words(entry, path, problems)
        _check_keys(entry, path, directory, problems)
        archives.append(_archive(entry))
    return tuple(archives)


def is_key_file(key: str) -> bool:
    """Whether an item of `keys` is the path of a file, and not the name of a key set."""
    return "/" in key or key.endswith((".asc", ".gpg", ".pgp"))


def _archive(entry: ArchiveEntry) -> Archive:
    return Archive(
        name=entry.name,
        uri=entry.uri,
        suites=tuple(entry.suites),
        components=tuple(entry.components),
        keys=tuple(entry.keys),
        signed_by=entry.signed_by,
        snapshot=entry.snapshot,
        check_valid_until=entry.check_valid_until,
    )


def _check_architectures(model: Identity, problems: list[Problem]) -> None:
    for index, architecture in enumerate(model.architectures):
        if architecture in model.architectures[:index]:
            problems.append(Problem(("architectures", index), f"{architecture} is there already"))


def _check_words(entry: ArchiveEntry, path: DataPath, problems: list[Problem]) -> None:
    for key, words in (("suites", entry.suites), ("components", entry.components)):
        for index, word in enumerate(words):
            if word in words[:index]:
                problems.append(Problem((*path, key, index), f"{word!r} is there already"))
    if entry.snapshot is not None and "{timestamp}" not in entry.snapshot:
        hint = "such as https://snapshot.debian.org/archive/debian/{timestamp}"
        problems.append(Problem((*path, "snapshot"), "the snapshot address has no {timestamp}", hint))


def _check_keys(entry: ArchiveEntry, path: DataPath, directory: Path, problems: list[Problem]) -> None:
    # The shipped sets bring an OpenPGP library with them, and the usual definition names none by itself.
    from formation.debian.keys import KEY_SETS

    for index, key in enumerate(entry.keys):
        place: DataPath = (*path, "keys", index)
        if is_key_file(key):
            try:
                beside(directory, key)
            except Invalid as error:
                problems.append(Problem(place, error.reason, error.hint))
        elif key not in KEY_SETS:
            hint = (
                nearest(key, KEY_SETS) or f"shipped are {', '.join(KEY_SETS)}; a key file's name ends in .asc or .gpg"
            )
            problems.append(Problem(place, f"{key!r} is not a key set", hint))
    if len([key for key in entry.keys if is_key_file(key)]) > 1 and entry.signed_by is None:
        reason = f"the archive {entry.name!r} has several key files, and apt in the image takes one"
        problems.append(Problem((*path, "keys"), reason, "join them into one file, or write `signed_by:`"))
