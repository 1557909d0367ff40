import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatLine, openLog } from "./log.ts";

const folder = mkdtempSync(join(tmpdir(), "lighter-oci-log-"));
afterAll(() => rmSync(folder, { recursive: true }));
const AT = new Date("2026-11-24T04:19:17.999Z");

test("lines are as logrus writes them", () => {
  expect(formatLine("text", "error", "container does not exist", AT)).toBe(
    'time="2026-11-24T04:19:17Z" level=error msg="container does not exist"\n',
  );
  expect(formatLine("text", "warning", "word", AT)).toBe('time="2026-11-24T04:19:17Z" level=warning msg=word\n');
  expect(formatLine("json", "error", 'say "x"\n', AT)).toBe(
    '{"level":"error","msg":"say \\"x\\"\\n","time":"2026-11-24T04:19:17Z"}\n',
  );
});

test("a log file is appended to, without debug messages unless they are wanted", () => {
  const path = join(folder, "log.json");
  const levels = () =>
    readFileSync(path, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).level);
  const quiet = openLog(path, "json", false);
  quiet.debug("unseen");
  quiet.warn("seen");
  openLog(path, "json", true).debug("seen");
  expect(levels()).toEqual(["warning", "debug"]);
});

test("another format and a file that cannot be opened are refused", () => {
  expect(() => openLog(undefined, "xml", false)).toThrow("invalid log-format: xml");
  expect(() => openLog(join(folder, "no/such/log"), "text", false)).toThrow(/open log file ".*log": ENOENT/);
});
