// Receives for the loss tests through @xmpp/component. Arguments and words as in receive.py; the sockets are those of small.py.
"use strict";
const path = require("node:path");
const fs = require("node:fs");
const net = require("node:net");
const { component, xml } = require(path.join(__dirname, "../../../examples/nodejs/node_modules/@xmpp/component"));

const [address, domain, password, log, , stop, , user] = process.argv.slice(2);
const say = (...words) => fs.writeSync(1, words.join(" ") + "\n");
const file = fs.openSync(log, "a");
const sockets = process.env.SOCKETS.split(" ").map(Number);
const node = component({ service: `xmpp://${address}`, domain, password });
let leaving = false;
const gate = { stop: Number(stop), handled: 0, rest: Buffer.alloc(0) };

// A socket of small.py. What stands behind the answer to the handshake is kept from the library while reading has stopped there.
node.Socket = class extends net.Socket {
  constructor() {
    super({ fd: sockets.shift(), readable: true, writable: true, pauseOnCreate: true });
    this.once("connect", () => this.resume());
  }

  emit(event, data, ...more) {
    const end = event === "data" && gate.stop === 0 && /<handshake[^>]*\/>|<\/handshake>/.exec(data.toString("latin1"));
    if (!end) return super.emit(event, data, ...more);
    gate.stop = -1;
    const at = end.index + end[0].length;
    super.emit("data", data.subarray(0, at));
    pause(data.subarray(at));
    return true;
  }
};

function pause(rest = Buffer.alloc(0)) {
  gate.rest = rest;
  node.socket.pause();
  say("stopped");
}

function take(stanza) {
  if (!stanza.is("message")) return;
  const delay = stanza.getChild("delay", "urn:xmpp:delay");
  const words = delay ? [delay.attrs.from || "-", delay.attrs.stamp || "-"] : ["-", "-"];
  fs.writeSync(file, [stanza.attrs.id, ...words].join(" ") + "\n");
  if (++gate.handled === gate.stop) pause();
}

node.reconnect.stop(); // the test says when
node.on("stanza", take);
node.on("nonza", (element) => element.is("handshake") && fs.writeSync(file, "+\n"));
node.on("error", (error) => leaving || say("fault", error)); // what it may not answer any more is an error to the library
node.on("disconnect", () => say("dropped"));
node.on("online", async () => {
  if (user !== "-") for (const to of ["im.example", "sender.im.example"]) await node.send(xml("presence", { from: user, to }));
  say("attached");
});

const does = {
  attach: () => (node.status === "offline" ? node.start() : node.reconnect.reconnect()),
  read: () => {
    if (gate.rest.length) node.socket.emit("data", gate.rest);
    node.socket.resume();
  },
  reset: () => node.socket.resetAndDestroy(),
  quit: () => {
    leaving = true;
    return node.stop().finally(() => process.exit(0));
  },
};
require("node:readline").createInterface({ input: process.stdin }).on("line", (word) => Promise.resolve(does[word]()).catch(() => {}));
