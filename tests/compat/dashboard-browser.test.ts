/** The dashboard in a real browser: every page in both themes without a fault that axe finds, and what hostile containers print. */
// needs: chromium
import { afterAll, beforeAll, expect } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { hostUsr, TestDaemon } from "../support/daemon.ts";
import { testIf } from "../support/test-if.ts";

const isRoot = process.getuid?.() === 0;
const MARKUP = "<img src=x onerror=document.title='taken'>";

let daemon: TestDaemon;
let id: string;

beforeAll(async () => {
  if (!isRoot) return;
  daemon = await TestDaemon.start({ hostNetwork: true });
  const Labels = { "com.docker.compose.project": MARKUP };
  const Cmd = ["/bin/sh", "-c", `echo "${MARKUP}"; printf '\\033]0;taken\\007\\033[31mred\\033[0m\\n'; sleep 100000`];
  id = await daemon.run({ Cmd, Labels, HostConfig: hostUsr }, "hostile");
}, 60_000);

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

/** Runs the script of the browser in Node, which its driver is made for; returns what it prints as JSON. */
function browse(
  pages: readonly string[],
): Promise<Record<string, { violations: string[]; text: string; title: string }>> {
  const { promise, resolve, reject } = Promise.withResolvers<never>();
  const child = spawn("node", [join(import.meta.dirname, "../support/browse.mjs")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.on("error", reject);
  child.on("close", (code) => (code === 0 ? resolve(JSON.parse(text) as never) : reject(new Error(`exit ${code}`))));
  void daemon.request("POST", "/lighter/dashboard").then(({ json }) => {
    child.stdin.end(JSON.stringify({ url: json.Url, pages }));
  }, reject);
  return promise;
}

testIf(isRoot, "needs root")(
  "every page is for everybody in both themes, and markup from outside is text",
  async () => {
    const tabs = ["logs", "stats", "processes", "terminal", "files", "anatomy", "inspect"];
    const pages = [
      "",
      "containers",
      "images",
      "networks",
      "volumes",
      "events",
      ...tabs.map((tab) => `container/${id}/${tab}`),
    ];
    const seen = await browse(pages);
    for (const theme of ["dark", "light"])
      for (const page of pages) {
        const { violations, title } = seen[`${theme} ${page}`]!;
        expect([theme, page, violations]).toEqual([theme, page, []]);
        expect(title).toEndWith("– Lighter");
      }
    expect(seen["dark containers"]!.text).toContain(`Project ${MARKUP}`);
    const log = seen[`dark container/${id}/logs`]!.text;
    expect(log).toContain(MARKUP);
    expect(log).toContain("red");
    expect(log).not.toContain("]0;");
  },
  180_000,
);
