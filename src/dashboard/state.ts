/** What the daemon has, as the page knows it: lists that are read when something has happened to them. */
import { computed, signal } from "@preact/signals";
import { call, get } from "./session.ts";
import { onEvent } from "./watch.ts";

export interface Port {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

export interface ContainerSummary {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  Command: string;
  Created: number;
  State: string;
  Status: string;
  Ports: Port[];
  Labels: Record<string, string>;
  Mounts: { Type: string; Name?: string; Source: string; Destination: string; RW: boolean }[];
  NetworkSettings: { Networks: Record<string, { IPAddress: string; NetworkID: string }> };
}

export interface Info {
  Name: string;
  ServerVersion: string;
  KernelVersion: string;
  OperatingSystem: string;
  NCPU: number;
  MemTotal: number;
  Images: number;
  Warnings: string[] | null;
  CgroupVersion: string;
  DockerRootDir: string;
}

/** Undefined until the first answer. */
export const containers = signal<readonly ContainerSummary[] | undefined>(undefined);
const machineIds = signal<ReadonlySet<string>>(new Set());
export const info = signal<Info | undefined>(undefined);

export const nameOf = ({ Names }: ContainerSummary) => (Names[0] ?? "").replace(/^\//, "");
export const isMachine = ({ Id }: ContainerSummary) => machineIds.value.has(Id);
export const projectOf = ({ Labels }: ContainerSummary) => Labels["com.docker.compose.project"] ?? "";

export const countByState = computed(() => {
  const counts = new Map<string, number>();
  for (const { State } of containers.value ?? []) counts.set(State, (counts.get(State) ?? 0) + 1);
  return counts;
});

/** What has been said to the user last: results of actions, errors. */
export const notice = signal<{ text: string; isError: boolean } | undefined>(undefined);

export function say(text: string, isError = false): void {
  notice.value = { text, isError };
}

export function sayError(error: unknown): void {
  say(error instanceof Error ? error.message : String(error), true);
}

const MACHINES = encodeURIComponent(JSON.stringify({ runtime: ["machine"] }));

async function readContainers(): Promise<void> {
  const all = await get<ContainerSummary[]>("/containers/json?all=1");
  const known = new Set(containers.value?.map(({ Id }) => Id));
  if (all.some(({ Id }) => !known.has(Id))) {
    const machines = await get<ContainerSummary[]>(`/containers/json?all=1&filters=${MACHINES}`);
    machineIds.value = new Set(machines.map(({ Id }) => Id));
  }
  containers.value = all;
}

const PAUSE_MIN_MS = 100;

/** Runs `act` soon, once for all calls until then, and for a fifth of the time at most. */
function soon(act: () => Promise<void>): () => void {
  let [isDue, isRunning, tookMs] = [false, false, 0];
  const run = async () => {
    isRunning = true;
    while (isDue) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(PAUSE_MIN_MS, 4 * tookMs)));
      isDue = false;
      const beganMs = performance.now();
      await act().catch(sayError);
      tookMs = performance.now() - beganMs;
    }
    isRunning = false;
  };
  return () => {
    isDue = true;
    if (!isRunning) void run();
  };
}

const refreshContainers = soon(readContainers);

/** How often lists are read although nothing has happened: "Up 3 minutes" gets older. */
const REFRESH_MS = 30_000;

export function beginState(): void {
  const readInfo = () =>
    get<Info>("/info").then((answer) => {
      info.value = answer;
    }, sayError);
  void readContainers().catch(sayError);
  void readInfo();
  onEvent(({ type }) => {
    if (type === "container" || type === "network") refreshContainers();
  });
  setInterval(() => {
    if (document.hidden) return;
    refreshContainers();
  }, REFRESH_MS);
}

export type Verb = "start" | "stop" | "restart" | "kill" | "pause" | "unpause" | "remove";

/** Does the same to several containers, a few at a time, and says how it went. */
export async function actOn(ids: readonly string[], verb: Verb): Promise<void> {
  const failures: string[] = [];
  const queue = [...ids];
  const worker = async () => {
    for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
      const [method, path] =
        verb === "remove" ? ["DELETE", `/containers/${id}?force=1`] : ["POST", `/containers/${id}/${verb}`];
      await call(method, path).catch((error: Error) => failures.push(error.message));
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  const done = ids.length - failures.length;
  if (failures.length === 0) say(`${verb}: ${done} ${done === 1 ? "container" : "containers"} done`);
  else say(`${verb}: ${failures.length} of ${ids.length} failed: ${failures[0]}`, true);
  refreshContainers();
}
