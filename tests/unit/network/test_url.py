import pytest

from formation.errors import UnreachableError
from formation.network.url import target_of


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("https://A.Example:8443/x?y=z", "a.example", 8443, "/x?y=z"),
        ("http://[::1]:5000/v2/", "::1", 5000, "/v2/"),
        ("http://me:secret@a.example/x", "a.example", 80, "/x"),
        ("http://a.example/p+q_1:2~3.deb", "a.example", 80, "/p+q_1:2~3.deb"),
        ("http://a.example/p%2Bq%20r", "a.example", 80, "/p%2Bq%20r"),
        ("http://a.example/a b\u00e9%", "a.example", 80, "/a%20b%C3%A9%25"),
        ("http://a.example/x?a=b c&d=/e?f", "a.example", 80, "/x?a=b%20c&d=/e?f"),
        ("http://a.example/x#part", "a.example", 80, "/x"),
        ("http://a.example/./pool/../x/.", "a.example", 80, "/x/"),
        ("http://a.example/../../x", "a.example", 80, "/x"),
        ("http://b\u00fccher.example/", "xn--bcher-kva.example", 80, "/"),
        ("http://a_b.example./", "a_b.example.", 80, "/"),
        (f"http://{63 * 'a'}.{63 * 'b'}/", f"{63 * 'a'}.{63 * 'b'}", 80, "/"),
    ],
)
def test_a_url_names_a_server_and_something_on_it(url, host, port, path):
    target = target_of(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("http://a.example/", "a.example"),
        ("http://a.example:80/", "a.example"),
        ("https://a.example:80/", "a.example:80"),
        ("http://[::1]/", "[::1]"),
        ("http://[::1]:5000/", "[::1]:5000"),
    ],
)
def test_a_host_is_named_with_its_port_where_that_is_not_the_usual_one(url, authority):
    assert target_of(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://",
        "http:///x",
        "ftp://a.example/",
        "http://a:port/",
        "http://a:70000/",
        "http://[::1/",
        "http://[zz::1]/",
        "http://a b/",
        "http://a\x00b/",
        "http://a\x7fb/",
        "http://a/\ud800",
        f"http://{300 * chr(0xE9)}/",
        "https://a..b/",
        "https://.x/",
        "https://./",
        "https://a../",
        f"https://{64 * 'a'}.example/",
    ],
)
def test_what_is_no_url_of_a_server_is_refused(url):
    with pytest.raises(UnreachableError, match="not a URL"):
        target_of(url)


def test_no_url_makes_two_lines_of_a_request():
    for character in map(chr, range(33)):
        path = target_of(f"http://a.example/x{character}y?z{character}").path
        assert path.isascii() and path.isprintable() and " " not in path
