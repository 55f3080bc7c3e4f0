"""Receives for the loss tests through slixmpp. Arguments and words as in receive.py."""
import asyncio
import socket
import sys
import time

sys.dont_write_bytecode = True
from slixmpp import ComponentXMPP

from receive import Gate, Small, begun, domain, handle, handler, host, linger, port, say, secret, sender, user

socket.socket = Small  # asyncio makes its sockets with it


class Node(ComponentXMPP):
    def __init__(self):
        super().__init__(domain, secret, host, int(port))
        self.gate, self.rest = Gate(), b""
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", self.later if handler == "coroutine" else self.take)
        self.add_event_handler("disconnected", lambda why: say("dropped", why or ""))
        if handler == "plain":
            self.register_plugin("xep_0199")  # answers pings with a result; without it the library answers with an error

    def begin(self, _):
        begun()
        if user != "-":
            for to in ("im.example", sender):
                self.send_presence(pfrom=user, pto=to)
        say("attached")

    def data_received(self, data):
        """Is the library's: it has read from the socket."""
        data, rest = self.gate.split(data)
        super().data_received(data)
        if rest is not None:
            self.pause(rest)

    def take(self, m):
        handle(m["id"], m.xml)
        if handler.isdigit():
            time.sleep(int(handler) / 1000)
        if self.gate.count():
            self.pause()

    async def later(self, m):
        handle(m["id"], m.xml)
        if self.gate.count():
            self.pause()
        await asyncio.sleep(0.01)

    def pause(self, rest=b""):
        self.rest = rest
        self.transport.pause_reading()
        say("stopped")

    def read(self):
        super().data_received(self.rest)
        self.transport.resume_reading()

    def reset(self):
        linger(self.transport.get_extra_info("socket"))
        self.transport.abort()


async def main():
    node, loop = Node(), asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    does = {b"attach": node.connect, b"read": node.read, b"reset": node.reset}
    while (word := (await lines.readline()).strip()) in does:
        does[word]()
    await node.disconnect()  # closes the stream, and waits for the server to close it


asyncio.run(main())
