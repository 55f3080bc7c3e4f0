"""Receives for the loss tests with Python's standard library only. Arguments and words as in receive.py."""
import hashlib
import select
import sys
from xml.etree.ElementTree import XMLPullParser

sys.dont_write_bytecode = True
from component import NS, element, reply
from receive import Gate, Small, begun, domain, handle, host, linger, port, say, secret, sender, user


class Node:
    def __init__(self):
        self.gate, self.rest, self.sock, self.paused = Gate(), b"", None, False

    def attach(self):
        self.sock, self.paused, self.rest = Small(), False, b""
        self.sock.connect((host, int(port)))
        self.parser, self.depth = XMLPullParser(("start", "end")), 0
        self.send("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='%s'>" % domain)

    def send(self, xml):
        self.sock.sendall(xml.encode())

    def readable(self):
        """Takes what has come. Gives False at the end of the stream."""
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            data = b""
            say("fault", error)
        data, rest = self.gate.split(data)
        if not data or not self.feed(data):
            return self.end()
        if rest is not None:
            self.pause(rest)
        return True

    def feed(self, data):
        self.parser.feed(data)
        for event, found in self.parser.read_events():
            self.depth += 1 if event == "start" else -1
            if self.depth == 0:
                return False
            if event == "start" and self.depth == 1:
                self.root = found
                self.send(element("handshake", {}, hashlib.sha1((found.get("id") + secret).encode()).hexdigest()))
            elif event == "end" and self.depth == 1:
                self.take(found)
                self.root.clear()
        return True

    def take(self, stanza):
        if stanza.tag == NS + "message":
            handle(stanza.get("id"), stanza)
            if self.gate.count():
                self.pause()
        elif stanza.tag == NS + "iq" and stanza.get("type") in ("get", "set"):
            self.send(reply(stanza, "result"))
        elif stanza.tag == NS + "handshake":
            begun()
            if user != "-":
                for to in ("im.example", sender):
                    self.send(element("presence", {"from": user, "to": to}))
            say("attached")

    def pause(self, rest=b""):
        self.paused, self.rest = True, rest
        say("stopped")

    def read(self):
        self.paused = False
        self.feed(self.rest)

    def reset(self):
        linger(self.sock)
        self.end()

    def end(self):
        self.sock.close()
        self.sock = None
        say("dropped")
        return False


node = Node()
does = {"attach": node.attach, "read": node.read, "reset": node.reset}
while True:
    watched = [sys.stdin] if node.sock is None or node.paused else [sys.stdin, node.sock]
    ready = select.select(watched, [], [])[0]
    if node.sock in ready:
        node.readable()
    if sys.stdin in ready:
        word = sys.stdin.readline().strip()  # the test waits for an answer before the next word
        if word not in does:
            break
        does[word]()
if node.sock:
    node.send("</stream:stream>")
    while node.sock and node.readable():
        pass
