/** Finds pods' sandboxes and containers among the engine's, with the configs that they were made from. */
import { LighterError } from "../base/errors.ts";
import { parseRfc3339, ZERO_TIME } from "../base/time.ts";
import type { Container, Engine } from "../engine/mod.ts";
import { podSandboxConfigType } from "../spec/cri/common.ts";
import { containerConfigType } from "../spec/cri/containers.ts";
import type { MessageOf, MessageType } from "../spec/protobuf.ts";
import { noSuchContainer, noSuchSandbox } from "./errors.ts";

export type SandboxConfig = MessageOf<typeof podSandboxConfigType>;
export type ContainerConfig = MessageOf<typeof containerConfigType>;

/** Configs by container: lists are asked for once a second. */
const configs = new WeakMap<Container, object>();

export function sandboxConfig(sandbox: Container): SandboxConfig {
  return configOf(sandbox, podSandboxConfigType) as SandboxConfig;
}

export function containerConfig(container: Container): ContainerConfig {
  return configOf(container, containerConfigType) as ContainerConfig;
}

/** Forgets a config that has changed. */
export function forgetConfig(container: Container): void {
  configs.delete(container);
}

// biome-ignore lint/suspicious/noExplicitAny: a type of any message
function configOf(container: Container, type: MessageType<any>): object {
  const known = configs.get(container) ?? type.decode(Buffer.from(container.record.pod?.config ?? "", "base64"));
  configs.set(container, known);
  return known;
}

function isSandbox({ record }: Container): boolean {
  return record.pod !== undefined && record.pod.sandboxId === undefined;
}

function isPodContainer({ record }: Container): boolean {
  return record.pod?.sandboxId !== undefined;
}

export function listSandboxes(engine: Engine): Container[] {
  return engine.list().filter(isSandbox);
}

export function listContainers(engine: Engine): Container[] {
  return engine.list().filter(isPodContainer);
}

export function containersOf(engine: Engine, sandboxId: string): Container[] {
  return engine.list().filter(({ record }) => record.pod?.sandboxId === sandboxId);
}

/** Finds a sandbox by its id, or the beginning of it. @throws LighterError "not-found" */
export function findSandbox(engine: Engine, id: string): Container {
  return findById(engine, id, isSandbox) ?? raise(noSuchSandbox(id));
}

/** Finds a container by its id, or the beginning of it. @throws LighterError "not-found" */
export function findContainer(engine: Engine, id: string): Container {
  return findById(engine, id, isPodContainer) ?? raise(noSuchContainer(id));
}

function findById(engine: Engine, id: string, isWanted: (container: Container) => boolean): Container | undefined {
  const exact = engine.containers.get(id);
  if (exact !== undefined) return isWanted(exact) ? exact : undefined;
  if (!/^[0-9a-f]+$/.test(id)) return undefined;
  const matches = engine.list().filter((container) => container.id.startsWith(id) && isWanted(container));
  return matches.length === 1 ? matches[0] : undefined;
}

function raise(error: Error): never {
  throw error;
}

/** True while containers may be started in the sandbox. */
export function isReady(sandbox: Container): boolean {
  const { isStopped, isStarting } = sandbox.record.pod ?? {};
  return sandbox.isRunning && !isStopped && !isStarting;
}

/** @throws LighterError "conflict" unless containers may be started in the sandbox */
export function requireReady(sandbox: Container): void {
  if (!isReady(sandbox))
    throw new LighterError("conflict", `sandbox container ${JSON.stringify(sandbox.id)} is not running`);
}

/** A record's time in nanoseconds; 0 for one that has not come. */
export function timeNs(time: string): bigint {
  return time === ZERO_TIME ? 0n : (parseRfc3339(time) ?? 0n);
}

/** True if the labels have all that are asked for. */
export function matchesLabels(labels: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): boolean {
  return [...wanted].every(([key, value]) => labels.get(key) === value);
}
