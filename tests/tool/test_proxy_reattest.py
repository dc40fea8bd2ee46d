"""A policy's "reattest" behind `atls proxy`: the target is asked for new evidence on the connection that it has, and nothing is sent if it is refused."""

import json
import socket
import threading
import time

import pytest

from proxying import SIM, Relay, Upstream, get, proxy, serve, wait_for


class Agent:
    """The guest agent's socket as `atls serve` sees it: counts who asks, and asks the agent whose name is in `to`."""

    def __init__(self, path):
        self.path, self.to, self.count = path, "agent.sock", 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near = self.listener.accept()[0]
            self.count += 1
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(SIM / self.to))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def policy(tmp_path):
    """The simulator's, under which evidence is good for two seconds."""
    text = json.loads((SIM / "policy.json").read_text())
    text["reattest"] = {"interval_s": 2}
    text["binding"] = {"protocols": ["exporter-v1"]}
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(text))
    return path


def test_evidence_that_has_become_old_is_renewed_before_the_next_request(tmp_path, policy):
    agent = Agent(tmp_path / "agent.sock")
    with Upstream() as upstream, serve(upstream.port, agent=agent.path) as target:
        relay = Relay(target.port)
        with proxy(target.port, "--connect-to", f"localhost:{target.port}:127.0.0.1:{relay.port}", policy=policy) as it:
            wait_for(lambda: "is attested" in it.log(), "the check at start")
            first = time.monotonic()
            assert get(it.port)[0] == 200
            asked, connections = agent.count, relay.count
            assert get(it.port)[0] == 200 and (agent.count == asked or time.monotonic() - first > 2)
            time.sleep(2.2)
            assert get(it.port)[0] == 200 and agent.count > asked
            assert relay.count == connections, "new evidence on the connection that there is"
            # What the target shows from now on is of another session.
            agent.to, before = "evil-agent.sock", len(upstream.requests)
            time.sleep(2.2)
            status, answer = get(it.port)
            assert status == 502 and b"report_data" in answer, answer
            assert len(upstream.requests) == before, "a request was sent to a target that is refused"
            agent.to = "agent.sock"
            assert get(it.port)[0] == 200
        relay.listener.close()
