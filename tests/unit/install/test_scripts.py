"""What is kept, and said, when a program of a package fails."""

import errno
import os
from pathlib import Path

from formation.install.roots import Isolation, Root
from formation.install.sandbox import Outcome, Program
from formation.install.scripts import failed_script


def test_a_full_disk_does_not_hide_what_a_script_said(tmp_path: Path, monkeypatch) -> None:
    def copy(source: Path, target: Path) -> None:
        (target / "half").write_bytes(b"")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr("formation.install.scripts.copy_over", copy)
    root, kept = Root(tmp_path, (), None), tmp_path / "failed"
    outcome = Outcome(Program(("postinst",)), 1, "cp: error writing: No space left on device\n")
    error = failed_script("the postinst of foo failed", root, outcome, 0, Isolation(False, False, False), kept)
    assert error.message == "the postinst of foo failed; its last output:\n  cp: error writing: No space left on device"
    assert error.hint == "the tree in which it failed cannot be kept: No space left on device"
    assert not kept.exists()
