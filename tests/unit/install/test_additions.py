"""What a definition adds: entries with owners, in a tree whose symlinks are followed inside it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from formation.definition.values import Directory, File, Group, Keyring, RunDirectory, User
from formation.errors import DefinitionError, FormationError
from formation.install.additions import Added, Additions, pin, realise
from formation.install.view import TreesView

EPOCH = 86_400 * 20_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for directory in ("etc", "usr/bin", "var"):
        (root / directory).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    (root / "out").symlink_to("/etc")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nshadow:x:42:\n")
    (root / "etc/shadow").write_text("root:*:1::::::\n")
    (root / "etc/gshadow").write_text("root:*::\n")
    (root / "etc/file").write_text("")
    return root


def added(additions: Additions, root: Path) -> Mapping[str, Added]:
    return {item.entry.path: item for item in realise(additions, TreesView([root]), EPOCH)}


def test_accounts_come_before_what_they_own(tree: Path) -> None:
    found = added(
        Additions(
            groups=(Group("app", None, True),),
            users=(User("app", None, "app", (), "/home/app", "/bin/sh", True, ""),),
            directories=(Directory("/home/app", "app", "app", 0o750),),
            files=(File("/etc/app.conf", "root", "app", 0o640, b"x", None),),
        ),
        tree,
    )
    home, config = found["home/app"].entry, found["etc/app.conf"]
    assert (home.uid, home.gid, home.mode, home.mtime) == (999, 999, 0o750, EPOCH)
    assert (config.entry.uid, config.entry.gid, config.entry.size, config.content) == (0, 999, 1, b"x")
    assert (found["etc/shadow"].entry.mode, found["etc/shadow"].entry.gid) == (0o640, 42)
    assert b"app:!:20000::::::\n" in (found["etc/shadow"].content or b"")
    assert found["home"].entry.mode == 0o755 and found["home"].entry.uid == 0
    assert list(found) == sorted(found)


def test_unchanged_account_files_are_not_written(tree: Path) -> None:
    assert list(added(Additions(directories=(Directory("/srv", "root", "root", 0o755),)), tree)) == ["srv"]


def test_paths_follow_the_symlinks_of_the_image_and_never_leave_it(tree: Path) -> None:
    paths = ("/bin/tool", "/out/x", "/../../bin/x")
    files = tuple(File(path, "0", "0", 0o755, b"", None) for path in paths)
    assert list(added(Additions(files=files), tree)) == ["etc/x", "usr/bin/tool", "usr/bin/x"]


def test_account_files_that_are_symlinks_are_not_read(tree: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret:x:0:0::/:/bin/sh\n")
    (tree / "etc/passwd").unlink()
    (tree / "etc/passwd").symlink_to(secret)
    found = added(Additions(users=(User("a", 5, "root", (), "/", "/bin/sh", True, ""),)), tree)
    assert b"secret" not in (found["etc/passwd"].content or b"")


def test_a_source_is_read_now_and_a_missing_one_is_an_error(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"abc")
    file = File("/a", "0", "0", 0o644, None, tmp_path / "source")
    found = added(Additions(files=(file,)), tree)["a"]
    assert (found.entry.size, b"".join(found.read())) == (3, b"abc")
    with pytest.raises(FormationError, match=r"cannot read .*/missing for /a: No such file"):
        added(Additions(files=(File("/a", "0", "0", 0o644, None, tmp_path / "missing"),)), tree)


@pytest.mark.parametrize(
    ("additions", "told"),
    [
        (Additions(files=(File("/etc/file/x", "0", "0", 0o644, b"", None),)), "/etc/file is not a directory"),
        (Additions(directories=(Directory("/srv", "nobody", "root", 0o755),)), "no user 'nobody'"),
        (Additions(files=(File("/a", "0", "0", 0o644, None, None),)), "neither content nor source"),
    ],
)
def test_what_cannot_be_is_an_error(tree: Path, additions: Additions, told: str) -> None:
    with pytest.raises(FormationError, match=told):
        added(additions, tree)


@pytest.mark.parametrize("now", [b"abcd", b"ab", b"xyz"])
def test_a_source_that_changed_since_it_was_pinned_is_an_error(tree: Path, tmp_path: Path, now: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    file = pin(File("/a", "0", "0", 0o644, None, source))
    source.write_bytes(now)
    found = added(Additions(files=(file,)), tree)["a"]
    assert found.entry.size == 3
    with pytest.raises(FormationError, match=r"/source was changed while the image was built"):
        list(found.read())


def test_a_source_that_has_grown_is_not_read_to_its_end(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"abc")
    file = pin(File("/a", "0", "0", 0o644, None, source))
    item = added(Additions(files=(file,)), tree)["a"]
    with source.open("r+b") as grown:
        grown.truncate(1 << 40)
    with pytest.raises(FormationError, match="was changed"):
        list(item.read())


@pytest.mark.parametrize(
    ("additions", "told"),
    [
        (Additions(groups=(Group("a", 42, True, "f:7"),)), "f:7: the id 42 of the group 'a' belongs to 'shadow'"),
        (Additions(users=(User("a", None, "b", (), "/", "/", True, "", "f:7"),)), "f:7: the image has no group 'b'"),
        (Additions(users=(User("root", None, "root", (), "/", "/", True, "", "f:7"),)), "f:7: a package made the user"),
        (Additions(directories=(Directory("/srv", "me", "root", 0o755, "f:7"),)), "f:7: the image has no user 'me'"),
        (Additions(directories=(Directory("/etc/file", "0", "0", 0o755, "f:7"),)), "f:7: the definition wants a dir"),
        (Additions(directories=(Directory("/etc/file/x", "0", "0", 0o755, "f:7"),)), "f:7: /etc/file/x cannot be made"),
    ],
)
def test_what_the_packages_do_not_allow_is_told_with_the_line_that_asks_for_it(
    tree: Path, additions: Additions, told: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        added(additions, tree)
    assert caught.value.message.startswith(told)
    assert caught.value.exit_code == 2


def test_a_loop_of_symlinks_is_an_error(tree: Path) -> None:
    (tree / "loop").symlink_to("loop")
    with pytest.raises(FormationError, match="/loop/x leads through a loop"):
        added(Additions(files=(File("/loop/x", "0", "0", 0o644, b"", None),)), tree)


def test_a_home_that_is_a_file_is_told_with_its_line(tree: Path) -> None:
    user = User("app", None, "root", (), "/etc/file", "/bin/sh", True, "", place="f.yaml:7")
    with pytest.raises(DefinitionError, match=r"^f\.yaml:7: the home /etc/file of app is a file$"):
        added(Additions(users=(user,)), tree)
    for home in ("/nonexistent", "/var", "/out/nothing"):
        assert added(Additions(users=(User("app", None, "root", (), home, "/bin/sh", True, ""),)), tree)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/file", "is a file"),
        ("/link", "is a file"),
        ("/out/file/below", "is below /etc/file, which is a file"),
        ("/etc", None),
        ("/bin", None),
        ("/etc/nothing/there", None),
    ],
)
@pytest.mark.parametrize("what", ["volume", "working directory"])
def test_a_volume_or_working_directory_is_no_file(tree: Path, what: str, path: str, reason: str | None) -> None:
    (tree / "link").symlink_to("etc/file")
    wanted = Additions(run_directories=(RunDirectory(what, path, "f.yaml:7"),))
    if reason is None:
        assert added(wanted, tree) == {}
        return
    with pytest.raises(DefinitionError) as caught:
        added(wanted, tree)
    assert caught.value.message == f"f.yaml:7: the {what} {path} {reason}, and engines start nothing there"


def test_a_keyring_that_an_archive_names_is_in_the_image(tree: Path) -> None:
    (tree / "usr/bin/link.gpg").symlink_to("../../etc/file")
    own = File("/etc/own.gpg", "0", "0", 0o644, b"", None)
    for path in ("/etc/file", "/out/file", "/bin/link.gpg", "/etc/own.gpg"):
        added(Additions(files=(own,), keyrings=(Keyring("corp", path, "f.yaml:7"),)), tree)
    for path in ("/usr/share/keyrings/corp.gpg", "/etc"):
        with pytest.raises(DefinitionError, match=f"^f.yaml:7: the archive corp is signed by {path}, which is no file"):
            added(Additions(keyrings=(Keyring("corp", path, "f.yaml:7"),)), tree)


def test_a_shell_that_is_no_program_is_told_with_its_line(tree: Path) -> None:
    (tree / "usr/bin/bash").write_text("")
    (tree / "usr/bin/bash").chmod(0o755)
    (tree / "usr/bin/rbash").symlink_to("bash")
    (tree / "usr/bin/data").write_text("")
    own = File("/usr/bin/own", "0", "0", 0o755, b"", None)

    def with_shell(shell: str) -> None:
        added(
            Additions(users=(User("app", None, "root", (), "/", shell, True, "", place="f.yaml:7"),), files=(own,)),
            tree,
        )

    for shell in ("/bin/bash", "/bin/rbash", "/bin/own", "/usr/sbin/nologin", "/bin/false", "/bin/sh"):
        with_shell(shell)
    for shell in ("/usr/bin/zsh", "/bin/data", "/usr/bin", "/etc/file/sh"):
        with pytest.raises(
            DefinitionError, match=rf"^f\.yaml:7: the shell {shell} of app is no program of the image"
        ) as caught:
            with_shell(shell)
        assert "nologin" in (caught.value.hint or "")
