"""Every check has an image that it finds something in, and one in which it finds nothing."""

import hashlib
from dataclasses import replace

import pytest

from audited_image import DECLARED, LABELS, NOW, audited, found, image
from elves import ARM64, elf_bytes
from formation.entry import Entry
from formation.oci.config import HealthCheck
from formation.security.findings import Finding
from formation.security.registry import CHECKS
from layer_tars import directory, file, hardlink, symlink
from sound_image import STATUS

KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 3 + b"\n-----END PRIVATE KEY-----\n"
PASSWD = b"root:x:0:0:root:/root:/bin/sh\nformation:x:999:999::/app:/usr/sbin/nologin\n"
GROUP = b"root:x:0:\nadm:x:4:formation\nformation:x:999:\n"
SOURCES = b"Types: deb\nURIs: http://deb.debian.org/debian\nSuites: sid\nSigned-By: /k\n"
HASH = b"$6$salt$" + b"a" * 86


def findings(check: str, *upper, options=None, **changes) -> list[Finding]:
    """What the check `check` finds in the image with these layers on top and these changes of its config."""
    report = audited(image(*upper, **changes), **(options or {}))
    return [finding for finding in report.findings if finding.check.id == check]


def history(*steps: str):
    """A change of the config: what made each layer, the last `steps` without layers of their own."""

    def change(config):
        config["history"] += [{"created_by": step, "empty_layer": True} for step in steps]

    return change


def labelled(**changes: str | None) -> dict[str, str]:
    """The labels with some changed, or left out where they are None; `_` in a name stands for a dot."""
    values = {f"org.opencontainers.image.{name.replace('_', '.')}": value for name, value in changes.items()}
    return {name: value for name, value in {**LABELS, **values}.items() if value is not None}


def status(*stanzas: str) -> tuple[Entry, bytes]:
    """dpkg's status with more packages."""
    return file("var/lib/dpkg/status", "\n".join([STATUS, *stanzas]).encode())


def package(name: str, state: str = "install ok installed", **fields: str) -> str:
    more = "".join(f"{field}: {value}\n" for field, value in fields.items())
    return f"Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: 1\n{more}"


def capable(path: str) -> tuple[Entry, bytes]:
    return Entry(path, "file", 0o755, size=1, xattrs=(("security.capability", b"\1\0\0\2"),)), b"x"


def remove(path: str) -> tuple[Entry, bytes]:
    directory_, _, name = path.rpartition("/")
    return file(f"{directory_}/.wh.{name}")


def damaged(damage) -> list[Finding]:
    """What is found about the blob of a layer after `damage` was done to it; nothing else is found about the layers."""
    made = image([file("app/x", b"x" * 2000)])
    digest = made.manifest.layers[-1].digest
    made.source.content[digest] = damage(made.source.content[digest])
    found = [each for each in audited(made).findings if each.check.id in ("layer-damaged", "layer-tar")]
    assert {each.check.id for each in found} == {"layer-damaged"} and {each.severity for each in found} == {"critical"}
    return found


FAILING = {
    "user-root": [
        lambda user=user: findings("user-root", user=user)
        for user in ("", "root", "0", "0:0", "root:root", "nobody-knows", "00")
    ]
    + [lambda: findings("user-root", [file("etc/passwd", PASSWD + b"toor:x:0:0::/:/bin/sh\n")], user="toor")],
    "user-home": [
        lambda: findings("user-home", user="4711"),
        lambda: findings("user-home", [directory("app", 0o755, 0, 0)]),
        lambda: findings("user-home", [remove("app")]),
    ],
    "health-check": [
        lambda: findings("health-check", health_check=None),
        lambda: findings("health-check", health_check=HealthCheck(("NONE",))),
    ],
    "secret-variable": [
        lambda: findings("secret-variable", environment=("DB_PASSWORD=hunter22",)),
        lambda: findings("secret-variable", environment=("githubToken=x9d8f7",)),
        lambda: findings("secret-variable", environment=("WHATEVER=AKIAABCDEFGHIJKLMNOP",)),
        lambda: findings("secret-variable", environment=("DATABASE=postgres://me:s3cret@db/x",)),
        lambda: findings("secret-variable", labels={**LABELS, "deploy.api-key": "0f9e8d7c"}),
        lambda: findings("secret-variable", command=("tool", "--password", "hunter22")),
    ],
    "secret-history": [
        lambda: findings("secret-history", change=history("ARG TOKEN=abc123def")),
        lambda: findings("secret-history", change=history("|1 NPM_TOKEN=abc123 /bin/sh -c npm ci")),
        lambda: findings("secret-history", change=history("RUN curl https://me:s3cret@example.com/")),
    ],
    "privileged-port": [
        lambda: findings("privileged-port", exposed_ports=("53/udp",)),
        lambda: findings("privileged-port", exposed_ports=("2375/tcp",)),
        lambda: findings("privileged-port", exposed_ports=("1000-2000/tcp",)),
        lambda: findings("privileged-port", exposed_ports=("http",)),
    ],
    "system-volume": [
        lambda: findings("system-volume", volumes=("/etc/",)),
        lambda: findings("system-volume", volumes=("/var/run/docker.sock",)),
    ],
    "shell-command": [
        lambda: findings("shell-command", command=("/bin/sh", "-c", "exec tool")),
        lambda: findings("shell-command", entrypoint=("tool",), options={"kind": "base"}),
    ],
    "unsafe-path": [
        lambda: findings("unsafe-path", environment=("PATH=/usr/bin:.",)),
        lambda: findings("unsafe-path", environment=("PATH=/usr/bin::/bin",)),
        lambda: findings("unsafe-path", environment=("PATH=/app:/usr/bin",)),
        lambda: findings("unsafe-path", environment=("LD_PRELOAD=/app/x.so",)),
    ],
    "config-mismatch": [
        lambda: findings("config-mismatch", [file("usr/bin/other", elf_bytes(machine=ARM64), mode=0o755)]),
        lambda: findings("config-mismatch", change=lambda config: config["history"].pop()),
    ],
    "label": [
        lambda: findings("label", labels=labelled(source=None)),
        lambda: findings("label", labels=labelled(source="here")),
        lambda: findings("label", labels=labelled(licenses="free, really!")),
        lambda: findings("label", labels=labelled(created="yesterday")),
    ],
    "apt-update-alone": [
        lambda: findings("apt-update-alone", change=history("RUN /bin/sh -c apt-get update # buildkit"))
    ],
    "history-add": [
        lambda: findings("history-add", change=history("ADD config.yaml /etc/ # buildkit")),
        lambda: findings("history-add", change=history("/bin/sh -c #(nop) ADD file:12ab in /etc/ ")),
        lambda: findings("history-add", change=history("ADD https://example.com/tool /usr/bin/")),
    ],
    "unverified-download": [
        lambda: findings(
            "unverified-download", change=history("RUN /bin/sh -c curl -s https://x.io/i | sudo -E bash -")
        ),
        lambda: findings("unverified-download", change=history("/bin/sh -c bash <(wget -qO- https://x.io)")),
        lambda: findings("unverified-download", change=history('RUN sh -c "$(curl -fsSL https://x.io)"')),
        lambda: findings("unverified-download", change=history("RUN curl -k -o /x https://x.io && true")),
    ],
    "history-sudo": [
        lambda: findings("history-sudo", change=history("RUN /bin/sh -c sudo apt-get install -y x")),
        lambda: findings("history-sudo", change=history("RUN apt-get update && apt-get -y dist-upgrade")),
    ],
    "setuid-file": [
        lambda: findings("setuid-file", [file("usr/bin/tool2", b"x", mode=0o4755)]),
        lambda: findings("setuid-file", [file("usr/bin/su", b"x", mode=0o4755)], options={"profile": "service"}),
    ],
    "file-capability": [lambda: findings("file-capability", [capable("usr/bin/ping")])],
    "world-writable-file": [lambda: findings("world-writable-file", [file("app/data", b"x", mode=0o666)])],
    "world-writable-directory": [
        lambda: findings("world-writable-directory", [directory("app/data", 0o777)]),
        lambda: findings("world-writable-directory", [directory("app/data", 0o1777, 999, 999)]),
    ],
    "unknown-owner": [
        lambda: findings("unknown-owner", [file("app/data", b"x", uid=1234)]),
        lambda: findings("unknown-owner", [replace(symlink("app/x", "y"), gid=77)]),
    ],
    "special-file": [
        lambda: findings("special-file", [directory("dev"), Entry("dev/null", "character", 0o666, device=(1, 3))]),
        lambda: findings("special-file", [Entry("app/pipe", "fifo", 0o644)], [remove("app/pipe")]),
    ],
    "system-file-owner": [
        lambda: findings("system-file-owner", [file("usr/bin/tool3", b"x", mode=0o775)]),
        lambda: findings("system-file-owner", [file("usr/local/bin/tool3", b"x", mode=0o755, uid=999)]),
        lambda: findings("system-file-owner", [directory("usr/local/bin", 0o777)]),
    ],
    "account-file-mode": [
        lambda: findings("account-file-mode", [file("etc/passwd", PASSWD, mode=0o664)]),
        lambda: findings("account-file-mode", [file("etc/shadow", b"", mode=0o644)]),
        lambda: findings("account-file-mode", [file("etc/group", GROUP, uid=999)]),
    ],
    "empty-password": [
        lambda: findings("empty-password", [file("etc/passwd", PASSWD.replace(b"root:x", b"root:"))]),
        lambda: findings("empty-password", [file("etc/shadow", b"root::1::::::\n", mode=0o640)]),
    ],
    "password-hash": [
        lambda: findings("password-hash", [file("etc/shadow", b"root:" + HASH + b":1::::::\n", mode=0o640)]),
        lambda: findings("password-hash", [file("etc/shadow", b"a:!" + HASH + b":1::::::\n")], [remove("etc/shadow")]),
        lambda: findings("password-hash", [file("etc/passwd", PASSWD.replace(b"root:x", b"root:abJnggxhB/yWI"))]),
        lambda: findings("password-hash", [file("etc/gshadow", b"adm:" + HASH + b"::formation\n", mode=0o640)]),
    ],
    "second-root": [
        lambda: findings("second-root", [file("etc/passwd", PASSWD + b"toor:x:0:999::/:/usr/sbin/nologin\n")]),
        lambda: findings("second-root", [file("etc/passwd", PASSWD.replace(b"0:0:", b"0:4:", 1))]),
        lambda: findings("second-root", [file("etc/group", GROUP + b"wheel:x:0:\n")]),
    ],
    "account-conflict": [
        lambda: findings("account-conflict", [file("etc/passwd", PASSWD + b"again:x:999:999::/:/usr/sbin/nologin\n")]),
        lambda: findings("account-conflict", [file("etc/passwd", PASSWD + b"what\n")]),
        lambda: findings("account-conflict", [file("etc/passwd", PASSWD + b"a:x:7:77::/:/usr/sbin/nologin\n")]),
        lambda: findings("account-conflict", [file("etc/group", GROUP + b"shadow:x:42:formation\n")]),
        lambda: findings("account-conflict", [file("etc/group", GROUP + b"adm:x:5:\n")]),
    ],
    "system-shell": [
        lambda: findings("system-shell", [file("etc/passwd", PASSWD.replace(b"/usr/sbin/nologin", b"/bin/bash"))]),
        lambda: findings("system-shell", [file("etc/passwd", PASSWD.replace(b"/usr/sbin/nologin", b""))]),
    ],
    "sudo": [
        lambda: findings("sudo", [status(package("sudo"))]),
        lambda: findings("sudo", [file("usr/bin/doas", b"x", mode=0o755)]),
        lambda: findings("sudo", [file("etc/sudoers", b"%wheel ALL=(ALL) \\\n NOPASSWD: ALL\n")]),
        lambda: findings("sudo", [directory("etc/sudoers.d"), file("etc/sudoers.d/x", b"Defaults !authenticate\n")]),
        lambda: findings("sudo", [file("etc/doas.conf", b"permit nopass formation\n")]),
    ],
    "secret-file": [
        lambda: findings("secret-file", [file("app/key.pem", KEY)]),
        lambda: findings("secret-file", [file("app/key.pem", KEY)], [remove("app/key.pem")]),
        lambda: findings("secret-file", [file("root/.netrc", b"machine x login y password z")]),
        lambda: findings("secret-file", [file("root/.aws/credentials", b"[default]\n")]),
        lambda: findings("secret-file", [file("app/.env", b"A=1")]),
    ],
    "ssh-server": [
        lambda: findings("ssh-server", [status(package("openssh-server"))]),
        lambda: findings("ssh-server", [file("usr/bin/dropbear", b"x", mode=0o755)]),
        lambda: findings("ssh-server", [file("etc/ssh/ssh_host_rsa_key", b"x")], [remove("etc/ssh/ssh_host_rsa_key")]),
    ],
    "forbidden-package": [lambda: findings("forbidden-package", [status(package("telnetd"))])],
    "development-tool": [
        lambda: findings("development-tool", [status(package("gcc-14"))]),
        lambda: findings("development-tool", [status(package("libssl-dev"))]),
        lambda: findings("development-tool", [file("usr/local/bin/gcc", b"x", mode=0o755)]),
    ],
    "undeclared-package": [
        lambda: findings("undeclared-package", [status(package("more"))]),
        lambda: findings(
            "undeclared-package",
            options={"declared": replace(DECLARED, packages=frozenset({("libc6", "1"), ("tool", "1.0-1")}))},
        ),
    ],
    "image-age": [
        lambda: findings("image-age", options={"now": NOW + 181 * 86400}),
        lambda: findings("image-age", options={"now": NOW - 90 * 86400}),
    ],
    "unsupported": [
        lambda: findings("unsupported", [file("etc/os-release", b"ID=debian\nVERSION_CODENAME=buster\n")]),
        lambda: findings("unsupported", options={"now": NOW + 1000 * 86400}),
        lambda: findings("unsupported", [status(package("libqt", Source="qtwebkit"))]),
    ],
    "package-state": [
        lambda: findings("package-state", [status(package("more", "deinstall ok config-files"))]),
        lambda: findings("package-state", [status(package("more", "install ok half-configured"))]),
        lambda: findings("package-state", [status("nonsense\n")]),
    ],
    "changed-file": [
        lambda: findings("changed-file", [file("usr/bin/tool", b"other", mode=0o755)]),
        lambda: findings("changed-file", [remove("usr/bin/tool")]),
    ],
    "apt-source": [
        lambda line=line: findings("apt-source", [file("etc/apt/sources.list", line)])
        for line in (
            b"deb [trusted=yes signed-by=/k.gpg] http://deb.debian.org/debian sid main\n",
            b"deb [signed-by=/k.gpg] http://evil.example/debian sid main\n",
            b"deb http://deb.debian.org/debian sid main\n",
            b"deb [signed-by=/k.gpg] http://deb.debian.org/debian trixie main\n",
            b"deb [signed-by=/k.gpg] http://deb.debian.org/debian/ stable main\n",
            b"deb [signed-by=/k.gpg] http://me:pw@deb.debian.org/debian sid main\n",
            b"deb [signed-by=/k.gpg] http://[::1 sid main\n",
            b"what\n",
        )
    ]
    + [
        lambda: findings("apt-source", [file("etc/apt/sources.list.d/x.sources", SOURCES + b"Allow-Insecure: yes\n")]),
        lambda: findings("apt-source", [file("etc/apt/apt.conf.d/x", b'APT::Get { AllowUnauthenticated "true"; };\n')]),
        lambda: findings("apt-source", [file("etc/apt/apt.conf", b"Acquire::https::Verify-Peer false;\n")]),
    ],
    "foreign-key": [
        lambda: findings("foreign-key", [file("etc/apt/trusted.gpg.d/x.gpg", b"\xc6\x04\x04abc")]),
        lambda: findings("foreign-key", [file("usr/share/keyrings/x.asc", b"-----BEGIN PGP")]),
    ],
    "apt-leftover": [
        lambda: findings("apt-leftover", [file("var/lib/apt/lists/x_Packages", b"x")]),
        lambda: findings("apt-leftover", [file("var/cache/apt/archives/x.deb", b"x")], [remove("var/cache/apt")]),
    ],
    "development-leftover": [
        lambda: findings("development-leftover", [directory("app/.git"), file("app/.git/HEAD", b"x")]),
        lambda: findings("development-leftover", [file("app/Dockerfile", b"FROM x")]),
        lambda: findings("development-leftover", [file("root/.bash_history", b"ls")]),
        lambda: findings("development-leftover", [file("app/.main.c.swp", b"x")]),
    ],
    "builder-identity": [
        lambda: findings("builder-identity", [file("etc/machine-id", b"a" * 32)]),
        lambda: findings("builder-identity", [file("etc/hostname", b"builder7\n")]),
        lambda: findings("builder-identity", [file("etc/hosts", b"127.0.0.1 localhost\n10.0.0.1 builder7\n")]),
        lambda: findings("builder-identity", [file("etc/resolv.conf", b"nameserver 10.0.0.2\n")]),
        lambda: findings("builder-identity", [file("var/lib/systemd/random-seed", b"x" * 512)]),
    ],
    "build-log": [
        lambda: findings("build-log", [file("var/log/dpkg.log", b"2026")]),
        lambda: findings("build-log", [replace(directory("app/new"), mtime=2_000_000_000)]),
    ],
    "time-zone": [
        lambda: findings("time-zone", [symlink("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")]),
        lambda: findings("time-zone", [file("etc/localtime", b"TZif2\nCET-1CEST,M3.5.0,M10.5.0/3\n")]),
        lambda: findings("time-zone", [file("etc/timezone", b"Europe/Berlin\n")]),
    ],
    "attestation": [
        lambda: findings("attestation", options={"referrers": ()}),
        lambda: findings("attestation", options={"referrers": ("application/spdx+json",)}),
        lambda: findings("attestation", options={"referrers": ("vnd.dev.cosign.artifact.sbom.v1", "in-toto")}),
    ],
    "base-unknown": [
        lambda: findings("base-unknown", labels=labelled(base_digest=None)),
        lambda: findings("base-unknown", labels=labelled(base_digest="sha256:12")),
        lambda: findings("base-unknown", labels=labelled(base_name="formation/base:latest")),
        lambda: findings("base-unknown", labels=labelled(base_name="docker.io/library/debian:13")),
        lambda: findings("base-unknown", options={"name": "docker://r.example:5000/form/service:latest"}),
    ],
    "layer-tar": [
        lambda: findings("layer-tar", [file("app/x", b"1"), file("app/x", b"2")]),
        lambda: findings("layer-tar", [hardlink("app/x", "etc/shadow")]),
        lambda: findings("layer-tar", [file("app/.wh..")]),
    ],
    "layer-damaged": [lambda: damaged(lambda data: data[:700]), lambda: damaged(lambda data: b"other bytes")],
}


def test_a_clean_image_has_no_finding_under_the_strict_profile_and_every_check_looks_at_it():
    report = audited(image())
    assert report.findings == () and report.left_out == ()


@pytest.mark.parametrize("check", [check.id for check in CHECKS])
def test_every_check_finds_what_it_is_for(check):
    cases = FAILING[check]
    assert cases
    for number, case in enumerate(cases):
        assert case(), f"case {number} of {check} has no finding"


def test_checks_have_numbers_and_ids_of_their_own():
    assert [check.number for check in CHECKS] == list(range(1, 50))
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    assert all(text and not text.endswith(".") for check in CHECKS for text in (check.title, check.fix, check.source))


PASSING = [
    lambda: findings("secret-variable", environment=("GPG_KEY=7169605F62C751356D054A26A821E680E5FA6305",)),
    lambda: findings("secret-variable", environment=("DB_PASSWORD_FILE=/run/secrets/db", "TOKEN_TTL=3600")),
    lambda: findings("secret-variable", environment=("PASSWORD=$DB_PASSWORD", "API_KEY=<yours>", "TOKEN=")),
    lambda: findings("secret-history", change=history("RUN apk add libcrypto3=3.1.4 base-passwd=3.6.7 passwd=1:4.17")),
    lambda: findings("secret-history", change=history("COPY secrets.py token.go /app/", "ARG TOKEN")),
    lambda: findings("apt-update-alone", change=history("RUN apt-get update && apt-get install -y x")),
    lambda: findings("history-add", change=history("ADD --checksum=sha256:12 https://x.io/a /a", "ADD x.tar.gz /")),
    lambda: findings("unverified-download", change=history("RUN curl -o x https://x.io && sha256sum -c x | grep OK")),
    lambda: findings("history-sudo", change=history("RUN apt-get install -y sudoku && apt-get upgrade")),
    lambda: findings("special-file", [directory("dev")]),
    lambda: findings("account-file-mode", [file("etc/shadow", b"root:*:1::::::\n", mode=0o640, gid=42)]),
    lambda: findings("password-hash", [file("etc/shadow", b"root:*:1::::::\na:!:1::::::\nb:!*:1::::::\n")]),
    lambda: findings("system-shell", [file("etc/passwd", PASSWD + b"sync:x:4:4:sync:/bin:/bin/sync\n")]),
    lambda: findings("sudo", [file("etc/sudoers", b"# NOPASSWD: ALL\n#1000 ALL = /bin/ls\n")]),
    lambda: findings("secret-file", [file("app/.npmrc", b"registry=https://r\n"), file("app/.netrc")]),
    lambda: findings("apt-source", [file("etc/apt/apt.conf", b'// AllowUnauthenticated "true";\n')]),
    lambda: findings("apt-source", [file("etc/apt/sources.list.d/x.sources", b"Enabled: no\nTrusted: yes\n")]),
    lambda: findings("apt-source", [file("etc/apt/sources.list.d/x.save", b"deb http://x y z\n")]),
    # A private archive, which the definition has, calls its one suite so.
    lambda: findings(
        "apt-source",
        [file("etc/apt/sources.list", b"deb [signed-by=/k.gpg] http://apt.acme.test/packages stable main\n")],
        options={"declared": replace(DECLARED, hosts=frozenset({"apt.acme.test"}))},
    ),
    # InfluxData's is such an archive.
    lambda: findings(
        "apt-source",
        [
            file(
                "etc/apt/sources.list",
                b"deb [signed-by=/k.gpg] http://deb.debian.org/debian trixie main\n"
                b"deb [signed-by=/k.gpg] http://deb.debian.org/debian-security trixie-security main\n"
                b"deb [signed-by=/k.gpg] https://repos.acme.test/debian stable main\n",
            )
        ],
        options={"declared": replace(DECLARED, hosts=frozenset({"repos.acme.test"}))},
    ),
    lambda: findings("builder-identity", [file("etc/machine-id"), file("etc/hosts", b"::1 localhost # me\n\n")]),
    lambda: findings("time-zone", [symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC")]),
    lambda: findings("development-leftover", [directory("app/.cache"), file("app/.gitignore", b"x")]),
    lambda: findings("base-unknown", labels=labelled(base_name="docker.io/formation/base:1.0.0")),
    lambda: findings("health-check", health_check=None, options={"kind": "base"}),
    lambda: findings("development-tool", [status(package("gcc"))], labels=labelled(version="1.0.0-dev")),
    lambda: findings("config-mismatch", change=lambda config: config.pop("history")),
]


@pytest.mark.parametrize("case", PASSING)
def test_what_only_looks_wrong_is_not_told(case):
    assert case() == []


def test_a_private_key_that_a_package_brings_is_no_secret():
    sums = f"{hashlib.md5(KEY).hexdigest()}  usr/share/tool/test.pem\n".encode()
    listed = file("var/lib/dpkg/info/more.list", b"/.\n/usr/share/tool/test.pem\n")
    layer = [status(package("more")), listed, file("var/lib/dpkg/info/more.md5sums", sums)]
    assert findings("secret-file", [*layer, file("usr/share/tool/test.pem", KEY)]) == []
    assert findings("secret-file", [*layer, file("usr/share/tool/test.pem", KEY + b"changed")])


def test_a_secret_that_a_later_layer_removes_is_found_with_its_layer():
    (finding,) = findings("secret-file", [file("app/key.pem", b"# mine\n" + KEY)], [remove("app/key.pem")])
    assert (finding.severity, finding.path, finding.layer, finding.line) == ("critical", "/app/key.pem", 2, 2)
    assert finding.digest.startswith("sha256:")
    assert (
        finding.message == "/app/key.pem holds a private key; a later layer removes it, and it is pulled all the same"
    )


@pytest.mark.parametrize("listed", ["/usr/bin/su", "/bin/su"])
def test_programs_that_debian_has_setuid_are_accepted_unless_the_profile_is_strict(listed):
    listed = file("var/lib/dpkg/info/tool.list", f"/.\n/usr/bin/tool\n{listed}\n/etc/tool.conf\n".encode())
    layer = [listed, file("usr/bin/su", b"x", mode=0o4755)]
    assert "setuid-file" not in found(audited(image(layer), profile="service"))
    assert "setuid-file" in found(audited(image(layer), profile="strict"))


def test_a_base_may_run_as_root_and_a_service_may_not():
    as_root = image(user="root")
    assert [finding.severity for finding in audited(as_root, kind="base").findings] == ["info"]
    assert [finding.severity for finding in audited(as_root).findings] == ["high"]


def test_what_nobody_can_tell_is_said_and_is_no_finding():
    report = audited(image([remove("etc/os-release")]), declared=None, referrers=None)
    assert report.findings == ()
    assert {check.id for check, _ in report.left_out} == {"undeclared-package", "attestation", "unsupported"}


def test_no_check_tells_more_than_can_be_read():
    report = audited(image([file(f"app/{number}", b"", mode=0o666) for number in range(700)]))
    assert len(report.findings) == 500
    assert [(check.id, count) for check, count in report.more] == [("world-writable-file", 200)]


def test_a_layer_that_is_missing_is_to_be_copied_again():
    made = image([file("app/x", b"1")])
    del made.source.content[made.manifest.layers[-1].digest]
    (finding,) = [each for each in audited(made).findings if each.check.id == "layer-damaged"]
    assert finding.layer == 2 and finding.check.fix.startswith("Copy or pull the image again")
