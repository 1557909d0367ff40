/** The page's session: the link's token is exchanged for a cookie, which only the browser knows, and a key, which only this page knows. */
import { signal } from "@preact/signals";

const KEY_NAME = "lighter.key";

type SessionState = "opening" | "open" | "none" | "used";

export const sessionState = signal<SessionState>("opening");
export const isReadOnly = signal(false);

export function sessionKey(): string {
  return localStorage.getItem(KEY_NAME) ?? "";
}

/** Begins or continues the session. The token leaves the address at once, and with it the browser's history. */
export async function openSession(): Promise<void> {
  const token = /^#token=([\w-]+)$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    history.replaceState(null, "", "#/");
    const answer = await fetch("/session", { method: "POST", body: JSON.stringify({ token }), headers: JSON_TYPE });
    if (answer.ok) localStorage.setItem(KEY_NAME, ((await answer.json()) as { key: string }).key);
    else if (!(await isKnown())) {
      sessionState.value = "used";
      return;
    }
  }
  sessionState.value = (await isKnown()) ? "open" : "none";
}

const JSON_TYPE = { "Content-Type": "application/json" };

async function isKnown(): Promise<boolean> {
  const answer = await fetch("/session", { headers: { "X-Lighter-Key": sessionKey() } });
  if (!answer.ok) return false;
  isReadOnly.value = ((await answer.json()) as { readOnly: boolean }).readOnly;
  return true;
}

/** Sends a request to Docker's API. @throws Error with the daemon's words */
export async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const answer = await fetch(`/api${path}`, {
    method,
    headers: { "X-Lighter-Key": sessionKey(), ...(body === undefined || body instanceof Blob ? {} : JSON_TYPE) },
    ...(body === undefined ? {} : { body: body instanceof Blob ? body : JSON.stringify(body) }),
  });
  if (answer.ok || answer.status === 304) return answer;
  const text = await answer.text();
  if (answer.status === 403 && text.includes("no session")) sessionState.value = "none";
  throw new Error(messageIn(text) || `the daemon answered ${answer.status}`);
}

function messageIn(text: string): string {
  try {
    return String((JSON.parse(text) as { message?: unknown }).message ?? "");
  } catch {
    return text.slice(0, 500);
  }
}

export async function get<T>(path: string): Promise<T> {
  return (await (await call("GET", path)).json()) as T;
}
