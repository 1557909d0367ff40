import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCertificates } from "./certificates.ts";

const directory = mkdtempSync(join(tmpdir(), "lighter-certificates-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
function hostWith(files: Record<string, string>): string {
  const host = `host${count++}:5000`;
  mkdirSync(join(directory, host));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, host, name), content);
  return host;
}

test("authorities are joined, the first client certificate is taken, other files are ignored", async () => {
  const host = hostWith({
    "b.crt": "B",
    "a.crt": "A",
    "z.cert": "Z",
    "z.key": "z",
    "c.cert": "C",
    "c.key": "c",
    README: "x",
  });
  expect(await readCertificates(directory, host)).toEqual({ ca: "A\nB", cert: "C", key: "c" });
});

test("a host without a directory has none", async () => {
  expect(await readCertificates(directory, "other")).toEqual({});
  expect(await readCertificates(join(directory, "nowhere"), "other")).toEqual({});
});

test("a certificate without its key, a key without its certificate, and too much of either are refused", async () => {
  const refused = (files: Record<string, string>, message: string) =>
    expect(readCertificates(directory, hostWith(files))).rejects.toMatchObject({
      code: "invalid",
      message: expect.stringContaining(message),
    });
  await refused({ "a.cert": "x" }, "missing key a.key for client certificate a.cert");
  await refused({ "a.key": "x" }, "missing client certificate a.cert for key a.key");
  await refused({ "a.crt": "x".repeat(1024 * 1024 + 1) }, "is longer than 1048576 bytes");
  await refused(
    Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`${index}.crt`, "x"])),
    "has more than 64 files",
  );
});
