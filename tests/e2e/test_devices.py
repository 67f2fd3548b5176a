"""Networks that the runner attaches: an inherited descriptor, and a tap interface in a namespace of the test's own."""
import os
import re
import socket

import pytest
from namespaces import OwnNamespace, ip
from support import ROOT, RUN_SECONDS, built

APP = ROOT / "tests/e2e/apps/frames"
ETHERTYPE = 0x88B5              # IEEE 802, for local experiments: nobody else sends it
MINE = bytes.fromhex("020000000001")


def frame(to, payload):
    return to + MINE + ETHERTYPE.to_bytes(2, "big") + payload


def echoed(frame_sent, guest):
    return MINE + guest + frame_sent[12:]


def guest_address(process):
    said = process.wait_for(r"frames: info: address (\S+), mtu (\d+)\n")
    assert said[2] == "1500"
    return bytes.fromhex(said[1].replace(":", ""))


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_DGRAM], ids=["seqpacket", "dgram"])
def test_frames_pass_whole_both_ways_over_an_inherited_descriptor(kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    ours.settimeout(RUN_SECONDS)
    with ours, theirs, built(APP).start(networks={"link": theirs}) as guest:
        address = guest_address(guest)
        for size in (0, 1, 46, 1499, 1500):
            sent = frame(address, os.urandom(size))
            ours.send(sent)
            assert ours.recv(65536) == echoed(sent, address)
        # In order, however many.
        many = [frame(address, number.to_bytes(4, "big") * 16) for number in range(200)]
        for at in range(0, len(many), 8):
            for one in many[at:at + 8]:
                ours.send(one)
            for one in many[at:at + 8]:
                assert ours.recv(65536) == echoed(one, address)
        # What is no frame is dropped, and the next one passes.
        ours.send(b"short")
        ours.send(bytes(1519))
        ours.send(many[0])
        assert ours.recv(65536) == echoed(many[0], address)
        guest.stop().expect(0)


def test_a_link_whose_other_side_is_gone_is_told_to_the_guest():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, built(APP).start(networks={"link": theirs}) as guest:
        guest_address(guest)
        theirs.close()
        ours.close()
        assert guest.wait().expect(0).messages("frames")[-1] == "the link is gone"


def test_a_stream_socket_is_refused_because_it_has_no_frames():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs, built(APP).start(networks={"link": theirs}) as guest:
        assert "start → link" in guest.wait().expect(65).output


def test_a_descriptor_that_is_not_open_is_refused_before_the_guest_starts():
    ended = built(APP).run(driver=("--network", "link=fd:999")).expect(125)
    assert "descriptor 999 is not open" in ended.output and "frames:" not in ended.output


def test_a_network_nobody_attached_is_named():
    ended = built(APP).run().expect(65)
    assert "start → link" in ended.output and "--network link=" in ended.output


def test_frames_pass_both_ways_over_a_tap_interface():
    app = built(APP)

    def work():
        ip("tuntap", "add", "dev", "guest0", "mode", "tap")
        ip("link", "set", "guest0", "up")
        with app.start(driver=("--network", "link=tap:guest0")) as guest:
            address = guest_address(guest)
            # The interface has a carrier from now on.
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE)) as ours:
                ours.bind(("guest0", ETHERTYPE))
                ours.settimeout(RUN_SECONDS)
                for size in (46, 1000, 1500):
                    sent = frame(address, os.urandom(size))
                    ours.send(sent)
                    assert ours.recv(65536) == echoed(sent, address)
            guest.stop().expect(0)

    OwnNamespace(work)


def test_a_tap_interface_that_cannot_be_opened_says_how_to_make_one():
    ended = built(APP).run(driver=("--network", "link=tap:a-name-longer-than-an-interface-may-have")).expect(125)
    assert re.search(r"cannot open tap interface.*\n(.*\n)*.*ip tuntap add", ended.output)


def test_a_name_that_the_image_has_not_is_refused_with_those_it_has():
    ended = built(APP).run(driver=("--network", "lnik=tap")).expect(125)
    assert "the image has no network `lnik`" in ended.output and "did you mean `link`?" in ended.output
