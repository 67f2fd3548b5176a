"""Pictures of captures and transfers: what they must show is in them, and the same run is the same file."""

import asyncio

import pytest

from morgana import plots
from morgana.simulation import Simulation


def fetched():
    sim = Simulation(seed=11)
    server, client = sim.host("server", "10.0.0.1/24"), sim.host("client", "10.0.0.2/24")
    cable = sim.link(server, client, delay="20ms", rate="10Mbit/s")
    with sim.capture() as capture:

        async def fetch():
            listening = server.listen(80)
            one, other = await asyncio.gather(client.connect(server, 80), listening.accept())
            trace = other.trace("5ms")
            await one.write(b"GET / HTTP/1.1\r\n\r\n")
            await other.read()
            cable.set(loss=0.25, sent_by=server)
            await other.write(bytes(9000))
            other.shutdown()
            assert len(await one.read_all()) == 9000
            trace.stop()
            one.close()
            await asyncio.sleep(1)
            return trace

        trace = sim.run(fetch())
    return capture, trace, client, server


def test_a_sequence_diagram_shows_handshake_data_loss_and_what_was_sent_again(tmp_path):
    capture, _, client, server = fetched()
    figure = plots.sequence(capture, client, server, tmp_path / "fetch.svg")
    texts = [text.get_text() for text in figure.axes[0].texts]
    for wanted in ("client", "server", "SYN", "SYN, ack 1", "1..19, ack 1", "40.202 ms"):
        assert wanted in texts
    assert any("(lost)" in text for text in texts) and any("(again)" in text for text in texts)
    lost = sum(one.sent for one in capture.sent_by(server)) - sum(not one.sent and one.host == "client" for one in capture.frames)
    assert sum("(lost)" in text for text in texts) == lost > 0
    cut = [one for one in capture.frames if one.time < 0.13]
    texts = [text.get_text() for text in plots.sequence(cut, client, server).axes[0].texts]
    assert sum("(under way)" in text for text in texts) == 9 and not any("(lost)" in text for text in texts)
    again, _, client, server = fetched()
    plots.sequence(again, client, server, tmp_path / "again.svg")
    assert (tmp_path / "fetch.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    with pytest.raises(ValueError, match="nothing between"):
        plots.sequence(capture, client, server, begin=100)


def test_a_long_conversation_is_cut_and_says_so():
    capture, _, client, server = fetched()
    figure = plots.sequence(capture, "client", "server", most=5)
    assert "more frames are not drawn" in figure.axes[0].get_title()


def test_a_throughput_plot_has_its_curves(tmp_path):
    _, trace, *_ = fetched()
    figure = plots.throughput(trace, tmp_path / "transfer.png", title="a transfer")
    assert (tmp_path / "transfer.png").read_bytes().startswith(b"\x89PNG")
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels[:3] == ["in flight", "congestion window", "slow-start threshold"]
    assert figure.axes[0].get_title() == "a transfer"
    trace.samples.clear()
    with pytest.raises(ValueError, match="longer"):
        plots.throughput(trace)
