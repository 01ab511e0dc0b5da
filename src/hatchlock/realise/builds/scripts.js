// What runs inside of the sandbox of a package's install scripts, or of a project's build, as text for `node -e`; it needs
// nothing but Node and sh.
//
// stdin and stdout have one form: 16 digits, so many bytes of JSON, and the contents of the files that it lists, in order.
// In: the whole tree of packages. Out: what the scripts changed in the package's own directory; of a project what is there
// after its build. What they say: stderr.
"use strict";
const { spawnSync } = require("child_process");
const { createHash } = require("crypto");
const fs = require("fs");
const path = require("path");

const ROOT = "/tmp/hatchlock/tree";
const EVENTS = ["preinstall", "install", "postinstall"];

function take(size) {
  const data = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const read = fs.readSync(0, data, done, size - done, null);
    if (read === 0) throw new Error("the input ends too early");
    done += read;
  }
  return data;
}

function give(data) {
  for (let done = 0; done < data.length; ) done += fs.writeSync(1, data, done);
}

function put(file) {
  const place = path.join(ROOT, file.path);
  fs.mkdirSync(path.dirname(place), { recursive: true });
  if (file.link !== undefined) fs.symlinkSync(file.link, place);
  else fs.writeFileSync(place, take(file.size), { mode: file.mode });
}

function listed(directory, inside, found) {
  for (const name of fs.readdirSync(path.join(directory, inside)).sort()) {
    const place = inside ? `${inside}/${name}` : name;
    const state = fs.lstatSync(path.join(directory, place));
    // packages in there are others'
    if (state.isDirectory() && place !== "node_modules") listed(directory, place, found);
    else if (state.isSymbolicLink()) found.set(place, { link: fs.readlinkSync(path.join(directory, place)) });
    else if (state.isFile()) {
      const data = fs.readFileSync(path.join(directory, place));
      const digest = createHash("sha256").update(data).digest("hex");
      found.set(place, { size: data.length, mode: state.mode & 0o111 ? 0o755 : 0o644, digest });
    }
  }
  return found;
}

function run(named, directory, event, script) {
  const holders = [];
  for (let at = directory; at.startsWith(ROOT); at = path.dirname(at)) holders.push(path.join(at, "node_modules", ".bin"));
  const own = {
    INIT_CWD: directory,
    NODE: process.execPath,
    PATH: [...holders, path.dirname(process.execPath), process.env.PATH].join(":"),
    npm_lifecycle_event: event,
    npm_lifecycle_script: script,
    npm_node_execpath: process.execPath,
    npm_package_json: path.join(directory, "package.json"),
    npm_package_name: named.name,
    npm_package_version: named.version,
  };
  process.stderr.write(`> ${named.name}@${named.version} ${event}\n> ${script}\n`);
  const { NODE_ENV, ...plain } = process.env; // of some bases: there would be no build with it
  const done = spawnSync("/bin/sh", ["-c", script], {
    cwd: directory,
    env: { ...plain, ...own },
    stdio: ["ignore", 2, 2],
  });
  if (done.error) throw done.error;
  if (done.status !== 0) process.exit(done.status || 1);
}

process.umask(0o022);
const order = JSON.parse(take(Number(take(16).toString())).toString());
order.files.forEach(put);
const directory = path.join(ROOT, order.path);
const before = listed(directory, "", new Map());
const manifest = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"));
const scripts = manifest.scripts || {};
// a project's locked version has a mark of its content, which it does not know of
const named = { name: manifest.name || order.name, version: manifest.version || order.version };
if (!scripts.preinstall && !scripts.install && before.has("binding.gyp")) scripts.install = "node-gyp rebuild";
const builder = (order.builders || []).find((name) => scripts[name]);
for (const event of builder ? [`pre${builder}`, builder, `post${builder}`] : EVENTS)
  if (scripts[event]) run(named, directory, event, scripts[event]);
const same = (one, two) => two && one.link === two.link && one.digest === two.digest && one.mode === two.mode;
const changed = [...listed(directory, "", new Map())].filter(([place, file]) => builder || !same(file, before.get(place)));
const head = Buffer.from(JSON.stringify({ files: changed.map(([place, file]) => ({ path: place, ...file })) }));
give(Buffer.from(String(head.length).padStart(16, "0")));
give(head);
for (const [place, file] of changed) if (file.link === undefined) give(fs.readFileSync(path.join(directory, place)));
