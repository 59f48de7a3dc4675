"""The files of a service, found on this machine."""

import os
import stat
from pathlib import Path

import pytest

from formation.definition.load import load_service
from formation.definition.service_files import Limits, collect
from formation.definition.service_values import CollectedFile, Kind
from formation.errors import DefinitionError
from trees import deep_below, make_deep

HEAD = "kind: service\nname: formation/test\nversion: 1.0.0\nbase: formation/base:1.0.0\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    context.mkdir()
    return context


def collected(context: Path, body: str, limits: Limits | None = None) -> tuple[CollectedFile, ...]:
    (context / "formation.yaml").write_text(HEAD + body)
    return collect(load_service(context), limits)


def refusal(context: Path, body: str, limits: Limits | None = None) -> str:
    with pytest.raises(DefinitionError) as caught:
        collected(context, body, limits)
    hint = f"\nhint: {caught.value.hint}" if caught.value.hint else ""
    return caught.value.message.replace(f"{context}/formation.yaml", "F") + hint


def put(context: Path, path: str, text: str = "x", mode: int = 0o644) -> Path:
    file = context / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def test_files_come_sorted_by_path_with_owner_mode_and_size(context: Path):
    put(context, "target/release/x", "binary")
    body = (
        "files:\n  - {path: /usr/local/bin/x, source: target/release/x, mode: '4750', group: formation}\n"
        "  - {path: /etc/x.conf, content: text, owner: formation}\n"
    )
    assert collected(context, body) == (
        CollectedFile("/etc/x.conf", Kind.FILE, 0o644, "formation", "root", 4, content=b"text"),
        CollectedFile(
            "/usr/local/bin/x", Kind.FILE, 0o4750, "root", "formation", 6, local=context / "target/release/x"
        ),
    )


@pytest.mark.parametrize(("local", "mode"), [(0o600, 0o644), (0o700, 0o755), (0o4711, 0o755), (0o664, 0o644)])
def test_a_mode_that_is_not_said_is_what_git_keeps_of_the_sources(context: Path, local: int, mode: int):
    put(context, "x", mode=local)
    (file,) = collected(context, "files: [{path: /x, source: x}]\n")
    assert file.mode == mode


def test_a_directory_is_all_that_is_in_it_except_what_is_ignored(context: Path):
    for name in ("a", "sub/b", "sub/c.bak", "docs/d", "docs/keep", "empty/x"):
        put(context, f"share/{name}")
    (context / "share/empty/x").unlink()
    (context / "share/sub/link").symlink_to("../a")
    body = "files: [{path: /s, source: share/, ignore: ['**/*.bak', docs, '!docs/keep'], mode: '0640', owner: app}]\n"
    found = collected(context, body)
    assert [(entry.path, entry.kind, oct(entry.mode), entry.target) for entry in found] == [
        ("/s", Kind.DIRECTORY, "0o750", None),
        ("/s/a", Kind.FILE, "0o640", None),
        ("/s/docs/keep", Kind.FILE, "0o640", None),
        ("/s/empty", Kind.DIRECTORY, "0o750", None),
        ("/s/sub", Kind.DIRECTORY, "0o750", None),
        ("/s/sub/b", Kind.FILE, "0o640", None),
        ("/s/sub/link", Kind.SYMLINK, "0o777", "../a"),
    ]
    assert {entry.owner for entry in found} == {"app"}


def test_variables_stand_in_the_text_of_a_source(context: Path):
    put(context, "dns.conf", "origin ${zone}\n")
    (file,) = collected(context, "files: [{path: /x, source: dns.conf, variables: {zone: example.com.}}]\n")
    assert (file.content, file.size, file.local) == (b"origin example.com.\n", 20, None)


def test_an_unknown_variable_is_told_with_the_line_of_the_source(context: Path):
    put(context, "dns.conf", "\norigin ${zoen}\n")
    text = refusal(context, "files:\n  - {path: /x, source: dns.conf, variables: {zone: x}}\n")
    assert text == "F:6: dns.conf:2: the variable 'zoen' has no value\nhint: did you mean 'zone'?"


def test_bytes_have_no_variables(context: Path):
    (context / "x").write_bytes(b"\xff")
    text = refusal(context, "files:\n  - {path: /x, source: x, variables: {}}\n")
    assert text == "F:6: 'x' is not text in UTF-8, and has variables"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("target/release/form-dns", "build it first: cargo build --release"),
        ("target/x86_64-unknown-linux-musl/release/x", "build it first: cargo build --release"),
        ("build/x", "build it first: make, or cmake --build build"),
        ("bin/x", "build it first: go build -o bin/ ./..."),
        ("dist/x.whl", "build it first: python -m build"),
        ("dist/main.js", "build it first: npm run build"),
        ("formation.yml", "did you mean 'formation.yaml'?"),
    ],
)
def test_a_missing_source_says_how_it_is_usually_made(context: Path, source: str, hint: str):
    text = refusal(context, f"files:\n  - {{path: /x, source: {source}}}\n")
    assert text == f"F:6: there is no '{source}' beside the definition\nhint: {hint}"


def test_a_missing_source_that_the_build_makes_says_its_command(context: Path):
    text = refusal(context, "build: {command: make all}\nfiles:\n  - {path: /x, source: target/x}\n")
    assert text.endswith("hint: its `build:` makes it with: make all")


def test_everything_that_is_wrong_is_told_at_once(context: Path):
    (context / "d").mkdir()
    put(context, "f")
    text = refusal(
        context,
        "files:\n  - {path: /a, source: d}\n  - {path: /b, source: f/}\n  - {path: /c, source: qqqq}\n",
    )
    assert text == (
        "F:6: 'd' is a directory\n    hint: write 'd/' for all that is in it\n"
        "F:7: 'f/' is not a directory\n    hint: write 'f' for the file\n"
        "F:8: there is no 'qqqq' beside the definition"
    )


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "../context/../secret"])
def test_no_source_leads_out_of_the_context_through_a_symlink(context: Path, target: str):
    (context.parent / "secret").write_text("secret")
    (context / "x").symlink_to(target)
    assert "'x' leads outside" in refusal(context, "files:\n  - {path: /x, source: x}\n")


def test_no_directory_on_the_way_leads_out_either(context: Path):
    (context / "d").symlink_to("/etc")
    assert "'d/passwd' leads outside" in refusal(context, "files:\n  - {path: /x, source: d/passwd}\n")
    assert "'d/' leads outside" in refusal(context, "files:\n  - {path: /x, source: d/}\n")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "../outside", "a\x1b[2J"])
def test_no_symlink_in_a_directory_leads_out_of_it(context: Path, target: str):
    put(context, "outside")
    (context / "d").mkdir()
    (context / "d/x").symlink_to(target)
    text = refusal(context, "files:\n  - {path: /x, source: d/}\n")
    assert "the symbolic link 'd/x' leads to" in text
    assert "hint: replace it by the file" in text
    put(context, "d/y")
    assert collected(context, "files:\n  - {path: /x, source: d/, ignore: [x]}\n")[0].path == "/x"


def test_a_symlink_to_itself_is_refused(context: Path):
    (context / "x").symlink_to("x")
    assert "F:6: 'x'" in refusal(context, "files:\n  - {path: /x, source: x}\n")


def test_a_source_that_is_a_symlink_inside_is_what_it_points_to(context: Path):
    put(context, "v1/x", "one")
    (context / "current").symlink_to("v1")
    (file,) = collected(context, "files: [{path: /x, source: current/x}]\n")
    assert (file.kind, file.local) == (Kind.FILE, context / "v1/x")


def test_a_pipe_is_neither_read_nor_copied(context: Path):
    (context / "d").mkdir()
    os.mkfifo(context / "d/pipe")
    assert "'d/pipe' is not a regular file" in refusal(context, "files:\n  - {path: /x, source: d/}\n")
    assert "'d/pipe' is not a regular file" in refusal(context, "files:\n  - {path: /x, source: d/pipe}\n")


def test_all_that_is_wrong_in_a_directory_is_told_at_once(context: Path):
    put(context, "d/sub/fine")
    os.mkfifo(context / "d/pipe")
    (context / "d/absolute").symlink_to("/etc/passwd")
    (context / "d/sub/escaping").symlink_to("../../outside")
    os.mkfifo(context / "d/sub/pipe")
    os.close(os.open(os.fsencode(context / "d") + b"/a\xff", os.O_CREAT))
    text = refusal(context, "files:\n  - {path: /x, source: d/}\n  - {path: /y, source: gone}\n")
    for told in ("d/pipe", "d/absolute", "d/sub/escaping", "d/sub/pipe", "the name b'd/a", "F:7: there is no 'gone'"):
        assert told in text
    (context / "d/ignored").mkdir()
    body = "files:\n  - {path: /x, source: d/, ignore: [pipe, absolute, 'a?', sub/escaping, sub/pipe, ignored]}\n"
    assert [entry.path for entry in collected(context, body)] == ["/x", "/x/sub", "/x/sub/fine"]


def test_of_many_wrong_files_in_a_directory_the_first_are_told_and_the_number_of_the_others(context: Path):
    (context / "d").mkdir()
    for number in range(23):
        os.mkfifo(context / f"d/{number}")
    text = refusal(context, "files:\n  - {path: /x, source: d/}\n")
    assert text.count("is not a regular file") == 20
    assert text.endswith("F:6: 3 more of 'd/' are wrong")


@pytest.mark.parametrize("name", [b"a\xff", b"a\nb"])
def test_a_name_that_no_image_should_have_is_refused(context: Path, name: bytes):
    (context / "d").mkdir()
    os.close(os.open(os.fsencode(context / "d") + b"/" + name, os.O_CREAT))
    assert refusal(context, "files:\n  - {path: /x, source: d/}\n").startswith("F:6: ")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(files=2), "more than 2 files"),
        (Limits(total=5), "the files are larger than 5 bytes together"),
        (Limits(text=2), "'d/a' is larger than 2 bytes, too large for variables"),
    ],
)
def test_there_is_a_limit_to_everything(context: Path, limits: Limits, reason: str):
    put(context, "d/a", "abc")
    put(context, "d/b", "abc")
    assert reason in refusal(context, "files:\n  - {path: /x, source: d/, variables: {}}\n", limits)


def test_two_sources_do_not_bring_one_path(context: Path):
    put(context, "d/a")
    text = refusal(context, "files:\n  - {path: /x, source: d/}\n  - {path: /x/a, content: y}\n")
    assert text == "F:7: the path '/x/a' is there already, from another item of `files`"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nothing_is_below_a_file_that_a_directory_brings(context: Path, order: tuple[int, int]):
    put(context, "d/a")
    lines = ["  - {path: /x, source: d/}\n", "  - {path: /x/a/b, content: y}\n"]
    text = refusal(context, "files:\n" + "".join(lines[at] for at in order))
    assert "'/x/a'" in text
    assert "below" in text


def test_the_same_files_are_the_same_whenever_they_were_made(context: Path):
    for name in ("b", "a", "c/d"):
        put(context, f"d/{name}")
    first = collected(context, "files: [{path: /x, source: d/}]\n")
    os.utime(context / "d/a", (0, 0))
    assert collected(context, "files: [{path: /x, source: d/}]\n") == first
    assert [entry.path for entry in first] == sorted(entry.path for entry in first)
    assert all(stat.S_IMODE(entry.mode) == entry.mode for entry in first)


def test_patterns_that_leave_nothing_of_a_directory_are_told(context: Path):
    put(context, "d/e/x")
    text = refusal(context, "files:\n  - {path: /x, source: d/, ignore: ['**/*', e]}\n")
    assert "F:6: `ignore` leaves nothing of 'd/'" in text
    (context / "empty").mkdir()
    assert collected(context, "files:\n  - {path: /x, source: empty/, ignore: [x]}\n")[0].path == "/x"


def test_a_source_that_is_a_symlink_to_nowhere_is_told_as_one(context: Path):
    (context / "loop").symlink_to("loop")
    (context / "gone").symlink_to("nowhere")
    text = refusal(context, "files:\n  - {path: /a, source: loop}\n  - {path: /b, source: gone}\n")
    assert text == (
        "F:6: 'loop' is a symbolic link to 'loop', which leads back to it\n"
        "F:7: 'gone' is a symbolic link to 'nowhere', which is not there"
    )


def test_a_source_that_is_deeper_than_an_image_may_be_is_refused_by_name(context: Path):
    (context / "share").mkdir()
    with deep_below(context):
        make_deep(context / "share")
        body = "files:\n  - {path: /opt/share, source: share/}"
        assert refusal(context, body).endswith("d'… lies below more than 256 directories")
        assert collected(context, "files:\n  - {path: /opt/share, source: share/, ignore: [d/d]}")


def test_a_source_with_a_path_that_the_system_does_not_take_is_refused_by_name(context: Path):
    """An exception of what is ignored may be anywhere below."""
    with deep_below(context):
        here = os.open(context, os.O_RDONLY)
        for name in ("share", *["n" * 250] * 20):
            os.mkdir(name, dir_fd=here)
            above, here = here, os.open(name, os.O_RDONLY, dir_fd=here)
            os.close(above)
        os.close(here)
        body = "files:\n  - {path: /opt/share, source: share/, ignore: ['*', '!x']}"
        assert refusal(context, body).partition("\n")[0].endswith("File name too long")
