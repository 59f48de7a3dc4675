import pytest
from hypothesis import given
from hypothesis import strategies as st

from formation.errors import UsageError
from formation.registry.tag_plan import VARIANT, Release, holder, moves, parse_version_tag, version_tag

numbers = st.integers(0, 3)
releases = st.tuples(numbers, numbers, numbers)
variants = st.sampled_from(["", "dev", "debug"])


def text_of(release, variant="", prerelease=""):
    return "-".join(part for part in (".".join(map(str, release)), prerelease, variant) if part)


@pytest.mark.parametrize(
    ("text", "prerelease", "variant"),
    [
        ("1.0.1", "", ""),
        ("1.0.1-dev", "", "dev"),
        ("1.0.1-rc.1", "rc.1", ""),
        ("1.0.1-rc1", "rc1", ""),
        ("1.0.1-beta", "beta", ""),
        ("1.0.1-rc.1-dev", "rc.1", "dev"),
        ("1.0.1-alpha-2-dev", "alpha-2", "dev"),
        ("1.0.1-20260101", "20260101", ""),
    ],
)
def test_a_version_tag_is_taken_apart(text, prerelease, variant):
    found = version_tag(text)
    assert (found.release, found.prerelease, found.variant) == (Release(1, 0, 1), prerelease, variant)


@pytest.mark.parametrize(
    "text", ["latest", "1.0", "1", "v1.0.0", "01.0.0", "1.0.0+x", "1.0.0-", "1.0.0.0", "", "1.0.0 "]
)
def test_other_tags_are_no_versions(text):
    assert parse_version_tag(text) is None
    with pytest.raises(UsageError):
        version_tag(text)


@given(st.from_regex(VARIANT, fullmatch=True), st.sampled_from(["", "rc.1", "rc1"]))
def test_the_name_of_every_variant_is_read_off_its_tags(variant, prerelease):
    found = version_tag(text_of((1, 0, 1), variant, prerelease))
    assert (found.prerelease, found.variant) == (prerelease, variant)


def test_the_variant_may_be_said():
    assert version_tag("1.0.1-beta", "beta").variant == "beta"
    assert version_tag("1.0.1-dev", "").prerelease == "dev"
    assert parse_version_tag("1.0.1", "dev") is None


@pytest.mark.parametrize(
    ("tag", "published", "expected"),
    [
        ("1.0.0", [], ("1.0", "1", "latest")),
        ("1.0.1", ["1.0.0", "1.0", "1", "latest"], ("1.0", "1", "latest")),
        ("1.0.2", ["1.0.1", "1.1.0"], ("1.0",)),
        ("1.0.2", ["1.0.1", "2.0.0"], ("1.0", "1")),
        ("1.0.1", ["1.0.2"], ()),
        ("1.0.10", ["1.0.9"], ("1.0", "1", "latest")),
        ("1.1.0", ["2.0.0-rc.1", "1.2.0-beta"], ("1.1", "1", "latest")),
        ("1.0.1-rc.1", [], ()),
        ("1.0.1-dev", ["1.0.2", "9.0.0"], ("1.0-dev", "1-dev", "latest-dev")),
        ("1.0.1", ["1.0.2-dev"], ("1.0", "1", "latest")),
        ("1.0.1-dev", ["1.0.2-dev"], ()),
        ("1.0.1", ["garbage", "sha256-abc", "99999999999999.0.0"], ("1.0", "1", "latest")),
    ],
)
def test_a_version_moves_the_tags_of_its_lines_forward_only(tag, published, expected):
    assert moves(version_tag(tag), published) == expected


def stand_after(order, variant):
    """Which version each moving tag stands for when `order` was published one after the other."""
    published, standing = set(), {}
    for release in order:
        tag = version_tag(text_of(release, variant), variant)
        for name in moves(tag, published):
            standing[name] = tag.text
        published.add(tag.text)
    return standing


@given(st.lists(releases, max_size=12), variants, st.randoms(use_true_random=False))
def test_the_order_of_publishing_does_not_matter(order, variant, random):
    shuffled = list(order)
    random.shuffle(shuffled)
    assert stand_after(order, variant) == stand_after(shuffled, variant)


@given(st.lists(releases, max_size=12), variants)
def test_a_moving_tag_never_goes_back(order, variant):
    published, standing = set(), {}
    for release in order:
        tag = version_tag(text_of(release, variant), variant)
        for name in moves(tag, published):
            assert standing.get(name, tag.release) <= tag.release
            standing[name] = tag.release
        published.add(tag.text)


@given(st.lists(releases, min_size=1, max_size=12), variants)
def test_each_moving_tag_stands_for_the_greatest_of_its_line(order, variant):
    published = {text_of(release, variant) for release in order}
    for name, text in stand_after(order, variant).items():
        found = holder(name, published)
        assert found is not None and found.text == text


@given(st.lists(releases, max_size=8), st.lists(releases, max_size=8), releases)
def test_variants_and_prereleases_do_not_touch_each_other(runtime, dev, release):
    tag = version_tag(text_of(release))
    others = [text_of(each, "dev") for each in dev] + [text_of(each, "", "rc.1") for each in dev]
    plain = [text_of(each) for each in runtime]
    assert moves(tag, plain + others) == moves(tag, plain)
    assert moves(version_tag(text_of(release, "", "rc.2")), plain) == ()


@given(st.text(max_size=40))
def test_any_text_is_a_version_or_none(text):
    found = parse_version_tag(text)
    assert found is None or text.startswith(f"{found.release.major}.")
