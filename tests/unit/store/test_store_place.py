from pathlib import Path

import pytest

from formation.errors import UsageError
from formation.store.store import Store


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FORMATION_STORE": "/s", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"FORMATION_STORE": "rel", "HOME": "/h"}, "/here/rel"),
        ({"FORMATION_STORE": "", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/formation"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/formation"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/formation"),
    ],
)
def test_the_environment_says_where_the_store_is(environment, expected):
    assert Store.open(environment, Path("/here")).root == Path(expected)


def test_a_relative_store_without_a_directory_is_a_usage_error():
    with pytest.raises(UsageError):
        Store.open({"FORMATION_STORE": "rel"})


def test_an_environment_that_says_nothing_gets_a_hint():
    with pytest.raises(UsageError) as caught:
        Store.open({})
    assert "--store DIR" in caught.value.hint
