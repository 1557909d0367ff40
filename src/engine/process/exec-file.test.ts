import { expect, test } from "bun:test";
import { Random } from "../../../tests/support/random.ts";
import { LighterError } from "../../base/errors.ts";
import { type ExecFile, parseExecFile } from "./exec-file.ts";

const file: ExecFile = {
  id: "a".repeat(64),
  containerId: "b".repeat(64),
  options: { Cmd: ["ls", "/ü"], attachStdin: false, attachStdout: true, attachStderr: true, detachKeys: "" },
  hasStarted: true,
};

test("a file is read as it was written", () => {
  expect(parseExecFile(JSON.stringify(file))).toEqual(file);
});

test.each(["", "null", "[]", "{}", '{"id":1}', JSON.stringify({ ...file, id: "../../etc" })])(
  "%s is no exec's",
  (text) => {
    expect(() => parseExecFile(text)).toThrow(LighterError);
  },
);

test("whatever became of a file, it is an exec's or an error that says so", () => {
  const random = Random.fromEnvironment("exec files");
  const text = JSON.stringify(file);
  for (let count = 0; count < 5000; count++) {
    const bytes = Buffer.from(text);
    for (let changes = 1 + random.below(3); changes > 0; changes--)
      bytes[random.below(bytes.length)] = random.below(256);
    try {
      const parsed = parseExecFile(
        bytes.toString("utf8", 0, random.below(2) === 0 ? bytes.length : random.below(bytes.length)),
      );
      expect(parsed.id).toMatch(/^[0-9a-f]{64}$/);
      expect(parsed.options.Cmd.length).toBeGreaterThan(0);
    } catch (error) {
      expect(error).toBeInstanceOf(LighterError);
    }
  }
});
