"""The rules that paths in the image follow. Each function gives the path, or raises Invalid."""

from formation.definition.problems import Invalid
from formation.entry import DEEPEST, is_too_deep

PATH = r"^/[^\u0000-\u001f\u007f]*$"

# Where these point is base-files' and usrmerge's to say; a second name for one path hides duplicates.
_ALIASED_DIRECTORIES = {
    **{f"/{name}": f"/usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")},
    "/var/run": "/run",
    "/var/lock": "/run/lock",
}
_RUN_TIME_DIRECTORIES = ("/proc", "/sys", "/dev")


def path(text: str) -> str:
    """An absolute, normalised path in the image, by its real name, that is not the root directory."""
    return _real_place(_normalised(text))


def _normalised(text: str) -> str:
    if not text.startswith("/"):
        raise Invalid(f"{text!r} is not an absolute path", f"did you mean {'/' + text.lstrip('./')!r}?")
    if any(ord(letter) < 0x20 or letter == "\x7f" for letter in text):
        raise Invalid(f"{text!r} has a control character")
    parts = text.split("/")[1:]
    if ".." in parts:
        raise Invalid(f"{text!r} has '..' in it", "write the path that you mean")
    if "" in parts or "." in parts:
        clean = "/" + "/".join(part for part in parts if part not in ("", "."))
        if clean == "/":
            raise Invalid("'/' itself belongs to base-files")
        raise Invalid(f"{text!r} is not normalised", f"write {clean!r}")
    if len(text.encode()) > 4000 or any(len(part.encode()) > 255 for part in parts):
        raise Invalid(f"{text[:80]!r}… is longer than a path may be")
    if is_too_deep(text[1:]):
        raise Invalid(f"{text[:80]!r}… lies below more than {DEEPEST} directories")
    return text


def _real_place(text: str) -> str:
    for alias, target in _ALIASED_DIRECTORIES.items():
        if text == alias or text.startswith(alias + "/"):
            raise Invalid(f"{text!r}: {alias} is a symbolic link to {target}", f"write {target + text[len(alias) :]!r}")
    for directory in _RUN_TIME_DIRECTORIES:
        if text == directory or text.startswith(directory + "/"):
            raise Invalid(f"{text!r}: a running container has its own {directory}")
    return text


def working_directory(text: str) -> str:
    """A path, or the root directory."""
    return text if text == "/" else path(text)


def home(text: str) -> str:
    """A path that can stand in passwd(5), whose fields end at colons."""
    return path(_without_colon(text))


def shell(text: str) -> str:
    """A program as passwd(5) has it: nothing is made there, so it may lead through /bin, as /etc/shells says it too."""
    if "/" not in text and text:
        raise Invalid(f"{text!r} is not an absolute path", f"did you mean '/bin/{text}'?")
    return _normalised(_without_colon(text))


def _without_colon(text: str) -> str:
    if ":" in text:
        raise Invalid(f"{text!r} has a colon, which ends a field of /etc/passwd")
    return text
