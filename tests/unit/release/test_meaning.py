"""Several ways to write one thing are one thing."""

from dataclasses import replace

import pytest

from formation.contract.promise import Contract, GroupPromise, UserPromise
from formation.release import meaning
from formation.release.contract_changes import contract_changes

ACCOUNTS = Contract(
    source="image",
    users=(
        UserPromise("app", 990, "app", (), "/app", "/bin/sh"),
        UserPromise("member", 991, "app", ("adm",), "/app", "/bin/sh"),
        UserPromise("seven", 7, "adm", (), "/app", "/bin/sh"),
        UserPromise("7", 992, "app", (), "/app", "/bin/sh"),
    ),
    groups=(GroupPromise("app", 990), GroupPromise("adm", 4)),
    user="root",
    working_directory="/",
    stop_signal="SIGTERM",
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("root", "0", True),
        ("root", "0:0", True),
        ("root:root", "0", True),
        ("app", "990", True),
        ("app", "app:app", True),
        ("app", "990:990", True),
        ("app", "990:4", False),
        ("app", "991", False),
        ("root", "root:adm", False),
        # An engine leaves out further groups where it is told one.
        ("member", "991", True),
        ("member", "member:app", False),
        ("5", "5:0", True),
        ("7", "992", True),
        ("nobody", "0", False),
    ],
)
def test_users_are_the_same_by_what_they_may_do(one, other, same):
    assert (meaning.identity(ACCOUNTS, one) == meaning.identity(ACCOUNTS, other)) is same


def test_paths_ports_and_signals_are_compared_by_what_they_mean():
    old = replace(ACCOUNTS, volumes=("/var/data",), ports=("80/tcp",), working_directory="/srv")
    new = replace(
        ACCOUNTS, volumes=("/var/data/",), ports=("80",), user="0:0", stop_signal="15", working_directory="/srv/"
    )
    assert list(contract_changes(old, new)) == []
    assert [str(change) for change in contract_changes(old, replace(new, stop_signal="2", user="7"))] == [
        "configuration user: root → 7",
        "configuration stop signal: SIGTERM → SIGINT",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TERM", "SIGTERM"),
        ("sigterm", "SIGTERM"),
        ("9", "SIGKILL"),
        ("SIGRTMIN+3", "SIGRTMIN+3"),
        ("rtmin+3", "SIGRTMIN+3"),
        ("37", "SIGRTMIN+3"),
        ("RTMIN", "SIGRTMIN"),
        ("34", "SIGRTMIN"),
        ("49", "SIGRTMIN+15"),
        ("RTMAX-14", "SIGRTMAX-14"),
        ("50", "SIGRTMAX-14"),
        ("64", "SIGRTMAX"),
        ("RTMIN+16", "RTMIN+16"),
        ("SIG15", "SIG15"),
        ("999", "999"),
        ("9" * 5000, "9" * 5000),
        ("0", "0"),
        ("", ""),
        ("²", "²"),
    ],
)
def test_signals_have_one_name(text, name):
    assert meaning.stop_signal(text) == name
