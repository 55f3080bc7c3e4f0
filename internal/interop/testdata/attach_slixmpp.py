"""Attaches with slixmpp: ADDRESS DOMAIN SECRET. It says "attached"; of each message "got ID BODY", "-" for no body, and answers it
with "heard ID" under the id re-ID. Behind the message "last" it ends its stream as the library does it, and ends with 0. The nodes
of the libraries that answer no iqs take a fourth argument: "answers" adds the handler that answers."""
import asyncio
import sys

from slixmpp import ComponentXMPP


class Node(ComponentXMPP):
    def __init__(self, address, domain, secret):
        super().__init__(domain, secret, *address.split(":"))
        self.add_event_handler("session_start", lambda _: print("attached", flush=True))
        self.add_event_handler("stream_error", lambda e: print("fault", e["condition"], flush=True))
        self.add_event_handler("message", self.on_message)

    def on_message(self, message):
        key = message["id"]
        print("got", key, message["body"] or "-", flush=True)
        answer = self.make_message(mto=message["from"], mfrom=self.boundjid, mbody="heard " + key, mtype="chat")
        answer["id"] = "re-" + key
        answer.send()
        if key == "last":
            self.disconnect()


async def main():
    node = Node(*sys.argv[1:4])
    node.connect(use_ssl=False)
    await node.disconnected


asyncio.run(main())
