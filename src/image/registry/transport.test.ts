import { expect, test } from "bun:test";
import { describe, isLoopback } from "./transport.ts";

test("isLoopback knows addresses and one name", () => {
  for (const host of ["localhost", "127.0.0.1", "127.255.0.1", "::1", "[::1]"]) expect(isLoopback(host)).toBe(true);
  for (const host of ["localhost.example", "127.example", "128.0.0.1", "::2", "", "0.0.0.0"])
    expect(isLoopback(host)).toBe(false);
});

test("describe leaves out what a URL may hold of secrets", () => {
  expect(describe("HEAD", "https://u:p@host:5000/v2/a?signature=s#f")).toBe('Head "https://host:5000/v2/a"');
});
