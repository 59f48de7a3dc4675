"""What looks like a secret: names of variables, values, files. Few kinds, so that what is found is one."""

import re

from formation.contents.detectors import DETECTORS, find
from formation.entry import decode_path, encode_path

# A name that ends so holds a secret; one that goes on (_FILE, _PATH, _URL, _NAME) says where one is.
_NAME = re.compile(
    r"(?i)(?:\A|_|-|\.)(?:password|passwd|passphrase|pwd|secret|token|api_?key|access_?key|secret_?key|private_?key|"
    r"secret_?access_?key|client_?secret|auth_?token|credentials?)\Z"
)
_CAMEL = re.compile(r"[a-z](?:Password|Secret|Token|ApiKey|AccessKey|PrivateKey)\Z")
_NOT_SECRET_NAMES = frozenset({"PWD", "OLDPWD"})
# A key's first line is enough here: no Dockerfile has reason to hold one, as programs have.
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]{1,20} ){0,3}PRIVATE KEY-----")
_LOGIN_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@'\"$<>{}]{1,100}:[^\s/@'\"$<>{}]{3,200}@")
_FILES = re.compile(
    r"(?i)(?:\A|/)(?:id_(?:rsa|dsa|ecdsa|ed25519)|[^/]*\.(?:key|p12|pfx|jks|keystore|kdbx|ppk)|[^/]*private[^/]*\.pem|"
    r"[^/]*key[^/]*\.pem|\.env(?:\.(?!example\b|sample\b|template\b|dist\b)[^/]*)?|\.netrc|\.npmrc|\.pypirc|\.pgpass|"
    r"\.git-credentials|\.htpasswd|\.docker/config\.json|\.dockerconfigjson|\.aws(?:/credentials)?|\.ssh|\.kube(?:/config)?|"
    r"kubeconfig|credentials\.json|secrets?\.(?:ya?ml|json|env|txt))/?\Z"
)
_VARIABLE = re.compile(r"\A[\"']?\$(?:\{[^{}]*\}|[A-Za-z_][A-Za-z0-9_]*|\$)[\"']?\Z|\$\{\{|\A\$\(")
_PATH = re.compile(r"\A[\"']?/[\w./-]*[\"']?\Z")


def is_secret_name(name: str) -> bool:
    """Whether a variable called `name` holds a secret itself."""
    short = name[-200:]
    return short not in _NOT_SECRET_NAMES and bool(_NAME.search(short) or _CAMEL.search(short))


def is_secret_value(value: str) -> bool:
    """Whether the variable of a secret is given `value` itself: not nothing, a variable or a path."""
    bare = value.strip().strip("\"'")
    return (
        bool(bare) and not _VARIABLE.search(value.strip()) and not _PATH.match(value) and bare not in ("true", "false")
    )


def secret_in(text: str) -> tuple[int, str] | None:
    """Offset and kind of the first secret in `text` that can be told by its form; None when there is none."""
    found = [(match.start(), "a private key") for match in [_PRIVATE_KEY.search(text)] if match]
    found += [(match.start(), "a password in a URL") for match in [_LOGIN_IN_URL.search(text)] if match]
    data = encode_path(text)
    for name, offset in find(data, len(data), DETECTORS):
        found.append((len(decode_path(data[:offset])), f"a secret ({name})"))
    return min(found, default=None)


def is_secret_file(path: str) -> bool:
    """Whether a file with the name of `path` holds a secret."""
    return _FILES.search(path[-500:]) is not None
