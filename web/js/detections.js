// The list of detections: newest first, drawn at most four times a second, filtered by class.

import { formatMoment, formatPercent, t } from "./i18n.js";
import { CLASSES } from "./overlay.js";
import { el, icon } from "./ui.js";

const MAX_ROWS = 150;
const DRAW_EVERY_MS = 250;

export class DetectionList {
  #items = []; // newest first: {type, confidence, plate, track, wallMs, cameraId, cameraName}
  #shown = new Set(CLASSES);
  #timer = 0;
  #recent = []; // arrival times of the last minute
  #onPick;

  constructor({ list, empty, filters, onPick }) {
    this.list = list;
    this.empty = empty;
    this.filters = filters;
    this.#onPick = onPick;
    for (const type of CLASSES) {
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": "true", data: { type },
        onclick: () => this.#toggle(type) }, icon(type), el("span", { class: "chip-name" }), el("span", { class: "chip-count" }));
      filters.append(chip);
    }
    this.translate();
  }

  get perMinute() {
    const since = performance.now() - 60000;
    while (this.#recent.length && this.#recent[0] < since) this.#recent.shift();
    return this.#recent.length;
  }

  add(item) {
    if (this.#update(item)) return;
    this.#recent.push(performance.now());
    if (this.#recent.length > 10000) this.#recent.shift();
    this.#insert(item);
  }

  // Stored ones, from before the page was opened.
  addStored(items) {
    for (const i of items) if (!this.#update(i)) this.#insert(i);
  }

  translate() {
    for (const chip of this.filters.children) chip.querySelector(".chip-name").textContent = t(`class.${chip.dataset.type}`);
    this.filters.setAttribute("aria-label", t("det.filter"));
    this.list.replaceChildren();
    this.#draw();
  }

  // True when its track stands in the list: the plate may have been read since.
  #update(item) {
    const i = item.track ? this.#items.findIndex((k) => k.track === item.track && k.cameraId === item.cameraId) : -1;
    if (i < 0) return false;
    this.#items[i] = { ...this.#items[i], plate: item.plate ?? this.#items[i].plate, type: item.type,
      confidence: Math.max(item.confidence, this.#items[i].confidence) };
    this.#drawSoon();
    return true;
  }

  #insert(item) {
    let i = 0;
    while (i < this.#items.length && this.#items[i].wallMs > item.wallMs) i++;
    this.#items.splice(i, 0, item);
    this.#items.length = Math.min(this.#items.length, MAX_ROWS);
    this.#drawSoon();
  }

  #drawSoon() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#draw();
    }, DRAW_EVERY_MS);
  }

  #toggle(type) {
    if (!this.#shown.delete(type)) this.#shown.add(type);
    for (const chip of this.filters.children) chip.setAttribute("aria-pressed", String(this.#shown.has(chip.dataset.type)));
    this.#draw();
  }

  #draw() {
    const items = this.#items.filter((i) => this.#shown.has(i.type));
    // Rows are kept by item, so that a new one pushes the others down without rebuilding them.
    const rows = new Map([...this.list.children].map((r) => [r.item, r]));
    this.list.replaceChildren(...items.map((i) => rows.get(i) ?? this.#row(i)));
    this.empty.hidden = items.length > 0;
    this.empty.textContent = t(this.#items.length ? "det.none" : "det.empty");
    for (const chip of this.filters.children) {
      const n = this.#items.filter((i) => i.type === chip.dataset.type).length;
      chip.querySelector(".chip-count").textContent = String(n);
    }
  }

  #row(item) {
    const confidence = el("span", { class: "det-confidence", title: t("det.confidence", { p: formatPercent(item.confidence) }) },
      formatPercent(item.confidence));
    const title = el("span", { class: "det-class" }, t(`class.${item.type}`));
    if (item.plate) title.append(el("span", { class: "det-plate" }, item.plate));
    const row = el("li", {},
      el("button", { type: "button", class: "det", data: { type: item.type }, onclick: () => this.#onPick(item.cameraId) },
        el("span", { class: "det-icon" }, icon(item.type)),
        el("span", { class: "det-text" }, title, el("span", { class: "det-camera" }, item.cameraName)),
        el("span", { class: "det-side" }, confidence, el("time", { datetime: new Date(item.wallMs).toISOString() },
          formatMoment(item.wallMs)))));
    row.item = item;
    return row;
  }
}
