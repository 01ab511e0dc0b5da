// What runs in a server's network beside it, in images that have Node and no Python: see relay_program.py.
"use strict";
const net = require("net");
const dgram = require("dgram");
const [path, ...items] = process.argv.slice(1);
const ways = items.map((item) => item.split(" "));
const hosts = Object.fromEntries(ways.map(([name, , address]) => [name, address]));
const MOST = 200;
let links = 0;

const end = () => process.exit(1);
process.on("SIGTERM", end);
process.on("uncaughtException", end);

function link(near, first, greeted) {
  if (links >= MOST) {
    near.destroy();
    return;
  }
  links += 1;
  const far = net.connect({ path: path, allowHalfOpen: true });
  far.write(first);
  near.pipe(far);
  let gone = false;
  const broken = () => {
    if (!near.destroyed) (near.resetAndDestroy || near.destroy).call(near);
    far.destroy();
  };
  if (greeted) far.pipe(near);
  else
    far.once("readable", () => {
      const said = far.read(1);
      if (said === null || said.toString() !== "+") broken();
      else far.pipe(near);
    });
  const closed = () => {
    if (near.destroyed && far.destroyed && !gone) {
      gone = true;
      links -= 1;
    }
  };
  for (const side of [near, far]) {
    side.on("error", broken);
    side.on("close", (failed) => {
      if (failed) broken();
      closed();
    });
  }
  near.resume();
}

const control = net.connect({ path: path });
control.on("close", end);
let orders = "";
control.on("data", (data) => {
  const lines = (orders + data).split("\n");
  orders = lines.pop();
  for (const line of lines) {
    const [, port, number] = line.split(" ");
    const near = net.connect({ host: "127.0.0.1", port: Number(port), allowHalfOpen: true });
    const refused = () => control.write(`closed ${number}\n`);
    near.once("error", refused);
    near.once("connect", () => {
      near.removeListener("error", refused);
      link(near, `back ${number}\n`, true);
    });
  }
});

const questions = dgram.createSocket("udp4");
questions.on("message", (query, asker) => {
  const labels = [];
  let at = 12;
  while (query[at]) {
    labels.push(query.toString("ascii", at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  const stop = at + 5;
  if (stop > query.length) return;
  const name = labels.join(".");
  const address = hosts[name.toLowerCase()];
  const found = address && query.readUInt32BE(at + 1) === 0x00010001;
  const head = Buffer.from([query[0], query[1], 0x81, address ? 0x80 : 0x83, 0, 1, 0, found ? 1 : 0, 0, 0, 0, 0]);
  const record = found
    ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split(".").map(Number)])
    : Buffer.alloc(0);
  questions.send(Buffer.concat([head, query.subarray(12, stop), record]), asker.port, asker.address, () => {});
  if (!address) control.write(`asked ${name.replace(/\n/g, "?")}\n`);
});

let waiting = 1;
const ready = () => {
  waiting -= 1;
  if (!waiting) control.write("ready\n");
};
questions.bind(53, "127.0.0.1", ready);
for (const [name, port, address] of ways) {
  const server = net.createServer({ allowHalfOpen: true }, (near) => link(near, `to ${name} ${port}\n`, false));
  waiting += 1;
  server.listen({ port: Number(port), host: address }, ready);
}
