// Nodes with @xmpp/component that are refused, all at one time: each prints what its author is told, by the handlers of the example.
"use strict";
const path = require("node:path");
const { component } = require(path.join(__dirname, "../../../examples/nodejs/node_modules/@xmpp/component"));
const [address, domain, tries] = process.argv.slice(2);

function one() {
  const node = component({ service: `xmpp://${address}`, domain, password: process.env.PATCHBAY_SECRET });
  node.timeout = 10_000;
  return new Promise((resolve) => {
    node.on("error", (error) => resolve(String(error)));
    node.on("disconnect", () => resolve("ended"));
    node.on("online", () => resolve("attached"));
    node.start().catch(() => {});
  }).then((told) => {
    console.log("told", told);
    node.reconnect.stop();
  });
}

Promise.all(Array.from({ length: Number(tries) }, one)).then(() => {
  console.log("done");
  process.exit(0);
});
