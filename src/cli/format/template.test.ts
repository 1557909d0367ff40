import { describe, expect, test } from "bun:test";
import { TEMPLATE_MAX_CHARS } from "../../base/limits.ts";
import { compileTemplate, goSprintf, TemplateError } from "./template.ts";

const data = {
  Name: "/web",
  Count: 3,
  Ratio: 0.5,
  On: true,
  Nothing: null,
  Env: ["A=1", "B=2"],
  Labels: { "com.example/x": "y", b: "c" },
  State: { Running: true, Pid: 42 },
  Label: (name: string) => `label ${name}`,
};

const render = (source: string) => compileTemplate(source)(data);

test.each([
  ["plain", "plain"],
  ["{{.Name}}", "/web"],
  ["{{ .State.Pid }}", "42"],
  ["{{.}}", expect.stringContaining("map[")],
  ["{{.Nothing}} {{.On}} {{.Ratio}}", "<nil> true 0.5"],
  ["{{.Env}} {{.Labels}}", "[A=1 B=2] map[b:c com.example/x:y]"],
  ["{{json .Env}} {{json .Name}} {{json .Nothing}}", '["A=1","B=2"] "/web" null'],
  ['{{index .Labels "com.example/x"}} {{index .Env 1}} {{index .Labels "none"}}', "y B=2 <no value>"],
  ["{{len .Env}} {{len .Name}} {{len .Labels}} {{len .Nothing}}", "2 4 2 0"],
  ['{{join .Env ", "}} {{split "a.b" "."}}', "A=1, B=2 [a b]"],
  ['{{upper "ab"}} {{lower "AB"}} {{title "ab cd"}}', "AB ab Ab Cd"],
  ['{{pad "x" 1 2}}| {{pad "" 1 2}}| {{truncate "abcdef" 3}}', " x  | | abc"],
  ['{{printf "%s-%d %5.1f|%-4s|%q|%v|%%" .Name .Count .Ratio "a" "b" .Env}}', '/web-3   0.5|a   |"b"|[A=1 B=2]|%'],
  ["{{println .Name .Count}}", "/web 3\n"],
  ['{{print 1 2 "a" 3}}', "1 2a3"],
  ["{{.Label `x`}} {{`raw\\n`}}", "label x raw\\n"],
  ["{{\"esc\\t\\u00e9\\x41\\101\"}} {{'a'}}", "esc\té" + "AA 97"],
  ["{{/* comment */}}a{{- /* trims */ -}}  b", "ab"],
  ["a  {{- .Count -}}  b", "a3b"],
  ["{{if .On}}yes{{else}}no{{end}} {{if .Nothing}}yes{{else if eq .Count 3}}three{{else}}no{{end}}", "yes three"],
  ["{{with .State}}{{.Pid}}{{end}}{{with .Nothing}}x{{else}} none{{end}}", "42 none"],
  ["{{range .Env}}[{{.}}]{{end}} {{range $i, $e := .Env}}{{$i}}{{$e}};{{end}}", "[A=1][B=2] 0A=1;1B=2;"],
  ["{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "b=c com.example/x=y "],
  ["{{range .Nothing}}x{{else}}empty{{end}}", "empty"],
  ["{{$x := .Count}}{{if .On}}{{$x = 4}}{{end}}{{$x}} {{$.Name}}", "4 /web"],
  ["{{range .Env}}{{$.Count}}{{end}}", "33"],
  ['{{(index .Env 0) | printf "%s!" | upper}}', "A=1!"],
  ["{{and .On .Name}} {{or .Nothing 0 .Count}} {{not .On}}", "/web 3 false"],
  ['{{eq .Count 1 2 3}} {{ne 1 2}} {{lt 1 2}} {{ge 2 2}} {{gt "b" "a"}} {{le 3 2}}', "true true true true true false"],
  ["{{(.State).Pid}} {{.State.Running | not}}", "42 false"],
  ['{{slice .Name 1 3}} {{slice .Env 1}} {{urlquery "a b&c"}}', "we [B=2] a+b%26c"],
])("%p", (source, expected) => {
  if (typeof expected === "string") expect(render(source)).toBe(expected);
  else expect(render(source)).toEqual(expected);
});

describe("what is wrong is said", () => {
  test.each([
    ["{{", "parse", "template: :1: unclosed action"],
    ["{{.A", "parse", "unclosed action"],
    ['{{"a}}', "parse", "unterminated quoted string"],
    ["{{if .On}}", "parse", "unexpected EOF"],
    ["{{end}}", "parse", "unexpected {{end}}"],
    ["{{else}}", "parse", "unexpected {{else}}"],
    ["{{if .On}}{{else}}{{else}}{{end}}", "parse", "unexpected {{else}}"],
    ["{{}}", "parse", "missing value for command"],
    ["{{.A | }}", "parse", "missing value for command"],
    ["{{(.A}}", "parse", "unexpected EOF"],
    ["{{.A % .B}}", "parse", 'unexpected "%" in command'],
    ['{{define "x"}}{{end}}', "parse", "{{define}} is not supported"],
    [`${"{{if .On}}".repeat(200)}`, "parse", "nested blocks"],
    [`{{${"(".repeat(200)}.A${")".repeat(200)}}}`, "parse", "nested parentheses"],
    ["x".repeat(TEMPLATE_MAX_CHARS + 1), "parse", "template longer than"],
    ["{{.Foo}}", "execute", 'executing "" at <.Foo>: map has no entry for key "Foo"'],
    ["{{.constructor}}", "execute", 'map has no entry for key "constructor"'],
    ["{{.State.Foo.Bar}}", "execute", 'at <.State.Foo.Bar>: map has no entry for key "Foo"'],
    ["{{.Name.X}}", "execute", "can't evaluate field X in type string"],
    ["{{.Nothing.X}}", "execute", "nil data"],
    ["{{foo .Name}}", "execute", 'function "foo" not defined'],
    ["{{toString}}", "execute", 'function "toString" not defined'],
    ["{{$nope}}", "execute", 'undefined variable "$nope"'],
    ["{{index .Env 5}}", "execute", "index out of range: 5"],
    ["{{.Name 1}}", "execute", "can't give argument to non-function .Name"],
    ["{{range .Count}}{{end}}", "execute", "range can't iterate over 3"],
    ['{{lt 1 "a"}}', "execute", "incompatible types for comparison"],
    ["{{join .Name 1}}", "execute", "expected a list; got string"],
  ] as const)("%p", (source, stage, message) => {
    let error: unknown;
    try {
      render(source);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TemplateError);
    expect(error).toMatchObject({ stage, message: expect.stringContaining(message) });
  });
});

test("an integer of 64 bits is shown digit by digit", () => {
  const show = (source: string) =>
    compileTemplate(source)({ At: 1796197848123456789n, In: { At: 9223372036854771712n } });
  expect(show("{{.At}} {{json .In}}")).toBe('1796197848123456789 {"At":9223372036854771712}');
  expect(show('{{printf "%d %x" .At .In.At}} {{gt .At 5}}')).toBe("1796197848123456789 7ffffffffffff000 true");
});

test("goSprintf says what it cannot format, as fmt does", () => {
  expect(goSprintf("%d", "x")).toBe("%!d(string=x)");
  expect(goSprintf("%s")).toBe("%!s(MISSING)");
  expect(goSprintf("a", 1, "b")).toBe("a%!(EXTRA float64=1, string=b)");
});

test("json escapes what a page would take for tags: never, in a whole row, or everywhere", () => {
  const data = { a: ["<"] };
  const show = (html: boolean | "everywhere") => compileTemplate("{{json .}} {{json .a}}", html)(data);
  expect(show(false)).toBe('{"a":["<"]} ["<"]');
  expect(show(true)).toBe('{"a":["\\u003c"]} ["<"]');
  expect(show("everywhere")).toBe('{"a":["\\u003c"]} ["\\u003c"]');
});
