import random
import subprocess
import sys
import threading

import pytest

from formation.oci.reference import parse_reference
from formation.oci.validate import validate
from formation.store.images import list_images, open_stored
from formation.store.locking import remove_tree
from formation.store.prune import prune, usage
from formation.store.store import Store

WRITER = """
import sys
from pathlib import Path
from formation.oci.reference import parse_reference
from formation.digest import sha256
from formation.network.partial import PartialFile
from formation.store.blobs import add_image
from formation.store.images import tag_image
from formation.store.locking import work_directory
from formation.store.store import Store
from tiny_images import noise, tiny_image

store, number = Store(Path(sys.argv[1])), int(sys.argv[2])
print("begun", flush=True)
for round in range(int(sys.argv[3])):
    with work_directory(store) as work:
        data = noise(200_000) + bytes([round % 50])
        with PartialFile(store.blob(sha256(data)), len(data), lambda amount: None, work=work) as file:
            file.write(data)
            file.keep(synced=True)
        image = tiny_image([{"a": noise(300_000)}, {"b": bytes([round % 50])}])
        descriptor = add_image(store, image)
        tag_image(store, parse_reference(f"shared:{round % 3}"), descriptor)
        tag_image(store, parse_reference(f"own{number}:{round % 3}"), descriptor)
"""


def writer(store, number, rounds):
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(store.root), str(number), str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def assert_whole(store):
    for image in list_images(store):
        assert validate(open_stored(store, image.reference)) == ()


@pytest.mark.slow
def test_two_processes_write_one_store_at_once(tmp_path):
    store = Store(tmp_path / "store")
    writers = [writer(store, number, 12) for number in range(2)]
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    assert {str(image.reference) for image in list_images(store)} == {
        f"{name}:{tag}" for name in ("shared", "own0", "own1") for tag in range(3)
    }
    assert_whole(store)
    assert list(store.work.iterdir()) == []


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_the_store_whole(tmp_path):
    store = Store(tmp_path / "store")
    moments = random.Random(7)
    for number in range(8):
        process = writer(store, number, 10_000)
        assert process.stdout.readline() == b"begun\n"
        killer = threading.Timer(moments.uniform(0, 0.25), process.kill)
        killer.start()
        process.communicate()
        killer.join()
        assert process.returncode == -9
        assert_whole(store)
    last = writer(store, 99, 1)
    last.communicate()
    assert last.returncode == 0
    assert open_stored(store, parse_reference("own99:0"))
    prune(store, before=0, remove=remove_tree)
    assert not [path for path in store.root.rglob("*") if path.name.startswith(".")]
    assert {kind.kind: kind.entries for kind in usage(store)}["work"] == 0
    assert_whole(store)
