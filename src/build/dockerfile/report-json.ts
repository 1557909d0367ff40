/** Answers about a Dockerfile as BuildKit's clients read them. Source: moby/buildkit frontend/subrequests (names of fields). */
import type { CheckResult } from "./check.ts";
import type { Outline } from "./outline.ts";
import type { Dockerfile, SourceRange } from "./types.ts";

interface Source {
  filename: string;
  text: string;
}

function locationOf(ranges: readonly SourceRange[]): object {
  const position = (line: number) => ({ line, character: 0 });
  return { ranges: ranges.map(({ start, end }) => ({ start: position(start), end: position(end) })) };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

export function describeOutline({ name, description, args, secrets, ssh }: Outline, { text }: Source): object {
  return {
    ...(name === "" ? {} : { name }),
    ...(description === "" ? {} : { description }),
    args: args.map(({ range, ...arg }) => ({ ...arg, location: locationOf([range]) })),
    secrets: secrets.map(({ range, ...secret }) => ({ ...secret, location: locationOf([range]) })),
    ssh: ssh.map(({ range, ...agent }) => ({ ...agent, location: locationOf([range]) })),
    sources: [base64(text)],
  };
}

export function describeTargets({ stages }: Dockerfile, { text }: Source): object {
  const targets = stages.map(({ index, from: { name, description, image, platform, range } }) => ({
    ...(name === undefined ? {} : { name }),
    ...(index === stages.length - 1 ? { default: true } : {}),
    ...(description === "" ? {} : { description }),
    base: image,
    ...(platform === undefined ? {} : { platform }),
    location: locationOf([range]),
  }));
  return { targets, sources: [base64(text)] };
}

export function describeCheck({ warnings, error }: CheckResult, { filename, text }: Source): object {
  return {
    warnings: warnings.map(({ rule, description, url, message, ranges }) => ({
      ...{ ruleName: rule, description, url, detail: message },
      location: locationOf(ranges),
    })),
    sources: [{ fileName: filename, language: "Dockerfile", definition: null, data: base64(text) }],
    ...(error === undefined ? {} : { buildError: { message: error.message, location: locationOf(error.ranges) } }),
  };
}
