// Wires the page: language, cameras, wall, detections, system state.

import * as api from "./api.js";
import { DetectionList } from "./detections.js";
import { AddForm } from "./forms.js";
import { currentLanguage, onLanguage, preferredLanguage, setLanguage, t, translate } from "./i18n.js";
import { History } from "./history.js";
import { System } from "./system.js";
import { closeOnBackdrop, confirmDialog, notice, setText } from "./ui.js";
import { Wall } from "./wall.js";
import { WatchList } from "./watchlist.js";

const CAMERAS_EVERY_MS = 10000;
const STORED_DETECTIONS = 50;

const $ = (id) => document.getElementById(id);

const wall = new Wall($("wall"), {
  layout: $("layout"), pager: $("pager"), previous: $("page-previous"), next: $("page-next"), label: $("page-label"),
}, {
  remove: removeCamera,
  detected(camera, object, wallMs) {
    detections.add({ type: object.type, confidence: object.confidence, plate: object.plate, track: object.track, wallMs, cameraId: camera.id,
      cameraName: camera.name });
  },
  event: (event) => history.onEvent(event),
  socketState() {
    system?.setSockets(wall.tiles.filter((tile) => tile.socket.up).length, wall.tiles.length);
  },
});
let detections;
let system;
let history;
let addForm;
let watchList;

function showWallState(state, detail = "") {
  $("wall-loading").hidden = state !== "loading";
  $("wall-empty").hidden = state !== "empty";
  $("wall-error").hidden = state !== "error";
  setText($("wall-error-detail"), detail);
}

async function loadCameras() {
  try {
    const cameras = (await api.listCameras()).map((c) => ({ ...c, path: `cam_${c.id}`, name: c.name || `cam_${c.id}` }));
    wall.setCameras(cameras);
    showWallState(cameras.length ? "cameras" : "empty");
  } catch (e) {
    // Cameras already on the wall go on playing while the list cannot be asked for.
    if (!wall.cameras.length) showWallState("error", e.message);
  }
}

async function loadStoredDetections() {
  try {
    const stored = await api.recentDetections(STORED_DETECTIONS);
    detections.addStored(stored.map((d) => ({ type: d.vehicle_type, confidence: d.confidence, plate: d.plate, track: d.track_id,
      wallMs: Date.parse(d.timestamp), cameraId: d.camera_id, cameraName: d.camera_name || `cam_${d.camera_id}` }))
      .filter((d) => Number.isFinite(d.wallMs)));
  } catch {
    // The live ones fill the list.
  }
}

async function removeCamera(camera) {
  const sure = await confirmDialog({ title: t("remove.title"), text: t("remove.text", { name: camera.name }),
    submit: t("remove.submit") });
  if (!sure) return;
  try {
    await api.removeCamera(camera.id);
    notice(t("remove.done", { name: camera.name }));
  } catch (e) {
    notice(e.message, "bad");
  }
  await loadCameras();
}

function setUpPanel() {
  const button = $("panel-toggle");
  const show = (open) => {
    document.body.classList.toggle("panel-closed", !open);
    button.setAttribute("aria-expanded", String(open));
    button.setAttribute("aria-label", t(open ? "side.close" : "side.open"));
    button.title = t(open ? "side.close" : "side.open");
  };
  button.addEventListener("click", () => show(document.body.classList.contains("panel-closed")));
  onLanguage(() => show(!document.body.classList.contains("panel-closed")));
  show(true);
}

// A menu is a <details>: it also closes when the focus or a click goes elsewhere, and on Escape.
function setUpMenus() {
  for (const menu of document.querySelectorAll("details.menu")) {
    document.addEventListener("click", (e) => {
      if (!menu.contains(e.target)) menu.open = false;
    });
    menu.addEventListener("focusout", (e) => {
      if (e.relatedTarget && !menu.contains(e.relatedTarget)) menu.open = false;
    });
    menu.addEventListener("keydown", (e) => {
      if (e.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
}

function setUpLanguages() {
  const mark = () => {
    for (const b of document.querySelectorAll("[data-language]"))
      b.setAttribute("aria-pressed", String(b.dataset.language === currentLanguage()));
  };
  for (const b of document.querySelectorAll("[data-language]"))
    b.addEventListener("click", () => setLanguage(b.dataset.language, true));
  onLanguage(() => {
    document.title = t("app.title");
    mark();
    wall.translate();
    detections.translate();
    system.show();
    history.translate();
    watchList.translate();
  });
  document.title = t("app.title");
  mark();
}

// For tests and for looking into a running page: what is drawn on each camera now.
window.gtv = {
  drawn: (stream) => window.gtv.streams[stream ?? Object.keys(window.gtv.streams)[0]]?.drawn ?? null,
  get streams() {
    return Object.fromEntries(wall.tiles.map((tile) => [tile.camera.path, {
      drawn: tile.overlay.drawn,
      state: tile.root.dataset.state,
      latency: tile.player.latency,
      events: tile.socket.up,
      looks: tile.looks,
    }]));
  },
};

async function start() {
  await setLanguage(preferredLanguage());
  detections = new DetectionList({ list: $("detections"), empty: $("detections-empty"), filters: $("filters"),
    onPick: (id) => wall.show(id) });
  system = new System($("system"), () => detections.perMinute);
  history = new History($("history"), (id) => wall.cameras.find((c) => c.id === id)?.name ?? `cam_${id}`);
  closeOnBackdrop($("history"));
  for (const b of document.querySelectorAll("[data-history]"))
    b.addEventListener("click", () => history.open(b.dataset.history, wall.cameras));
  watchList = new WatchList($("watchlist"));
  closeOnBackdrop($("watchlist"));
  $("watchlist-open").addEventListener("click", () => watchList.open());
  addForm = new AddForm($("add"), loadCameras);
  closeOnBackdrop($("confirm"));
  setUpLanguages();
  setUpPanel();
  setUpMenus();
  translate(document);
  for (const b of document.querySelectorAll("[data-add]")) b.addEventListener("click", () => addForm.open(wall.cameras));
  showWallState("loading");
  wall.translate();
  loadStoredDetections();
  for (;;) {
    await loadCameras();
    await new Promise((r) => setTimeout(r, CAMERAS_EVERY_MS));
  }
}

start();
