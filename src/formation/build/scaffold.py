"""The first files of a new service: a definition that loads, and what is made from it."""

from collections.abc import Sequence
from pathlib import Path

from formation.build.render_service import render_service
from formation.dataclass import dataclass
from formation.definition import grammar, service_grammar
from formation.definition.load import FILE_NAME
from formation.definition.problems import Invalid
from formation.definition.service_load import service_from
from formation.definition.source import read_source
from formation.errors import UsageError
from formation.oci.name import parse_name


@dataclass(frozen=True, slots=True)
class NewService:
    """What a person asks for."""

    name: str
    """Such as form-dns."""
    base: str = "formation/base:1.0.0"
    ports: tuple[str, ...] = ()
    """`53/udp`; tcp when no protocol is written."""
    packages: tuple[str, ...] = ()


def scaffold(asked: NewService, directory: Path) -> dict[str, str]:
    """The files of the service by name, for `directory`: formation.yaml first, then those made from it or beside it.

    Nothing is written. Raises UsageError for a name, base, port or package that no definition could have.
    """
    ports, packages, repository = _checked(asked)
    definition = _definition(asked, repository, ports, packages)
    service = service_from(directory / FILE_NAME, read_source(FILE_NAME, definition.encode()))
    return {
        FILE_NAME: definition,
        **render_service(service),
        f"run-{asked.name}.sh": _start_script(asked.name),
        "README.md": _readme(asked, repository, ports),
    }


def existing(files: Sequence[str], directory: Path) -> tuple[str, ...]:
    """Those of `files` that are in `directory` already, be it as dangling symbolic links."""
    return tuple(name for name in files if (directory / name).is_symlink() or (directory / name).exists())


def _checked(asked: NewService) -> tuple[list[str], list[str], str]:
    """Ports and packages as definitions have them, each once, and the repository of the service."""
    try:
        service_grammar.service_name(asked.name)
        service_grammar.base_image(asked.base)
        ports = [str(service_grammar.port(port)) for port in asked.ports]
        packages = [grammar.request(package) for package in asked.packages]
    except Invalid as error:
        raise UsageError(error.reason, hint=error.hint) from None
    return list(dict.fromkeys(ports)), list(dict.fromkeys(packages)), _repository(asked)


def _repository(asked: NewService) -> str:
    """The service's name in the namespace of its base: formation/form-dns."""
    in_store = parse_name(asked.base.removeprefix(service_grammar.REGISTRY)).reference
    if in_store is None:
        hint = "write it as formation/base:1.0.0; the definition's `base:` can name a layout or archive afterwards"
        raise UsageError(f"{asked.base}: a new service starts from an image in the store or a registry", hint=hint)
    host, path = in_store.host, in_store.repository
    namespace = (path if host is None else path.removeprefix(f"{host}/")).rpartition("/")[0]
    return f"{namespace}/{asked.name}" if namespace else asked.name


def _definition(asked: NewService, repository: str, ports: list[str], packages: list[str]) -> str:
    name = asked.name
    lines = [
        f"# The service {name}. Dockerfile and .dockerignore are made from this file by `formation render`.",
        "# Every key: `formation schema`, or docs/services.md of Formation.",
        "kind: service",
        f"name: {repository}",
        "version: 0.1.0",
        f"description: The service {name}",
        f"base: {asked.base}",
        "",
        *_listed("packages", packages),
        "# `docker build` runs this on the base's dev image, in a copy of this directory. It makes target/release/.",
        "build:",
        "  command: make",
        "  results: [target/]",
        "",
        "files:",
        f'  - {{path: /usr/local/bin/{name}, source: target/release/{name}, mode: "0755"}}',
        f'  - {{path: /usr/local/bin/run-{name}.sh, source: run-{name}.sh, mode: "0755"}}',
        "",
        "# The root file system is read-only in production: state goes to a volume, logs to /var/log/formation.",
        "directories:",
        f'  - {{path: /var/lib/formation/{name}, mode: "0750"}}',
        f"volumes: [/var/lib/formation/{name}]",
        f"working_directory: /var/lib/formation/{name}",
        "",
        *_listed("ports", ports),
        *_health_check(name, ports),
        "user: formation",
        f"entrypoint: [/usr/local/bin/run-{name}.sh]",
    ]
    return "\n".join(lines) + "\n"


def _listed(key: str, items: list[str]) -> list[str]:
    return [f"{key}:", *(f"  - {item}" for item in items), ""] if items else []


def _health_check(name: str, ports: list[str]) -> list[str]:
    tcp = [port.partition("/")[0] for port in ports if port.endswith("/tcp")]
    if tcp:
        healthy, command = "what takes connections", f'socat, -u, OPEN:/dev/null, "TCP:127.0.0.1:{tcp[0]}"'
    else:
        healthy, command = (
            "what its start script gave its place to",
            f'grep, -qa, "^/usr/local/bin/{name}", /proc/1/cmdline',
        )
    return [
        f"# Healthy is {healthy}; better is a request that the service answers.",
        "health_check:",
        f"  command: [{command}]",
        "  interval: 10s",
        "  timeout: 3s",
        "",
    ]


def _start_script(name: str) -> str:
    return (
        "#!/bin/sh\n"
        f"# Starts {name}. exec: the service itself gets the SIGTERM that asks it to end.\n"
        "set -eu\n"
        "umask 027\n"
        f'exec /usr/local/bin/{name} "$@"\n'
    )


def _readme(asked: NewService, repository: str, ports: list[str]) -> str:
    name, image = asked.name, f"{repository}:0.1.0"
    listens = f" It listens on {', '.join(ports)}." if ports else ""
    return f"""# {name}

A service on `{asked.base}`.{listens}
`formation.yaml` describes its image; `Dockerfile` and `.dockerignore` are made from it by `formation render`.

`make` compiles it into `target/release/{name}`: write a Makefile whose first target does, for whatever language it is
in. Then, without Docker:

```console
$ formation lock                  # pins the base and the packages; commit formation.lock
$ make
$ formation build                 # {image}, in the local store; --load docker gives it to Docker
```

Or with Docker, which runs the same `make` on the base's dev image, so that nothing but the base is needed:

```console
$ docker build -t {image} .
```

As in production, with a read-only root file system and without capabilities:

```console
$ formation render compose .
$ docker-compose up -d
```

After an edit of `formation.yaml`: `formation render`, and `formation render --check` in CI.
"""
