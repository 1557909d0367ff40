/** A container that does its worst while its files are exported and committed. */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { readTar } from "../support/read-tar.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

let daemon: TestDaemon;
let outside: string;

beforeAll(async () => {
  if (!isRoot) return;
  outside = mkdtempSync(join(tmpdir(), "lighter-outside-"));
  mkdirSync(join(outside, "sub"));
  for (const name of ["secret", "sub/f"]) writeFileSync(join(outside, name), "SECRET-OF-THE-HOST");
  daemon = await TestDaemon.start();
});

afterAll(async () => {
  if (!isRoot) return;
  await daemon[Symbol.asyncDispose]();
  rmSync(outside, { recursive: true });
});

/** Swaps directories for links to the host's and back, and files likewise; says so when it has begun. */
function mischief(): string {
  return `
    for i in 0 1 2 3 4 5 6 7; do mkdir -p /w/d$i/sub; echo mine > /w/d$i/sub/f; done
    echo begun
    while :; do for i in 0 1 2 3 4 5 6 7; do
      mv /w/d$i /w/away; ln -s ${outside} /w/d$i
      rm /w/d$i; mv /w/away /w/d$i
      ln -sfn ../../../../../../../../..${outside}/secret /w/d$i/sub/f
      ln -sfn ${outside}/sub /w/d$i/link
      rm /w/d$i/sub/f; echo mine > /w/d$i/sub/f
      mkdir /w/d$i/deep; mv /w/d$i/deep /w/d$(((i + 1) % 8))/deep$i; rmdir /w/d$(((i + 1) % 8))/deep$i
    done; done`;
}

rooted("a container that plants links and renames directories never gets a file of the host into a tar", async () => {
  const id = await daemon.run({ Cmd: ["/bin/sh", "-c", mischief()], HostConfig: hostUsr });
  const attached = await daemon.hijack(`/containers/${id}/attach?logs=1&stream=1&stdout=1`);
  await attached.until((text) => text.includes("begun\n"));
  let linksSeen = 0;
  // Links that are there for a moment only, where there is a directory or a file otherwise.
  const isPassing = (target: string) => target.endsWith(outside) || target.endsWith(`${outside}/secret`);
  const look = (text: string): void => {
    expect(text.includes("SECRET-OF-THE-HOST")).toBe(false);
    for (const entry of readTar(Buffer.from(text, "latin1"))) if (isPassing(entry.linkPath)) linksSeen++;
  };
  const deadline = Date.now() + 30_000;
  for (let round = 0; round < 40 || (linksSeen < 3 && Date.now() < deadline); round++) {
    const exported = await daemon.request("GET", `/containers/${id}/export`);
    expect(exported.status).toBe(200);
    look(exported.text);
    expect((await daemon.request("GET", `/containers/${id}/changes`)).status).toBe(200);
  }
  for (const pause of [0, 1]) {
    const committed = await daemon.request("POST", `/commit?container=${id}&repo=hostile&pause=${pause}`);
    expect(committed.status).toBe(201);
    const saved = await daemon.request("GET", "/images/hostile/get");
    expect(saved.text.includes("SECRET-OF-THE-HOST")).toBe(false);
  }
  expect(linksSeen).toBeGreaterThanOrEqual(3); // the worst was seen while it happened
});
