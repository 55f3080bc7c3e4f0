"""A node with nothing but Python's standard library: carol is logged in on it, greets a user, and answers who writes to her."""
import asyncio
import os
import pathlib
import signal
import sqlite3
import sys
import uuid

from component import NS, attach, element, message, reply, why

DOMAIN, CAROL = "python.im.example", "carol@im.example/python"


class Node:
    def __init__(self, greet):
        self.greet, self.leaving, self.write = greet, False, lambda xml: None
        self.db = sqlite3.connect("messages-python.db")
        self.db.execute("CREATE TABLE IF NOT EXISTS messages(sender, id, recipient, body, PRIMARY KEY(sender, id))")

    async def run(self, address, secret):
        while not self.leaving:  # attach, and again when the link is lost
            try:
                incoming, self.write = await attach(address, DOMAIN, secret)
                announce = element("announce", {"jid": CAROL})
                self.write(element("iq", {"type": "set", "id": "announce", "from": DOMAIN, "to": "im.example"},
                                   element("sessions", {"xmlns": "urn:patchbay:sessions:1"}, announce)))
                async for stanza in incoming:
                    self.take(stanza)
            except OSError as error:
                print("link:", error, flush=True)
                await asyncio.sleep(0 if self.leaving else 1)

    def take(self, stanza):
        kind, body = stanza.get("type"), stanza.findtext(NS + "body")
        if stanza.tag == "{http://etherx.jabber.org/streams}error":
            raise ConnectionError(why(stanza))
        if kind == "error":  # the router tells why: a message that was saved is now an offline message
            print("not delivered to %s: %s" % (stanza.get("from"), why(stanza.find(NS + "error"))), flush=True)
        elif stanza.tag == NS + "message" and body and self.save(stanza.get("from"), stanza.get("id"), stanza.get("to"), body):
            if not body.startswith("you said: "):  # an answer is not answered
                self.say(stanza.get("from"), "you said: " + body)
        elif stanza.tag == NS + "iq" and kind == "result":  # the announce is on the router's disk
            print("announced", CAROL, flush=True)
            self.say(self.greet, "hello from Python")
        elif stanza.tag == NS + "iq":
            ping = stanza.find("{urn:xmpp:ping}ping") is not None
            no = element("service-unavailable", {"xmlns": "urn:ietf:params:xml:ns:xmpp-stanzas"})
            self.write(reply(stanza, "result") if ping else reply(stanza, "error", element("error", {"type": "cancel"}, no)))

    def say(self, to, body):
        id = str(uuid.uuid4())
        self.save(CAROL, id, to, body)  # save first, then send
        self.write(message(id, CAROL, to, body))

    def save(self, sender, id, to, body):
        """Tells whether a message is new: a router may deliver one again."""
        with self.db:
            new = self.db.execute("INSERT OR IGNORE INTO messages VALUES(?, ?, ?, ?)", (sender, id, to, body)).rowcount == 1
        if new:
            print("%s -> %s: %r" % (sender, to, body), flush=True)
        return new

    def leave(self):
        self.leaving = True
        self.write("</stream:stream>")  # the router ends its half when it has read all; what comes until then is saved
        self.write = lambda xml: None


async def main():
    node = Node((sys.argv + ["dave@im.example"])[1])
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, node.leave)
    secret = os.environ.get("PATCHBAY_SECRET") or pathlib.Path("patchbay-data/dev-secret").read_text().strip()
    await node.run(os.environ.get("PATCHBAY_ADDR", "127.0.0.1:5347"), secret)


asyncio.run(main())
