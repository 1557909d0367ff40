import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TerminalSession } from "../../../tests/support/terminal.ts";
import { escapeControls, holdsControls, keepColoursOf } from "./harmless.ts";

const HOSTILE = "a\x1b]0;title\x07b\x1b[2J\x9b1m\x7f\rc";
const SHOWN = String.raw`a\x1b]0;title\ab\x1b[2J\u009b1m\x7f\rc`;

test("control characters are shown as Go writes them; tab, line feed and all other text stay", () => {
  expect(escapeControls(HOSTILE)).toBe(SHOWN);
  for (const text of ["", "plain\ttext\n", "größe 箱 👍 [31m"]) {
    expect(escapeControls(text)).toBe(text);
    expect(holdsControls(text)).toBe(false);
  }
  expect(holdsControls(HOSTILE)).toBe(true);
});

test("colours of the user's own format are kept, and no others", () => {
  keepColoursOf("\x1b[31m{{.Names}}\x1b[0m\x1b[2J");
  expect(escapeControls("\x1b[31mx\x1b[0m\x1b[32m\x1b[2J")).toBe("\x1b[31mx\x1b[0m\\x1b[32m\\x1b[2J");
});

/** What the daemon answers: names, labels and errors of somebody who wants our terminal. */
const ANSWERS: Record<string, unknown> = {
  "/containers/json": [
    { Id: "1", Names: ["/n"], Command: HOSTILE, Image: HOSTILE, ImageID: "", Labels: { x: HOSTILE }, Ports: [] },
  ],
  "/images/i/history": [{ Id: "1", CreatedBy: HOSTILE, Comment: HOSTILE, Created: 1, Size: 0, Tags: null }],
  "/networks": [{ Id: "1", Name: HOSTILE, Driver: "d", Scope: "s" }],
  "/volumes": { Volumes: [{ Name: HOSTILE, Driver: "d" }] },
  "/containers/n/json": { Id: "1", Config: { Labels: { x: HOSTILE } } },
  "/images/create": { status: HOSTILE, id: HOSTILE, progressDetail: {} },
};

const COMMANDS = [
  ["ps", "--no-trunc"],
  ["ps", "--format", '{{.Label "x"}}'],
  ["ps", "--format", "table {{.Image}}\t{{.Labels}}"],
  ["history", "--no-trunc", "i"],
  ["network", "ls"],
  ["volume", "ls", "-q"],
  ["inspect", "--type", "container", "-f", "{{.Config.Labels.x}}", "n"],
  ["pull", "i"],
  ["rm", "n"],
];

test("whatever a command prints of a container or an image does nothing to a terminal", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lighter-harmless-"));
  const socketPath = join(folder, "socket");
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "", "http://x").pathname.replace(/^\/v[\d.]+/, "");
    const answer = request.method === "DELETE" ? undefined : ANSWERS[path];
    response.statusCode = answer === undefined ? 500 : 200;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(answer ?? { message: HOSTILE }));
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  try {
    for (const args of COMMANDS) {
      const argv = [
        process.execPath,
        join(import.meta.dirname, "../../main.ts"),
        "-H",
        `unix://${socketPath}`,
        ...args,
      ];
      const session = new TerminalSession(argv, { columns: 300, env: { DOCKER_CONFIG: folder } });
      await session.shows(SHOWN);
      await session.ended();
      const ours = session.output.replaceAll(/\x1b\[(\d+[AB]|2K\r)|\r(?=\n|\x1b)|\r$/g, "");
      session.close();
      expect(holdsControls(ours), JSON.stringify(session.output)).toBe(false);
    }
  } finally {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  }
}, 120_000);
