// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are a Dockerfile's
import { describe, expect, test } from "bun:test";
import { LighterError } from "../base/errors.ts";
import type { DockerContainerConfig } from "../spec/docker-api.ts";
import { changeConfig } from "./change-config.ts";

const BASE: DockerContainerConfig = { Env: ["PATH=/bin"], Cmd: ["true"], Labels: {} };

/** Instructions and what Docker 26.1.5 made of them, by `commit --change` on a container with the config above. */
const CHANGED: [changes: string, fields: DockerContainerConfig][] = [
  ["CMD x y", { Cmd: ["/bin/sh", "-c", "x y"] }],
  ['CMD ["x","y"]', { Cmd: ["x", "y"] }],
  ['CMD ["x", y]', { Cmd: ["/bin/sh", "-c", '["x", y]'] }],
  ["CMD", { Cmd: ["/bin/sh", "-c"] }],
  [" CMD   lead  ", { Cmd: ["/bin/sh", "-c", "lead"] }],
  ["CMD $PATH", { Cmd: ["/bin/sh", "-c", "$PATH"] }],
  ['ENTRYPOINT ["a"]', { Cmd: null, Entrypoint: ["a"] }],
  ["ENTRYPOINT a b", { Cmd: null, Entrypoint: ["/bin/sh", "-c", "a b"] }],
  ['ENTRYPOINT ["a"]\nCMD b', { Cmd: ["/bin/sh", "-c", "b"], Entrypoint: ["a"] }],
  ['ENTRYPOINT [""]', { Cmd: null, Entrypoint: [""] }],
  [
    "ENV A=1 B=\"two words\" C=$PATH D='$PATH' E=${PATH}x F=\\$x G=${Q:-def} H=${PATH:+alt}",
    { Env: ["PATH=/bin", "A=1", "B=two words", "C=/bin", "D=$PATH", "E=/binx", "F=$x", "G=def", "H=alt"] },
  ],
  ["ENV A one two", { Env: ["PATH=/bin", "A=one two"] }],
  ["env a=b", { Env: ["PATH=/bin", "a=b"] }],
  ["ENV PATH=/x:$PATH", { Env: ["PATH=/x:/bin"] }],
  ["ENV A=1\nENV B=$A", { Env: ["PATH=/bin", "A=1", "B=1"] }],
  ["ENV A=$A1\nENV A1=2", { Env: ["PATH=/bin", "A=", "A1=2"] }],
  ["ENV A='a'\"b\"c", { Env: ["PATH=/bin", "A=abc"] }],
  ["ENV A=a\\ b", { Env: ["PATH=/bin", "A=a b"] }],
  ["ENV A=${PATH#/} B=${PATH%n} C=${PATH/b/c}", { Env: ["PATH=/bin", "A=bin", "B=/bi", "C=/cin"] }],
  [
    "EXPOSE 80 443/udp 90-92 5000-5001/tcp",
    {
      ExposedPorts: Object.fromEntries(
        ["443/udp", "5000/tcp", "5001/tcp", "80/tcp", "90/tcp", "91/tcp", "92/tcp"].map((port) => [port, {}]),
      ),
    },
  ],
  ["EXPOSE 8080:80", { ExposedPorts: { "80/tcp": {} } }],
  ["EXPOSE $P", {}],
  ["EXPOSE ${P:-99}", { ExposedPorts: { "99/tcp": {} } }],
  ["LABEL a=b \"c d\"='e f' g=$PATH", { Labels: { a: "b", "c d": "e f", g: "/bin" } }],
  ["LABEL a b c", { Labels: { a: "b c" } }],
  ['LABEL "a"="b\\"c"', { Labels: { a: 'b"c' } }],
  ["ONBUILD RUN foo bar", { OnBuild: ["RUN foo bar"] }],
  ["ONBUILD CMD $x", { OnBuild: ["CMD $x"] }],
  ["USER me:you", { User: "me:you" }],
  ["USER a b", { User: "a b" }],
  ["USER $PATH", { User: "/bin" }],
  ["VOLUME /a /b", { Volumes: { "/a": {}, "/b": {} } }],
  ['VOLUME ["/a","/b c"]', { Volumes: { "/a": {}, "/b c": {} } }],
  ["VOLUME $PATH", { Volumes: { "/bin": {} } }],
  ["WORKDIR rel", { WorkingDir: "/rel" }],
  ["WORKDIR /abs", { WorkingDir: "/abs" }],
  ["WORKDIR /abs\nWORKDIR b", { WorkingDir: "/abs/b" }],
  ["WORKDIR /a b", { WorkingDir: "/a b" }],
  ["WORKDIR $PATH", { WorkingDir: "/bin" }],
  ["HEALTHCHECK NONE", { Healthcheck: { Test: ["NONE"] } }],
  ["HEALTHCHECK CMD foo bar", { Healthcheck: { Test: ["CMD-SHELL", "foo bar"] } }],
  [
    'HEALTHCHECK --interval=5s --timeout=1m --retries=3 --start-period=2s --start-interval=1s CMD ["a","b"]',
    {
      Healthcheck: {
        Test: ["CMD", "a", "b"],
        Interval: 5e9,
        Timeout: 60e9,
        StartPeriod: 2e9,
        StartInterval: 1e9,
        Retries: 3,
      },
    },
  ],
  ["STOPSIGNAL 9", { StopSignal: "9" }],
  ["STOPSIGNAL sigterm", { StopSignal: "sigterm" }],
  ["# comment\nCMD x", { Cmd: ["/bin/sh", "-c", "x"] }],
  ["CMD a \\\n b", { Cmd: ["/bin/sh", "-c", "a  b"] }],
  ["CMD a \\\n# comment\n\n b", { Cmd: ["/bin/sh", "-c", "a  b"] }],
  ['CMD ["a",\\\n"b"]', { Cmd: ["a", "b"] }],
];

const REFUSED: [changes: string, message: string][] = [
  ["RUN x", "RUN is not a valid change command"],
  ["FROM x", "FROM is not a valid change command"],
  ["ENV A=1\nfoo x", "FOO is not a valid change command"],
  ["ENV A", "ENV must have two arguments"],
  ["ENV =x", "ENV names can not be blank"],
  ["ENV A=1 B", 'Syntax error - can\'t find = in "B". Must be of the form: name=value'],
  ["EXPOSE abc", "Invalid containerPort: abc"],
  ["EXPOSE", "EXPOSE requires at least one argument"],
  ["EXPOSE 70000", "Invalid containerPort: 70000"],
  ["ONBUILD ONBUILD x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  ["ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"],
  ["ONBUILD", "ONBUILD requires at least one argument"],
  ["USER", "USER requires exactly one argument"],
  ["VOLUME", "VOLUME requires at least one argument"],
  ['VOLUME [""]', "VOLUME specified can not be an empty string"],
  ["WORKDIR", "WORKDIR requires exactly one argument"],
  ["HEALTHCHECK --interval=1ns CMD a", 'Interval "interval" cannot be less than 1ms'],
  ["HEALTHCHECK --foo=1 CMD a", "unknown flag: foo"],
  ["HEALTHCHECK foo", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'],
  ["HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"],
  ["HEALTHCHECK", "HEALTHCHECK requires at least one argument"],
  ["HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"],
  ["HEALTHCHECK --retries=-1 CMD a", "--retries cannot be negative (-1)"],
  ["HEALTHCHECK --interval=x CMD a", 'time: invalid duration "x"'],
  ["STOPSIGNAL SIGFOO", "invalid signal: SIGFOO"],
  ["STOPSIGNAL $S", "invalid signal: "],
  ["STOPSIGNAL", "STOPSIGNAL requires exactly one argument"],
  [
    'ENV A="unclosed',
    'failed to process "\\"unclosed": unexpected end of statement while looking for matching double-quote',
  ],
  ["ENV A=${x:?msg}", 'failed to process "${x:?msg}": x: msg'],
  ["CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"],
];

function failureOf(changes: readonly string[]): string {
  try {
    changeConfig(BASE, changes);
  } catch (error) {
    if (error instanceof LighterError && error.code === "invalid") return error.message;
    throw error;
  }
  throw new Error(`${changes} was accepted`);
}

describe("changeConfig", () => {
  for (const [changes, fields] of CHANGED)
    test(`${JSON.stringify(changes)} changes what Docker changes`, () => {
      const before = structuredClone(BASE);
      expect(changeConfig(BASE, [changes])).toEqual({ ...BASE, ...fields });
      expect(BASE).toEqual(before);
    });
  for (const [changes, message] of REFUSED)
    test(`${JSON.stringify(changes)} is refused in Docker's words`, () => expect(failureOf([changes])).toBe(message));
});

test("several changes follow one another", () => {
  expect(changeConfig(BASE, ["ENV A=1", "ENV B=$A", "CMD b"])).toMatchObject({
    Env: ["PATH=/bin", "A=1", "B=1"],
    Cmd: ["/bin/sh", "-c", "b"],
  });
});

test("values that double with each line come to an end", () => {
  expect(failureOf(["ENV A=xxxxxxxx", ...Array.from({ length: 64 }, () => "ENV A=$A$A")])).toContain(
    "more than 131072",
  );
});

test("names that mean something to JavaScript are names like any other", () => {
  const { Labels, Env } = changeConfig(BASE, [
    "LABEL __proto__=x constructor=y",
    "ENV __proto__=z Q=$__proto__$toString",
  ]);
  expect(Object.entries(Labels ?? {})).toEqual([
    ["__proto__", "x"],
    ["constructor", "y"],
  ]);
  expect(Env).toEqual(["PATH=/bin", "__proto__=z", "Q="]);
});
