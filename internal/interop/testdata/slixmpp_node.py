"""A node written with slixmpp: announces users, then talks with the node of the test.

stdin:  go | quit            stdout: announced | at NUMBER | done | fault TEXT
"""
import argparse
import asyncio
import json
import sys
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from slixmpp import ComponentXMPP

SESSIONS = "urn:patchbay:sessions:1"


def say(*words):
    print(*words, flush=True)


class Node(ComponentXMPP):
    def __init__(self, args, bodies):
        super().__init__(args.domain, args.secret, args.host, args.port)
        self.args, self.bodies = args, bodies
        self.last = {}
        self.received = self.faults = 0
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", self.take)
        self.add_event_handler("message_error", lambda m: self.fault("error", str(m)))

    def fault(self, *words):
        self.faults += 1
        if self.faults <= 10:
            say("fault", *words)

    def user(self, side, i):
        return "%s%d@%s/x" % (side, i, self.args.users)

    async def begin(self, _):
        users = [self.user("s", i) for i in range(self.args.count)]
        few = users[-10:]
        for at in range(0, len(users) - len(few), 500):
            iq = self.make_iq_set(ito=self.args.users, ifrom=self.args.domain)
            statement = ET.Element("{%s}sessions" % SESSIONS)
            for jid in users[at : min(at + 500, len(users) - len(few))]:
                ET.SubElement(statement, "{%s}announce" % SESSIONS, jid=jid)
            iq.append(statement)
            await iq.send(timeout=50)
        for jid in few:
            self.send_presence(pfrom=jid, pto=self.args.users)
        ping = self.make_iq_get(ito=self.args.users, ifrom=self.args.domain)
        ping.append(ET.Element("{urn:xmpp:ping}ping"))
        await ping.send(timeout=50)  # what came before it on this stream is in the table
        say("announced")

    def course(self, n):
        """From and to of message n, and the text it carries: both sides compute them alike."""
        i = n % self.args.count
        to = (i * 7) % self.args.count
        return i, to, i % 2 == 0

    async def talk(self):
        for n in range(self.args.messages):
            i, to, bare = self.course(n)
            body = self.bodies[n % len(self.bodies)]
            mto = self.user("g", to)
            if bare:
                mto = mto.split("/")[0]
            if body["raw"] == escape(body["text"], {"'": "&apos;", '"': "&quot;"}):
                m = self.make_message(mto=mto, mfrom=self.user("s", i), mtype="chat", mbody="%d %s" % (n, body["text"]))
                m["id"] = "s-%d" % n
                m.send()
            else:  # the library would write it otherwise, a carriage return even raw
                self.send("<message type='chat' id='s-%d' from='%s' to='%s'><body>%d %s</body></message>"
                          % (n, self.user("s", i), mto, n, body["raw"]))
            if n % 100 == 99:
                await asyncio.sleep(0)

    def take(self, m):
        side, _, number = m["id"].partition("-")
        if side != "g":
            return self.fault("foreign id", m["id"])
        n = int(number)
        i, to, bare = self.course(n)
        mto = self.user("s", to)
        if bare:
            mto = mto.split("/")[0]
        want = "%d %s" % (n, self.bodies[n % len(self.bodies)]["text"])
        if n != self.last.get(i, i - self.args.count) + self.args.count:
            self.fault("message", n, "of this pair comes after", self.last.get(i))
        self.last[i] = n
        if str(m["from"]) != self.user("g", i) or str(m["to"]) != mto:
            self.fault("message", n, "is from", m["from"], "to", m["to"])
        if m["body"] != want:
            self.fault("message", n, "reads", repr(m["body"]), "not", repr(want))
        self.received += 1
        if self.received == self.args.messages:
            say("done")
        elif self.received % 1000 == 0:
            say("at", self.received)


async def command(node):
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while True:
        word = (await lines.readline()).strip()
        if word == b"go":
            talking = loop.create_task(node.talk())
        elif word in (b"quit", b""):
            await talking
            await node.disconnect(wait=2.0)
            return


def main():
    parser = argparse.ArgumentParser()
    for name in ("host", "domain", "secret", "users", "bodies"):
        parser.add_argument("--" + name)
    for name in ("port", "count", "messages"):
        parser.add_argument("--" + name, type=int)
    args = parser.parse_args()
    with open(args.bodies, encoding="utf-8") as f:
        node = Node(args, json.load(f))
    node.connect()
    node.loop.run_until_complete(command(node))


main()
