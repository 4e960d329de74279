// What was seen: plates searched for, alerts, crossings counted by camera. A dialog with three views; alerts also come as notices, live.

import * as api from "./api.js";
import { formatMoment, formatNumber, formatPercent, has, t } from "./i18n.js";
import { el, icon, notice, setText } from "./ui.js";

const PAGE_SIZE = 20;
const ALERTS_EVERY_MS = 10000; // of cameras that are not on screen; the others' come by their sockets
const MAX_KNOWN = 500;
const HOUR_MS = 3600000;

const className = (type) => (type && has(`class.${type}`) ? t(`class.${type}`) : t("hist.vehicle"));

export function alertTitle(a) {
  const kind = has(`alert.${a.alert}`) ? t(`alert.${a.alert}`) : t("alert.other");
  return a.plate ? `${kind}: ${a.plate}` : kind;
}

// The server's sentence on how a plate matches (services/ai/plate/match.c), in the language of the page; another one as it is.
function whyText(why) {
  if (!why) return "";
  const whole = { "the plate of the list": "why.exact", "the plate of the list in its other form": "why.converted", "the pattern of the list fits": "why.wildcard" };
  if (whole[why]) return t(whole[why]);
  return why
    .replace(/(\w) of the list was read as (\w) at position (\d+)/g, (_, listed, read, n) => t("why.read", { listed, read, n }))
    .replace(/(\w) was read at position (\d+), which the list does not have/g, (_, read, n) => t("why.more", { read, n }))
    .replace(/(\w) of the list was not read before position (\d+)/g, (_, listed, n) => t("why.less", { listed, n }))
    .replace(/ \(cost [\d.]+ of [\d.]+\)$/, "");
}

// An alert event as /api/alerts/ has it.
function fromEvent(event) {
  const d = event.data ?? {};
  return { key: event.key, alert: d.alert, camera_id: d.camera_id, plate: d.plate?.number ?? null, label: d.plate?.label || null,
    severity: d.plate?.severity ?? null };
}

export class History {
  #view = "plates";
  #page = 1;
  #asked = 0; // the newest question: older answers are dropped
  #known = new Set(); // keys of alerts that were shown
  #since = Date.now();
  #cameraName;

  constructor(dialog, cameraName) {
    this.dialog = dialog;
    this.#cameraName = cameraName;
    this.form = dialog.querySelector("form");
    this.list = dialog.querySelector(".hist-list");
    this.state = dialog.querySelector(".hist-state");
    this.label = dialog.querySelector(".hist-label");
    [this.previous, this.next] = dialog.querySelectorAll(".hist-pages button");
    for (const tab of dialog.querySelectorAll("[data-view]")) tab.addEventListener("click", () => this.#show(tab.dataset.view));
    this.form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#page = 1;
      this.#load();
    });
    this.previous.addEventListener("click", () => this.#turn(-1));
    this.next.addEventListener("click", () => this.#turn(1));
    this.#watch();
  }

  open(view, cameras) {
    const select = this.form.elements.camera;
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, t("hist.allCameras")), ...cameras.map((c) => el("option", { value: c.id }, c.name)));
    select.value = cameras.some((c) => String(c.id) === chosen) ? chosen : "";
    this.dialog.showModal();
    this.#show(view);
  }

  translate() {
    if (this.dialog.open) this.#show(this.#view);
  }

  // A live event; anything but an alert is passed over.
  onEvent(event) {
    if (event.type === "alert" && event.data) this.#announce(fromEvent(event));
  }

  #announce(alert) {
    if (!alert.key || this.#known.has(alert.key)) return;
    this.#known.add(alert.key);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.values().next().value);
    const where = this.#cameraName(alert.camera_id);
    notice([alertTitle(alert), alert.label, where].filter(Boolean).join(" · "), alert.severity === "low" ? "good" : "bad");
    if (this.dialog.open && this.#view === "alerts" && this.#page === 1) this.#load();
  }

  async #watch() {
    for (;;) {
      await new Promise((r) => setTimeout(r, ALERTS_EVERY_MS));
      try {
        const fresh = await api.alerts({ page_size: PAGE_SIZE, from: this.#since });
        for (const a of fresh.results.reverse()) this.#announce(a);
      } catch {
        // The next time will do.
      }
    }
  }

  #turn(by) {
    this.#page += by;
    this.#load();
  }

  #show(view) {
    this.#view = view;
    this.#page = 1;
    for (const tab of this.dialog.querySelectorAll("[data-view]")) tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    this.dialog.querySelector(".hist-plate").hidden = view === "counts";
    this.dialog.querySelector(".hist-help").hidden = view === "counts";
    this.#load();
  }

  async #load() {
    const asked = ++this.#asked;
    const view = this.#view;
    const { plate, camera, hours } = this.form.elements;
    const query = { page: this.#page, page_size: PAGE_SIZE, camera_id: camera.value };
    if (hours.value) query.from = Date.now() - Number(hours.value) * HOUR_MS;
    if (view === "plates") query.plate = plate.value.trim() || "*";
    if (view === "alerts") query.plate = plate.value.trim();
    if (view === "counts") query.page_size = 100;
    try {
      const answer = await { plates: api.detections, alerts: api.alerts, counts: api.counts }[view](query);
      if (asked === this.#asked) this.#draw(answer, query.page_size);
    } catch (e) {
      if (asked === this.#asked) this.#fail(e.message);
    }
  }

  #fail(message) {
    this.list.replaceChildren();
    this.state.hidden = false;
    setText(this.state, message);
    this.previous.disabled = this.next.disabled = true;
    setText(this.label, "");
  }

  #draw(answer, size) {
    const rows = { plates: (r) => this.#plate(r), alerts: (r) => this.#alert(r), counts: null }[this.#view];
    this.list.replaceChildren(...(rows ? answer.results.map(rows) : this.#counts(answer.results)));
    this.state.hidden = answer.results.length > 0;
    setText(this.state, t(`hist.none.${this.#view}`));
    this.previous.disabled = !answer.previous;
    this.next.disabled = !answer.next;
    setText(this.label, t("hist.page", { n: formatNumber(answer.count), page: this.#page, pages: Math.max(1, Math.ceil(answer.count / size)) }));
  }

  #picture(row) {
    if (!row.image_url) return el("span", { class: "hist-picture" }, icon(has(`class.${row.vehicle_type}`) ? row.vehicle_type : "car"));
    const image = el("img", { src: row.image_url, alt: "", loading: "lazy" });
    image.addEventListener("error", () => image.replaceWith(icon("car"))); // its time is over
    return el("a", { class: "hist-picture", href: row.image_url, target: "_blank", rel: "noopener", title: t("hist.picture") }, image);
  }

  #row(row, title, facts, side) {
    const when = Date.parse(row.timestamp);
    return el("li", { class: "hist-row", data: { type: row.vehicle_type ?? "" } }, this.#picture(row),
      el("span", { class: "hist-text" }, title, el("span", { class: "hist-facts" }, facts.filter(Boolean).join(" · "))),
      el("span", { class: "hist-side" }, side, el("time", { datetime: row.timestamp }, Number.isFinite(when) ? formatMoment(when) : "")));
  }

  #plate(row) {
    const sure = row.plate_confidence === null ? "" : formatPercent(row.plate_confidence);
    const format = has(`plate.${row.plate_format}`) ? t(`plate.${row.plate_format}`) : "";
    return this.#row(row, el("span", { class: "hist-number" }, row.plate), [className(row.vehicle_type), format,
      row.plate_uncertain ? t("hist.uncertain") : "", row.camera_name ?? `cam_${row.camera_id}`], el("span", {}, sure));
  }

  #alert(row) {
    this.#known.add(row.key);
    const severity = row.severity && has(`severity.${row.severity}`) ? t(`severity.${row.severity}`) : "";
    const speed = row.speed_kmh === null ? "" : `${formatNumber(row.speed_kmh)} km/h`;
    return this.#row(row, el("span", { class: "hist-title" }, alertTitle(row)), [row.label, row.place_name, speed, whyText(row.why),
      row.camera_name ?? `cam_${row.camera_id}`],
      el("span", { class: "hist-severity", data: { severity: row.severity ?? "" } }, severity));
  }

  // One block a camera and line: classes by direction.
  #counts(results) {
    const lines = new Map();
    for (const r of [...results].sort((a, b) => b.forward - a.forward)) {
      const key = `${r.camera_id}/${r.line}`;
      if (!lines.has(key)) lines.set(key, { camera: r.camera_name ?? `cam_${r.camera_id}`, line: r.line_name ?? r.line, ways: new Map() });
      const ways = lines.get(key).ways;
      const way = r.direction ?? t(r.forward ? "hist.forward" : "hist.backward");
      if (!ways.has(way)) ways.set(way, []);
      ways.get(way).push(r);
    }
    return [...lines.values()].map((l) => el("li", { class: "hist-count" },
      el("h3", {}, `${l.camera} · ${l.line}`),
      ...[...l.ways].map(([way, counted]) => el("p", {}, el("span", { class: "hist-way" }, way),
        el("strong", {}, formatNumber(counted.reduce((sum, r) => sum + r.count, 0))),
        ...counted.map((r) => el("span", { class: "hist-class", data: { type: r.vehicle_type ?? "" }, title: className(r.vehicle_type) },
          has(`class.${r.vehicle_type}`) ? icon(r.vehicle_type) : null, formatNumber(r.count)))))));
  }
}
