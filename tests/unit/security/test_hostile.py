"""Whatever is in the image of a stranger: an audit ends with findings, and its parsers with nothing but their error."""

import json
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from audited_image import DECLARED, NOW, REFERRERS, image
from formation.contents.image import scan_image
from formation.contract.facts import facts_of
from formation.errors import MalformedError
from formation.oci.config import Config, Execution, History, config_bytes
from formation.oci.descriptor import Platform
from formation.security.apt_sources import parse_list, parse_sources
from formation.security.audit import audit
from formation.security.checks.history import instruction_of
from formation.security.checks.privileges import sudoers_rules
from formation.security.credentials import is_secret_name, is_secret_value, known_token, secret_names
from formation.security.fingerprints import fingerprints
from formation.security.junit import junit_text
from formation.security.sarif import sarif_text
from formation.security.subject import Subject
from hostile import hostile
from layer_tars import file, image_of_layers

READ = (
    *("etc/passwd", "etc/passwd-", "etc/group", "etc/shadow", "etc/gshadow", "etc/sudoers", "etc/sudoers.d/x"),
    *("etc/doas.conf", "etc/apt/sources.list", "etc/apt/sources.list.d/x.sources", "etc/apt/sources.list.d/x.list"),
    *("etc/apt/apt.conf", "etc/apt/trusted.gpg", "etc/apt/trusted.gpg.d/x.asc", "usr/share/keyrings/x.gpg"),
    *("etc/os-release", "etc/hosts", "etc/hostname", "etc/machine-id", "etc/localtime", "etc/timezone"),
    *("var/lib/dpkg/status", "var/lib/dpkg/diversions", "var/lib/dpkg/statoverride", "root/.netrc", "app/.env"),
)
WORDS = (
    *(
        b"root",
        b"x",
        b"0",
        b"99999999999",
        b"-1",
        b"*",
        b"!",
        b"$6$a$b",
        b"/bin/sh",
        b"NOPASSWD:",
        b"deb",
        b"[trusted=yes",
    ),
    *(
        b"http://deb.debian.org/debian",
        b"http://[::1",
        b"http://a:b@c",
        b"trixie",
        b"Types:",
        b"URIs:",
        b"Suites:",
        b"]",
    ),
    *(
        b"Signed-By:",
        b"AllowUnauthenticated",
        b'"true"',
        b"ID=debian",
        b"VERSION_CODENAME=trixie",
        b"permit",
        b"\xff\xfe",
    ),
    *(
        b"\0",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----",
        b"-----BEGIN PRIVATE KEY-----",
        b"Package:",
        b"Status:",
        b"\xc6\x04",
    ),
)
SEPARATORS = (b" ", b":", b"\n", b"", b"=", b",", b"\\\n", b"\t", b"#", b"\r\n")
texts = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(SEPARATORS)), max_size=20).map(
    lambda parts: b"".join(word + separator for word, separator in parts)
)
contents = st.one_of(texts, st.binary(max_size=60))
lines = st.text(st.characters(codec="utf-8"), max_size=40)
commands = st.lists(
    st.sampled_from(
        ["RUN", "ADD", "curl", "|", "sh", "&&", "sudo", "apt-get", "update", "#(nop)", "|1", "A=b", "$(", "--k"]
    ),
    max_size=12,
).map(" ".join)


@hostile
@given(
    st.dictionaries(st.sampled_from(READ), contents, max_size=8),
    st.lists(st.one_of(lines, commands), max_size=4),
    st.fixed_dictionaries({"user": lines, "labels": st.dictionaries(lines, lines, max_size=2)}),
    st.lists(st.sampled_from(["53/udp", "x", "1-2/tcp", "99999/tcp", "٣/tcp"]), max_size=2),
)
def test_an_audit_of_any_image_ends_with_findings(files, history, execution, ports):
    made = image_of_layers(
        [file(path, data) for path, data in files.items()],
        execution=Execution(
            user=execution["user"],
            labels=execution["labels"],
            environment=tuple(history),
            exposed_ports=tuple(sorted(set(ports))),
            command=tuple(history) or ("sh",),
        ),
    )
    config = Config(
        made.config.platform,
        made.config.diff_ids,
        made.config.execution,
        (*made.config.history, *(History(created_by=step, empty_layer=True) for step in history)),
        created=made.config.created,
    )
    made = type(made)(made.source, made.manifest_bytes, config_bytes(config), made.manifest, config)
    facts = facts_of(scan_image(made, None, workers=1))
    for kind in ("base", "service"):
        subject = Subject(facts, kind, "strict", now=NOW, name="x", declared=DECLARED, referrers=REFERRERS)
        report = audit(subject)
        assert report.findings
        json.loads(sarif_text("x", report, "https://example.com"))
        junit_text("x", report, "high").encode()


def test_a_config_of_nonsense_gives_findings():
    made = image(exposed_ports=("²/tcp",), user="²", environment=("=", "PATH", "A=\x00"), volumes=("",))
    config = Config(Platform("", ""), made.config.diff_ids, made.config.execution, created="tomorrow")
    made = type(made)(made.source, made.manifest_bytes, made.config_bytes, made.manifest, config)
    facts = facts_of(scan_image(made, None, workers=1))
    report = audit(Subject(facts, "service", "strict", now=NOW, name="", declared=None))
    assert {"user-root", "privileged-port"} <= {finding.check.id for finding in report.findings}


@hostile
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=100).map(lambda data: b"\xc6" + data)))
@example(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n\n-----END PGP PUBLIC KEY BLOCK-----")
@example(b"\x99\xff\xff")
@example(b"\xc6\xff\0\0\0")
def test_a_keyring_of_any_bytes_has_fingerprints_or_is_malformed(data):
    with suppress(MalformedError):
        assert all(len(fingerprint) in (40, 64) for fingerprint in fingerprints(data))


@hostile
@given(contents)
def test_files_of_any_bytes_are_read(data):
    number = data.count(b"\n") + 1
    assert all(1 <= source.line <= number for source in parse_list("x", data))
    assert all(1 <= source.line <= number for source in parse_sources("x", data))
    assert all(1 <= line <= number and rule for line, rule in sudoers_rules(data))


@hostile
@given(st.one_of(st.text(max_size=100), commands))
def test_commands_and_variables_of_any_text_are_read(text):
    assert all(name in text for name in secret_names(text))
    instruction, rest = instruction_of(text)
    assert len(instruction) + len(rest) <= len(text) + 3
    known_token(text)
    is_secret_value(text)
    is_secret_name(text)
