"""Talks for the exchange through slixmpp.

arguments: HOST:PORT SIDE DOMAIN SECRET USERS SCRIPT HEARD MESSAGES
stdin:  go | quit            stdout: announced | at NUMBER | done | fault TEXT
SCRIPT has a line [id, from, to, text, raw] for each message to be sent; HEARD gets a line [from, id, to, body] for each that comes.
"""
import asyncio
import json
import sys
from xml.etree import ElementTree as ET

from slixmpp import ComponentXMPP

SESSIONS = "urn:patchbay:sessions:1"
address, side, domain, secret, users, script, heard, messages = sys.argv[1:]


def say(*words):
    print(*words, flush=True)


class Node(ComponentXMPP):
    def __init__(self):
        super().__init__(domain, secret, *address.split(":"))
        self.heard, self.received = open(heard, "w", encoding="utf-8"), 0
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler("message", self.take)
        self.add_event_handler("message_error", lambda m: say("fault", m))

    async def begin(self, _):
        all = ["%s%d@im.example/x" % (side, i) for i in range(int(users))]
        few = all[-10:]  # by presence; the others by iq
        for at in range(0, len(all) - len(few), 500):
            iq = self.make_iq_set(ito="im.example", ifrom=domain)
            statement = ET.Element("{%s}sessions" % SESSIONS)
            for jid in all[at : min(at + 500, len(all) - len(few))]:
                ET.SubElement(statement, "{%s}announce" % SESSIONS, jid=jid)
            iq.append(statement)
            await iq.send(timeout=50)
        for jid in few:
            self.send_presence(pfrom=jid, pto="im.example")
        ping = self.make_iq_get(ito="im.example", ifrom=domain)
        ping.append(ET.Element("{urn:xmpp:ping}ping"))
        await ping.send(timeout=50)  # what came before it on this stream is in the table
        say("announced")

    async def talk(self):
        for n, line in enumerate(open(script, encoding="utf-8")):
            id, sender, to, text, raw = json.loads(line)
            if raw:
                self.send("<message type='chat' id='%s' from='%s' to='%s'><body>%s</body></message>" % (id, sender, to, raw))
            else:
                m = self.make_message(mto=to, mfrom=sender, mtype="chat", mbody=text)
                m["id"] = id
                m.send()
            if n % 100 == 99:
                await asyncio.sleep(0)

    def take(self, m):
        json.dump([str(m["from"]), m["id"], str(m["to"]), m["body"]], self.heard)
        self.heard.write("\n")
        self.received += 1
        if self.received == int(messages):
            say("done")
        elif self.received % 5000 == 0:
            say("at", self.received)


async def main():
    node, loop = Node(), asyncio.get_running_loop()
    node.connect()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while (await lines.readline()).strip() == b"go":
        talking = loop.create_task(node.talk())
    await talking
    await node.disconnect(wait=2.0)
    node.heard.close()


asyncio.run(main())
