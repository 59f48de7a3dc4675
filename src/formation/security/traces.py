"""Entries whose names tell something, found in one pass over the entries of all layers.

What an upper layer removes is found too: whoever pulls the image gets it.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

from formation.contents.layer import LayerContents, LayerEntry

Trace = Literal["secret", "host-key", "special", "apt", "junk", "identity", "log"]

_KINDS: Final[tuple[Trace, ...]] = get_args(Trace)

Traces = Mapping[Trace, tuple[tuple[int, LayerEntry], ...]]
"""Kind → layer and entry of each, in the order of the layers."""

_SECRETS = (
    ".netrc .rhosts .shosts hosts.equiv shosts.equiv .git-credentials .pgpass .dockercfg .vault-token .env .npmrc "
    ".pypirc .htpasswd .my.cnf .boto .s3cfg"
)
_JUNK = (
    ".git .svn .hg .bzr .cache .npm .DS_Store Dockerfile Containerfile docker-compose.yml docker-compose.yaml "
    "compose.yml compose.yaml .dockerignore .bash_history .ash_history .zsh_history .sh_history .python_history "
    ".mysql_history .psql_history .sqlite_history .node_repl_history .viminfo .lesshst .wget-hsts"
)
_NAMES: Final[Mapping[str, Trace]] = {
    **dict.fromkeys(_SECRETS.split(), "secret"),
    **dict.fromkeys(_JUNK.split(), "junk"),
}
_IDENTITIES = (
    "etc/machine-id var/lib/dbus/machine-id var/lib/systemd/random-seed var/lib/urandom/random-seed "
    "var/lib/systemd/credential.secret etc/hostname etc/hosts etc/resolv.conf etc/mailname"
)
_LOGS = (
    "var/log/dpkg.log var/log/bootstrap.log var/log/alternatives.log var/log/apt/history.log var/log/apt/term.log "
    "var/log/apt/eipp.log.xz var/cache/ldconfig/aux-cache var/log/faillog"
)
_PATHS: Final[Mapping[str, Trace]] = {
    **dict.fromkeys(_IDENTITIES.split(), "identity"),
    **dict.fromkeys(_LOGS.split(), "log"),
}
_BELOW: Final[tuple[tuple[str, Trace], ...]] = (
    ("var/lib/apt/lists/", "apt"),
    ("var/cache/apt/", "apt"),
    ("etc/ssh/ssh_host_", "host-key"),
)
_PREFIXES: Final = tuple(prefix for prefix, _ in _BELOW)
_ENDS: Final[Mapping[tuple[str, str], Trace]] = {
    (".docker", "config.json"): "secret",
    (".aws", "credentials"): "secret",
    (".kube", "config"): "secret",
    (".azure", "accessTokens.json"): "secret",
    ("gcloud", "credentials.db"): "secret",
}
_LAST: Final = frozenset(name for _, name in _ENDS)
_SPECIAL = frozenset({"character", "block", "fifo"})
_MOST = 2000
"""Of one kind. Of more nobody reads."""


def find_traces(layers: Sequence[LayerContents]) -> Traces:
    """The telling entries of `layers`, base layer first; no whiteouts, and no directories but of the kind `junk`."""
    found: dict[Trace, list[tuple[int, LayerEntry]]] = {kind: [] for kind in _KINDS}
    for number, layer in enumerate(layers):
        for entry in layer.entries:
            kind = _kind(entry)
            if kind is not None and len(found[kind]) < _MOST and (kind == "junk" or entry.type != "directory"):
                found[kind].append((number, entry))
    return {kind: tuple(entries) for kind, entries in found.items()}


def _kind(entry: LayerEntry) -> Trace | None:
    path = entry.path
    if entry.type in _SPECIAL:
        return "special"
    if path.startswith(_PREFIXES):
        return next(kind for prefix, kind in _BELOW if path.startswith(prefix))
    above, _, name = path.rpartition("/")
    kind = _NAMES.get(name) or _PATHS.get(path)
    if kind is None and name in _LAST:
        kind = _ENDS.get((above.rpartition("/")[2], name))
    if kind is None and name.endswith((".swp", ".swo")) and name.startswith("."):
        return "junk"
    return kind
