"""Which packages share a layer, and that others do not change it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.build.layers import plan_layers, update_frequency
from formation.lock.model import LockedPackage


def package(name: str, source: str | None = None) -> LockedPackage:
    return LockedPackage(
        name,
        "1",
        "amd64",
        source or name,
        "1",
        f"sha256:{name}",
        1,
        1,
        "debian",
        "trixie",
        "p",
        ("runtime",),
        "requested",
        False,
    )


OFTEN = sorted(update_frequency(), key=lambda source: -update_frequency()[source])
names = st.lists(
    st.one_of(st.sampled_from(OFTEN), st.from_regex(r"[a-z]{2,8}", fullmatch=True)), min_size=1, unique=True
)


@given(names, st.integers(1, 30))
def test_every_package_is_in_one_layer_and_the_budget_is_kept(sources: list[str], budget: int) -> None:
    packages = [package(f"{source}-{part}", source) for source in sources for part in ("bin", "lib")]
    layers = plan_layers(packages, budget)
    assert sorted(p.name for layer in layers for p in layer) == sorted(p.name for p in packages)
    assert len(layers) <= max(budget, 1) and all(layers)
    for source in sources:
        assert sum(any(p.source == source for p in layer) for layer in layers) == 1
    assert all(list(layer) == sorted(layer, key=lambda p: p.name) for layer in layers)


@given(names, st.randoms())
def test_neither_order_nor_versions_nor_sizes_matter(sources: list[str], random) -> None:
    packages = [package(source) for source in sources]
    changed = [replace(p, version="2", size=10**6, sha256=f"sha256:2{p.name}") for p in packages]
    random.shuffle(changed)
    assert [[p.name for p in layer] for layer in plan_layers(packages, 20)] == [
        [p.name for p in layer] for layer in plan_layers(changed, 20)
    ]


@given(names, st.from_regex(r"new[a-z]{3}", fullmatch=True))
def test_a_new_package_moves_no_other(sources: list[str], new: str) -> None:
    packages = [package(source) for source in sources if source != new]
    before = {frozenset(p.name for p in layer) for layer in plan_layers(packages, 20)}
    after = {frozenset(p.name for p in layer) - {new} for layer in plan_layers([*packages, package(new)], 20)}
    assert before == {layer for layer in after if layer}


def test_what_changes_often_stands_alone_and_on_top() -> None:
    layers = plan_layers([package(OFTEN[0]), package("seldom-one"), package("seldom-two")], 2)
    assert [p.name for p in layers[-1]] == [OFTEN[0]]


def test_without_packages_there_is_no_layer() -> None:
    assert plan_layers([], 20) == ()


@pytest.mark.parametrize("source", ["openssl", "glibc", "curl"])
def test_sources_with_many_security_updates_are_known(source: str) -> None:
    assert update_frequency()[source] > 0
