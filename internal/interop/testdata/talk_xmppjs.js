// Talks for the exchange through @xmpp/component. Arguments and words as in talk_slixmpp.py; HEARD.chunks gets the ends of
// the reads from the socket, in bytes from the beginning of the stream.
"use strict";
const path = require("node:path");
const fs = require("node:fs");
const { component, xml } = require(path.join(__dirname, "../../../examples/nodejs/node_modules/@xmpp/component"));

const [address, side, domain, password, users, script, heard, messages] = process.argv.slice(2);
const say = (...words) => console.log(...words);
const node = component({ service: `xmpp://${address}`, domain, password });
const chunks = [];
const rows = [];

async function announce() {
  const all = Array.from({ length: users }, (_, i) => `${side}${i}@im.example/x`);
  for (let at = 0; at < all.length; at += 500) {
    const items = all.slice(at, at + 500).map((jid) => xml("announce", { jid }));
    await node.iqCaller.request(xml("iq", { type: "set", to: "im.example" }, xml("sessions", { xmlns: "urn:patchbay:sessions:1" }, items)));
  }
  say("announced");
}

async function talk() {
  for (const line of fs.readFileSync(script, "utf8").split("\n").filter(Boolean)) {
    const [id, from, to, text, raw] = JSON.parse(line);
    if (raw) await node.write(`<message type='chat' id='${id}' from='${from}' to='${to}'><body>${raw}</body></message>`);
    else await node.send(xml("message", { type: "chat", id, from, to }, xml("body", {}, text)));
  }
}

function take(stanza) {
  const { id, from, to, type } = stanza.attrs;
  if (stanza.is("iq")) return;
  if (!stanza.is("message") || type === "error") return say("fault", stanza.toString());
  rows.push(JSON.stringify([from, id, to, stanza.getChildText("body")]) + "\n");
  if (rows.length === Number(messages)) say("done");
  else if (rows.length % 5000 === 0) say("at", rows.length);
}

node.on("connect", () => {
  let read = 0;
  node.socket.on("data", (bytes) => chunks.push((read += bytes.length)));
});
node.on("stanza", take);
node.on("error", (error) => error.message === "Connection is closing" || say("fault", String(error))); // for a ping that came too late to be answered
node.on("online", announce);
node.start().catch(() => {});

let talking;
require("node:readline").createInterface({ input: process.stdin }).on("line", async (word) => {
  if (word === "go") talking = talk();
  if (word !== "quit") return;
  await talking;
  await node.stop();
  fs.writeFileSync(heard, rows.join(""));
  fs.writeFileSync(heard + ".chunks", JSON.stringify(chunks));
  process.exit(0);
});
