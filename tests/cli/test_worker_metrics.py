"""`sayiir worker --metrics-port`: what a worker's process shows to Prometheus."""

import socket
import urllib.request

from sayiir import WorkflowClient, connect
from tests.cli.support import ROOT, Command, run
from tests.servers.ground import free_port
from tests.worker.child import QUICK
from tests.worker.support import ended, eventually


def test_metrics_of_a_worker_are_scraped(tmp_path):
    path, port = tmp_path / "runs.db", free_port()
    with connect(f"sqlite:///{path}") as backend, Command(
        path, f"sqlite:///{path}", "--metrics-port", str(port), "--worker-id", "w"
    ) as command:
        WorkflowClient(backend).submit(QUICK, "a", 1)
        ended(backend, "a")

        def page():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return answer.read().decode()

        eventually(lambda: 'sayiir_task_seconds_count{outcome="completed"' in page())
        assert "sayiir_queue_due 0.0" in page()
        assert 'sayiir_worker_slots{kind="sync",state="all",worker="w"} 32.0' in page()
        command.send()
        assert command.end() == 0


def test_a_port_that_is_taken_is_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        url = f"sqlite:///{tmp_path / 'runs.db'}"
        done = run("worker", "tests.worker.child:ALL", "--url", url, "--metrics-port", port, cwd=ROOT)
    assert done.returncode == 1
    assert f"--metrics-port {port}:" in done.stderr
