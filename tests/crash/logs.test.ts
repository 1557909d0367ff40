/** `kill -9` of the daemon while it compresses what is rotated of a log. */
import { afterEach, expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { until } from "../support/eventually.ts";
import { isRoot } from "../support/stage.ts";
import { testIf } from "../support/test-if.ts";

const rooted = testIf(isRoot, "needs root");

let daemon: TestDaemon | undefined;

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]();
  daemon = undefined;
});

const LINES = 2000;
/** Half of the lines, and the rest when there is a file that says so. */
const SCRIPT = `
i=0
write() { while [ $i -lt $1 ]; do i=$((i+1)); echo line $i; done; }
write ${LINES / 2}
until [ -e /told/go ]; do sleep 0.02; done
write ${LINES}
`;

for (const point of ["compress log", "compressed log", "named compressed log", "removed plain log"])
  rooted(
    `a daemon that dies at "${point}" loses nothing of a log that goes on being rotated, and tells nothing twice`,
    async () => {
      daemon = await TestDaemon.start();
      await daemon.kill();
      await daemon.launch({ LIGHTER_TEST_CRASH_AT: point });
      const told = join(daemon.directory, "told");
      mkdirSync(told);
      const LogConfig = { Type: "json-file", Config: { compress: "true", "max-size": "10k", "max-file": "50" } };
      const HostConfig = { ...hostUsr, Binds: [...hostUsr.Binds, `${told}:/told`], LogConfig };
      const id = await daemon.create({ Cmd: ["/bin/sh", "-c", SCRIPT], HostConfig });
      await daemon.request("POST", `/containers/${id}/start`).catch(() => {}); // the daemon may die over it
      await daemon.ended();
      expect(daemon.log).toContain(point);

      const directory = join(daemon.dataRoot, "containers", id);
      const names = () => readdirSync(directory).filter((name) => name.includes("-json.log"));
      const isWritten = () => names().some((name) => readOrEmpty(join(directory, name)).includes(`line ${LINES}\\n`));
      writeFileSync(join(told, "go"), "");
      await until(isWritten, "the container has written all");
      expect(names().some((name) => /\.\d+$/.test(name))).toBe(true);

      await daemon.launch();
      const isRotated = (name: string) => !name.endsWith("-json.log");
      await until(
        () =>
          names()
            .filter(isRotated)
            .every((name) => name.endsWith(".gz")),
        "all are compressed",
      );
      const { text } = await daemon.request("GET", `/containers/${id}/logs?stdout=1`);
      const lines = Array.from({ length: LINES }, (_, index) => `line ${index + 1}\n`);
      expect(text.replaceAll(/\x01\0\0\0[\s\S]{4}/g, "")).toBe(lines.join(""));
    },
  );

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // it has another name by now
  }
}
