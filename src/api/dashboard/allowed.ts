/** The requests that the dashboard's page makes: whatever script came to run in it could make no others. */

const READS: readonly RegExp[] = [
  /^\/(info|version|events|networks|volumes|system\/df)$/,
  /^\/containers\/json$/,
  /^\/containers\/[\w.-]+\/(json|logs|top|changes|archive|stats)$/,
  /^\/images\/json$/,
  /^\/images\/sha256:[0-9a-f]{64}\/(json|history)$/,
  /^\/networks\/[\w.-]+$/,
  /^\/exec\/[0-9a-f]{64}\/json$/,
  /^\/lighter\/builds$/,
  /^\/lighter\/builds\/[\w.-]+$/,
  /^\/lighter\/containers\/[\w.-]+\/(anatomy|files)$/,
  /^\/lighter\/networks\/[\w.-]+\/rules$/,
];

const CHANGES: Readonly<Record<string, readonly RegExp[]>> = {
  POST: [
    /^\/containers\/[\w.-]+\/(start|stop|restart|kill|pause|unpause|exec|resize)$/,
    /^\/exec\/[0-9a-f]{64}\/resize$/,
    /^\/(containers|images|networks|volumes)\/prune$/,
    /^\/build\/cancel$/,
  ],
  PUT: [/^\/containers\/[\w.-]+\/archive$/],
  DELETE: [/^\/containers\/[\w.-]+$/, /^\/images\/sha256:[0-9a-f]{64}$/, /^\/(networks|volumes)\/[\w.-]+$/],
};

/** The question what would be done, which does nothing; with `trace` a container is started. */
const EXPLAIN = "/lighter/explain?format=json";

type Permission = "read" | "change" | "none";

/** What a request for the API does. */
export function permissionFor(method: string, url: string): Permission {
  if (method === "POST" && url === EXPLAIN) return "read";
  if (method === "POST" && url === `${EXPLAIN}&trace=1`) return "change";
  const path = url.split("?", 1)[0]!;
  const matches = (patterns: readonly RegExp[]) => patterns.some((pattern) => pattern.test(path));
  if (method === "GET" || method === "HEAD") return matches(READS) ? "read" : "none";
  return matches(CHANGES[method] ?? []) ? "change" : "none";
}
