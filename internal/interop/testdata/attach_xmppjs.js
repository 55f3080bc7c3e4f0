// Attaches with @xmpp/component. Arguments and words as in attach_slixmpp.py.
"use strict";
const path = require("node:path");
const { component, xml } = require(path.join(__dirname, "../../../examples/nodejs/node_modules/@xmpp/component"));
const [address, domain, password] = process.argv.slice(2);
const node = component({ service: `xmpp://${address}`, domain, password });

node.reconnect.stop();
node.on("online", () => console.log("attached"));
node.on("error", (error) => {
  console.log("fault", String(error));
  process.exitCode = 1;
});
node.on("stanza", async (stanza) => {
  if (!stanza.is("message")) return;
  const { id, from } = stanza.attrs;
  console.log("got", id, stanza.getChildText("body") || "-");
  await node.send(xml("message", { type: "chat", id: `re-${id}`, from: domain, to: from }, xml("body", {}, `heard ${id}`)));
  if (id === "last") await node.stop();
});
node.start().catch(() => {});
