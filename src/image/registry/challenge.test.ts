import { expect, test } from "bun:test";
import { parseChallenges } from "./challenge.ts";

const parsed = (header: string): [string, Record<string, string>][] =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

const cases: [string, [string, Record<string, string>][]][] = [
  ["", []],
  ["Basic", [["basic", {}]]],
  ['Basic realm="test-realm"', [["basic", { realm: "test-realm" }]]],
  ["Basic realm=plain", [["basic", { realm: "plain" }]]],
  [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/a:pull,push"',
    [
      [
        "bearer",
        {
          realm: "https://auth.docker.io/token",
          service: "registry.docker.io",
          scope: "repository:library/a:pull,push",
        },
      ],
    ],
  ],
  ['BEARER Realm = "a" , ERROR="insufficient_scope"', [["bearer", { realm: "a", error: "insufficient_scope" }]]],
  [
    'Negotiate, Basic realm="b", Bearer realm="c",service="d, e"',
    [
      ["negotiate", {}],
      ["basic", { realm: "b" }],
      ["bearer", { realm: "c", service: "d, e" }],
    ],
  ],
  [
    'Negotiate YWJj==, Basic realm="b"',
    [
      ["negotiate", {}],
      ["basic", { realm: "b" }],
    ],
  ],
  ['Bearer realm="say \\"hi\\" \\\\"', [["bearer", { realm: 'say "hi" \\' }]]],
  [',, ,Basic realm="a",,', [["basic", { realm: "a" }]]],
  ['Bearer realm="first",realm="second"', [["bearer", { realm: "first" }]]],
  ['Bearer realm=""', [["bearer", { realm: "" }]]],
  // The list ends with the first thing that cannot be understood.
  [
    'Bearer realm="unterminated',
    [
      ["bearer", { realm: "" }],
      ["unterminated", {}],
    ].slice(0, 1) as never,
  ],
  ["=", []],
  ['"quoted"', []],
];

for (const [header, expected] of cases)
  test(`parseChallenges of ${JSON.stringify(header)}`, () => expect(parsed(header)).toEqual(expected));

test("beyond a limit there is no challenge at all", () => {
  expect(parsed(`Basic realm="${"x".repeat(16 * 1024)}"`)).toEqual([]);
  expect(parsed(Array(17).fill("Basic").join(", "))).toEqual([]);
  expect(parsed(`Bearer ${Array.from({ length: 33 }, (_, index) => `p${index}=1`).join(",")}`)).toEqual([]);
});
