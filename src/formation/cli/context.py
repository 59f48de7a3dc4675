"""What a command may know of the world around it, read once when the process starts."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from formation.dataclass import dataclass, replace

if TYPE_CHECKING:
    from formation.network import Downloader
    from formation.network.access import Access
    from formation.progress import Progress
    from formation.store.store import Store


class StdoutError(OSError):
    """What stdout leads to does not take data."""


@contextmanager
def _stdout_named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StdoutError(error.errno, error.strerror, "stdout") from error


@dataclass(frozen=True, slots=True)
class Context:
    """The edge of the program. Commands take everything that is not an argument from here."""

    environment: Mapping[str, str]
    directory: Path
    """The current directory, absolute."""
    now: int
    """Seconds since 1970."""
    stdout: TextIO
    """Data."""
    stderr: TextIO
    """For people."""
    stdout_is_terminal: bool
    stderr_is_terminal: bool
    colour: bool
    """Whether people want colours: a terminal that can, and no NO_COLOR (no-color.org)."""
    quiet: bool = False
    authorities: tuple[Path, ...] = ()
    """Files of certificate authorities to trust besides the machine's: `--ca`, FORMATION_CA_FILE, SSL_CERT_FILE."""
    store_option: str | None = None
    """`--store`; None: the environment says."""
    called: str = "formation"
    """argv[0]."""

    @property
    def access(self) -> "Access":
        """What opens archives. Raises UsageError where FORMATION_AUTH_CONF names a file that is not there."""
        from formation.network.access import Access
        from formation.registry.settings import user_configuration

        if named := self.environment.get("FORMATION_AUTH_CONF"):
            if not self.path(named).exists():
                from formation.errors import UsageError

                raise UsageError(f"FORMATION_AUTH_CONF names {self.path(named)}, which does not exist")
            return Access(self.authorities, self.path(named))
        config = user_configuration(self.environment)
        return Access(self.authorities, config and config / "formation" / "auth.conf")

    def downloader(self, progress: "Progress", *, offline: bool = False) -> "Downloader":
        """What asks archives, through this machine's proxies. Raises as `access`."""
        from formation.network import Downloader, Proxies

        return Downloader(progress=progress, proxies=Proxies.of(self.environment), access=self.access, offline=offline)

    @property
    def debug(self) -> bool:
        """Whether FORMATION_DEBUG asks for tracebacks."""
        return bool(self.environment.get("FORMATION_DEBUG"))

    @property
    def workers(self) -> int:
        """How many processes may work at once."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @property
    def program(self) -> str:
        """What a person types to run this program with the same store: its name when that is enough, else as it was
        typed."""
        if not self.store_option:
            return self._program
        import shlex

        return f"{self._program} --store {shlex.quote(self.store_option)}"

    @property
    def _program(self) -> str:
        if "/" not in self.called or not self.called.endswith("/formation"):
            return "formation"
        import shlex
        import shutil

        found = shutil.which("formation", path=self.environment.get("PATH"))
        # The kernel gives a script that was found in PATH by its whole path, as if that had been typed.
        named = found is not None and (self.directory / found) == (self.directory / self.called)
        return "formation" if named else shlex.quote(self.called)

    @property
    def store(self) -> "Store":
        """The store to use. Raises UsageError when nothing says where it is, and when something else is there."""
        from formation.store.store import Store

        if self.store_option:
            store = Store(self.directory / self.store_option)
        else:
            store = Store.open(self.environment, self.directory)
        if not store.root.is_dir() and store.root.exists():
            from formation.errors import UsageError

            raise UsageError(f"the store {store.root} is not a directory", hint="name another one: --store DIR")
        return store

    def path(self, text: str) -> Path:
        """The absolute path that `text`, from the command line, names."""
        return self.directory / text

    def beside(self, output: Path) -> "Context":
        """This context; where `output`, which a command will write, is what stdout leads to, one that says on stderr
        what this one says there."""
        try:
            taken = os.path.samestat(output.stat(), os.fstat(self.stdout.fileno()))
        except (OSError, ValueError):
            # Not there yet; or stdout is no file.
            taken = False
        return replace(self, stdout=self.stderr) if taken else self

    def write(self, text: str) -> None:
        """Writes data to stdout, as it is. Raises StdoutError, or BrokenPipeError when its reader has gone."""
        with _stdout_named():
            self.stdout.write(text)

    def flush(self) -> None:
        """Has stdout take what was written to it. Raises as `write`."""
        with _stdout_named():
            self.stdout.flush()

    def write_json(self, value: Any) -> None:
        """Writes `value` to stdout as JSON."""
        from formation.files import json_text

        self.write(json_text(value))

    def progress(self) -> "AbstractContextManager[Progress]":
        """A Progress for the work inside a `with` block, on stderr; after the block nothing of it moves any more."""
        from formation.cli.progress_terminal import open_progress

        return open_progress(
            self.stderr, terminal=self.stderr_is_terminal, colour=self.colour, quiet=self.quiet, clock=time.monotonic
        )


def read_context() -> Context:
    """The context of this process."""
    environment = dict(os.environ)
    # Data has one encoding whatever the locale says, and names of files that are not UTF-8 come out as they are.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    stderr_is_terminal = sys.stderr.isatty()
    dumb = environment.get("TERM") == "dumb"
    return Context(
        environment=environment,
        directory=Path.cwd(),
        now=int(time.time()),
        stdout=sys.stdout,
        stderr=sys.stderr,
        stdout_is_terminal=sys.stdout.isatty(),
        stderr_is_terminal=stderr_is_terminal and not dumb,
        colour=stderr_is_terminal and not dumb and not environment.get("NO_COLOR"),
        called=sys.argv[0],
    )
