/** The table of all routes of the API. */

import { listBuildCache, pruneBuildCache } from "../build/cache.ts";
import { openClientSession, sendContext, uploadContext } from "../build/client-session.ts";
import { cancelBuild, listBuilds, showBuild } from "../build/past-builds.ts";
import { buildOfVersion } from "../buildkit/build-route.ts";
import { grpc, refuseWithoutUpgrade, session } from "../buildkit/grpc.ts";
import { listDirectory, pathStat, readArchive, uploadArchive, writeArchive } from "../containers/archive.ts";
import { attach } from "../containers/attach.ts";
import { listContainers } from "../containers/container-list.ts";
import { pruneContainers } from "../containers/container-prune.ts";
import {
  anatomy,
  create,
  explain,
  inspect,
  kill,
  pause,
  remove,
  rename,
  resize,
  restart,
  shutDown,
  start,
  stop,
  top,
  unlink,
  unpause,
  update,
  wait,
} from "../containers/containers.ts";
import {
  attachExec,
  createExec,
  inspectExec,
  killExec,
  listExecs,
  resizeExec,
  runExec,
  startExec,
} from "../containers/exec.ts";
import { logs } from "../containers/logs.ts";
import { run } from "../containers/run.ts";
import { stats } from "../containers/stats.ts";
import { endDashboard, openDashboard } from "../dashboard/dashboard.ts";
import { answerDockerfile } from "../images/check-dockerfile.ts";
import { exportFiles, loadImages, saveOne, saveSeveral, uploadImages } from "../images/image-archives.ts";
import { changes, commit, pruneImages, tag, uploadTar } from "../images/image-changes.ts";
import { createImage, imageHistory, inspectImage, listImages, removeImage } from "../images/images.ts";
import { push } from "../images/pull-push.ts";
import { checkAuth, inspectDistribution, inspectManifest, searchImages } from "../images/registries.ts";
import { connectNetwork, disconnectNetwork } from "../networks/network-members.ts";
import {
  createNetwork,
  inspectNetwork,
  listNetworkRules,
  listNetworks,
  pruneNetworks,
  removeNetwork,
} from "../networks/networks.ts";
import { attachWebSocket } from "../streams/websocket.ts";
import { diskUsage } from "../system/disk-usage.ts";
import { events } from "../system/events.ts";
import { info } from "../system/info.ts";
import { options, ping, version } from "../system/system.ts";
import {
  createVolume,
  inspectVolume,
  listVolumes,
  pruneVolumes,
  removeVolume,
  updateVolume,
} from "../system/volumes.ts";
import { inspectPlugin, leaveSwarm, listPlugins, refuse, refuseSwarm } from "./absent.ts";
import type { Route } from "./router.ts";

/** The routes that only a swarm's manager serves: every path below these, with every method. */
const SWARM_ROUTES: readonly Route[] = ["swarm", "nodes", "services", "tasks", "secrets", "configs"].flatMap((topic) =>
  (["GET", "POST", "DELETE"] as const).flatMap((method) => [
    { method, path: `/${topic}`, answer: refuseSwarm },
    { method, path: `/${topic}/{rest...}`, answer: refuseSwarm },
  ]),
);

/** All routes of the API. All but `/lighter/…` are Docker's; the first that matches a request is used. */
export const routes: readonly Route[] = [
  { method: "OPTIONS", path: "/", answer: options },
  { method: "OPTIONS", path: "/{rest...}", answer: options },
  { method: "GET", path: "/_ping", answer: ping },
  { method: "HEAD", path: "/_ping", answer: ping },
  { method: "GET", path: "/version", answer: version },
  { method: "GET", path: "/info", answer: info },
  { method: "GET", path: "/system/df", answer: diskUsage },
  { method: "GET", path: "/events", answer: events },

  { method: "POST", path: "/images/load", answer: loadImages, upload: uploadImages },
  { method: "POST", path: "/images/create", answer: createImage, upload: uploadTar },
  { method: "POST", path: "/images/prune", answer: pruneImages },
  { method: "GET", path: "/images/json", answer: listImages },
  { method: "GET", path: "/images/get", answer: saveSeveral },
  { method: "GET", path: "/images/search", answer: searchImages },
  { method: "GET", path: "/images/{name...}/json", answer: inspectImage },
  { method: "POST", path: "/images/{name...}/push", answer: push },
  { method: "GET", path: "/images/{name...}/history", answer: imageHistory },
  { method: "GET", path: "/images/{name...}/get", answer: saveOne },
  { method: "POST", path: "/images/{name...}/tag", answer: tag },
  { method: "DELETE", path: "/images/{name...}", answer: removeImage },
  { method: "POST", path: "/commit", answer: commit },
  { method: "GET", path: "/distribution/{name...}/json", answer: inspectDistribution },
  { method: "POST", path: "/auth", answer: checkAuth },

  { method: "POST", path: "/containers/prune", answer: pruneContainers },
  { method: "POST", path: "/containers/create", answer: create },
  { method: "GET", path: "/containers/json", answer: listContainers },
  { method: "GET", path: "/containers/{id...}/json", answer: inspect },
  { method: "GET", path: "/containers/{id...}/logs", answer: logs },
  { method: "GET", path: "/containers/{id...}/export", answer: exportFiles },
  { method: "GET", path: "/containers/{id...}/changes", answer: changes },
  { method: "HEAD", path: "/containers/{id...}/archive", answer: pathStat },
  { method: "GET", path: "/containers/{id...}/archive", answer: readArchive },
  { method: "PUT", path: "/containers/{id...}/archive", answer: writeArchive, upload: uploadArchive },
  { method: "POST", path: "/containers/{id...}/attach", stream: attach },
  { method: "GET", path: "/containers/{id...}/attach/ws", stream: attachWebSocket },
  { method: "POST", path: "/containers/{id...}/start", answer: start },
  { method: "POST", path: "/containers/{id...}/stop", answer: stop },
  { method: "POST", path: "/containers/{id...}/restart", answer: restart },
  { method: "POST", path: "/containers/{id...}/kill", answer: kill },
  { method: "POST", path: "/containers/{id...}/pause", answer: pause },
  { method: "POST", path: "/containers/{id...}/unpause", answer: unpause },
  { method: "POST", path: "/containers/{id...}/update", answer: update },
  { method: "GET", path: "/containers/{id...}/top", answer: top },
  { method: "GET", path: "/containers/{id...}/stats", answer: stats },
  { method: "POST", path: "/containers/{id...}/wait", answer: wait },
  { method: "POST", path: "/containers/{id...}/resize", answer: resize },
  { method: "POST", path: "/containers/{id...}/rename", answer: rename },
  { method: "DELETE", path: "/containers/{id}", answer: remove },
  { method: "DELETE", path: "/containers/{id}/{alias}", answer: unlink },

  { method: "POST", path: "/volumes/create", answer: createVolume },
  { method: "POST", path: "/volumes/prune", answer: pruneVolumes },
  { method: "GET", path: "/volumes", answer: listVolumes },
  { method: "GET", path: "/volumes/{name}", answer: inspectVolume },
  { method: "PUT", path: "/volumes/{name}", answer: updateVolume },
  { method: "DELETE", path: "/volumes/{name}", answer: removeVolume },

  { method: "POST", path: "/containers/{id...}/exec", answer: createExec },
  { method: "POST", path: "/exec/{id}/start", stream: startExec },
  { method: "POST", path: "/exec/{id}/resize", answer: resizeExec },
  { method: "GET", path: "/exec/{id}/json", answer: inspectExec },

  { method: "GET", path: "/networks", answer: listNetworks },
  { method: "GET", path: "/networks/", answer: listNetworks },
  { method: "POST", path: "/networks/create", answer: createNetwork },
  { method: "POST", path: "/networks/prune", answer: pruneNetworks },
  { method: "GET", path: "/networks/{id}", answer: inspectNetwork },
  { method: "DELETE", path: "/networks/{id}", answer: removeNetwork },
  { method: "POST", path: "/networks/{id}/connect", answer: connectNetwork },
  { method: "POST", path: "/networks/{id}/disconnect", answer: disconnectNetwork },

  { method: "GET", path: "/plugins", answer: listPlugins },
  { method: "GET", path: "/plugins/privileges", answer: refuse("plugins are not supported") },
  { method: "GET", path: "/plugins/{name...}/json", answer: inspectPlugin },
  { method: "POST", path: "/plugins/pull", answer: refuse("plugins are not supported") },
  { method: "POST", path: "/plugins/create", answer: refuse("plugins are not supported") },
  { method: "POST", path: "/plugins/{name...}/enable", answer: inspectPlugin },
  { method: "POST", path: "/plugins/{name...}/disable", answer: inspectPlugin },
  { method: "POST", path: "/plugins/{name...}/set", answer: inspectPlugin },
  { method: "POST", path: "/plugins/{name...}/upgrade", answer: inspectPlugin },
  { method: "POST", path: "/plugins/{name...}/push", answer: inspectPlugin },
  { method: "DELETE", path: "/plugins/{name...}", answer: inspectPlugin },

  { method: "POST", path: "/build", answer: buildOfVersion },
  { method: "POST", path: "/build/cancel", answer: cancelBuild },
  { method: "POST", path: "/build/prune", answer: pruneBuildCache },
  { method: "POST", path: "/session", answer: refuseWithoutUpgrade, upgrade: session },
  { method: "POST", path: "/grpc", answer: refuseWithoutUpgrade, upgrade: grpc },

  { method: "POST", path: "/swarm/init", answer: refuse("swarm mode is not supported") },
  { method: "POST", path: "/swarm/join", answer: refuse("swarm mode is not supported") },
  { method: "POST", path: "/swarm/leave", answer: leaveSwarm },
  ...SWARM_ROUTES,

  { method: "GET", path: "/lighter/containers/{id...}/anatomy", answer: anatomy },
  { method: "GET", path: "/lighter/containers/{id...}/files", answer: listDirectory },
  { method: "POST", path: "/lighter/containers/{id...}/exec", stream: runExec },
  { method: "GET", path: "/lighter/containers/{id...}/execs", answer: listExecs },
  { method: "GET", path: "/lighter/manifests/{name...}", answer: inspectManifest },
  { method: "POST", path: "/lighter/exec/{id}/kill", answer: killExec },
  { method: "POST", path: "/lighter/exec/{id}/attach", stream: attachExec },
  { method: "GET", path: "/lighter/builds", answer: listBuilds },
  { method: "POST", path: "/lighter/builds/session", answer: refuseWithoutUpgrade, upgrade: openClientSession },
  { method: "POST", path: "/lighter/builds/context", answer: sendContext, upload: uploadContext },
  { method: "GET", path: "/lighter/builds/cache", answer: listBuildCache },
  { method: "GET", path: "/lighter/builds/{id}", answer: showBuild },
  { method: "POST", path: "/lighter/dashboard", answer: (call) => openDashboard(call, routes) },
  { method: "DELETE", path: "/lighter/dashboard", answer: endDashboard },
  { method: "POST", path: "/lighter/dockerfile", answer: answerDockerfile },
  { method: "POST", path: "/lighter/explain", answer: explain },
  { method: "GET", path: "/lighter/networks/{id}/rules", answer: listNetworkRules },
  { method: "POST", path: "/lighter/run", stream: run },
  { method: "GET", path: "/lighter/use", answer: async (call) => (await import("../system/use.ts")).use(call) },
  {
    method: "GET",
    path: "/lighter/traces/{id}",
    answer: async (call) => (await import("../tracing/tracing.ts")).takeTrace(call),
  },
  { method: "POST", path: "/lighter/shutdown", answer: shutDown },
];
