/**
 * Makes what users install from `dist/`:
 *
 *   bun scripts/package.ts [deb] [tarball]         both, or those named, in dist/
 *   bun scripts/package.ts install [--prefix DIR]  copies the same files below DIR (/usr/local)
 *
 * All three contain the executables, systemd's units and the group, manual pages and completions.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  globSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { VERSION } from "../src/base/version.ts";
import { COMPLETION_SCRIPTS } from "../src/cli/complete/completion-scripts.ts";
import { manualPages } from "./manual.ts";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const DEBIAN_ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

/** A path below the prefix, what it holds, and whether it is a program. */
interface Piece {
  readonly path: string;
  readonly content: string | Buffer;
  readonly isProgram?: true;
  /** It is a symbolic link to `content`. */
  readonly isLink?: true;
}

class PackageError extends Error {}

async function main(args: readonly string[]): Promise<void> {
  run(process.execPath, [join(root, "scripts/build.ts")]);
  if (args[0] === "install") return install(prefixOf(args.slice(1)));
  const unknown = args.find((arg) => !Object.hasOwn(MAKERS, arg));
  if (unknown !== undefined) throw new PackageError(`unknown argument: ${unknown}`);
  const folder = mkdtempSync(join(tmpdir(), "lighter-package-"));
  try {
    for (const [name, make] of Object.entries(MAKERS)) if (args.length === 0 || args.includes(name)) await make(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function prefixOf(args: readonly string[]): string {
  const [flag = "--prefix=/usr/local", value, ...rest] = args;
  const [, given = value] = /^--prefix=(.*)$/.exec(flag) ?? [];
  if (
    !/^--prefix(=|$)/.test(flag) ||
    given === undefined ||
    given === "" ||
    rest.length > 0 ||
    (flag.includes("=") && value !== undefined)
  )
    throw new PackageError("usage: lighter install [--prefix DIR]");
  return resolve(given);
}

async function install(prefix: string): Promise<void> {
  write(prefix, await pieces(prefix, "share/zsh/site-functions"));
  console.log(
    `installed below ${prefix}: bin/lighter, bin/lighterd, bin/lighter-runtime, units, manual pages, completions`,
  );
  console.log("as a service: systemd-sysusers && systemctl daemon-reload && systemctl enable --now lighter.service");
}

async function makeTarball(folder: string): Promise<void> {
  const name = `lighter-${VERSION}-linux-${process.arch}`;
  write(join(folder, name), await pieces("/usr/local", "share/zsh/site-functions"));
  const path = join(dist, `${name}.tar.gz`);
  run("tar", [
    "--create",
    "--gzip",
    "--owner=0",
    "--group=0",
    "--sort=name",
    `--file=${path}`,
    `--directory=${folder}`,
    name,
  ]);
  console.log(`made ${relative(root, path)}`);
}

async function makeDebianPackage(folder: string): Promise<void> {
  const architecture = DEBIAN_ARCHITECTURES[process.arch];
  if (architecture === undefined) throw new PackageError(`no Debian architecture for ${process.arch}`);
  const tree = join(folder, "deb");
  write(join(tree, "usr"), [...(await pieces("/usr", "share/zsh/vendor-completions")), ...debianDocuments()]);
  writeControl(tree, architecture);
  const path = join(dist, `lighter_${VERSION}_${architecture}.deb`);
  run("dpkg-deb", ["--root-owner-group", "-Zxz", "-z1", "--build", tree, path]);
  console.log(`made ${relative(root, path)}`);
}

const MAKERS: Readonly<Record<string, (folder: string) => Promise<void>>> = {
  deb: makeDebianPackage,
  tarball: makeTarball,
};

/** All files except those for Debian alone. `prefix`: the place where they will be installed. */
async function pieces(prefix: string, zshCompletions: string): Promise<Piece[]> {
  const runtimeHelp = run(join(dist, "lighter-runtime"), ["--help"]);
  const units = globSync("packaging/systemd/*.{service,socket}", { cwd: root });
  return [
    ...["lighter", "lighterd", "lighter-runtime"].map((name) => fromDist(name, `bin/${name}`)),
    ...units.map((path) => ({
      path: `lib/systemd/system/${path.slice("packaging/systemd/".length)}`,
      content: text(path).replaceAll("/usr/bin/", `${prefix}/bin/`),
    })),
    { path: "lib/sysusers.d/lighter.conf", content: text("packaging/systemd/lighter.sysusers") },
    ...(await manualPages(runtimeHelp)).map(({ name, text }) => ({
      path: `share/man/man${name.slice(-1)}/${name}.gz`,
      content: gzip(text),
    })),
    { path: "share/bash-completion/completions/lighter", content: COMPLETION_SCRIPTS.bash ?? "" },
    { path: `${zshCompletions}/_lighter`, content: COMPLETION_SCRIPTS.zsh ?? "" },
    { path: "share/fish/vendor_completions.d/lighter.fish", content: COMPLETION_SCRIPTS.fish ?? "" },
  ];
}

function debianDocuments(): Piece[] {
  const documents = "share/doc/lighter";
  return [
    { path: `${documents}/copyright`, content: text("packaging/debian/copyright") },
    { path: `${documents}/changelog.gz`, content: gzip(debianChangelog()) },
    { path: `${documents}/CHANGELOG.md`, content: text("CHANGELOG.md") },
    { path: `${documents}/README.md`, content: text("README.md") },
    { path: `${documents}/daemon.md`, content: text("docs/daemon.md") },
    { path: "share/lintian/overrides/lighter", content: text("packaging/debian/lintian-overrides") },
  ];
}

/**
 * A changelog with one entry for the current version. Its date is that of the last commit, so that the bytes are always the same.
 */
function debianChangelog(): string {
  const date = run("git", ["-C", root, "log", "-1", "--format=%cD"]).trim();
  const [, maintainer = ""] = /^Maintainer: (.*)$/m.exec(text("packaging/debian/control")) ?? [];
  return `lighter (${VERSION}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- ${maintainer}  ${date}\n`;
}

function writeControl(tree: string, architecture: string): void {
  const files = globSync("**", { cwd: tree, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => relative(tree, join(entry.parentPath, entry.name))).sort();
  const kib = Math.ceil(paths.reduce((sum, path) => sum + statSync(join(tree, path)).size, 0) / 1024);
  const md5 = (path: string) =>
    createHash("md5")
      .update(readFileSync(join(tree, path)))
      .digest("hex");
  const control = text("packaging/debian/control")
    .replace("@VERSION@", VERSION)
    .replace("@ARCHITECTURE@", architecture)
    .replace("@KIB@", `${kib}`);
  write(join(tree, "DEBIAN"), [
    { path: "control", content: control },
    { path: "md5sums", content: paths.map((path) => `${md5(path)}  ${path}\n`).join("") },
    ...["postinst", "prerm", "postrm"].map(
      (name): Piece => ({ path: name, content: text(`packaging/debian/${name}`), isProgram: true }),
    ),
  ]);
}

function fromDist(name: string, path: string): Piece {
  const built = join(dist, name);
  if (lstatSync(built).isSymbolicLink()) return { path, content: readlinkSync(built), isLink: true };
  return { path, content: readFileSync(built), isProgram: true };
}

function write(folder: string, files: readonly Piece[]): void {
  for (const { path, content, isProgram, isLink } of files) {
    const to = join(folder, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
    rmSync(to, { force: true }); // a running program cannot be overwritten
    if (isLink) symlinkSync(content, to);
    else writeFileSync(to, content, { mode: isProgram ? 0o755 : 0o644 });
  }
}

const text = (path: string) => readFileSync(join(root, path), "utf8");
/** Compresses so that the bytes are always the same. */
const gzip = (content: string) => gzipSync(content, { level: 9 });

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new PackageError(`${program}: ${error?.message ?? stderr}`);
  return stdout;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof PackageError)) throw error;
  console.error(`lighter: ${error.message}`);
  process.exitCode = 1;
}
