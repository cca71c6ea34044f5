// Reads files with Node's readers: read.cjs READER FILE...
// Prints a line of JSON per file: its name and {name: value}, both in hex, or the error.
const fs = require("node:fs");
const path = require("node:path");

const text = (file) => fs.readFileSync(file, "utf8");
const readers = {
  "dotenv (npm)": (file) => require("dotenv").parse(fs.readFileSync(file)),
  "node --env-file": (file) => require("node:util").parseEnv(text(file)),
  "js-yaml": (file) => require("js-yaml").load(text(file)),
  "yaml 1.1 (npm)": (file) => require("yaml").parse(text(file), { version: "1.1" }),
  "yaml 1.2 (npm)": (file) => require("yaml").parse(text(file), { version: "1.2" }),
  "JSON.parse": (file) => JSON.parse(text(file)),
};

function hex(value) {
  if (typeof value !== "string") throw new TypeError(`a ${typeof value}, not a string`);
  return Buffer.from(value, "utf8").toString("hex");
}

const read = readers[process.argv[2]];
for (const file of process.argv.slice(3)) {
  const answer = { file: path.basename(file) };
  try {
    const pairs = Object.entries(read(file));
    answer.values = Object.fromEntries(pairs.map(([name, value]) => [hex(name), hex(value)]));
  } catch (error) {
    answer.error = String(error).slice(0, 300);
  }
  console.log(JSON.stringify(answer));
}
