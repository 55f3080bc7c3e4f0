"""A node with slixmpp for the conformance suite to judge: ADDRESS DOMAIN SECRET. It announces a user, does else what the library does
by itself, and attaches again half a second after its stream has ended: the library leaves that to the node."""
import asyncio
import sys

from slixmpp import ComponentXMPP


async def main(address, domain, secret):
    while True:
        node = ComponentXMPP(domain, secret, *address.split(":"))
        node.register_plugin("xep_0030")
        node.register_plugin("xep_0199")
        node.add_event_handler("session_start", lambda _: node.send_presence(pfrom="user@im.example/judged", pto="im.example"))
        node.connect(use_ssl=False)
        await node.disconnected
        await asyncio.sleep(0.5)


asyncio.run(main(*sys.argv[1:]))
