"""Users and groups as shadow's own tools add them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import missing
from formation.definition.values import Group, User
from formation.errors import FormationError
from formation.install.accounts import Accounts

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


@pytest.mark.root
def test_the_lines_are_those_of_useradd_and_groupadd(tmp_path: Path) -> None:
    if not shutil.which("useradd") or not Path("/etc/login.defs").exists():
        missing("useradd is not installed")
    (tmp_path / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        (tmp_path / "etc" / name).write_text(getattr(ACCOUNTS, name))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": str(20_500 * DAY)}
    for command in (
        ["groupadd", "--system", "app"],
        [
            "useradd",
            "--system",
            "-g",
            "app",
            "-G",
            "shadow",
            "-d",
            "/home/app",
            "-s",
            "/usr/sbin/nologin",
            "-c",
            "An app",
            "app",
        ],
    ):
        subprocess.run([*command, "--prefix", tmp_path], check=True, env=environment, capture_output=True)
    after = ACCOUNTS.with_group(Group("app", None, True)).with_user(user(group="app", groups=("shadow",)), 20_500 * DAY)
    for name in ("passwd", "group", "shadow", "gshadow"):
        assert getattr(after, name) == (tmp_path / "etc" / name).read_text(), name
