"""Values through a pipe."""

import os
import threading

import pytest

from formation.install.channel import Channel
from formation.install.installer import Installer
from formation.install.job import Arrived, Failed


@pytest.fixture
def pair():
    ends = [os.pipe(), os.pipe()]
    one = Channel(os.fdopen(ends[0][0], "rb"), os.fdopen(ends[1][1], "wb"))
    other = Channel(os.fdopen(ends[1][0], "rb"), os.fdopen(ends[0][1], "wb"))
    return one, other


def test_values_arrive_whole_and_in_order(pair) -> None:
    one, other = pair
    for value in (Arrived("sha256:1", True), Failed("FormationError", "no", None, ""), b"x" * 30_000):
        one.send(value)
        assert other.receive() == value


def test_two_threads_do_not_mix_their_values(pair) -> None:
    one, other = pair
    threads = [threading.Thread(target=lambda n=n: [one.send([n] * 500) for _ in range(50)]) for n in range(2)]
    for thread in threads:
        thread.start()
    received = [other.receive() for _ in range(100)]
    for thread in threads:
        thread.join()
    assert sorted(received) == [[0] * 500] * 50 + [[1] * 500] * 50


def test_a_side_that_is_gone_ends_the_talk(pair) -> None:
    one, other = pair
    one._outgoing.write(b"\0\0\0")
    one._outgoing.close()
    with pytest.raises(EOFError):
        other.receive()
    one._incoming.close()
    with pytest.raises(BrokenPipeError):
        other.send(b"x" * 100_000)


def test_a_thread_that_sends_after_this_side_has_closed_hears_the_same(pair) -> None:
    one, _ = pair
    one._outgoing.close()
    with pytest.raises(BrokenPipeError):
        one.send(b"x")


def test_an_installer_that_was_left_takes_what_still_arrives_in_silence() -> None:
    with Installer() as installer:
        pass
    installer.arrived("sha256:1", False)
    installer.stop()
