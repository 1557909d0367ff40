import { expect, test } from "bun:test";
import { asUpgrade, isIncomplete } from "./stream-request.ts";

const offerOf = (url: string) => (url === "/stream" ? "stream" : url === "/other-protocol" ? "upgrade" : undefined);
const upgraded = (...lines: string[]) => {
  const { bytes, isPlain } = asUpgrade(Buffer.from(lines.join("\r\n")), offerOf);
  return { isPlain, lines: bytes.toString().split("\r\n") };
};

test("a request for a stream gets what it lacks of an upgrade's headers; its body stays as it is", () => {
  const [line, body] = ["POST /stream HTTP/1.1", ["", "connection: \xff", "", ""]];
  const whole = [line, "Connection: Upgrade", "Upgrade: tcp"];
  expect(upgraded(line, "Host: d", "connection: close", ...body)).toEqual({
    isPlain: true,
    lines: [...whole, "Host: d", ...body],
  });
  expect(upgraded(line, "Upgrade: tcp", "Connection: keep-alive", ...body)).toEqual({
    isPlain: false,
    lines: [...whole, ...body],
  });
  expect(upgraded(line, "upgrade: tcp", "connection: keep-alive, upgrade", ...body)).toEqual({
    isPlain: false,
    lines: [line, "upgrade: tcp", "connection: keep-alive, upgrade", ...body],
  });
});

test("a request for another protocol is completed if it names that", () => {
  const line = "POST /other-protocol HTTP/1.1";
  expect(upgraded(line, "Upgrade: h2c", "", "").lines).toEqual([line, "Connection: Upgrade", "Upgrade: h2c", "", ""]);
  expect(upgraded(line, "Host: d", "", "")).toEqual({ isPlain: false, lines: [line, "Host: d", "", ""] });
});

test("other requests are left alone", () => {
  for (const line of ["POST /other HTTP/1.1", "GET /stream HTTP/1.1", "POST /stream", "POST  /stream HTTP/1.1"])
    expect(upgraded(line, "Host: d", "", "")).toEqual({ isPlain: false, lines: [line, "Host: d", "", ""] });
});

test("the head of a POST is waited for, and of nothing else", () => {
  for (const start of ["", "P", "POST", "POST /stream HTTP/1.1\r\nHost: d\r\n"])
    expect(isIncomplete(Buffer.from(start))).toBe(true);
  for (const start of ["G", "PUT ", "POSTS", "POST / HTTP/1.1\r\n\r\n", "POST ".padEnd(1 << 16, "x")])
    expect(isIncomplete(Buffer.from(start))).toBe(false);
});
