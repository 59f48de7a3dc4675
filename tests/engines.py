"""Private container engines and a registry, which tests and benchmarks start, use and stop.

Each keeps its state in a directory that it is given, listens on a unix socket or on loopback only, adds no network
interface and no firewall rule, and dies with the process that started it. Nothing here knows pytest: `conftest.py`
turns `EngineUnavailable` into a skip or a failure, and `benchmarks/run.py` imports this file too.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

START_SECONDS = 60
"""How long a server may take to answer for the first time."""

STOP_SECONDS = 30
"""How long a server may take to end after SIGTERM, before SIGKILL."""

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
"""An ordinary user's PATH on Debian leaves out the directories of dockerd and iptables."""


class EngineUnavailable(Exception):
    """A tool is not installed, or does not work on this machine. The message names it and says why."""


class CommandFailed(Exception):
    """A command ended with an exit code other than 0. The message can be pasted and run again."""


def find_tool(name: str) -> str:
    """The path of an installed tool. Raises EngineUnavailable, naming it, where there is none."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise EngineUnavailable(f"{name} is not installed (scripts/install-test-tools installs it)")
    return path


def run_command(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    input: bytes | None = None,  # noqa: A002 - the name that subprocess.run gives it
    check: bool = True,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `command` with `environment` added to this process's own. stdout and stderr are captured as text.

    Raises CommandFailed for an exit code other than 0, unless `check` is False.
    """
    words = [str(word) for word in command]
    ended = subprocess.run(
        words,
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        cwd=directory,
        env={**os.environ, "PATH": SEARCH_PATH, **environment},
    )
    output, errors = (stream.decode(errors="replace") for stream in (ended.stdout, ended.stderr))
    if check and ended.returncode != 0:
        settings = " ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items())
        tail = (output + errors)[-4000:]
        raise CommandFailed(f"{settings} {shlex.join(words)}\nended with exit code {ended.returncode}:\n{tail}")
    return subprocess.CompletedProcess(words, ended.returncode, output, errors)


class Server:
    """A server process of ours, started in `__init__` and known to answer when that returns.

    `answers` is asked again and again until it is true. Raises EngineUnavailable, with the end of the log, when the
    process ends first or does not answer in START_SECONDS.
    """

    def __init__(
        self, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], answers: Callable[[], bool]
    ) -> None:
        self.log = log
        # setpriv replaces itself by the server, which then gets SIGTERM when the thread that started it is gone:
        # a test run that is killed leaves no server behind.
        words = ["setpriv", "--pdeathsig", "TERM", "--", *map(str, command)]
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": SEARCH_PATH, **environment},
            )
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                end = log.read_text(errors="replace")[-2000:]
                raise EngineUnavailable(f"{Path(command[0]).name} did not start; the end of its log:\n{end}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends the process and waits for it. Does nothing when it has ended already."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Docker:
    """A private Docker daemon and the client for it.

    It has no network of its own, so that it cannot disturb a Docker that the machine already runs: containers and
    builds that need the network say `--network host`.
    """

    def __init__(self, directory: Path) -> None:
        if os.geteuid() != 0:
            raise EngineUnavailable("dockerd needs root")
        daemon = find_tool("dockerd")
        # The client that belongs to the daemon: a newer one elsewhere in PATH may lack the builder this daemon has.
        packaged = Path("/usr/bin/docker")
        self.client = str(packaged) if packaged.exists() else find_tool("docker")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = f"unix://{directory}/socket"
        # docker-compose calls the `docker` in PATH.
        tools = directory / "bin"
        tools.mkdir(exist_ok=True)
        (tools / "docker").unlink(missing_ok=True)
        (tools / "docker").symlink_to(self.client)
        self.environment = {
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(directory / "config"),
            "PATH": f"{tools}{os.pathsep}{SEARCH_PATH}",
        }
        """What a process needs in its environment to use this daemon."""
        self._server = self._start(daemon)

    def _start(self, daemon: str) -> Server:
        failure: EngineUnavailable | None = None
        for driver in ("overlay2", "vfs"):
            # In a mount namespace of its own, the daemon's mounts are gone when it is.
            command = ["unshare", "--mount", "--propagation", "private", "--", daemon]
            command += ["--data-root", f"{self.directory}/data-{driver}", "--exec-root", f"{self.directory}/exec"]
            command += ["--pidfile", f"{self.directory}/pid", "--host", self.host, "--storage-driver", driver]
            command += ["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
            try:
                return Server(command, log=self.directory / "log", environment={}, answers=self._answers)
            except EngineUnavailable as error:
                failure = EngineUnavailable(f"dockerd: {error}")
        assert failure is not None
        raise failure

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(self.host.removeprefix("unix://"))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in connection.recv(64)
            except OSError:
                return False

    def run(
        self,
        *arguments: str | Path,
        input: bytes | None = None,  # noqa: A002
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker ARGUMENTS`. See run_command."""
        settings = {**self.environment, **(environment or {})}
        return run_command([self.client, *arguments], environment=settings, input=input, check=check)

    @property
    def has_buildkit(self) -> bool:
        """Whether `docker build` with DOCKER_BUILDKIT=1 works: built in before version 23, then a plug-in."""
        version = self.run("version", "--format", "{{.Client.Version}}").stdout
        return int(version.split(".")[0]) < 23 or self.run("buildx", "version", check=False).returncode == 0

    def compose(
        self, directory: Path, *arguments: str, check: bool = True, network: str = "host"
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker-compose ARGUMENTS` on the compose file in `directory`, with builds on the host's network, since
        this daemon has no other, and services there too or, as `network` says, on `none`. No port is published."""
        program = find_tool("docker-compose")
        file = compose_file(program, directory, self.directory / "compose.yaml", network, self.environment)
        command = [program, "--project-directory", str(directory)]
        return run_command(
            [*command, "--file", file, *arguments], environment=self.environment, check=check, directory=directory
        )

    def stop(self) -> None:
        """Ends the daemon and removes what it kept."""
        self._server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def compose_file(program: str, directory: Path, target: Path, network: str, environment: Mapping[str, str]) -> Path:
    """Writes the compose file in `directory` to `target` for an engine without networks: builds on the host's, services
    on the one that `network` names, no port published. `program` is docker-compose. Gives `target`."""
    command = [program, "--project-directory", directory, "config"]
    merged = yaml.safe_load(run_command(command, environment=environment, directory=directory).stdout)
    merged.pop("networks", None)
    for service in merged["services"].values():
        service.pop("networks", None)
        service.pop("ports", None)
        service["network_mode"] = network
        if isinstance(service.get("build"), str):
            service["build"] = {"context": service["build"]}
        if "build" in service:
            service["build"]["network"] = "host"
    target.write_text(json.dumps(merged))
    return target


class Podman:
    """Podman with a private storage. Containers and builds use the host's network."""

    def __init__(self, directory: Path) -> None:
        self.client = find_tool("podman")
        runtime = find_tool("runc")
        self.directory = directory
        for name in ("root", "run", "temporary"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        storage = directory / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{directory}/root"\nrunroot = "{directory}/run"\n'
            f'rootless_storage_path = "{directory}/root"\n'
        )
        settings = directory / "containers.conf"
        # Podman asks for more open files than a limited root may give; cgroupfs and the file log need no systemd.
        settings.write_text(
            '[containers]\nnetns = "host"\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            f'[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
            f'tmp_dir = "{directory}/temporary"\n[engine.runtimes]\nrunc = ["{runtime}"]\n'
        )
        self.environment = {"CONTAINERS_CONF": str(settings), "CONTAINERS_STORAGE_CONF": str(storage)}
        """What a process needs in its environment to use this storage."""
        works = self.run("info", check=False)
        if works.returncode != 0:
            raise EngineUnavailable(f"podman does not work here: {works.stderr[-1000:]}")

    def run(
        self,
        *arguments: str | Path,
        input: bytes | None = None,  # noqa: A002
        check: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `podman ARGUMENTS`. See run_command."""
        settings = {**self.environment, **(environment or {})}
        return run_command([self.client, *arguments], environment=settings, input=input, check=check)

    def stop(self) -> None:
        """Removes every container and image, and what is still mounted of them."""
        self.run("rm", "--all", "--force", check=False)
        self.run("rmi", "--all", "--force", check=False)
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.directory}/")]):
            run_command(["umount", "--lazy", mount], environment={}, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)


class Skopeo:
    """skopeo, accepting unsigned images and keeping its temporary files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.client = find_tool("skopeo")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._policy = directory / "policy.json"
        self._policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))

    def run(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs `skopeo ARGUMENTS`. See run_command."""
        command = [self.client, "--policy", self._policy, "--tmpdir", self.directory, *arguments]
        return run_command(command, environment={}, check=check)

    def stop(self) -> None:
        """Removes the temporary files."""
        shutil.rmtree(self.directory, ignore_errors=True)


class Registry:
    """A distribution registry on a free port of loopback; deleting is allowed.

    Without TLS and passwords, unless `http` and `auth` add those sections of its configuration.
    """

    def __init__(
        self, directory: Path, *, http: Mapping[str, object] | None = None, auth: Mapping[str, object] | None = None
    ) -> None:
        program = find_tool("docker-registry")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        settings = {
            "version": "0.1",
            "log": {"level": "info"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
            # Port 0: the kernel picks a free one, and the log tells which.
            "http": {"addr": "127.0.0.1:0", **(http or {})},
            **({"auth": auth} if auth else {}),
        }
        (directory / "config.yml").write_text(json.dumps(settings))
        self._log = directory / "log"
        self._server = Server(
            [program, "serve", directory / "config.yml"],
            log=self._log,
            environment={"OTEL_TRACES_EXPORTER": "none"},
            answers=self._answers,
        )
        self.address = self._listening()
        """`127.0.0.1:PORT`, as in an image reference."""

    def _listening(self) -> str:
        found = re.search(r"listening on (127\.0\.0\.1:\d+)", self._log.read_text(errors="replace"))
        return found[1] if found else ""

    def _answers(self) -> bool:
        host, _, port = self._listening().partition(":")
        if not port:
            return False
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Ends the server and removes what it kept."""
        self._server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
