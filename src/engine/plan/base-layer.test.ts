import { afterEach, expect, test } from "bun:test";
import { chmodSync, lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeBaseLayer } from "./base-layer.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-base-"));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const contents = (path: string) =>
  readdirSync(path, { recursive: true })
    .map(String)
    .sort()
    .map((name) => {
      const stat = lstatSync(join(path, name));
      return `${name} ${stat.mode.toString(8)}${stat.isDirectory() ? "" : ` ${stat.size}`}`;
    });

test("makeBaseLayer makes what is mounted on, with Docker's modes whatever the umask, and mends what was cut off", () => {
  const path = join(directory, "base");
  const umask = process.umask(0o077);
  try {
    makeBaseLayer(path);
    const made = contents(path);
    expect(made).toEqual([
      ".dockerenv 100755 0",
      "dev 40755",
      "etc 40755",
      "etc/hostname 100644 0",
      "etc/hosts 100644 0",
      "etc/mtab 120777 12",
      "etc/resolv.conf 100644 0",
      "proc 40755",
      "sys 40755",
    ]);
    expect(readlinkSync(join(path, "etc/mtab"))).toBe("/proc/mounts");
    chmodSync(join(path, "etc"), 0o700);
    rmSync(join(path, "etc/hosts"));
    makeBaseLayer(path);
    expect(contents(path)).toEqual(made);
  } finally {
    process.umask(umask);
  }
});
