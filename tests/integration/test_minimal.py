"""The minimal variant: no shell and no package manager; libraries, certificates and accounts that services need."""

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from built_images import LIBRARIES
from conftest import require_tool
from formation.contents.filesystem import filesystem
from formation.contents.image import scan_layers
from formation.contents.libraries import libraries
from formation.store.store import Store
from loopback import certificate, server_context
from trees import image_tree

pytestmark = pytest.mark.network

MOST = 0.4
"""Of the runtime variant's size."""

PROBE = r"""
#include <dlfcn.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

/* Fetches argv[1]; trusts argv[2] where it is given, else the image's certificates. Exits with curl's error code. */
int main(int count, char **words)
{
    struct passwd *user = getpwuid(getuid());
    printf("%s in %s\n", user ? user->pw_name : "nobody known", user ? user->pw_dir : "");
    void *library = dlopen("libcurl.so.4", RTLD_NOW);
    if (!library) {
        puts(dlerror());
        return 200;
    }
    void *(*init)(void) = dlsym(library, "curl_easy_init");
    int (*set)(void *, int, ...) = dlsym(library, "curl_easy_setopt");
    int (*perform)(void *) = dlsym(library, "curl_easy_perform");
    void *curl = init();
    set(curl, 10002, words[1]); /* CURLOPT_URL */
    if (count > 2)
        set(curl, 10065, words[2]); /* CURLOPT_CAINFO */
    fflush(stdout);
    return perform(curl);
}
"""
NOT_TRUSTED = 60
"""CURLE_PEER_FAILED_VERIFICATION: the certificates were found, and none of them signed this one."""

HELLO = b"hello over TLS\n"


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(HELLO)))
        self.end_headers()
        self.wfile.write(HELLO)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def server(certificates: Path):
    context = server_context(certificates)
    with HTTPServer(("127.0.0.1", 0), Hello) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{http.server_port}/"
        http.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def service(engine, minimal_image, certificates, tmp_path_factory) -> str:
    """A service on the minimal variant, made with a Dockerfile as any other."""
    context = tmp_path_factory.mktemp("context")
    (context / "probe.c").write_text(PROBE)
    subprocess.run([require_tool("cc"), "-o", context / "probe", context / "probe.c", "-ldl"], check=True)
    (context / "ca.pem").write_bytes((certificates / "ca.crt").read_bytes())
    reference = minimal_image.load(engine)
    (context / "Dockerfile").write_text(
        f'FROM {reference}\nCOPY probe /usr/local/bin/\nCOPY ca.pem /etc/formation/\nENTRYPOINT ["probe"]\n'
    )
    engine.run("build", "--network", "none", "-t", "test/on-minimal", context)
    return "test/on-minimal"


def test_a_service_finds_libraries_certificates_and_its_account(engine, service, server):
    ran = engine.run("run", "--rm", "--network", "host", service, server, "/etc/formation/ca.pem")
    assert ran.stdout == "formation in /home/formation\nhello over TLS\n"


def test_what_no_authority_signed_is_refused_with_the_images_own_certificates(engine, service, server):
    assert engine.run("run", "--rm", "--network", "host", service, server, check=False).returncode == NOT_TRUSTED


@pytest.mark.parametrize("command", ["sh", "bash", "apt-get", "dpkg", "perl", "cat", "openssl"])
def test_there_is_no_shell_and_no_package_manager(engine, minimal_image, command):
    ran = engine.run("run", "--rm", minimal_image.load(engine), command, "--version", check=False)
    assert ran.returncode == 127


def test_every_library_of_the_platform_is_there_and_finds_what_it_needs(minimal_image, shared_store):
    merged = filesystem(scan_layers(minimal_image.image.layers, Store(shared_store), workers=1))
    found = libraries(merged)
    assert set(LIBRARIES) <= found.sonames("amd64").keys()
    missing = [
        (library.path, name)
        for library in found.found.values()
        for name in library.elf.needed
        if found.provider(library.path, library.elf, name) is None
    ]
    assert missing == []


def test_accounts_directories_and_certificates_are_those_of_the_runtime_variant(minimal_image, base_image):
    runtime, minimal = image_tree(base_image.image), image_tree(minimal_image.image)
    same = ["etc/passwd", "etc/group", "etc/shadow", "etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/UTC"]
    same += [directory.path.lstrip("/") for directory in base_image.definition.variants[0].directories]
    for path in same:
        assert (minimal[path].mode, minimal[path].uid, minimal[path].gid) == (
            runtime[path].mode,
            runtime[path].uid,
            runtime[path].gid,
        )
        assert minimal[path].digest == runtime[path].digest


def test_it_has_at_most_forty_percent_of_the_runtime_variants_size(minimal_image, base_image, shared_store):
    def sizes(image):
        merged = filesystem(scan_layers(image.layers, Store(shared_store), workers=1))
        return sum(layer.size for layer in image.manifest.layers), sum(node.entry.size for _, node in merged)

    for small, large in zip(sizes(minimal_image.image), sizes(base_image.image), strict=True):
        assert small <= MOST * large


def test_scanners_and_verify_read_its_packages(minimal_image, formation):
    status = image_tree(minimal_image.image)["var/lib/dpkg/status"].content.decode()
    names = {line.removeprefix("Package: ") for line in status.splitlines() if line.startswith("Package: ")}
    assert {"libssl3t64", "ca-certificates", "base-files", "libc6"} <= names
    assert names.isdisjoint({"apt", "dpkg", "bash", "dash", "perl-base", "coreutils"})
    formation.succeed("verify", minimal_image.reference, "--contract", minimal_image.project)
