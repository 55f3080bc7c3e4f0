// A node with @xmpp/component: dave is logged in on it, greets a user, and answers who writes to him.
"use strict";
const { component, xml } = require("@xmpp/component");
const { randomUUID } = require("node:crypto");
const fs = require("node:fs");

const dave = "dave@im.example/node";
const greet = process.argv[2] ?? "alice@im.example";
const node = component({
  service: `xmpp://${process.env.PATCHBAY_ADDR ?? "127.0.0.1:5347"}`,
  domain: "nodejs.im.example",
  password: process.env.PATCHBAY_SECRET ?? fs.readFileSync("patchbay-data/dev-secret", "utf8").trim(),
});

// A file of messages, each a line of JSON: it is where your database goes.
const file = fs.openSync("messages-nodejs.jsonl", "a+");
const key = ([sender, id]) => JSON.stringify([sender, id]);
const bytes = fs.readFileSync(file);
const whole = bytes.lastIndexOf("\n") + 1; // behind it, a row that a full disk has cut: it was never answered
fs.ftruncateSync(file, whole);
const known = new Set(bytes.toString("utf8", 0, whole).split("\n").filter(Boolean).map((line) => key(JSON.parse(line))));

// save tells whether a message is new: a router may deliver one again.
function save(...row) {
  const [sender, id, to, body] = row;
  if (id && known.has(key(row))) return false;
  fs.appendFileSync(file, JSON.stringify(row) + "\n");
  fs.fsyncSync(file);
  known.add(key(row));
  console.log(`${sender} -> ${to}: ${JSON.stringify(body)}`);
  return true;
}

async function say(to, body) {
  const id = randomUUID();
  save(dave, id, to, body); // save first, then send
  await node.send(xml("message", { id, from: dave, to, type: "chat" }, xml("body", {}, body)));
}

function take(message) {
  const { id, from, to, type } = message.attrs;
  const body = message.getChildText("body");
  if (type === "error") { // the router tells why: a message that was saved is now an offline message
    const [condition, text] = message.getChild("error")?.getChildElements() ?? [];
    console.log(`not delivered to ${from}: ${condition?.name}: ${text?.text()}`);
  } else if (body && save(from, id, to, body) && !body.startsWith("you said: ")) { // an answer is not answered
    say(from, `you said: ${body}`).catch(report);
  }
}

async function announce() {
  const item = xml("announce", { jid: dave });
  const sessions = xml("sessions", { xmlns: "urn:patchbay:sessions:1" }, item);
  await node.iqCaller.request(xml("iq", { type: "set", to: "im.example" }, sessions)); // its result comes when it is on disk
  console.log(`announced ${dave}`);
  await say(greet, "hello from Node.js");
}

const report = (error) => console.log(String(error)); // of a stream error: its condition and text
node.timeout = 10_000; // of its 2 s nothing is left if the router is busy, and then the library is never online
node.iqCallee.get("urn:xmpp:ping", "ping", () => true);
node.on("connect", () => {
  node.socket.setEncoding("utf8"); // or the library cuts characters between two reads
  node.socket.setTimeout(90_000, () => node.socket.destroy()); // the router pings a silent link every 30 s
});
node.on("online", () => announce().catch(report));
node.on("stanza", (stanza) => stanza.is("message") && take(stanza));
node.on("error", report);
node.on("disconnect", () => console.log("link: ended")); // the library attaches again after 1 s
node.start().catch(() => {}); // "error" has told it
for (const sign of ["SIGINT", "SIGTERM"]) process.on(sign, () => node.stop().finally(() => process.exit(0)));
