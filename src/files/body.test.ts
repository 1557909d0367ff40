import { expect, test } from "bun:test";
import { type BodyForm, bodyOf } from "./body.ts";

async function read(form: BodyForm, text: string, pieceBytes: number): Promise<string> {
  const bytes = Buffer.from(text);
  const pieces = (async function* () {
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  })();
  return Buffer.concat(await Array.fromAsync(bodyOf(form, pieces))).toString();
}

test("a body ends as it says, wherever its pieces are cut", async () => {
  for (const pieceBytes of [1, 2, 3, 7, 1000]) {
    const chunks = "5\r\nabcde\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    expect(await read("chunks", `${chunks}GET / HTTP/1.1\r\n`, pieceBytes)).toBe("abcde0123456789");
    expect(await read("chunks", "0\r\n\r\n", pieceBytes)).toBe("");
    expect(await read({ bytes: 4 }, "abcdefgh", pieceBytes)).toBe("abcd");
    expect(await read({ bytes: 0 }, "abcdefgh", pieceBytes)).toBe("");
    expect(await read("plain", "abcdefgh", pieceBytes)).toBe("abcdefgh");
  }
});

test("one that breaks off or is malformed is refused", async () => {
  const cases: [form: BodyForm, text: string][] = [
    ["chunks", ""],
    ["chunks", "5\r\nabc"],
    ["chunks", "5\r\nabcde\r\n"],
    ["chunks", "5\r\nabcde\r\n0\r\n"],
    [{ bytes: 9 }, "abcdefgh"],
  ];
  for (const [form, text] of cases) await expect(read(form, text, 3)).rejects.toThrow("ended early");
  for (const text of ["x\r\n", "\r\n", "-1\r\n", "5\r\nabcdefg\r\n", "fffffffffffff\r\n", "a".repeat(5000)])
    await expect(read("chunks", text, 3)).rejects.toThrow("malformed chunk");
});
