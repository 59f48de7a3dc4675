import dataclasses
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from formation.cli import commands
from formation.cli.commands import COMMANDS
from formation.errors import (
    AnswerIsNo,
    DefinitionError,
    FormationError,
    IntegrityError,
    MalformedError,
    UnreachableError,
    UnresolvableError,
)
from formation.oci.image import read_image
from formation.oci.layout import open_layout
from formation.oci.validate import validate


@pytest.fixture
def failing(monkeypatch):
    """Makes `formation images` raise what the test wants."""

    def make(error):
        def run(arguments, context):
            raise error

        module = commands.command("images")
        monkeypatch.setattr(module, "run", run)

    return make


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_reads_as_it_is_written_down(formation, golden, name):
    result = formation(*([name] if name else []), "--help")
    assert (result.code, result.stderr) == (0, "")
    golden(f"help-{name or 'formation'}.txt", result.stdout)


def test_formation_alone_prints_its_help(formation):
    assert formation().stdout == formation("--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_examples_and_a_summary(formation, name):
    text = formation(name, "--help").stdout
    assert "--json" in text
    assert "examples:\n  formation " in text
    assert any(line.startswith(f"    {name} ") for line in formation("--help").stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["imges"], "there is no command 'imges'", "did you mean images?"),
        (["cache", "--dryrun"], "formation cache does not take '--dryrun'", "did you mean --dry-run?"),
        (["inspect"], "the following arguments are required: IMAGE", "formation inspect --help"),
        (["cache", "prune", "--older-than", "x"], "'x' is not an age", "formation cache --help"),
        (["cache", "--all"], "need the word prune", "formation cache prune --help"),
        (
            ["inspect", "docker://a/b"],
            "is in a registry",
            "formation pull docker://a/b:latest, and then without docker://: a/b:latest",
        ),
        (["inspect", "A"], "is in lower case", "write it as formation/base:1.0.0"),
        (["inspect", "a:1", "--platform", "amd64"], "is not a platform", "linux/amd64"),
        (["--quiet"], "no command is given", "formation --help"),
    ],
)
def test_a_wrong_command_line_is_answered_with_the_right_word(formation, arguments, message, hint):
    result = formation(*arguments)
    first, second = result.stderr.splitlines()
    assert (result.code, result.stdout) == (2, "")
    assert first.startswith("error: ") and message in first
    assert second.startswith("hint: ") and hint in second


def test_the_store_may_be_named_before_and_after_the_command(formation, tmp_path):
    before = formation("--store", "other", "cache", "--json").stdout
    assert before == formation("cache", "--store", "other", "--json").stdout
    assert f'"store": "{tmp_path}/other"' in before


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FormationError("x"), 3),
        (AnswerIsNo("x"), 1),
        (DefinitionError("x"), 2),
        (UnresolvableError("x"), 2),
        (IntegrityError("x"), 4),
        (MalformedError("x"), 4),
        (UnreachableError("x"), 5),
    ],
)
def test_an_error_gives_its_exit_code(formation, failing, error, code):
    failing(error)
    result = formation("images")
    assert (result.code, result.stderr) == (code, "error: x\n")


def test_a_hint_follows_its_error(formation, failing):
    failing(FormationError("it is broken", hint="formation build"))
    assert formation("images").stderr == "error: it is broken\nhint: formation build\n"


def test_an_error_shows_no_password_wherever_it_comes_from(formation, failing):
    failing(FormationError("cannot download https://me:s3cret@a.example/debian/x: 401", hint="me:s3cret@a.example/b"))
    text = "error: cannot download https://me:…@a.example/debian/x: 401\nhint: me:…@a.example/b\n"
    assert formation("images").stderr == text


def test_an_error_cannot_steer_the_terminal(formation, failing):
    failing(FormationError("name \x1b[2J\r\x07", hint="two\nlines"))
    assert formation("images").stderr == "error: name �[2J��\nhint: two\nlines\n"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "look at who owns it, and who may use it"),
        (errno.EROFS, "choose a place that can be written to"),
        (errno.EIO, ""),
    ],
)
def test_an_error_of_the_system_is_one_line_and_a_hint(formation, failing, number, hint):
    failing(OSError(number, os.strerror(number), "/some/file"))
    result = formation("images")
    assert result.code == 3
    assert result.stderr.startswith(f"error: /some/file: {os.strerror(number)}\n")
    assert hint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_prune_is_advised_where_it_frees_the_full_file_system(formation, failing):
    failing(OSError(errno.ENOSPC, "No space left on device", str(formation.directory / "out" / "blobs")))
    assert (
        "hint: free some space (--images takes the images too): formation cache prune --all\n"
        in formation("images").stderr
    )
    # A file system of its own on every Linux.
    failing(OSError(errno.ENOSPC, "No space left on device", "/proc/out/blobs"))
    assert "hint: free some space there\n" in formation("images").stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_another_store_is_advised_where_the_directory_for_it_cannot_be_made(formation, failing, number):
    failing(OSError(number, os.strerror(number), str(formation.directory / "home")))
    assert "--store DIR" in formation("images", "--store", "home/.cache/store").stderr


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_another_store_is_advised_for_files_of_the_store_only(formation, failing, number):
    for name, advised in (("store/blobs/x", False), ("other/blobs/x", True), ("other-one/x", False)):
        failing(OSError(number, os.strerror(number), str(formation.directory / name)))
        assert ("--store DIR" in formation("images", "--store", "other").stderr) is advised


def test_an_interrupt_gives_130(formation, failing):
    failing(KeyboardInterrupt())
    result = formation("images")
    assert (result.code, result.stderr) == (130, "error: interrupted\n")


def test_a_bug_is_one_line_and_a_traceback_only_on_request(formation, failing):
    failing(ZeroDivisionError("division by zero"))
    result = formation("images")
    assert result.code == 3
    assert result.stderr.startswith("error: this is a bug in formation: ZeroDivisionError: division by zero\nhint: ")
    assert "Traceback" not in result.stderr
    assert "Traceback" in formation("images", environment={"FORMATION_DEBUG": "1"}).stderr


def test_a_store_that_cannot_be_written_is_an_error_of_the_system(formation, tmp_path):
    (tmp_path / "file").write_text("")
    result = formation("cache", "prune", "--store", "file/store")
    assert result.code == 3
    assert result.stderr.startswith(f"error: {tmp_path}/file")


def program(*arguments, **options):
    command = [sys.executable, "-m", "formation", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_the_program_itself_runs(tmp_path):
    result = program("--store", str(tmp_path / "store"), "images")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"no images in {tmp_path}/store\n"
    assert program("--version").stdout.startswith("formation ")
    assert program("imges").returncode == 2


def test_a_reader_who_leaves_early_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "formation", "schema"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (result.returncode, result.stderr) == (3, "")


@pytest.mark.parametrize("words", [["schema"], ["cache", "--json"]])
def test_a_full_disk_behind_stdout_is_an_error_of_the_system(words):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "formation", *words]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 3
    assert result.stderr == "error: stdout: No space left on device\n"


def closing(redirections, *words):
    """Runs the program with some of its streams closed by the shell."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "formation", *words]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_keeps_no_command_from_its_work(tmp_path, with_image, redirections):
    copied = tmp_path / "copied"
    result = closing(
        redirections, "--store", str(with_image.store.root), "copy", "formation/base:1.0.0", f"oci:{copied}"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert validate(read_image(open_layout(copied), open_layout(copied).index.manifests[0])) == ()
    assert (copied / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'


def test_an_error_with_a_closed_stream_has_its_code(tmp_path):
    assert closing("2>&-", "imges").returncode == 2
    result = closing(">&-", "imges")
    assert (result.returncode, result.stderr.splitlines()[0]) == (2, "error: there is no command 'imges'")


def test_a_closed_stdout_takes_data_and_no_file_gets_it(tmp_path):
    result = closing(">&-", "images", "--store", str(tmp_path / "store"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    code = "import os; from formation.cli.standard_streams import open_closed_streams as o; o(); os.system('echo x'); "
    code += "import sys; print(os.open('/dev/zero', os.O_RDONLY) > 2, os.readlink('/proc/self/fd/1'), file=sys.stderr)"
    ran = subprocess.run(["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, "-c", code], capture_output=True)
    assert ran.stderr == b"True /dev/null\n"


def test_an_interrupt_while_the_program_is_still_imported_is_no_traceback():
    code = """if True:
        import sys
        class Interrupted:
            def find_spec(self, name, path=None, target=None):
                if name == "formation.cli.main":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Interrupted())
        from formation.cli.start import main
        sys.exit(main())
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (130, "error: interrupted\n")


def test_a_store_without_a_name_is_refused(formation):
    result = formation("images", "--store", "")
    assert (result.code, result.stderr.splitlines()[0]) == (2, "error: --store names no directory")


def test_a_store_that_is_a_file_is_refused(formation):
    (formation.directory / "file").write_text("")
    for arguments in (("--store", "file", "images"), ("cache", "--store", "file")):
        result = formation(*arguments)
        assert (result.code, result.stdout) == (2, "")
        assert result.stderr == (
            f"error: the store {formation.directory}/file is not a directory\nhint: name another one: --store DIR\n"
        )


def test_data_is_utf_8_in_every_locale(tmp_path):
    name = "stör\udcff"
    environment = {"LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "formation", "images", "--store", str(tmp_path / name)]
    result = subprocess.run(command, capture_output=True, env={**os.environ, **environment})
    assert result.stdout == f"no images in {tmp_path}/{name}\n".encode(errors="surrogateescape")


def test_a_directory_that_is_gone_is_an_error(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from formation.cli.main import main; sys.exit(main(['images']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=gone)
    assert (result.returncode, result.stderr) == (3, "error: the current directory no longer exists\n")


HEAVY = (
    "rich",
    "yaml",
    "pydantic",
    "httptools",
    "ssl",
    "dataclasses",
    "isal",
    "zstandard",
    "pysequoia",
    "tarfile",
    "formation.oci",
    "formation.store",
)


def test_the_start_imports_nothing_heavy():
    code = "import sys; from formation.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert {name for name in HEAVY if name in result.stderr.split()} == set()


def test_a_command_imports_no_other_command():
    code = "import sys; from formation.cli.main import main; main(['schema']); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    commands = {name for name in COMMANDS if f"formation.cli.{name}" in result.stderr.split()}
    assert commands == {"schema"}


@pytest.mark.parametrize("before", [["--store", "build"], ["--store=build"], ["-q", "--store", "lock", "--quiet"]])
def test_the_store_may_be_called_like_a_command(formation, before):
    result = formation(*before, "cache", "--json")
    assert (result.code, result.stderr) == (0, "")


def test_a_command_that_is_none_is_told_from_all_that_there_are(formation):
    assert formation("-q", "--store", "build", "zzz").stderr.splitlines()[1] == f"hint: there is: {', '.join(COMMANDS)}"


def test_cycles_of_objects_are_looked_for_seldom_and_not_at_the_end():
    code = (
        "import gc, sys; from formation.cli.main import main; main(['--version']);"
        "print(gc.get_threshold()[0] > 10_000, gc.get_freeze_count() > 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[1:] == ["True True"]


def test_errors_are_coloured_on_a_terminal(formation):
    from formation.cli.context import Context
    from formation.cli.main import run

    err = io.StringIO()
    context = Context({}, formation.directory, 0, io.StringIO(), err, False, True, True)
    run(["imges"], context)
    assert err.getvalue().startswith("\x1b[1;31merror:\x1b[0m there is")
    plain = dataclasses.replace(context, stderr=io.StringIO(), colour=False)
    run(["imges"], plain)
    assert "\x1b" not in plain.stderr.getvalue()
