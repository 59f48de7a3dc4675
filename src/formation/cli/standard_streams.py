"""Standard streams that whoever started the program has closed, as in `formation images >&-`."""

import os
import sys


def open_closed_streams() -> None:
    """Has those of stdin, stdout and stderr that are closed lead to /dev/null, for this process and those it starts.

    The first file that is opened would take the place of a closed one, and be written to as if it were the terminal.
    As git does: whoever closes a stream does not want what goes there, and that is no error.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # This takes the lowest number that is free, and those below are open by now.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
