"""A server that notes when each create request arrives: recorder.py FILE

It prints its port, serves until SIGTERM, and then writes the times to FILE, one a line, in nanoseconds. The times are the
kernel's, of the packet as it came out of the loopback device: how busy this process is does not move them.
"""

import re
import select
import signal
import socket
import struct
import sys
import time
from pathlib import Path

# Linux: asks for the time of each packet, as a control message of the same number.
SO_TIMESTAMPNS = 35
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection:
    def __init__(self, stream: socket.socket):
        self.stream = stream
        self.buffer = b""
        # When the first packet of the request that is being read arrived.
        self.began = 0

    def read(self, arrivals: list[int]) -> bool:
        """Reads what came and answers each whole request; returns whether the connection is still open."""
        chunk, control, _, _ = self.stream.recvmsg(65536, 128)
        if not chunk:
            return False
        if not self.buffer:
            self.began = next((seconds * 10**9 + rest for seconds, rest in stamps(control)), time.time_ns())
        self.buffer += chunk
        while (end := self.buffer.find(b"\r\n\r\n") + 4) > 3:
            length = LENGTH.search(self.buffer, 0, end)
            size = end + (int(length[1]) if length else 0)
            if len(self.buffer) < size:
                return True
            if self.buffer.startswith(b"POST "):
                arrivals.append(self.began)
            self.stream.sendall(answer(self.buffer, len(arrivals)))
            self.buffer = self.buffer[size:]
        return True


def stamps(control):
    for _, kind, value in control:
        if kind == SO_TIMESTAMPNS:
            yield struct.unpack("@qq", value)


def answer(request: bytes, number: int) -> bytes:
    if request.startswith(b"POST "):
        uri = b'"api/v1.0/requests/%08x-0000-4000-8000-000000000000"' % number
        return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(uri) + uri
    if b"/requests HTTP" in request.split(b"\r\n", 1)[0]:
        return b"HTTP/1.1 204 No Content\r\n\r\n"
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def main(out: Path) -> None:
    arrivals: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    connections: dict[int, Connection] = {}
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    try:
        while True:
            for number, _ in poll.poll():
                if number == listener.fileno():
                    stream, _ = listener.accept()
                    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    stream.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                    connections[stream.fileno()] = Connection(stream)
                    poll.register(stream, select.EPOLLIN)
                elif not connections[number].read(arrivals):
                    connections.pop(number).stream.close()
    finally:
        out.write_text("".join(f"{at}\n" for at in arrivals))


main(Path(sys.argv[1]))
