// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are a Dockerfile's
import { describe, expect, test } from "bun:test";
import { DockerfileError } from "./error.ts";
import { expandInstruction } from "./expand.ts";
import { parse } from "./parse.ts";
import type { Instruction } from "./types.ts";

const HEAD = "FROM base\n";

function only(text: string): Instruction {
  const { stages } = parse(HEAD + text);
  expect(stages[0]!.instructions).toHaveLength(1);
  return stages[0]!.instructions[0]!;
}

function failureOf(text: string): DockerfileError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof DockerfileError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(text)} was accepted`);
}

const shell = (text: string) => ({ form: "shell", words: [text], heredocs: [] });
const exec = (...words: string[]) => ({ form: "exec", words, heredocs: [] });
const doc = (name: string, content: string, more = {}) => ({ name, content, expand: true, chomp: false, ...more });

const PARSED: [rule: string, text: string, fields: object][] = [
  ["a shell form is one text", "RUN a  'b c'", { kind: "run", command: shell("a  'b c'") }],
  ["a JSON form is a list", 'RUN ["a", "b c"]', { command: exec("a", "b c") }],
  ["what is no valid JSON is a shell form", "RUN ['a']", { command: shell("['a']") }],
  ["names are read in any case", "rUn a", { kind: "run", keyword: "rUn" }],
  ["a continued line keeps the white space of the next", "RUN a \\\n  b", { command: shell("a   b") }],
  ["an escape may be followed by blanks", "RUN a \\ \t\nb", { command: shell("a b") }],
  ["comments in a continued line are left out", "RUN a \\\n # no\nb", { command: shell("a b") }],
  ["an escape that is escaped continues nothing", "RUN a \\\\", { command: shell("a \\\\") }],
  ["the end of a Dockerfile ends a continued line", "RUN a \\", { command: shell("a") }],
  ["lines may end as on Windows", "RUN a \\\r\nb\r\n", { command: shell("a b") }],
  ["one heredoc is the script", "RUN <<E\na\nb\nE", { command: { ...shell("<<E"), heredocs: [doc("E", "a\nb\n")] } }],
  [
    "several heredocs follow one another",
    "RUN cat <<A <<B\n1\nA\n2\nB",
    { command: { words: ["cat <<A <<B"], heredocs: [doc("A", "1\n"), doc("B", "2\n")] } },
  ],
  [
    "a dash takes the tabs away",
    "COPY <<-E /x\n\t\ta\n\tE",
    { sources: [], heredocs: [doc("E", "a\n", { chomp: true })], destination: "/x" },
  ],
  ["quotes keep variables", 'COPY <<"E" /x\n$a\nE', { heredocs: [doc("E", "$a\n", { expand: false })] }],
  ["a heredoc in quotes is text", "RUN echo '<<E'", { command: shell("echo '<<E'") }],
  ["a heredoc of CMD is text", "CMD cat <<E", { command: shell("cat <<E") }],
  [
    "COPY has all its flags",
    "COPY --from=x --chown=1:2 --chmod=755 --link --parents --exclude=*.o --exclude=b a b /c",
    {
      ...{ kind: "copy", from: "x", chown: "1:2", chmod: "755", link: true, parents: true, exclude: ["*.o", "b"] },
      ...{ sources: ["a", "b"], destination: "/c" },
    },
  ],
  [
    "ADD has all its flags",
    "ADD --checksum=sha256:ab --keep-git-dir=false --unpack=true --link=false u /c",
    { kind: "add", checksum: "sha256:ab", keepGitDir: false, unpack: true, link: false },
  ],
  ["a list of paths may be JSON", 'COPY ["a b", "/c d"]', { sources: ["a b"], destination: "/c d" }],
  ["quotes in flags are taken away", `COPY --chown="a b" x y`, { chown: "a b" }],
  ["two dashes end the flags", "RUN -- --mount", { mounts: [], command: shell("--mount") }],
  [
    "RUN has all its flags",
    "RUN --network=none --security=insecure --device=gpu --mount=type=cache,target=/c a",
    { network: "none", security: "insecure", devices: ["gpu"], mounts: [{ type: "cache" }] },
  ],
  ["ENV takes several", "ENV a=1 b='2 3'", { pairs: [{ name: "a", value: "1" }, { value: "'2 3'" }] }],
  ["ENV without = takes the rest", "ENV a  1 2", { pairs: [{ name: "a", value: "1 2", isLegacy: true }] }],
  ["ARG may have no value", "ARG a b=1 c=", { args: [{ name: "a" }, { name: "b", value: "1" }, { value: "" }] }],
  ["a comment describes an ARG", "# a what it is\nARG a", { args: [{ name: "a", description: "what it is" }] }],
  ["an empty line ends a description", "# a what it is\n\nARG a", { args: [{ description: "" }] }],
  ["EXPOSE is sorted", "EXPOSE 90 80/udp", { ports: ["80/udp", "90"] }],
  ["VOLUME may be JSON", 'VOLUME ["/a", "/b c"]', { paths: ["/a", "/b c"] }],
  ["WORKDIR takes the rest", "WORKDIR /a b", { path: "/a b" }],
  ["ONBUILD keeps its trigger", "ONBUILD RUN a\t b", { trigger: "RUN a\t b" }],
  ["ONBUILD keeps heredocs", "ONBUILD COPY <<E /x\na\nE", { trigger: "COPY <<E /x\na\nE" }],
  ["HEALTHCHECK NONE", "HEALTHCHECK none", { test: "none" }],
  [
    "HEALTHCHECK has all its flags",
    'HEALTHCHECK --interval=5s --timeout=1m --start-period=2s --start-interval=1s --retries=3 CMD ["a"]',
    {
      ...{ test: exec("a"), intervalNs: 5_000_000_000n, timeoutNs: 60_000_000_000n, retries: 3 },
      ...{ startPeriodNs: 2_000_000_000n, startIntervalNs: 1_000_000_000n },
    },
  ],
  ["SHELL is JSON", 'SHELL ["a", "-c"]', { words: ["a", "-c"] }],
];

describe("parse", () => {
  for (const [rule, text, fields] of PARSED) test(rule, () => expect(only(text)).toMatchObject(fields));
});

test("directives stand at the top, each once, before anything else", () => {
  expect(parse("# syntax=x/y:1\n#escape = `\n# check=skip=all\nFROM a\nRUN b `\n c\\")).toMatchObject({
    ...{ syntax: "x/y:1", escape: "`", check: "skip=all" },
    stages: [{ instructions: [{ command: { words: ["b  c\\"] } }] }],
  });
  expect(parse("# a comment\n# escape=`\nFROM a").escape).toBe("\\");
  expect(parse("\n# escape=`\nFROM a").escape).toBe("\\");
  expect(parse("\ufeff# escape=`\nFROM a").escape).toBe("`");
});

test("stages begin with FROM; what stands before the first is global", () => {
  const { globalArgs, stages } = parse("ARG V=1\nFROM --platform=$X a:$V As Up\nRUN a\n# b second\nFROM up AS b\n");
  expect(globalArgs).toMatchObject([{ args: [{ name: "V", value: "1" }] }]);
  expect(stages).toMatchObject([
    { index: 0, from: { image: "a:$V", name: "up", nameWritten: "Up", asWritten: "As", platform: "$X" } },
    { index: 1, from: { image: "up", name: "b", description: "second" }, instructions: [] },
  ]);
});

test("instructions know the lines that they were written in", () => {
  const { stages, emptyContinuations } = parse("FROM a\n\n# c\nRUN a \\\n\n b\nCOPY <<E /x\na\nE\nUSER 1\n");
  expect(stages[0]!.instructions.map(({ range }) => [range.start, range.end])).toEqual([
    [4, 6],
    [7, 9],
    [10, 10],
  ]);
  expect(emptyContinuations).toEqual([{ start: 6, end: 6 }]);
});

const REFUSED: [text: string, message: string][] = [
  ["XYZZY a", "unknown instruction: XYZZY"],
  ["FRM a", "unknown instruction: FRM (did you mean FROM?)"],
  ["wrkdir a", "unknown instruction: wrkdir (did you mean workdir?)"],
  ["FROM a b", "FROM requires either one or three arguments"],
  ["FROM a AS 1", 'invalid name for build stage: "1", name can\'t start with a number or contain symbols'],
  ["FROM --platfrm=x a", "unknown flag: platfrm (did you mean platform?)"],
  ["COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"],
  ["COPY --from=a --from=b c d", "duplicate flag specified: from"],
  ["COPY --from a b", "missing a value on flag: from"],
  ["COPY --link=x a b", "expecting boolean value for flag link, not: x"],
  ["COPY a <<E\nE", "COPY cannot accept a heredoc as a destination"],
  ["RUN --network=x a", 'invalid network mode "x"'],
  ["RUN --security=x a", 'security "x" is not valid'],
  ["RUN --mount=from=$x a", "'from' doesn't support variable expansion, define alias stage instead"],
  ["RUN [1]", "when using JSON array syntax, arrays must be comprised of strings only"],
  ["SHELL sh -c", "SHELL requires the arguments to be in JSON form"],
  ["ENV a", "ENV must have two arguments"],
  ["LABEL a=1 b", 'Syntax error - can\'t find = in "b". Must be of the form: name=value'],
  ["ARG =1", "ARG names can not be blank"],
  ["ONBUILD FROM a", "FROM isn't allowed as an ONBUILD trigger"],
  ["HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"],
];

describe("parse refuses in BuildKit's words, with the lines", () => {
  for (const [text, message] of REFUSED)
    test(JSON.stringify(text), () => {
      const error = failureOf(`${HEAD}\n${text}\n`);
      expect(error.message).toBe(`dockerfile parse error on line 3: ${message}`);
      expect(error.ranges[0]?.start).toBe(3);
    });
  const whole: [text: string, message: string, start: number | undefined][] = [
    ["", "the Dockerfile cannot be empty", undefined],
    ["# nothing\n", "file with no instructions", undefined],
    ["ARG a\n", "dockerfile contains no stages to build", undefined],
    ["RUN a\nFROM b", "no build stage in current context", 1],
    ["FROM a\nRUN <<E\nx\n", "unterminated heredoc", 2],
    ["# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", 1],
    ["# check=a\n# check=b\nFROM a", "only one check parser directive can be used", 2],
    [`FROM a\nRUN ${"x".repeat(65536)}`, "dockerfile line greater than max allowed size of 65535", 2],
  ];
  for (const [text, message, start] of whole)
    test(JSON.stringify(text.slice(0, 40)), () => {
      const error = failureOf(text);
      expect(error.message).toBe(message);
      expect(error.ranges[0]?.start).toBe(start!);
    });
});

const EXPANDED: [text: string, fields: object][] = [
  ["COPY --chown=$u $a/x* '$a'b \\$a", { chown: "me", sources: ["va/x*", "$ab"], destination: "$a" }],
  ["COPY <<E /$a\n$a '$a' \\$a\nE", { destination: "/va", heredocs: [{ content: "va 'va' $a\n" }] }],
  ["EXPOSE $ports ${none}", { ports: ["80", "443/udp"] }],
  [
    "ENV x=${none:-d} y=${a:+set} z=${a#v} $a=${a/a/b}",
    { pairs: [{ value: "d" }, { value: "set" }, { value: "a" }, { name: "va", value: "vb" }] },
  ],
  [
    "RUN --mount=type=cache,target=/$a,sharing=locked,id=$u x",
    { mounts: [{ target: "/va", sharing: "locked", id: "me", readOnly: false }] },
  ],
  ["RUN --mount=type=tmpfs,target=/t,size=1m x", { mounts: [{ sizeBytes: 1 << 20, readOnly: false }] }],
  [
    "RUN --mount=type=secret,id=s,env=S,required,mode=0400,uid=1 x",
    { mounts: [{ id: "s", env: "S", required: true, mode: 0o400, uid: 1, readOnly: true }] },
  ],
  ["RUN --mount=target=/s,rw $a", { mounts: [{ type: "bind", target: "/s", readOnly: false }], command: shell("$a") }],
  ["WORKDIR ${a}/$$", { path: "va/" }],
];

const VARIABLES = new Map([
  ["a", "va"],
  ["u", "me"],
  ["ports", "80 443/udp"],
]);

describe("expandInstruction", () => {
  for (const [text, fields] of EXPANDED)
    test(text, () =>
      expect(expandInstruction(only(text), { variables: VARIABLES, escape: "\\" })).toMatchObject(fields),
    );

  const refused: [flags: string, message: string][] = [
    ["type=cach", 'unsupported mount type "cach" (did you mean cache?)'],
    ["type=bind,size=1", "unexpected key 'size' for mount type 'bind'"],
    ["type=bind,mode=1", 'mode not allowed for "bind" type mounts'],
    ["type=secret", "invalid secret mount. one of source, target required"],
    ["type=cache,target=/c,sharng=shared", "unexpected key 'sharng' in 'sharng=shared' (did you mean sharing?)"],
    ["what", "invalid field 'what' must be a key=value pair"],
  ];
  for (const [flags, message] of refused)
    test(`RUN --mount=${flags} is refused`, () =>
      expect(() => expandInstruction(only(`RUN --mount=${flags} x`), { variables: VARIABLES, escape: "\\" })).toThrow(
        message,
      ));
});

test("what follows a JSON array counts for nothing, and what is none is for the shell", () => {
  const words = (line: string) => {
    const [command] = parse(`FROM a\n${line}`).stages[0]!.instructions;
    return command?.kind === "cmd" ? command.command.words : undefined;
  };
  expect(words('CMD ["a", "]\\"["] && b')).toEqual(["a", ']"[']);
  expect(words('CMD ["a"')).toEqual(['["a"']);
  expect(words('CMD [ "$x" = y ] && z')).toEqual(['[ "$x" = y ] && z']);
});

test("a dash alone begins no heredoc", () => {
  const [copy] = parse("FROM a\nCOPY <<- x /y\n").stages[0]!.instructions;
  expect(copy).toMatchObject({ sources: ["<<-", "x"], heredocs: [] });
});

test("a suggestion is in capitals if what was written is", () => {
  expect(() => parse("FROM a\nRUNN x")).toThrow("unknown instruction: RUNN (did you mean RUN?)");
  expect(() => parse("FROM a\nRunn x")).toThrow("unknown instruction: Runn (did you mean run?)");
});
