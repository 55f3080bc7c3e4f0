"""A node with slixmpp: bob is logged in on it, greets a user, and answers who writes to him."""
import asyncio
import os
import pathlib
import signal
import sqlite3
import sys

from slixmpp import ComponentXMPP

BOB = "bob@im.example/slixmpp"


class Node(ComponentXMPP):
    def __init__(self, secret, address, greet):
        super().__init__("slixmpp.im.example", secret, *address.split(":"))
        self.greet = greet
        self.db = sqlite3.connect("messages-slixmpp.db")
        self.db.execute("CREATE TABLE IF NOT EXISTS messages(sender, id, recipient, body, PRIMARY KEY(sender, id))")
        self.register_plugin("xep_0199", {"keepalive": True, "interval": 60, "timeout": 30})  # answers pings, and sends them
        self.add_event_handler("session_start", self.on_attach)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("message_error", self.on_error)
        self.add_event_handler("presence_error", self.on_error)
        self.add_event_handler("stream_error", lambda e: self.on_end(e["condition"] + ": " + e["text"]))
        self.add_event_handler("connection_failed", self.on_end)
        self.add_event_handler("disconnected", self.on_end)

    def on_attach(self, _):
        self.send_presence(pfrom=BOB, pto="im.example")  # a refusal would be answered, success is not
        print("announced", BOB, flush=True)
        self.say(self.greet, "hello from slixmpp")

    def on_message(self, m):
        if m["type"] != "error" and m["body"] and self.save(str(m["from"]), m["id"] or None, str(m["to"]), m["body"]):
            if not m["body"].startswith("you said: "):  # an answer is not answered
                self.say(m["from"], "you said: " + m["body"])

    def on_error(self, m):  # the router tells why: a message that was saved is now an offline message
        why = [child.text or child.tag.partition("}")[2] for child in m.xml.findall("{*}error/*")]
        print("not delivered to %s: %s" % (m["from"], ": ".join(why[:2])), flush=True)

    def on_end(self, why):
        print("link:", why or "ended", flush=True)
        self.loop.call_later(1, lambda: self.is_connected() or self.connect())

    def say(self, to, body):
        m = self.make_message(mto=to, mfrom=BOB, mbody=body, mtype="chat")
        m["id"] = self.new_id()
        self.save(BOB, m["id"], str(to), body)  # save first, then send
        m.send()

    def save(self, sender, id, to, body):
        """Tells whether a message is new: a router may deliver one again."""
        with self.db:
            new = self.db.execute("INSERT OR IGNORE INTO messages VALUES(?, ?, ?, ?)", (sender, id, to, body)).rowcount == 1
        if new:
            print("%s -> %s: %r" % (sender, to, body), flush=True)
        return new


async def main():
    secret = os.environ.get("PATCHBAY_SECRET") or pathlib.Path("patchbay-data/dev-secret").read_text().strip()
    node = Node(secret, os.environ.get("PATCHBAY_ADDR", "127.0.0.1:5347"), (sys.argv + ["carol@im.example"])[1])
    leaving = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        node.loop.add_signal_handler(sign, leaving.set)
    node.connect()
    await leaving.wait()
    await node.disconnect()  # closes the stream, and waits for the router to close it


asyncio.run(main())
