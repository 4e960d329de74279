// One camera on the wall: its video, the boxes over it, its state in words, its buttons.

import * as api from "./api.js";
import { LiveSocket, lookFromEvent, Newcomers, Track } from "./events.js";
import { formatNumber, formatTime, has, t } from "./i18n.js";
import { boxesAt, Overlay } from "./overlay.js";
import { Player } from "./player.js";
import { el, icon, iconButton, nameButton, setIcon, setText } from "./ui.js";

const STATUS_EVERY_MS = 4000; // how often the cause is asked for while there is no picture
const TICK_MS = 500;

// Other media nodes' words for the causes that the page has sentences for.
const CAUSE_ALIASES = {
  unauthorized: "unauthorised",
  timeout: "timed_out",
  dns: "name",
  unsupported_codec: "codec",
};

// What a status answer or a status event says; up is null while a camera is neither connected nor lost.
function readStatus(s) {
  const state = String(s.state ?? s.status ?? "");
  const up = s.ready === true || state === "connected" ? true : state === "disconnected" ? false : null;
  const code = s.cause_code ?? "";
  return { up, code: CAUSE_ALIASES[code] ?? code, cause: s.cause ?? "" };
}

export class Tile {
  #camera;
  #actions;
  #track = new Track();
  #newcomers = new Newcomers();
  #status = { up: null, code: "", cause: "" };
  #why = {};
  #bypass = false;
  #frame = null;
  #statusTimer = 0;
  #tickTimer = 0;
  #alive = true;

  // actions: {remove(camera), expand(tile), detected(camera, object, wallMs), event(event), socketState()}
  constructor(camera, actions) {
    this.#camera = camera;
    this.#actions = actions;
    this.#build();
    this.overlay = new Overlay(this.canvas, this.video);
    this.player = new Player(this.video, {
      onState: (state, why) => this.#onPlayer(state, why),
      onFrame: (frame) => this.#onFrame(frame),
    });
    this.socket = new LiveSocket(`/ws/events/${camera.path}`, {
      onMessage: (m) => this.#onEvent(m),
      onState: () => this.#onSocket(),
    });
    this.translate();
    this.#tickTimer = setInterval(() => this.#tick(), TICK_MS);
    this.player.start(this.#url());
  }

  get camera() {
    return this.#camera;
  }

  get looks() {
    return this.#track.count;
  }

  set camera(camera) {
    this.#camera = camera;
    this.translate();
  }

  destroy() {
    this.#alive = false;
    clearInterval(this.#tickTimer);
    clearTimeout(this.#statusTimer);
    this.socket.close();
    this.player.destroy();
    this.overlay.destroy();
    this.root.remove();
  }

  #url() {
    return `${this.#bypass ? "" : "/streaming"}/hls/${this.#camera.path}/index.m3u8`;
  }

  #build() {
    this.video = el("video", { playsinline: true, autoplay: true, disablepictureinpicture: true });
    this.video.muted = true;
    this.canvas = el("canvas", { class: "overlay", "aria-hidden": "true", data: { boxes: "0" } });
    this.cover = el("div", { class: "cover", role: "status" });
    this.name = el("h2", { class: "tile-name" });
    this.pill = el("span", { class: "pill" });
    this.deaf = el("span", { class: "deaf", hidden: true }, icon("unplugged"));
    this.clock = el("time", { class: "tile-clock" });
    this.late = el("span", { class: "tile-late" });
    this.inView = el("span", { class: "tile-count" });
    this.smaller = el("span", { class: "tile-sub" });

    this.boxesButton = iconButton("boxes", () => this.#toggleBoxes());
    this.boxesButton.setAttribute("aria-pressed", "true");
    this.routeButton = el("button", { type: "button", class: "icon-button wide", onclick: () => this.#toggleRoute() },
      icon("route"), el("span"));
    this.expandButton = iconButton("expand", () => this.#actions.expand(this));
    this.fullButton = iconButton("fullscreen", () => this.#fullscreen());
    this.removeButton = iconButton("trash", () => this.#actions.remove(this.#camera));

    this.stage = el("div", { class: "stage" }, this.video, this.canvas, this.cover,
      el("div", { class: "tile-top" }, this.name, this.deaf, this.pill),
      el("div", { class: "tile-bottom" },
        el("div", { class: "tile-facts" }, this.clock, this.late, this.inView, this.smaller),
        el("div", { class: "tile-buttons" }, this.boxesButton, this.routeButton, this.expandButton, this.fullButton,
          this.removeButton)));
    this.root = el("article", { class: "tile", data: { stream: this.#camera.path, state: "connecting" } }, this.stage);
    this.stage.addEventListener("dblclick", (e) => {
      if (!e.target.closest("button")) this.#actions.expand(this);
    });
  }

  translate() {
    const { name } = this.#camera;
    setText(this.name, name);
    this.root.setAttribute("aria-label", name);
    this.video.setAttribute("aria-label", t("tile.video", { name }));
    this.deaf.title = t("tile.noEvents");
    this.late.title = t("tile.latency");
    this.smaller.hidden = !this.#camera.sub_stream_url;
    setText(this.smaller, t("tile.sub"));
    this.smaller.title = t("tile.subTitle", { path: `${this.#camera.path}_sub` });
    nameButton(this.boxesButton, t(this.overlay.visible ? "tile.boxesOff" : "tile.boxesOn"));
    nameButton(this.routeButton, t(this.#bypass ? "tile.viaBypass" : "tile.viaProxy"));
    setText(this.routeButton.lastChild, t(this.#bypass ? "tile.bypass" : "tile.proxy"));
    nameButton(this.expandButton, t(this.root.classList.contains("expanded") ? "tile.shrink" : "tile.expand"));
    nameButton(this.fullButton, t("tile.fullscreen"));
    nameButton(this.removeButton, t("tile.remove"));
    this.#showState();
    this.#tick();
  }

  setExpanded(expanded) {
    this.root.classList.toggle("expanded", expanded);
    setIcon(this.expandButton, expanded ? "shrink" : "expand");
    nameButton(this.expandButton, t(expanded ? "tile.shrink" : "tile.expand"));
  }

  #toggleBoxes() {
    this.overlay.visible = !this.overlay.visible;
    this.boxesButton.setAttribute("aria-pressed", String(this.overlay.visible));
    nameButton(this.boxesButton, t(this.overlay.visible ? "tile.boxesOff" : "tile.boxesOn"));
    this.#redraw();
  }

  #toggleRoute() {
    this.#bypass = !this.#bypass;
    this.root.dataset.route = this.#bypass ? "bypass" : "proxy";
    this.translate();
    this.player.start(this.#url());
  }

  #fullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.stage.requestFullscreen?.();
  }

  #onFrame(frame) {
    this.#frame = frame;
    this.#redraw();
  }

  #redraw() {
    const wall = this.#frame?.wallMs ?? null;
    const look = wall === null ? null : boxesAt(this.#track, wall);
    this.overlay.draw(look, this.#frame);
  }

  #onEvent(event) {
    if (event.type === "detection") {
      const look = lookFromEvent(event);
      if (!look) return;
      this.#track.add(look);
      for (const o of this.#newcomers.take(look)) this.#actions.detected(this.#camera, o, look.wallMs);
    } else if (event.type === "status" && event.data) {
      this.#setStatus(readStatus(event.data));
    } else {
      this.#actions.event(event);
    }
  }

  #onSocket() {
    this.deaf.hidden = this.socket.up;
    this.#actions.socketState();
  }

  #onPlayer(state, why) {
    this.#why = why;
    if (state !== "playing") {
      this.#frame = null;
      this.overlay.draw(null, null);
    }
    this.#showState();
    if (["connecting", "stalled", "failed"].includes(state)) this.#askStatus();
  }

  async #askStatus() {
    clearTimeout(this.#statusTimer);
    try {
      this.#setStatus(readStatus(await api.cameraStatus(this.#camera.id)));
    } catch (e) {
      if (e.status === 404) this.#setStatus({ up: false, code: "gone", cause: e.message });
      else if (!e.status || e.status >= 500) this.#setStatus({ up: null, code: "server", cause: "" });
    }
    if (!this.#alive || this.player.state === "playing") return;
    clearTimeout(this.#statusTimer);
    this.#statusTimer = setTimeout(() => this.#askStatus(), STATUS_EVERY_MS);
  }

  #setStatus(status) {
    if (!this.#alive) return;
    const cameBack = status.up && this.#status.up === false;
    this.#status = status;
    this.#showState();
    if (cameBack && this.player.state === "failed") this.player.retryNow();
  }

  #causeText() {
    const { up, code, cause } = this.#status;
    if (!up && code && has(`cause.${code}`)) return t(`cause.${code}`);
    if (!up && cause) return t("cause.reported", { cause });
    const { kind, status } = this.#why;
    if (kind === "media" || kind === "unsupported") return t(`cause.${kind}`);
    if (status === 429) return t("cause.busy");
    return t(status >= 500 && up === null ? "cause.server" : "cause.unknown");
  }

  #showState() {
    const { state } = this.player ?? { state: "connecting" };
    // While the first attempt runs, a camera known to be down is already told as such.
    const down = state === "failed" || (state !== "playing" && !this.#status.up && this.#status.code);
    const shown = down ? "offline" : state === "playing" ? "live" : state === "stalled" ? "stalled" : "connecting";
    this.root.dataset.state = shown;
    setText(this.pill, t(`tile.${shown}`));
    if (shown === "live") {
      this.cover.replaceChildren();
    } else if (state === "blocked") {
      const play = el("button", { type: "button", class: "button", onclick: () => this.player.play() }, icon("play"),
        t("tile.play"));
      this.cover.replaceChildren(play);
    } else if (shown === "offline") {
      this.#showOffline();
    } else {
      this.cover.replaceChildren(el("span", { class: "spinner" }), el("p", {}, t(`tile.${shown}Text`)));
    }
  }

  // Only what changed is replaced, or a screen reader would read the message at every attempt.
  #showOffline() {
    if (!this.cover.querySelector(".offline")) {
      this.cover.replaceChildren(el("div", { class: "offline" }, icon("offline"), el("h3"), el("p", { class: "cause" }),
        el("p", { class: "retry", "aria-hidden": "true" })));
    }
    setText(this.cover.querySelector("h3"), t("tile.offlineTitle"));
    setText(this.cover.querySelector(".cause"), this.#causeText());
    this.#showRetry();
  }

  #showRetry() {
    const retry = this.cover.querySelector(".retry");
    if (!retry) return;
    const s = Math.ceil((this.player.retryAt - Date.now()) / 1000);
    setText(retry, s > 0 ? t("tile.retry", { s: formatNumber(s) }) : t("tile.retrying"));
  }

  #tick() {
    const wall = this.player?.state === "playing" ? (this.#frame?.wallMs ?? null) : null;
    setText(this.clock, wall === null ? "" : formatTime(wall));
    const late = wall === null ? NaN : (Date.now() - wall) / 1000;
    setText(this.late, late >= 0 && late < 600 ? t("tile.seconds", { s: formatNumber(late, 1) }) : "");
    const n = this.overlay.drawn?.boxes.length ?? 0;
    setText(this.inView, n ? t("tile.inView", { n }) : "");
    this.#showRetry();
  }
}
