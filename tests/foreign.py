"""Running commands where the programs of another architecture run, in a user namespace of their own.

Since Linux 6.7 a user namespace has its own binfmt_misc, so that nothing is registered for the whole machine. Source:
the kernel's Documentation/admin-guide/binfmt-misc.rst, and binfmt.d(5) for the file that qemu-user-static brings.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from engines import SEARCH_PATH, EngineUnavailable

_ENTER = """\
echo ready
read -r go
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
cat "$1" >/proc/sys/fs/binfmt_misc/register
shift
exec "$@" </dev/null
"""
_EVERYBODY = "0 0 4294967295\n"
"""All users, as they are."""


def run_with_qemu(processor: str, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """What came of `command`, run as root where QEMU runs the programs of a `processor`, such as `aarch64`.

    Raises EngineUnavailable when QEMU is not installed, or the kernel cannot.
    """
    interpreter = shutil.which(f"qemu-{processor}-static", path=SEARCH_PATH)
    format_file = Path(f"/usr/lib/binfmt.d/qemu-{processor}.conf")
    if interpreter is None or not format_file.exists():
        raise EngineUnavailable(f"qemu-{processor}-static is not installed (scripts/install-test-tools installs it)")
    process = subprocess.Popen(
        ["unshare", "--user", "--mount", "--propagation", "private", "--", "sh", "-euc", _ENTER, "sh", format_file]
        + [str(word) for word in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise EngineUnavailable(f"no user namespace can be made: {process.communicate()[1]}")
    try:
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{process.pid}/{name}").write_text(_EVERYBODY)
    except OSError as error:
        process.communicate()
        raise EngineUnavailable(f"no user namespace can be made: {error}") from error
    output, errors = process.communicate("go\n")
    if process.returncode != 0 and "binfmt_misc" in errors:
        raise EngineUnavailable(f"this kernel has no binfmt_misc for user namespaces: {errors}")
    return subprocess.CompletedProcess(command, process.returncode, output, errors)
