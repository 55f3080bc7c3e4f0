// A node with @xmpp/component for the conformance suite to judge. Arguments as in judged_slixmpp.py. The library comes back by itself.
"use strict";
const path = require("node:path");
const { component, xml } = require(path.join(__dirname, "../../../examples/nodejs/node_modules/@xmpp/component"));
const [address, domain, password] = process.argv.slice(2);
const node = component({ service: `xmpp://${address}`, domain, password });

node.on("error", (error) => console.log("fault", String(error)));
node.on("online", () => node.send(xml("presence", { from: "user@im.example/judged", to: "im.example" })));
node.start().catch(() => {});
