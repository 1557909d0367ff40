/** Links that open a dashboard once, and the sessions that they become. Only digests are kept of what lets somebody in. */
import { createHash, randomBytes } from "node:crypto";
import { DASHBOARD_LINK_MS, DASHBOARD_LINKS_MAX, DASHBOARD_SESSIONS_MAX } from "../../base/limits.ts";

export interface Session {
  readonly readOnly: boolean;
}

/** A session's two secrets: the browser keeps the cookie, the page the key. A server on another port sees the cookie only. */
export interface Secrets {
  readonly cookie: string;
  readonly key: string;
}

interface Link {
  readonly session: Session;
  readonly untilMs: number;
}

export class Sessions {
  readonly #links = new Map<string, Link>();
  readonly #sessions = new Map<string, Session>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Makes the token of a link. The oldest links, and the oldest sessions, make room for new ones. */
  createLink(session: Session): string {
    const token = secret();
    keepNewest(this.#links, DASHBOARD_LINKS_MAX - 1);
    this.#links.set(digest(token), { session, untilMs: this.#nowMs() + DASHBOARD_LINK_MS });
    return token;
  }

  /** Begins the session of a link that was not used before and is not too old. */
  exchange(token: string): (Secrets & { session: Session }) | undefined {
    const name = digest(token);
    const link = this.#links.get(name);
    this.#links.delete(name);
    if (link === undefined || link.untilMs < this.#nowMs()) return undefined;
    const secrets = { cookie: secret(), key: secret() };
    keepNewest(this.#sessions, DASHBOARD_SESSIONS_MAX - 1);
    this.#sessions.set(digestOfBoth(secrets), link.session);
    return { ...secrets, session: link.session };
  }

  find(secrets: Secrets): Session | undefined {
    return this.#sessions.get(digestOfBoth(secrets));
  }

  /** The time in milliseconds until no link can be used. */
  get linkMs(): number {
    return Math.max(0, ...[...this.#links.values()].map(({ untilMs }) => untilMs - this.#nowMs()));
  }
}

function secret(): string {
  return randomBytes(32).toString("base64url");
}

/** Looking a digest up takes a time that tells nothing about the secret. */
function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

function digestOfBoth({ cookie, key }: Secrets): string {
  return digest(`${cookie} ${key}`);
}

function keepNewest<T>(map: Map<string, T>, count: number): void {
  for (const name of map.keys()) {
    if (map.size <= count) return;
    map.delete(name);
  }
}
