/**
 * Bundles the dashboard's page into one file: `bun scripts/bundle-dashboard.ts OUT`. It holds JSON: each file's name, its type and
 * its bytes, compressed as browsers take them. What only a terminal or a plot needs is in files of their own.
 */
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

const root = join(import.meta.dirname, "..");
const page = join(root, "src/dashboard");

/** The most that a browser loads before it shows something, compressed. */
const FIRST_LOAD_MAX_BYTES = 60_000;

const built = await Bun.build({
  entrypoints: [join(page, "page.tsx"), join(page, "page.css"), join(page, "terminal.css"), join(page, "plot.css")],
  target: "browser",
  format: "esm",
  splitting: true,
  minify: true,
  naming: { entry: "[name].[ext]", chunk: "[name]-[hash].[ext]" },
  define: { "process.env.NODE_ENV": '"production"' },
});

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

const packed: Record<string, { type: string; gzip: string }> = {};
const sizes = new Map<string, number>();

function pack(name: string, bytes: Uint8Array): void {
  const gzip = gzipSync(bytes, { level: 9 });
  sizes.set(name, gzip.length);
  packed[name] = { type: TYPES[name.split(".").at(-1) ?? ""]!, gzip: gzip.toString("base64") };
}

for (const output of built.outputs) pack(basename(output.path), new Uint8Array(await output.arrayBuffer()));
for (const name of ["index.html", "icon.svg"])
  pack(name, new Uint8Array(await Bun.file(join(page, name)).arrayBuffer()));

/** The page's script and those that it imports at once. */
function reachedAtOnce(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  const source = new TextDecoder().decode(Bun.gunzipSync(Buffer.from(packed[name]!.gzip, "base64")));
  for (const [, target] of source.matchAll(/(?:from|import)"\.\/([\w-]+\.js)"/g)) reachedAtOnce(target!, seen);
  return seen;
}

const first = [...reachedAtOnce("page.js"), "page.css", "index.html", "icon.svg"];
const firstBytes = first.reduce((sum, name) => sum + sizes.get(name)!, 0);
if (firstBytes > FIRST_LOAD_MAX_BYTES)
  throw new Error(`the page loads ${firstBytes} bytes before it shows something: ${first.join(" ")}`);
if (process.env.DASHBOARD_SIZES) console.log(firstBytes, Object.fromEntries(sizes));
await Bun.write(process.argv[2]!, JSON.stringify(packed));
