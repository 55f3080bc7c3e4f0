"""A node with nothing but Python's standard library: carol is logged in on it, greets a user, and answers who writes to her."""
import asyncio
import hashlib
import os
import signal
import sqlite3
import sys
from xml.etree.ElementTree import XMLPullParser
from xml.sax.saxutils import escape

NODE, CAROL, GREET = "python.im.example", "carol@im.example/python", (sys.argv + ["dave@im.example"])[1]
SECRET = os.environ.get("PATCHBAY_SECRET") or open("patchbay-data/dev-secret").read().strip()
DB = sqlite3.connect("messages-python.db", isolation_level=None)  # what is inserted is on the disk at once
DB.execute("CREATE TABLE IF NOT EXISTS messages(sender, id, recipient, body, PRIMARY KEY(sender, id))")


class Node:
    leaving, writer = False, None

    async def attach(self):  # each end writes one long XML document, whose second level is stanzas
        reader, self.writer = await asyncio.open_connection(*os.environ.get("PATCHBAY_ADDR", "127.0.0.1:5347").split(":"))
        for sign in (signal.SIGINT, signal.SIGTERM):  # the router ends its half when it has read all; until then all is saved
            loop.add_signal_handler(sign, self.send, "</stream:stream>")
        self.send("<stream:stream to='%s' xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>", NODE)
        parser, depth = XMLPullParser(("start", "end")), 0
        while data := await asyncio.wait_for(reader.read(65536), 90):  # the router pings a silent link every 30 s
            parser.feed(data)
            for event, element in parser.read_events():
                depth += 1 if event == "start" else -1
                if depth == 1 and event == "start":  # the router's document has begun
                    root = element
                    self.send("<handshake>%s</handshake>", hashlib.sha1((root.get("id") + SECRET).encode()).hexdigest())
                elif depth == 1:  # a stanza is complete
                    self.take(element)
                    root.clear()

    def take(self, stanza):
        name, body = stanza.tag.partition("}")[2], stanza.findtext("{*}body")
        kind, id, sender, to = map(stanza.get, ("type", "id", "from", "to"))
        if name == "handshake":  # the node is attached; a log-in is presence to the users' domain
            self.send("<presence from='%s' to='im.example'/>", CAROL)
            print("announced", CAROL, flush=True)
            self.say(GREET, "hello from Python")
        elif name == "error" or kind == "error":  # the router tells why: what was saved is now an offline message
            why = [child.text or child.tag.partition("}")[2] for child in stanza.findall("{*}error/*") or stanza]
            print("not delivered to " + sender if sender else "link", *why[:2], sep=": ", flush=True)
        elif name == "message" and body and self.save(sender, id, to, body) and not body.startswith("you said: "):
            self.say(sender, "you said: " + body)  # to what is new, and no answer itself
        elif name == "iq" and stanza.find("{urn:xmpp:ping}ping") is not None:
            self.send("<iq type='result' id='%s' from='%s' to='%s'/>", id, to, sender)
        elif name == "iq" and kind != "result":  # every request is answered
            self.send("<iq type='error' id='%s' from='%s' to='%s'><error type='cancel'>"
                      "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", id, to, sender)

    def say(self, to, body):
        id = os.urandom(16).hex()
        self.save(CAROL, id, to, body)  # save first, then send
        self.send("<message id='%s' from='%s' to='%s' type='chat'><body>%s</body></message>", id, CAROL, to, body)

    def save(self, *row):  # tells whether a message is new: a router may deliver one again
        new = DB.execute("INSERT OR IGNORE INTO messages VALUES(?, ?, ?, ?)", row).rowcount == 1
        if new:
            print("%s -> %s: %r" % (row[0], row[2], row[3]), flush=True)
        return new

    def send(self, xml, *values):
        if not self.leaving:
            self.writer.write((xml % tuple(escape(v, {"'": "&apos;", "\r": "&#13;"}) for v in values)).encode())
            self.leaving = xml == "</stream:stream>"  # nothing goes behind it


node, loop = Node(), asyncio.new_event_loop()
while not node.leaving:  # attach, and again when the link is lost
    try:
        loop.run_until_complete(node.attach())
    except (OSError, asyncio.TimeoutError) as error:
        print("link: %r" % error, flush=True)
    if node.writer:
        node.writer.close()
    loop.run_until_complete(asyncio.sleep(0 if node.leaving else 1))
