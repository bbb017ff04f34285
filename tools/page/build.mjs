// Bundles what the map takes from deck.gl into one module of the page, and gathers the licence of
// every package that went into it. `node build.mjs --check` only says whether that is up to date.
import { build } from "esbuild";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";

const here = import.meta.dirname;
const vendor = path.join(here, "../../src/vecsmith/serve/page/assets/vendor");
const ENTRY = `
export { Deck, Layer, OrthographicView, picking, project32 } from "@deck.gl/core";
export { ScatterplotLayer } from "@deck.gl/layers";
export { Model } from "@luma.gl/engine";
`;

const bundled = await build({
  stdin: { contents: ENTRY, resolveDir: here },
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // the licences go into their own file, whole
  define: { "process.env.NODE_ENV": '"production"' },
  banner: { js: "/* deck.gl and what it needs; made by tools/page. Licences: deck.LICENSES.txt */" },
  metafile: true,
  write: false,
});

const [output] = Object.values(bundled.metafile.outputs);
const folders = new Set();
for (const [file, { bytesInOutput }] of Object.entries(output.inputs)) {
  const found = file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/);
  if (found && bytesInOutput) folders.add(found[0]);
}

async function licence(folder) {
  const facts = JSON.parse(await readFile(path.join(here, folder, "package.json"), "utf8"));
  const named = (await readdir(path.join(here, folder))).filter((name) => /^licen[cs]e/i.test(name));
  const texts = await Promise.all(named.sort().map((name) => readFile(path.join(here, folder, name), "utf8")));
  if (!texts.length) throw new Error(`${facts.name} ${facts.version} (${facts.license}) brings no licence text`);
  return `${facts.name} ${facts.version} (${facts.license})\n\n${texts.map((text) => text.trim()).join("\n\n")}\n`;
}

const licences = [];
for (const folder of [...folders].sort()) licences.push(await licence(folder));
const rule = `\n${"-".repeat(80)}\n\n`;
const files = {
  "deck.js": bundled.outputFiles[0].text,
  "deck.LICENSES.txt": `deck.js holds code of the following packages.\n${rule}${licences.join(rule)}`,
};

await mkdir(vendor, { recursive: true });
for (const [name, text] of Object.entries(files)) {
  const place = path.join(vendor, name);
  if (!process.argv.includes("--check")) await writeFile(place, text);
  else if ((await readFile(place, "utf8").catch(() => "")) !== text) {
    console.error(`${name} is not what tools/page makes; run: npm ci && npm run build`);
    process.exitCode = 1;
  }
}
