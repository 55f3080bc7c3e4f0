"""What the receivers of the loss tests that are written in Python have in common.

arguments: HOST:PORT DOMAIN SECRET LOG HANDLER STOP BUFFER USER
HANDLER is plain, coroutine, or how many ms a plain one takes. At the first attach, reading stops behind STOP messages, 0: behind
<handshake/>; -1: never. BUFFER is SO_RCVBUF, 0: as the system has it. USER is announced at each attach, and tells the sender so; -: nobody.
stdin:  attach | read | reset | quit            stdout: attached | stopped | dropped | fault TEXT
LOG gets a line, by one write(2), when the stream begins: +, and when the handler of a message begins: ID, and FROM and STAMP of its delay.
"""
import os
import re
import socket
import struct
import sys

DELAY = "{urn:xmpp:delay}delay"
sender = "sender.im.example"
address, domain, secret, log, handler, stop, buffer, user = sys.argv[1:]
stop = int(stop)
host, _, port = address.rpartition(":")
file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def say(*words):
    print(*words, flush=True)


def begun():
    os.write(file, b"+\n")


def handle(id, xml):
    """Notes that the handler of a message has begun."""
    delay = xml.find(DELAY)
    words = (id, "-", "-") if delay is None else (id, delay.get("from", "-"), delay.get("stamp", "-"))
    os.write(file, (" ".join(words) + "\n").encode())


class Small(socket.socket):
    """A socket with the buffer that the arguments ask for, which counts from before it is connected."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if int(buffer):
            self.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(buffer))


def linger(sock):
    """Lets the end of a socket be a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Gate:
    """Decides when reading stops."""

    def __init__(self):
        self.stop, self.handled = stop, 0

    def split(self, data):
        """Gives what may be taken of some bytes, and what may not: None, or all behind the answer to the handshake if reading stops there."""
        end = re.search(rb"<handshake[^>]*/>|</handshake>", data) if self.stop == 0 else None
        if end is None:
            return data, None
        self.stop = -1
        return data[: end.end()], data[end.end() :]

    def count(self):
        """Counts a message, and tells whether reading stops behind it."""
        self.handled += 1
        return self.handled == self.stop
