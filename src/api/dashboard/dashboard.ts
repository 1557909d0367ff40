/** POST and DELETE /lighter/dashboard: open the dashboard, and end it with all of its sessions. */

import { hostname } from "node:os";
import { sendEmpty, sendJson } from "../http/protocol.ts";
import { type AnswerCall, type Route, Router } from "../http/router.ts";
import type { DashboardServer } from "./server.ts";

const servers = new WeakMap<object, Promise<DashboardServer>>();

/** Answers with an address that works once. Nothing of the dashboard is loaded before the first. `routes`: all of the API. */
export async function openDashboard({ daemon, query, response }: AnswerCall, routes: readonly Route[]): Promise<void> {
  let started = servers.get(daemon);
  if (started === undefined) {
    const { DashboardServer } = await import("./server.ts");
    started = servers.get(daemon) ?? DashboardServer.start(daemon, new Router(routes), () => servers.delete(daemon));
    servers.set(daemon, started);
    started.catch(() => servers.delete(daemon)); // whoever asked is told; the next one tries anew
  }
  const server = await started;
  const readOnly = query.boolean("readonly");
  const link = { Url: server.createLink({ readOnly }), Port: server.port, Hostname: hostname(), ReadOnly: readOnly };
  sendJson(response, 201, link);
}

export async function endDashboard({ daemon, response }: AnswerCall): Promise<void> {
  (await servers.get(daemon))?.close();
  sendEmpty(response, 204);
}
