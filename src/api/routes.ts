import { pathStat, readArchive, writeArchive } from "./archive.ts";
import { attach } from "./attach.ts";
import { listContainers } from "./container-list.ts";
import {
  createContainer,
  explain,
  inspect,
  kill,
  remove,
  rename,
  resize,
  restart,
  start,
  stop,
  wait,
} from "./containers.ts";
import { diskUsage } from "./disk-usage.ts";
import { events } from "./events.ts";
import { createExec, inspectExec, resizeExec, startExec } from "./exec.ts";
import { exportFiles, loadImages, saveOne, saveSeveral } from "./image-archives.ts";
import { changes, commit, pruneImages, tag } from "./image-changes.ts";
import { createImage, imageHistory, inspectImage, listImages, removeImage } from "./images.ts";
import { logs } from "./logs.ts";
import { push } from "./pull-push.ts";
import { checkAuth, inspectDistribution, searchImages } from "./registries.ts";
import type { Route } from "./router.ts";
import { info, ping, version } from "./system.ts";
import { createVolume, inspectVolume, listVolumes, pruneVolumes, removeVolume, updateVolume } from "./volumes.ts";

/** Everything the API has. All but `/lighter/…` are Docker's; the first that fits a request is it. */
export const routes: readonly Route[] = [
  { method: "GET", path: "/_ping", answer: ping },
  { method: "HEAD", path: "/_ping", answer: ping },
  { method: "GET", path: "/version", answer: version },
  { method: "GET", path: "/info", answer: info },
  { method: "GET", path: "/system/df", answer: diskUsage },
  { method: "GET", path: "/events", answer: events },

  { method: "POST", path: "/images/load", answer: loadImages },
  { method: "POST", path: "/images/create", answer: createImage },
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

  { method: "POST", path: "/containers/create", answer: createContainer },
  { method: "GET", path: "/containers/json", answer: listContainers },
  { method: "GET", path: "/containers/{id}/json", answer: inspect },
  { method: "GET", path: "/containers/{id}/logs", answer: logs },
  { method: "GET", path: "/containers/{id}/export", answer: exportFiles },
  { method: "GET", path: "/containers/{id}/changes", answer: changes },
  { method: "HEAD", path: "/containers/{id}/archive", answer: pathStat },
  { method: "GET", path: "/containers/{id}/archive", answer: readArchive },
  { method: "PUT", path: "/containers/{id}/archive", answer: writeArchive },
  { method: "POST", path: "/containers/{id}/attach", stream: attach },
  { method: "POST", path: "/containers/{id}/start", answer: start },
  { method: "POST", path: "/containers/{id}/stop", answer: stop },
  { method: "POST", path: "/containers/{id}/restart", answer: restart },
  { method: "POST", path: "/containers/{id}/kill", answer: kill },
  { method: "POST", path: "/containers/{id}/wait", answer: wait },
  { method: "POST", path: "/containers/{id}/resize", answer: resize },
  { method: "POST", path: "/containers/{id}/rename", answer: rename },
  { method: "DELETE", path: "/containers/{id}", answer: remove },

  { method: "POST", path: "/volumes/create", answer: createVolume },
  { method: "POST", path: "/volumes/prune", answer: pruneVolumes },
  { method: "GET", path: "/volumes", answer: listVolumes },
  { method: "GET", path: "/volumes/{name}", answer: inspectVolume },
  { method: "PUT", path: "/volumes/{name}", answer: updateVolume },
  { method: "DELETE", path: "/volumes/{name}", answer: removeVolume },

  { method: "POST", path: "/containers/{id}/exec", answer: createExec },
  { method: "POST", path: "/exec/{id}/start", stream: startExec },
  { method: "POST", path: "/exec/{id}/resize", answer: resizeExec },
  { method: "GET", path: "/exec/{id}/json", answer: inspectExec },

  { method: "POST", path: "/lighter/explain", answer: explain },
];
