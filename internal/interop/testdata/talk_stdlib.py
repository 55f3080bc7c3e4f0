"""Talks for the exchange with Python's standard library only. Arguments and words as in talk_slixmpp.py."""
import asyncio
import json
import sys

sys.dont_write_bytecode = True
from component import NS, attach, element, message, reply, why

address, side, domain, secret, users, script, heard, messages = sys.argv[1:]


def say(*words):
    print(*words, flush=True)


async def listen(incoming, write):
    received = 0
    with open(heard, "w", encoding="utf-8") as file:
        async for stanza in incoming:
            kind = stanza.get("type")
            if stanza.tag == NS + "iq" and kind == "get":
                write(reply(stanza, "result"))
            elif stanza.tag == NS + "iq" and kind == "result":
                say("announced")
            elif stanza.tag != NS + "message" or kind == "error":
                say("fault", stanza.tag, why(stanza.find(NS + "error")))
            else:
                json.dump([stanza.get("from"), stanza.get("id"), stanza.get("to"), stanza.findtext(NS + "body")], file)
                file.write("\n")
                received += 1
                if received == int(messages):
                    say("done")
                elif received % 5000 == 0:
                    say("at", received)


async def talk(write):
    for n, line in enumerate(open(script, encoding="utf-8")):
        id, sender, to, text, raw = json.loads(line)
        write("<message type='chat' id='%s' from='%s' to='%s'><body>%s</body></message>" % (id, sender, to, raw) if raw else message(id, sender, to, text))
        if n % 100 == 99:
            await asyncio.sleep(0)


async def main():
    incoming, write = await attach(address, domain, secret)
    items = "".join(element("announce", {"jid": "%s%d@im.example/x" % (side, i)}) for i in range(int(users)))
    write(element("iq", {"type": "set", "id": "all", "from": domain, "to": "im.example"},
                  element("sessions", {"xmlns": "urn:patchbay:sessions:1"}, items)))
    listening = asyncio.create_task(listen(incoming, write))
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while (await lines.readline()).strip() == b"go":
        talking = asyncio.create_task(talk(write))
    await talking
    write("</stream:stream>")
    try:
        await listening
    except ConnectionError:
        pass  # the stream has ended


asyncio.run(main())
