import { expect, test } from "bun:test";
import { closeSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createSealedExecutable } from "../sys/memfd.ts";

const root = join(import.meta.dirname, "../../..");

/** What is where a child gets the fds that it is started with: there, the launcher is kept from its own socket. */
const PLAY_FROM_FD_3 = `
  import { playTask } from "./src/linux/process/launcher.ts";
  import { encodeProgram } from "./src/linux/program/encode.ts";
  const supervise = { init: "", hold: false, exitPath: "", socketPath: "" };
  const program = { host: [], init: [], cleanup: [], supervise };
  console.log(JSON.stringify((await playTask(3, encodeProgram(program))) ?? "played"));
`;

test("the launcher is executed whatever the number of its fd", async () => {
  const executableFd = createSealedExecutable("launcher", readFileSync(join(root, "dist/launcher")));
  const child = Bun.spawn([process.execPath, "-e", PLAY_FROM_FD_3], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe", executableFd],
  });
  closeSync(executableFd);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect({ stdout, stderr }).toEqual({ stdout: '"played"\n', stderr: "" });
});
