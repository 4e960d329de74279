// How the system is: the three lamps of the panel, the figures of the header, the banner when something is missing.

import * as api from "./api.js";
import { LiveSocket } from "./events.js";
import { formatNumber, t } from "./i18n.js";
import { setText } from "./ui.js";

const DETECTOR_EVERY_MS = 15000;
const STATS_EVERY_MS = 10000;

// What /ai/health says of the detector: without a model the service lives, and its message says what is missing.
function readDetector(health) {
  const { model, message } = health;
  return { ready: Boolean(model), model: model?.name ?? "", ms: health.avg_processing_time_ms, message: message ?? "" };
}

export class System {
  #stats = null; // the newest figures
  #statsUp = null; // null until the first answer
  #detector = null; // null until the first answer; {down: true} without one
  #dashboard;
  #sockets = { up: 0, total: 0 };
  #perMinute = () => 0;

  constructor(root, perMinute) {
    this.root = root;
    this.#perMinute = perMinute;
    this.#dashboard = new LiveSocket("/ws/dashboard", { onMessage: (m) => this.#onStats(m.data) });
    this.#loop(STATS_EVERY_MS, () => this.#askStats());
    this.#loop(DETECTOR_EVERY_MS, () => this.#askDetector());
    setInterval(() => this.#showFigures(), 2000);
  }

  // fn again and again, the pause counted from the end of the one before.
  async #loop(pauseMs, fn) {
    for (;;) {
      await fn();
      await new Promise((r) => setTimeout(r, pauseMs));
    }
  }

  setSockets(up, total) {
    this.#sockets = { up, total };
    this.show();
  }

  async #askStats() {
    // The dashboard's socket brings the same figures sooner.
    if (this.#dashboard.up && this.#stats) return;
    try {
      this.#onStats(await api.streamingStats());
    } catch {
      this.#statsUp = false;
      this.show();
    }
  }

  #onStats(stats) {
    if (!stats) return;
    this.#stats = stats;
    this.#statsUp = true;
    this.show();
  }

  async #askDetector() {
    try {
      this.#detector = readDetector(await api.detectorHealth());
    } catch {
      this.#detector = { down: true };
    }
    this.show();
  }

  show() {
    this.#lamp("video", ...this.#videoWords());
    this.#lamp("detector", ...this.#detectorWords());
    this.#lamp("events", ...this.#eventsWords());
    this.#showFigures();
    this.#showBanner();
  }

  #lamp(name, state, text) {
    const row = this.root.querySelector(`[data-lamp=${name}]`);
    row.dataset.state = state;
    setText(row.querySelector("dd"), text);
  }

  #videoWords() {
    if (this.#statsUp === null) return ["unknown", t("sys.checking")];
    return this.#statsUp ? ["good", t("sys.videoUp")] : ["bad", t("sys.videoDown")];
  }

  #detectorWords() {
    const d = this.#detector;
    if (!d) return ["unknown", t("sys.checking")];
    if (d.down) return ["bad", t("sys.detectorDown")];
    if (!d.ready) return ["warn", t("sys.detectorMissing")];
    if (!d.model) return ["good", t("sys.detectorReady")];
    const timed = d.ms > 0;
    return ["good", t(timed ? "sys.detectorTimed" : "sys.detectorUp", { model: d.model, ms: formatNumber(d.ms ?? 0) })];
  }

  #eventsWords() {
    const { up, total } = this.#sockets;
    if (!total) return this.#dashboard.up ? ["good", t("sys.eventsIdle")] : ["unknown", t("sys.checking")];
    if (up === total) return ["good", t("sys.eventsUp")];
    if (up) return ["warn", t("sys.eventsPartial", { n: up, total })];
    return ["bad", t("sys.eventsDown")];
  }

  #showFigures() {
    const set = (name, n) => setText(document.getElementById(`figure-${name}`), Number.isFinite(n) ? formatNumber(n) : "–");
    set("streams", this.#statsUp ? this.#stats.active_streams : NaN);
    set("viewers", this.#statsUp ? this.#stats.total_viewers : NaN);
    set("detections", this.#perMinute());
  }

  #showBanner() {
    const banner = document.getElementById("banner");
    const d = this.#detector;
    let words = null;
    if (this.#statsUp === false) words = [t("banner.streaming"), ""];
    else if (d?.down) words = [t("banner.ai"), ""];
    else if (d && !d.ready) words = [`${t("banner.model")} ${t("banner.modelHelp")}`, d.message];
    banner.hidden = !words;
    if (!words) return;
    setText(banner.querySelector("p"), words[0]);
    const details = banner.querySelector("details");
    details.hidden = !words[1];
    setText(details.querySelector("div"), words[1]);
  }
}
