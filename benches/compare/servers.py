"""The servers that are sent to. All of them listen on loopback, and each is ended by its process id."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

LIST = "/CertificateManagement/api/v1.0/requests"
ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")


class Server:
    """A process that listens on a port, until the block that uses it is left."""

    def __init__(self, command: Sequence[str | Path], log: Path, port: int | None = None):
        # A session of its own: Ctrl-C ends what is measured first, and the servers after it.
        with log.open("ab") as out:
            stdout = subprocess.PIPE if port is None else out
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=stdout,
                                            stderr=out, start_new_session=True, text=True)
        # One that takes a free port by itself prints it first.
        self.port = int(self.process.stdout.readline()) if port is None else port
        self.base = f"http://127.0.0.1:{self.port}"
        self.url = self.base + LIST

    def __enter__(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.02)

    def __exit__(self, *_):
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


NGINX = """{module}
worker_processes 1;
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  # Each answer has a URI of its own, made of the request's random number.
  map $request_id $uuid {{ "~^(?<a>.{{8}})(?<b>.{{4}})(?<c>.{{4}})(?<d>.{{4}})(?<e>.{{12}})$" "$a-$b-$c-$d-$e"; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    default_type application/json;
    location = /CertificateManagement/api/v1.0/requests {{
      {answer}
    }}
    location = /status {{ stub_status; }}
    location / {{ return 404; }}
  }}
}}
"""

URI = """'"api/v1.0/requests/$uuid"'"""
NO_LIST = "if ($request_method = GET) { return 204; }"
# A create request is answered at once.
CREATES = f"{NO_LIST} return 201 {URI};"
# The same after 20 ms, by a timer that lets the worker go on meanwhile.
CREATES_LATE = f"{NO_LIST} echo_status 201; echo_sleep 0.020; echo {URI};"
# There is no API: `cmbatch submit` loads its ledger, makes one call and stops.
REFUSES = f"{NO_LIST} return 404;"


def lists(file: Path) -> str:
    """Returns what makes nginx give this file as the server's list of requests."""
    return f"sendfile on; alias {file};"


class Nginx(Server):
    """nginx with one worker."""

    def __init__(self, folder: Path, answer: str, port: int | None = None):
        port = free_port() if port is None else port
        home = folder / f"nginx-{port}"
        home.mkdir(exist_ok=True)
        # The temporary folder is its owner's alone, so the worker has to stay the user who started it.
        user = "user root;" if os.geteuid() == 0 else ""
        module = f"load_module {ECHO_MODULE};" if "echo" in answer else ""
        config = home / "nginx.conf"
        config.write_text(NGINX.format(module=module, user=user, folder=home, port=port, answer=answer))
        super().__init__(["/usr/sbin/nginx", "-p", home, "-c", config], home / "log", port)

    def n_served(self) -> int:
        """Returns how many calls were answered so far, this one not counted."""
        with urllib.request.urlopen(f"{self.base}/status") as answer:
            return int(answer.read().split()[9]) - 1


class Simulator(Server):
    """`cmbatch simulate`, with a log of all that arrives."""

    def __init__(self, cmbatch: Path, folder: Path, *options: str):
        self.arrivals = folder / "arrivals.jsonl"
        port = free_port()
        super().__init__([cmbatch, "simulate", "--port", str(port), "--log", self.arrivals, *options],
                         folder / "simulate.log", port)

    def created(self):
        """Yields the requests that exist, each as its uuid and the body that asked for it."""
        with self.arrivals.open() as lines:
            for line in lines:
                arrival = json.loads(line)
                if arrival["created"]:
                    yield arrival["created"], json.loads(arrival["body"])
