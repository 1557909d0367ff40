import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runHooks } from "./hooks.ts";
import type { Runtime } from "./types.ts";

test("a hook's time is up also where something that it has started has its output", async () => {
  const bundle = mkdtempSync(join(tmpdir(), "lighter-hooks-"));
  const args = ["sh", "-c", "sleep 60 & echo $! >pid; wait"];
  const config = { ociVersion: "1.2.0", hooks: { prestart: [{ path: "/bin/sh", args, timeout: 2 }] } };
  const target = { id: "hooked", pid: 1, config, bundle, rootfs: "/", directory: bundle };
  try {
    const running = runHooks({} as Runtime, target, "prestart", "creating");
    await expect(running).rejects.toThrow("hook ran past specified timeout of 2s");
    process.kill(Number(readFileSync(join(bundle, "pid"), "utf8")), "SIGKILL"); // throws if it has ended already
  } finally {
    rmSync(bundle, { recursive: true });
  }
}, 120_000);
