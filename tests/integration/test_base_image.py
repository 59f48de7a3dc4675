"""The runtime image in real Docker and Podman: a Debian that works for apt, for a service and for TLS."""

import json

import pytest

from built_images import LIBRARIES
from formation.definition.image_files import dpkg_filters

pytestmark = pytest.mark.network

PROGRAMS = (
    *("apt-get", "brctl", "bridge", "curl", "getent", "install", "ip", "mount", "openssl", "ping", "scp", "socat"),
    *("ss", "ssh", "ssh-keygen", "tc", "update-ca-certificates", "useradd", "wget"),
)
"""What a service of the platform, or a Dockerfile, runs."""

CERTIFY_AND_SERVE = """
cd /tmp
new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
$new -x509 -days 2 -subj '/CN=Authority of a test' -keyout ca.key -out ca.crt
$new -subj /CN=127.0.0.1 -keyout server.key -out server.request
echo subjectAltName=IP:127.0.0.1 > extensions
signed='-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions'
openssl x509 -req -in server.request $signed -out server.crt
openssl s_server -quiet -accept 127.0.0.1:44330 -cert server.crt -key server.key -www &
"""
CURL = "curl -sS -o /dev/null --retry 60 --retry-connrefused --retry-delay 1 https://127.0.0.1:44330/"


@pytest.fixture
def shell(engine, base):
    """Runs a shell script in a new container of the base image and gives its stdout; it must succeed."""

    def shell(script, *options):
        return engine.run("run", "--rm", "--network", "host", *options, base, "sh", "-ec", script).stdout

    return shell


def test_the_default_command_says_that_this_is_a_base_image(engine, base):
    said = engine.run("run", "--rm", "--network", "none", base).stdout
    assert "formation/base is a base image" in said
    assert "FROM formation/base" in said


def test_dpkg_finds_every_package_installed_and_whole(shell):
    assert shell("dpkg --audit") == ""
    states = set(shell("dpkg-query --show --showformat '${db:Status-Abbrev}\n'").split())
    assert states == {"ii"}


def test_dpkg_verifies_every_file_and_misses_none(shell, base_image):
    assert shell("cat /etc/dpkg/dpkg.cfg.d/formation") == dpkg_filters(base_image.definition)
    assert shell("dpkg --verify") == ""


def test_apt_finds_no_broken_dependency_and_nothing_to_remove(shell):
    shell("apt-get check")
    assert "0 to remove" in shell("apt-get --simulate autoremove")


def test_apt_installs_a_package_of_the_archive(shell):
    script = "apt-get update -q && apt-get install -qy jq && jq --version && dpkg --audit && dpkg --verify jq"
    said = shell(script).splitlines()
    version = next(index for index, line in enumerate(said) if line.startswith("jq-1."))
    # jq's documentation stays out, as the base image's did; everything else of it is there.
    assert all(line.startswith("missing ") and "/usr/share/" in line for line in said[version + 1 :])
    assert shell("ls /var/cache/apt/archives").split() == ["partial"]


def test_the_linker_knows_the_libraries_that_services_use(shell):
    known = {line.split()[0] for line in shell("ldconfig -p").splitlines()[1:]}
    assert known >= set(LIBRARIES)
    # The cache in the image is what ldconfig makes of its libraries.
    assert shell("cp /etc/ld.so.cache /tmp/before; ldconfig -X; cmp /tmp/before /etc/ld.so.cache") == ""


def test_the_programs_that_services_and_dockerfiles_use_are_there(shell):
    found = shell(f"for each in {' '.join(PROGRAMS)}; do command -v $each; done").split()
    assert [path.rpartition("/")[2] for path in found] == list(PROGRAMS)
    assert shell("ip -brief link show lo; ss --version; TZ=Europe/Vienna date +%Z; getent services domain/udp")


def test_the_user_formation_is_a_locked_system_account(shell):
    name, _, uid, gid, _, home, login = shell("getent passwd formation").strip().split(":")
    assert (name, home, login) == ("formation", "/home/formation", "/usr/sbin/nologin")
    assert 100 <= int(uid) <= 999
    assert shell("getent group formation").strip() == f"formation:x:{gid}:"
    passwords = [line.split(":")[1] for line in shell("cat /etc/shadow").splitlines()]
    assert all(password.startswith(("!", "*")) for password in passwords)


def test_every_alternative_leads_to_a_program(shell):
    selections = [line.split() for line in shell("update-alternatives --get-selections").splitlines()]
    assert {"awk", "pager"} <= {name for name, _, _ in selections}
    shell("; ".join(f"test -x {path} && test -x $(command -v {name})" for name, _, path in selections))


def test_the_page_of_an_alternative_finds_its_directory(shell):
    # Java's and PostgreSQL's pages are beside their programs, where no filter keeps them out.
    slave = "--slave /usr/share/man/man1/page.1.gz page.1.gz /etc/debian_version"
    installed = f"update-alternatives --quiet --install /usr/bin/page page /usr/bin/true 1 {slave}"
    assert shell(f"ls -A /usr/share/man/*/; {installed}; cat /usr/share/man/man1/page.1.gz") == (
        "/usr/share/man/man1/:\n\n/usr/share/man/man5/:\n\n/usr/share/man/man7/:\n\n/usr/share/man/man8/:\n"
        + shell("cat /etc/debian_version")
    )


def test_directories_and_files_have_the_owners_and_modes_of_the_definition(shell, base_image):
    (runtime,) = base_image.definition.lineage("runtime")
    wanted = [
        (f"{each.path} {each.owner}:{each.group} {each.mode:o}") for each in (*runtime.directories, *runtime.files)
    ]
    paths = " ".join(each.partition(" ")[0] for each in wanted)
    assert shell(f"stat --format '%n %U:%G %a' {paths}").splitlines() == wanted
    for file in runtime.files:
        assert shell(f"cat {file.path}") == file.content.decode()


def test_nobody_else_reads_the_secrets_of_a_service(shell):
    script = "for each in auth billing; do ! ls /etc/formation/$each 2>&1; done"
    assert shell(script, "--user", "nobody").count("Permission denied") == 2
    assert shell("ls /etc/formation/auth /etc/formation/billing", "--user", "formation")


def test_a_service_writes_its_logs_and_state_and_nothing_of_the_system(shell):
    written = "touch /app/a /var/lib/formation/a /var/log/formation/a /home/formation/a ~/b /tmp/a; id -un; pwd"
    assert shell(written, "--user", "formation").split() == ["formation", "/app"]
    refused = "for each in /etc /usr/local/bin /etc/formation /etc/formation/auth /opt /; do ! touch $each/a 2>&1; done"
    assert shell(refused, "--user", "formation").count("Permission denied") == 6


def test_the_logs_are_on_a_volume(shell):
    assert shell("cut -d' ' -f2 /proc/mounts | grep formation").split() == ["/var/log/formation"]


def test_the_config_is_that_of_the_definition(engine, base, base_image):
    (inspected,) = json.loads(engine.run("image", "inspect", base).stdout)
    config, wanted = inspected["Config"], base_image.definition.lineage("runtime")[-1].config
    assert config["Env"] == [f"{name}={value}" for name, value in wanted.environment]
    assert (config["User"], config["WorkingDir"]) == ("root", "/app")
    assert (config["Cmd"], config.get("Entrypoint")) == (list(wanted.command), None)
    assert config["Volumes"] == {"/var/log/formation": {}}
    assert config["Labels"] == {
        "org.opencontainers.image.title": "formation/base",
        "org.opencontainers.image.version": "1.0.0",
        "org.opencontainers.image.description": base_image.definition.description,
        "org.opencontainers.image.vendor": "Formation",
        "org.opencontainers.image.source": "https://github.com/formation/formation",
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    assert (inspected["Os"], inspected["Architecture"]) == ("linux", "amd64")
    assert inspected["RootFS"]["Layers"] == list(base_image.image.config.diff_ids)


def test_the_stock_bundle_has_every_authority_and_verifies_with_it(shell):
    # Both ways in which programs look for one: in the bundle (curl, wget) and by the hash of its name (openssl).
    script = """
    cd /usr/share/ca-certificates
    grep -c '^mozilla/' /etc/ca-certificates.conf
    grep -c 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt
    openssl verify -no-CApath -CAfile /etc/ssl/certs/ca-certificates.crt mozilla/ISRG_Root_X1.crt
    openssl verify -no-CAfile -CApath /etc/ssl/certs mozilla/ISRG_Root_X1.crt
    """
    enabled, bundled, *verified = shell(script).splitlines()
    assert int(enabled) == int(bundled) > 100
    assert verified == ["mozilla/ISRG_Root_X1.crt: OK"] * 2


def test_tls_works_once_the_authority_of_a_server_is_in_the_bundle(engine, base):
    script = f"""{CERTIFY_AND_SERVE}
    code=0; {CURL} || code=$?
    echo "curl before: $code"
    cp ca.crt /usr/local/share/ca-certificates/test.crt
    update-ca-certificates > updated 2>&1
    {CURL}
    echo "curl after: $?"
    wget -q -O /dev/null https://127.0.0.1:44330/
    echo "wget after: $?"
    openssl s_client -connect 127.0.0.1:44330 -verify_return_error -verify_ip 127.0.0.1 < /dev/null > /dev/null
    echo "openssl after: $?"
    """
    # A network of its own, with nothing but loopback, so that the port is free in both engines.
    said = engine.run("run", "--rm", "--network", "none", base, "sh", "-ec", script).stdout
    assert said.splitlines() == ["curl before: 60", "curl after: 0", "wget after: 0", "openssl after: 0"]
