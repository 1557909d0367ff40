import { expect, test } from "bun:test";
import { parseGitSource, parseHttpSource } from "./remote-source.ts";

const git = (text: string) => {
  const source = parseGitSource(text);
  return source && [source.remote, source.ref, source.subdirectory];
};

test.each([
  ["https://example.com/a/b.git", ["https://example.com/a/b.git", "", ""]],
  ["https://example.com/b.git#v1:sub/dir", ["https://example.com/b.git", "v1", "sub/dir"]],
  ["https://example.com/b.git#:../../etc", ["https://example.com/b.git", "", "etc"]],
  ["git://example.com/b#main", ["git://example.com/b", "main", ""]],
  ["ssh://git@example.com:22/b", ["ssh://git@example.com:22/b", "", ""]],
  ["git@example.com:a/b.git#pull/1/head", ["git@example.com:a/b.git", "pull/1/head", ""]],
  ["https://example.com/b.git?branch=x&subdir=d", ["https://example.com/b.git", "refs/heads/x", "d"]],
  ["https://example.com/b.git?tag=v2", ["https://example.com/b.git", "refs/tags/v2", ""]],
  ["https://example.com/b.git?commit=abc", ["https://example.com/b.git", "abc", ""]],
  ["https://example.com/b.tar", undefined],
  ["file:///etc/x.git", undefined],
  ["ext::sh -c id", undefined],
  ["./a.git", undefined],
  ["github.com/a/b.git", undefined],
])("%s as a git repository", (text, expected) => {
  expect(git(text)).toEqual(expected);
});

test("what a query of a git repository asks for besides", () => {
  const source = parseGitSource("https://e.com/b.git?submodules=0&keep-git-dir&checksum=abcd");
  expect(source).toMatchObject({ submodules: false, keepGitDir: true, checksum: "abcd", ref: "abcd" });
});

test.each([
  ["https://e.com/b.git#--upload-pack=x", 'invalid git ref "--upload-pack=x"'],
  ["https://e.com/b.git#a%0ab", 'invalid git ref "a\\nb"'],
  ["https://e.com/b.git?ref=a&ref=b", 'query "ref" has multiple values'],
  ["https://e.com/b.git?ref=", 'query "ref" has no value'],
  ["https://e.com/b.git?ref=a#b", 'ref conflicts: "b" vs "a"'],
  ["https://e.com/b.git?tag=a&branch=b", "branch conflicts with tag"],
  ["https://e.com/b.git?nope=1", 'unexpected query "nope"'],
  ["https://e.com/b.git?submodules=x", 'invalid submodules value: "x"'],
])("%s is refused", (text, message) => {
  expect(() => parseGitSource(text)).toThrow(message);
});

test("a URL names the file", () => {
  const name = (url: string) => parseHttpSource(url)?.fileName;
  expect(name("https://e.com/a/b.txt?x=1#y")).toBe("b.txt");
  expect(name("http://e.com/a%20b")).toBe("a b");
  expect(name("http://e.com/a%2Fb")).toBe("b");
  expect(name("http://e.com/x/")).toBe("x");
  expect(name("http://e.com")).toBe("__unnamed__");
  expect(name("ftp://e.com/x")).toBeUndefined();
  expect(() => parseHttpSource("http://[")).toThrow('"http://[" is no valid URL');
});
