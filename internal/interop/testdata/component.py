"""A component's stream (XEP-0114) with nothing but Python's standard library."""
import asyncio
import hashlib
from xml.etree.ElementTree import XMLPullParser
from xml.sax.saxutils import escape, quoteattr

NS = "{jabber:component:accept}"


async def attach(address, domain, secret):
    """Attaches a node. Gives what comes on its stream, and a function that takes XML to be sent."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    incoming, write = elements(reader), lambda xml: writer.write(xml.encode())
    write("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>" % domain)
    stream_id = (await anext(incoming)).get("id")
    write(element("handshake", {}, hashlib.sha1((stream_id + secret).encode()).hexdigest()))
    answer = await anext(incoming)
    if answer.tag != NS + "handshake":
        raise ConnectionError(why(answer))
    return incoming, write


async def elements(reader):
    """Gives the header of a stream, then each element in it, whole however its bytes come."""
    parser, depth = XMLPullParser(("start", "end")), 0
    while data := await asyncio.wait_for(reader.read(65536), 90):  # the router pings a silent link every 30 s
        parser.feed(data)
        for event, found in parser.read_events():
            depth += 1 if event == "start" else -1
            if event == "start" and depth == 1:
                root = found
                yield root
            elif event == "end" and depth == 1:
                yield found
                root.clear()
    raise ConnectionError("the stream has ended")


def element(name, attributes, content=""):
    return "<%s%s>%s</%s>" % (name, "".join(" %s=%s" % (k, quoteattr(v)) for k, v in attributes.items()), content, name)


def message(id, sender, to, body):
    text = escape(body, {"\r": "&#13;"})  # as it is, a carriage return would be read as a line feed
    return element("message", {"id": id, "from": sender, "to": to, "type": "chat"}, element("body", {}, text))


def reply(iq, type, content=""):
    return element("iq", {"type": type, "id": iq.get("id"), "from": iq.get("to"), "to": iq.get("from")}, content)


def why(error):
    """Gives condition and text of a stream error or a stanza error."""
    return ": ".join(child.text or child.tag.partition("}")[2] for child in ([] if error is None else error[:2]))
