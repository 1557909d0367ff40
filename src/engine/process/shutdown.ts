/** Stops all containers because the host goes down: what is to run with the host runs once more with the next daemon. */
import { log } from "../../base/log.ts";
import { parseSignal, SIGNALS } from "../../base/signals.ts";
import { settlesWithin } from "../../base/timer.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { groupsAtBoot } from "./boot-order.ts";
import { shutDownByCommand, signalOfInit } from "./machine-init.ts";
import { thawPaused } from "./pause.ts";

/**
 * Stops the groups of the boot in the opposite order, each at once. All have the same deadline: a group that takes long has
 * its share of the time that is left, and goes on to end beside the next one. What has not ended by then is killed.
 */
export async function stopForHost(engine: Engine, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  const active = engine
    .list()
    .reverse()
    .filter(({ isActive }) => isActive);
  const groups = groupsAtBoot(active).reverse();
  const endings: Promise<void>[] = [];
  for (const [index, group] of groups.entries()) {
    const ended = Promise.all(group.map(({ container }) => askToEnd(engine, container)));
    endings.push(ended.then(() => {}));
    const left = Math.max(0, deadline - performance.now());
    await settlesWithin(ended, left / (groups.length - index));
  }
  const all = Promise.all(endings);
  if (await settlesWithin(all, Math.max(0, deadline - performance.now()))) return;
  const late = active.filter(({ isRunning }) => isRunning);
  for (const { record, supervised } of late) {
    log.warn(`container ${record.name} has not ended with the host, and is killed`);
    await supervised?.signal(SIGNALS.KILL!);
  }
  await all;
}

/** Sends the stop signal, and resolves when the container has ended. Nobody has stopped it by hand: its policy stays what it is. */
async function askToEnd(engine: Engine, container: Container): Promise<void> {
  const { restarts, record } = container;
  await container.queue.run(() => {
    restarts.isCancelled = true;
    restarts.endsWithHost = true;
    if (restarts.cancel()) container.notifyExit();
  });
  const { supervised } = container;
  if (!container.isRunning || supervised === undefined) return;
  const ended = container.wait("not-running");
  const named = parseSignal(record.config.StopSignal ?? "");
  const number = named ?? signalOfInit(container) ?? SIGNALS.TERM!;
  container.publish("kill", { signal: String(number) });
  const signal = () => supervised.signal(number);
  if (named !== undefined || !(await shutDownByCommand(engine.execs, container, signal))) await signal();
  await thawPaused(container);
  await ended;
}
