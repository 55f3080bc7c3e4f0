"""Nodes with slixmpp that are refused, all at one time: each prints what its author is told, by the handlers of the example."""
import asyncio
import os
import sys

from slixmpp import ComponentXMPP


class Node(ComponentXMPP):
    def __init__(self, domain, address):
        super().__init__(domain, os.environ["PATCHBAY_SECRET"], *address.split(":"))
        self.add_event_handler("session_start", lambda _: self.on_end("attached"))
        self.add_event_handler("stream_error", lambda e: self.on_end(e["condition"] + ": " + e["text"]))
        self.add_event_handler("connection_failed", self.on_end)
        self.add_event_handler("disconnected", self.on_end)
        self.told = self.loop.create_future()

    def on_end(self, why):
        if not self.told.done():
            self.told.set_result(str(why or "ended"))


async def one(domain, address, tls):
    node = Node(domain, address)
    node.connect(use_ssl=tls)
    print("told", await node.told, flush=True)
    node.abort()


async def main(address, domain, tries, tls):
    await asyncio.gather(*(one(domain, address, tls == "tls") for _ in range(int(tries))))
    print("done", flush=True)


asyncio.run(main(*sys.argv[1:]))
