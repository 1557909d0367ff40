import { expect, test } from "bun:test";
import { parseModeChange } from "./file-mode.ts";

const changed = (text: string, mode: number, isDirectory = false) =>
  parseModeChange(text)(mode, isDirectory).toString(8).padStart(4, "0");

test.each([
  ["755", 0o640, "0755"],
  ["0", 0o640, "0000"],
  ["7777", 0o640, "7777"],
  ["u+x", 0o640, "0740"],
  ["+x", 0o640, "0751"],
  ["a-r,u=rw", 0o755, "0611"],
  ["go=u", 0o740, "0777"],
  ["g=o", 0o754, "0744"],
  ["u=rwX,go=rX", 0o600, "0644"],
  ["u=rwX,go=rX", 0o700, "0755"],
  ["u+s,g+s,+t", 0o755, "7755"],
  ["o+s", 0o755, "0755"],
  ["u=", 0o4755, "0055"],
  ["u-w+x", 0o640, "0540"],
])("%s of a file", (text, mode, expected) => {
  expect(changed(text, mode)).toBe(expected);
});

test("X and = are different for a directory", () => {
  expect(changed("a=rX", 0o600, true)).toBe("0555");
  expect(changed("u=rwx,g=rx", 0o6700, true)).toBe("6750");
});

test.each(["", "8", "10000", "u", "u+q", "x+r", "755x", "u=rw,"])("%j is refused", (text) => {
  const number = /^[0-9]/.test(text) ? ". it should be octal string and between 0 and 07777" : "";
  expect(() => parseModeChange(text)).toThrow(`invalid chmod parameter: '${text}'${number}`);
});
