"""Users and groups as shadow's own tools add them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import missing
from formation.definition.values import Group, User
from formation.errors import FormationError
from formation.install.accounts import Accounts, ids, names

DAY = 86_400
ACCOUNTS = Accounts(
    passwd="root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n",
    group="root:x:0:\ndaemon:x:1:\nshadow:x:42:\n",
    shadow="root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\n",
    gshadow="root:*::\ndaemon:*::\nshadow:*::\n",
)


def user(name: str = "app", **fields: object) -> User:
    usual = {
        "uid": None, "group": "daemon", "groups": (), "home": "/home/app", "shell": "/usr/sbin/nologin",
        "system": True, "comment": "An app",
    }  # fmt: skip
    return User(name, **(usual | fields))  # type: ignore[arg-type]


def test_a_system_user_gets_the_highest_free_system_id_and_a_locked_password() -> None:
    after = ACCOUNTS.with_user(user(), epoch=100 * DAY + 5)
    assert after.passwd.splitlines()[-1] == "app:x:999:1:An app:/home/app:/usr/sbin/nologin"
    assert after.shadow.splitlines()[-1] == "app:!:100::::::"
    assert after.with_user(user("two"), 0).user_id("two") == 998


def test_an_ordinary_user_gets_the_id_after_the_highest_and_password_ageing() -> None:
    first = ACCOUNTS.with_user(user(uid=1007, system=False), epoch=DAY)
    after = first.with_user(user("two", system=False), epoch=DAY)
    assert (first.user_id("app"), after.user_id("two")) == (1007, 1008)
    assert after.shadow.splitlines()[-1] == "two:!:1:0:99999:7:::"


def test_a_group_is_added_to_both_files_and_members_too() -> None:
    after = ACCOUNTS.with_group(Group("app", None, True)).with_user(user(groups=("app", "shadow")), epoch=0)
    assert "app:x:999:app" in after.group.splitlines() and "shadow:x:42:app" in after.group.splitlines()
    assert "app:!::app" in after.gshadow.splitlines() and "shadow:*::app" in after.gshadow.splitlines()


def test_without_shadow_files_none_are_made() -> None:
    after = Accounts(ACCOUNTS.passwd, ACCOUNTS.group).with_group(Group("app", 500, True)).with_user(user(), epoch=0)
    assert (after.shadow, after.gshadow) == ("", "")


def test_what_is_there_with_the_wanted_id_stays() -> None:
    assert ACCOUNTS.with_group(Group("daemon", 1, True)) == ACCOUNTS
    assert ACCOUNTS.with_user(user("daemon", uid=1, home="/usr/sbin"), epoch=0) == ACCOUNTS


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (lambda: ACCOUNTS.with_group(Group("daemon", 7, True)), "made the group 'daemon' with the id 1"),
        (lambda: ACCOUNTS.with_group(Group("new", 42, True)), "belongs to 'shadow'"),
        (lambda: ACCOUNTS.with_user(user("daemon", shell="/bin/sh"), 0), "another group, home or shell"),
        (lambda: ACCOUNTS.with_user(user("daemon", uid=7, home="/usr/sbin"), 0), "with the id 1"),
        (lambda: ACCOUNTS.with_user(user(uid=1), 0), "belongs to 'daemon'"),
        (lambda: ACCOUNTS.with_user(user(group="nobody"), 0), "no group 'nobody'"),
        (lambda: ACCOUNTS.with_user(user(groups=("nobody",)), 0), "no group 'nobody'"),
        (lambda: ACCOUNTS.user_id("nobody"), "no user 'nobody'"),
    ],
)
def test_what_does_not_fit_is_an_error(add, told: str) -> None:
    with pytest.raises(FormationError, match=told):
        add()


def test_numbers_are_ids_and_malformed_lines_are_passed_over() -> None:
    odd = Accounts(passwd="nonsense\n:x:y:\nroot:x:0:0:::\n")
    assert (odd.user_id("1234"), odd.user_id("root")) == (1234, 0)
    assert ids(f":x:5:0:::\na:x:{'9' * 5000}:0:::\nb:x:4294967295:0:::\nc\x0bd:x:7:0:::\n") == {"c\x0bd": 7}


def test_a_system_id_is_below_the_lowest_in_use_and_the_highest_free_one_when_there_is_none_below() -> None:
    after = ACCOUNTS.with_user(user("low", uid=900), 0).with_user(user(), 0)
    assert after.user_id("app") == 899
    lowest = after.with_user(user("lowest", uid=101), 0).with_user(user("two"), 0)
    assert lowest.user_id("two") == 999


@pytest.fixture
def run_shadow(tmp_path: Path):
    """Runs one of shadow's tools on the files of ACCOUNTS; gives the accounts afterwards."""
    if not shutil.which("useradd") or not Path("/etc/login.defs").exists():
        missing("useradd is not installed")
    names = ("passwd", "group", "shadow", "gshadow")
    (tmp_path / "etc").mkdir()
    for name in names:
        (tmp_path / "etc" / name).write_text(getattr(ACCOUNTS, name))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": str(20_500 * DAY)}

    def run(*command: str) -> Accounts:
        subprocess.run([*command, "--prefix", tmp_path], check=True, env=environment, capture_output=True)
        return Accounts(**{name: (tmp_path / "etc" / name).read_text() for name in names})

    return run


@pytest.mark.root
def test_the_lines_are_those_of_useradd_and_groupadd(run_shadow) -> None:
    run_shadow("groupadd", "--system", "app")
    words = ("--system", "-g", "app", "-G", "shadow", "-d", "/home/app", "-s", "/usr/sbin/nologin", "-c", "An app")
    made = run_shadow("useradd", *words, "app")
    after = ACCOUNTS.with_group(Group("app", None, True)).with_user(user(group="app", groups=("shadow",)), 20_500 * DAY)
    assert made == after


@pytest.mark.root
@pytest.mark.parametrize(
    ("fixed", "system"), [((), True), ((900,), True), ((900, 999), True), ((100,), True), ((100, 101, 998), True),
                          ((101, 999, 997), True), ((1500,), False), ((1000, 60000), False)],
)  # fmt: skip
def test_the_ids_are_those_of_groupadd(run_shadow, fixed: tuple[int, ...], system: bool) -> None:
    after = ACCOUNTS
    for gid in fixed:
        run_shadow("groupadd", "--gid", str(gid), f"g{gid}")
        after = after.with_group(Group(f"g{gid}", gid, system))
    for name in ("one", "two"):
        made = run_shadow("groupadd", *(["--system"] if system else []), name)
        after = after.with_group(Group(name, None, system))
        assert after.group_id(name) == made.group_id(name)


@pytest.mark.parametrize("odd", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_a_newline_ends_a_line_of_an_account_file(odd: str) -> None:
    line = f"odd:x:7:1:A{odd}B:/home/app:/usr/sbin/nologin\n"
    accounts = Accounts(line, f"daemon:x:1:\nodd:x:5:a{odd}b\n")
    after = accounts.with_user(user("odd", group="daemon", groups=("odd",), comment=""), 0)
    assert (after.passwd, after.group) == (line, f"daemon:x:1:\nodd:x:5:a{odd}b,odd\n")
    assert names(line) == {7: "odd"} and ids(line) == {"odd": 7}


def test_the_first_name_of_an_id_counts_and_ids_that_are_none_do_not() -> None:
    assert names("a:x:5:\nb:x:5:\n:x:6:\nc:x:4294967295:\n\nd:x:-1:\n") == {5: "a"}
