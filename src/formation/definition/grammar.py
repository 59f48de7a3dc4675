"""The rules that single values of a definition follow. Each function gives the value, or raises Invalid."""

import re
import shlex

from formation.debian.request import PackageRequest
from formation.definition.problems import Invalid, nearest
from formation.registry.tag_plan import VARIANT, parse_version_tag

ACCOUNT = r"^[a-z_][a-z0-9_-]{0,31}$"
"""adduser.conf(5), SYS_NAME_REGEX, and the 32 bytes of utmp(5)."""
OWNER = r"^([a-z_][a-z0-9_-]{0,31}|0|[1-9][0-9]{0,4})$"
REPOSITORY = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"
"""OCI distribution-spec, "Pulling manifests": <name>."""
_NUMBER = "(0|[1-9][0-9]{0,8})"
_PART = "(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
VERSION = rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PART}(\.{_PART})*)?$"
"""Semantic Versioning 2.0.0, without build metadata: an image tag cannot hold a plus sign. `version` knows more."""
LONGEST_TAG = 128
"""OCI distribution-spec, "Pulling manifests": <reference> as a tag."""
TAG = rf"^[A-Za-z0-9_][A-Za-z0-9._-]{{0,{LONGEST_TAG - 1}}}$"
MODE = r"^(0o)?[0-7]{3,4}$"
PACKAGE = r"[a-z0-9][a-z0-9+.-]+"
"""Debian Policy 5.6.1."""
PACKAGE_NAME = rf"^{PACKAGE}$"
REQUEST = rf"^({PACKAGE})(:[a-z0-9-]+)?(=[0-9][A-Za-z0-9.+:~-]*|/[A-Za-z0-9][A-Za-z0-9./_-]*)?$"
LEFT_OUT = rf"^-{PACKAGE}$"
ENVIRONMENT = r"^[A-Za-z_][A-Za-z0-9_]*$"
FILE_STEM = r"^[a-z0-9][a-z0-9_.-]*$"
"""What apt reads in sources.list.d, in lower case: sources.list(5)."""
GLOB = r"^/\S+$"
URI = r"^https?://[^\s/@?#]+(/[^\s?#]*)?$"

ARCHIVE_WORD = r"^[A-Za-z0-9][A-Za-z0-9+._/-]*$"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")

HIGHEST_ID = 65533
"""65534 is nobody, and user namespaces map 65,536 ids: subuid(5)."""

SIGNALS = (
    *("ABRT", "ALRM", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "PROF", "PWR", "QUIT"),
    *("SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM"),
    *("WINCH", "XCPU", "XFSZ"),
)
"""signal(7), without SIG: written here because Python knows those of the machine that it runs on."""
SIGNAL = r"^(SIG[A-Z0-9]+|SIGRTMIN(\+[0-9]+)?|SIGRTMAX(-[0-9]+)?)$"


def account_name(text: str) -> str:
    """The name of a user or group."""
    if not re.fullmatch(ACCOUNT, text):
        reason = f"{text!r} is not a user or group name: up to 32 of a-z, 0-9, _ and -, the first a letter or _"
        raise Invalid(reason, _suggestion(text.lower(), ACCOUNT))
    return text


def account_id(number: int) -> int:
    """A uid or gid that a definition may give."""
    if not 0 < number <= HIGHEST_ID:
        raise Invalid(f"{number} is not an id from 1 to {HIGHEST_ID}", "leave it out to have a free one")
    return number


def owner(value: object) -> object:
    """A user or group by name or decimal id, as text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and text.isascii() and text.isdecimal():
        if len(text) > 5 or int(text) > HIGHEST_ID + 1 or (text[0] == "0" and text != "0"):
            raise Invalid(f"{text[:40]} is not an id from 0 to {HIGHEST_ID + 1}")
        return text
    return account_name(text) if isinstance(text, str) else text


def default_user(value: object) -> object:
    """`user`, `uid`, `user:group` or `uid:gid`, as text."""
    if not isinstance(value, str):
        return owner(value)
    user, colon, group = value.partition(":")
    return f"{owner(user)}{colon}{owner(group) if colon else ''}"


def repository(text: str) -> str:
    """The name of a repository, without registry or tag."""
    if not re.fullmatch(REPOSITORY, text) or len(text) > 255:
        hint = "the tag is `version:`" if ":" in text else _suggestion(text.lower(), REPOSITORY)
        raise Invalid(f"{text!r} is not a repository name, such as formation/base", hint)
    return text


def version(text: str) -> str:
    """A semantic version that can be an image tag, and one that `publish` takes for that of no variant.

    A pre-release is one by SemVer, clause 9: without empty parts, and without numbers that begin with a zero.
    """
    if len(text) > LONGEST_TAG:
        raise Invalid(f"{text[:40]!r}… has {len(text)} characters, and an image tag at most {LONGEST_TAG}")
    if "+" in text:
        raise Invalid(f"{text!r} has build metadata, and an image tag cannot contain a plus sign", None)
    read = parse_version_tag(text, "")
    if read is None:
        padded = ".".join([*text.removeprefix("v").split("."), "0", "0"][:3])
        raise Invalid(f"{text!r} is not a version MAJOR.MINOR.PATCH", _suggestion(padded, VERSION))
    candidate = f"{text.partition('-')[0]}-rc.1"
    for part in read.prerelease.split(".") if "-" in text else ():
        if not re.fullmatch(_PART, part):
            reason = f"the number {part} begins with a zero" if part else "a part of it is empty"
            raise Invalid(f"{text!r} is not a version: {reason} (SemVer, clause 9)", f"write {candidate}")
    ending = parse_version_tag(text)
    if ending is not None and ending.variant:
        taken = f"`publish` takes for the variant {ending.variant} of {ending.version}"
        words = "alpha, beta, pre, preview, snapshot, nightly and test will do too"
        raise Invalid(f"{text!r} ends in {ending.variant!r}, which {taken}", f"a pre-release is {candidate}; {words}")
    return text


def tag(text: str) -> str:
    """An image tag."""
    if not re.fullmatch(TAG, text):
        raise Invalid(f"{text!r} is not an image tag: up to 128 of letters, digits, _ . and -")
    return text


def mode(value: object) -> object:
    """A file mode as a number, from its octal digits.

    A number here was written in decimal digits without quotes and without a leading zero: it has lost what was meant,
    and other YAML readers would read it differently.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        digits = str(value) if re.fullmatch(r"[0-7]{3,4}", str(value)) else f"{value:o}"
        raise Invalid(f"the mode {value} is a decimal number", f'write "0{digits}"')
    if isinstance(value, str):
        if not re.fullmatch(MODE, value):
            raise Invalid(f"{value!r} is not a file mode of three or four octal digits", 'such as "0755"')
        return int(value.removeprefix("0o"), 8)
    return value


def request(text: str) -> str:
    """A line of `packages:`; `package_request` and `left_out` read it."""
    if not re.fullmatch(REQUEST, text) and not re.fullmatch(LEFT_OUT, text):
        hint = "write NAME, NAME:ARCHITECTURE, NAME=VERSION, NAME/SUITE or -NAME"
        if re.fullmatch(rf"({PACKAGE})\s*\(?[<>=]+.*", text):
            hint = "write NAME=VERSION for one version; the lock pins all others"
        elif re.search(r"\s", text.strip()):
            hint = "write each package as an item of its own"
        raise Invalid(f"{text!r} is not a package request", hint)
    return text


def package_name(text: str) -> str:
    """The name of a package, and nothing else."""
    if not re.fullmatch(PACKAGE_NAME, text):
        raise Invalid(f"{text!r} is not the name of a package", "write the name alone, without version or suite")
    return text


def package_request(text: str) -> PackageRequest:
    """What a line of `packages:` that names a package to install asks for."""
    name, slash, suite = text.partition("/")
    name, equals, package_version = name.partition("=")
    name, colon, architecture = name.partition(":")
    return PackageRequest(
        name=name,
        version=package_version if equals else None,
        suite=suite if slash else None,
        architecture=architecture if colon else None,
    )


def environment_name(text: str) -> str:
    """The name of an environment variable that shells can read: POSIX, Base Definitions 8.1."""
    if not re.fullmatch(ENVIRONMENT, text):
        raise Invalid(f"{text!r} is not the name of an environment variable: letters, digits and _, no digit first")
    return text


def text_value(value: object) -> object:
    """The value of an environment variable or label, as text."""
    if isinstance(value, bool):
        raise Invalid(f"{str(value).lower()} without quotes is not text", f'write "{str(value).lower()}"')
    if value is None:
        raise Invalid("no value", 'write "" for an empty one')
    if isinstance(value, str) and _CONTROL.search(value):
        raise Invalid(f"{value[:60]!r} has a control character, which a Dockerfile cannot say")
    return str(value) if isinstance(value, int) else value


def one_line(text: str) -> str:
    """A text without line breaks."""
    if _CONTROL.search(text):
        raise Invalid(f"{text[:60]!r} is more than one line of text", "write it in one line")
    return text


def archive_word(text: str) -> str:
    """The name of a suite or component."""
    if text.endswith("/"):
        reason = f"{text!r} ends in a slash, as the suite of a flat archive does, and those cannot be used"
        raise Invalid(reason, "take an archive with a directory `dists`")
    if not re.fullmatch(ARCHIVE_WORD, text) or ".." in text:
        hint = "write each as an item of its own" if " " in text else "such as trixie or main"
        raise Invalid(f"{text!r} is not the name of a suite or component", hint)
    return text


def label_name(text: str) -> str:
    """The name of a label."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", text):
        raise Invalid(f"{text!r} is not a label: letters, digits and . _ - /", "such as org.opencontainers.image.title")
    return text


def command(value: object) -> object:
    """A command as its words. One string is split as a shell splits words; no shell runs."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise Invalid(f"{value!r} cannot be split into words: {error}", "write a list") from None
    return value


def comment(text: str) -> str:
    """The GECOS field of passwd(5)."""
    if ":" in text or not text.isprintable():
        raise Invalid(f"{text!r} has a colon or a control character, which /etc/passwd cannot hold")
    return text


def signal(text: object) -> object:
    """A signal by its name, with SIG: what a number means depends on the machine."""
    if isinstance(text, int) and not isinstance(text, bool):
        raise Invalid(f"{text} is not the name of a signal", "such as SIGTERM")
    if not isinstance(text, str):
        return text
    if text.removeprefix("SIG") in SIGNALS and text.startswith("SIG"):
        return text
    if re.fullmatch(r"SIGRTM(IN(\+([1-9]|[12][0-9]|30))?|AX(-([1-9]|[12][0-9]|30))?)", text):
        return text
    names = [f"SIG{name}" for name in SIGNALS]
    hint = f"did you mean {'SIG' + text!r}?" if text in SIGNALS else nearest(text.upper(), names)
    raise Invalid(f"{text!r} is not a signal", hint or "such as SIGTERM")


def file_stem(text: str) -> str:
    """The name of an archive."""
    if not re.fullmatch(FILE_STEM, text) or len(text) > 64:
        raise Invalid(f"{text!r} is not a name of a-z, 0-9, _ . and -", _suggestion(text.lower(), FILE_STEM))
    return text


def variant_name(text: str) -> str:
    """The name of a variant, which ends the tags of its images."""
    if not re.fullmatch(VARIANT, text) or len(text) > 64:
        if re.fullmatch(r"[a-z][a-z0-9]*", text) and len(text) <= 64:
            raise Invalid(f"{text!r} is no name of a variant: the tag 1.0.0-{text} is that of a pre-release", None)
        plain = re.sub(r"[^a-z0-9]", "", text.lower())
        raise Invalid(f"{text!r} is no name of a variant: a letter, then a-z and 0-9", _suggestion(plain, VARIANT))
    return text


def glob(text: str) -> str:
    """A pattern of dpkg's --path-exclude: dpkg(1)."""
    if not re.fullmatch(GLOB, text):
        raise Invalid(f"{text!r} is not a pattern of absolute paths", "such as /usr/share/doc/*")
    return text


def uri(text: str) -> str:
    """The address of an archive, without a trailing slash."""
    if re.match(r"^https?://[^/]*@", text):
        raise Invalid("an archive's uri may not hold a user name or password", "everyone can read a definition")
    if not re.fullmatch(URI, text):
        raise Invalid(f"{text!r} is not an http or https address", "such as http://deb.debian.org/debian")
    return text.rstrip("/")


def _suggestion(candidate: str, pattern: str) -> str | None:
    return f"did you mean {candidate!r}?" if re.fullmatch(pattern, candidate) else None
