/** The Debian package and `./lighter install`: what they put where, and that a machine with systemd runs it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "../../src/base/version.ts";
import { testIf } from "../support/test-if.ts";

const root = join(import.meta.dirname, "../..");
const vmrun = join(root, "../shared/vm/vmrun");
const VM_TIMEOUT_S = 300;
/** Compressing the package and the boot are what takes long, on a busy machine minutes. */
const TEST_TIMEOUT_MS = 600_000;

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lighter-package-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (program: string) => Bun.which(program) !== null;

function makePackage(...args: string[]): string {
  const made = spawnSync(process.execPath, [join(root, "scripts/package.ts"), ...args], { encoding: "utf8" });
  expect(made.stderr).not.toMatch(/^lighter:/m);
  expect(made.status).toBe(0);
  return made.stdout;
}

test("install puts programs, units that name them, pages and completions below the prefix", () => {
  const prefix = join(folder, "prefix");
  expect(makePackage("install", "--prefix", prefix)).toContain(`installed below ${prefix}`);
  const run = (name: string) => spawnSync(join(prefix, "bin", name), ["--version"], { encoding: "utf8" }).stdout;
  expect(run("lighter")).toBe(`Lighter version ${VERSION}\n`);
  expect(run("lighter-runtime")).toContain(`lighter-runtime version ${VERSION}`);
  const unit = readFileSync(join(prefix, "lib/systemd/system/lighter.service"), "utf8");
  expect(unit).toContain(`ExecStart=${prefix}/bin/lighter daemon -H fd://`);
  expect(readFileSync(join(prefix, "share/bash-completion/completions/lighter"), "utf8")).toContain("complete -F");
  const pages = globSync("share/man/man*/*.gz", { cwd: prefix });
  for (const page of ["man1/lighter.1", "man1/lighter-run.1", "man1/lighter-image-prune.1", "man8/lighter-daemon.8"])
    expect(pages).toContain(`share/man/${page}.gz`);
});

test("install refuses what it does not know", () => {
  for (const args of [["--prefix"], ["--prefix="], ["--perfix=/x"], ["--prefix", "/x", "y"], ["--prefix=/x", "y"]]) {
    const { status, stderr } = spawnSync(process.execPath, [join(root, "scripts/package.ts"), "install", ...args]);
    expect({ args, status, stderr: `${stderr}` }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("usage:"),
    });
  }
});

testIf(has("groff"), "needs groff")("roff finds nothing wrong with the manual pages", () => {
  const prefix = join(folder, "pages");
  makePackage("install", `--prefix=${prefix}`);
  for (const path of globSync("share/man/man*/*.gz", { cwd: prefix })) {
    const page = Bun.gunzipSync(readFileSync(join(prefix, path)));
    const { stderr } = spawnSync("groff", ["-man", "-Tutf8", "-ww", "-z"], { input: page, cwd: prefix });
    if (!`${Buffer.from(page)}`.startsWith(".so ")) expect({ path, said: `${stderr}` }).toEqual({ path, said: "" });
  }
});

/** The machine sees this host's files: one of them may forbid that packages start services. */
const INSTALL = `set -eu
rm -f /usr/sbin/policy-rc.d
dpkg -i "$1" >/dev/null
systemctl is-active lighter.socket lighter.service
systemctl is-enabled lighter.socket lighter.service
stat -c '%A %G' /run/lighter/lighter.sock
/usr/bin/lighter run --rm hello | grep -c Hello
dpkg -r lighter >/dev/null
systemctl is-active lighter.socket lighter.service || true
[ -d /var/lib/lighter/containers ] || ls /var/lib/lighter
dpkg -P lighter >/dev/null
ls /var/lib/lighter | wc -l
`;

testIf(
  existsSync(vmrun) && process.getuid?.() === 0 && has("dpkg-deb"),
  "no ../shared/vm/vmrun beside this checkout, or not root, or no dpkg-deb",
)(
  "after `dpkg -i` the socket and the service run, and after a purge nothing is left",
  () => {
    makePackage("deb");
    const [deb = ""] = globSync(`dist/lighter_${VERSION}_*.deb`, { cwd: root });
    const options = ["--init", "systemd", "--disk", "/var/lib/lighter:1G", "--timeout", `${VM_TIMEOUT_S}`];
    const ran = spawnSync(vmrun, [...options, "--", "sh", "-c", INSTALL, "sh", join(root, deb)], { encoding: "utf8" });
    const lines = ran.stdout.trim().split("\n");
    expect({ lines, stderr: ran.stderr }).toMatchObject({
      lines: ["active", "active", "enabled", "enabled", "srw-rw---- lighter", "1", "inactive", "inactive", "0"],
    });
  },
  TEST_TIMEOUT_MS,
);
