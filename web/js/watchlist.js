// Plates that are looked for: a dialog to add, find and remove them, and to take a CSV file. All ai programs share the list.

import * as api from "./api.js";
import { formatNumber, has, t } from "./i18n.js";
import { confirmDialog, el, iconButton, nameButton, notice, setText } from "./ui.js";

const SHOWN = 200; // rows; who looks for one of more searches
const WAIT_MS = 250; // from the last key to the search
const MAX_IMPORT_BYTES = 2 << 20;
const ERRORS_SHOWN = 5;
const PLATE_MAX = 16; // signs of a pattern
// What is wrong with a field of the form, in the words of an import's errors.
const FIELDS = { plate: "plate_invalid", label: "label_too_long", note: "note_too_long", expires_at: "expires_at_invalid", severity: "severity_invalid" };

const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toUpperCase();
const bare = (text) => plain(text).replace(/[^A-Z0-9*?]/g, "");

// The server's sentence, which is English, where the page has none of its own.
const wrong = (code, sentence) => (has(`watch.wrong.${code}`) ? t(`watch.wrong.${code}`, { max: PLATE_MAX }) : sentence);

export class WatchList {
  #entries = [];
  #asked = 0; // the newest question: older answers are dropped
  #timer = 0;

  constructor(dialog) {
    this.dialog = dialog;
    this.form = dialog.querySelector("form");
    this.search = dialog.querySelector("#watch-search");
    this.list = dialog.querySelector(".watch-list");
    this.state = dialog.querySelector(".watch-state");
    this.result = dialog.querySelector(".watch-result");
    this.file = dialog.querySelector("input[type=file]");
    this.form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#add();
    });
    this.search.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#draw(), WAIT_MS);
    });
    dialog.querySelector("[data-import]").addEventListener("click", () => this.file.click());
    this.file.addEventListener("change", () => this.#import());
  }

  open() {
    this.form.reset();
    this.#clearErrors();
    this.search.value = "";
    this.result.replaceChildren();
    this.dialog.showModal();
    this.form.elements.plate.focus();
    this.#load();
  }

  translate() {
    if (this.dialog.open) this.#draw();
  }

  async #load() {
    const asked = ++this.#asked;
    try {
      const answer = await api.watchlist();
      if (asked !== this.#asked) return;
      this.#entries = answer.entries.sort((a, b) => (b.created_at ?? "").localeCompare(a.created_at ?? ""));
      this.#draw();
    } catch (e) {
      if (asked === this.#asked) this.#fail(e.message);
    }
  }

  #fail(message) {
    this.list.replaceChildren();
    this.state.hidden = false;
    setText(this.state, message);
  }

  // By what stands in the list (plate, name, note), and by what the matcher would say of the text as a plate.
  async #draw() {
    const asked = ++this.#asked;
    const text = this.search.value.trim();
    let found = this.#entries;
    const why = new Map();
    if (text) {
      found = found.filter((e) => (bare(text) && e.plate.includes(bare(text))) || [e.label, e.note].some((s) => s && plain(s).includes(plain(text))));
      if (/^[A-Z0-9]{5,8}$/.test(bare(text))) {
        const matches = await api.watchlistCheck(bare(text)).then((a) => a.matches, () => []);
        if (asked !== this.#asked) return;
        for (const m of matches) why.set(m.entry.id, m.match);
        found = [...matches.map((m) => m.entry), ...found.filter((e) => !why.has(e.id))];
      }
    }
    this.list.replaceChildren(...found.slice(0, SHOWN).map((e) => this.#row(e, why.get(e.id))));
    const more = found.length > SHOWN;
    this.state.hidden = found.length > 0 && !more;
    setText(this.state, more ? t("watch.more", { shown: SHOWN, n: formatNumber(found.length) }) : t(text ? "watch.notFound" : "watch.empty"));
  }

  #row(entry, match) {
    const until = entry.expires_at ? t("watch.until", { day: new Date(entry.expires_at).toLocaleDateString(document.documentElement.lang) }) : "";
    const over = entry.expires_at && Date.parse(entry.expires_at) <= Date.now() ? t("watch.over") : "";
    const facts = [entry.label, entry.note, entry.match === "exact" ? t("watch.exactFact") : "", over || until, entry.enabled ? "" : t("watch.off"),
      match && has(`watch.match.${match}`) ? t(`watch.match.${match}`) : ""];
    const remove = iconButton("trash", () => this.#remove(entry));
    nameButton(remove, t("watch.remove", { plate: entry.plate }));
    return el("li", { class: "hist-row", data: { id: entry.id } },
      el("span", { class: "hist-text" }, el("span", { class: "hist-number" }, entry.plate), el("span", { class: "hist-facts" }, facts.filter(Boolean).join(" · "))),
      el("span", { class: "hist-side" }, el("span", { class: "hist-severity", data: { severity: entry.severity } }, t(`severity.${entry.severity}`))), remove);
  }

  #clearErrors() {
    for (const p of this.form.querySelectorAll(".field-error")) p.textContent = "";
    for (const i of this.form.querySelectorAll("[aria-invalid]")) i.removeAttribute("aria-invalid");
    this.form.querySelector(".form-error").textContent = "";
  }

  #error(field, text) {
    const input = this.form.elements[field];
    const place = this.form.querySelector(`#watch-${field}-error`);
    if (!input || !place) return this.form.querySelector(".form-error").replaceChildren(text);
    input.setAttribute("aria-invalid", "true");
    place.textContent = text;
    input.focus();
  }

  async #add() {
    const f = this.form.elements;
    this.#clearErrors();
    if (!bare(f.plate.value)) return this.#error("plate", t("watch.needPlate"));
    const entry = { plate: f.plate.value.trim(), label: f.label.value.trim(), note: f.note.value.trim(), severity: f.severity.value,
      match: f.exact.checked ? "exact" : "similar", expires_at: f.expires_at.value || null };
    const button = this.form.querySelector("button[type=submit]");
    button.disabled = true;
    try {
      const made = await api.watchlistAdd(entry);
      notice(t("watch.added", { plate: made.plate }));
      this.form.reset();
      this.search.value = "";
      this.#entries = [made, ...this.#entries.filter((e) => e.id !== made.id)];
      this.#draw();
      f.plate.focus();
    } catch (e) {
      const field = Object.keys(e.fields ?? {}).find((name) => name in FIELDS);
      if (field) this.#error(field, wrong(FIELDS[field], e.fields[field]));
      else this.#error("", e.code === "conflict" ? t("watch.full") : e.message);
    } finally {
      button.disabled = false;
    }
  }

  async #remove(entry) {
    const sure = await confirmDialog({ title: t("watch.removeTitle"), text: t("watch.removeText", { plate: entry.plate }), submit: t("remove.submit") });
    if (!sure) return;
    try {
      await api.watchlistRemove(entry.id);
      notice(t("watch.removed", { plate: entry.plate }));
    } catch (e) {
      if (e.status !== 404) return notice(e.message, "bad"); // gone already: what was wanted
    }
    this.#entries = this.#entries.filter((e) => e.id !== entry.id);
    this.#draw();
  }

  async #import() {
    const file = this.file.files[0];
    this.file.value = "";
    if (!file) return;
    this.result.replaceChildren();
    if (file.size > MAX_IMPORT_BYTES) return this.result.append(el("p", { class: "form-error" }, t("watch.importTooLarge")));
    try {
      const a = await api.watchlistImport(file);
      this.result.append(el("p", {}, t("watch.imported", { added: formatNumber(a.added), changed: formatNumber(a.changed) }),
        a.full ? ` ${t("watch.importFull", { n: formatNumber(a.full) })}` : "", a.failed ? ` ${t("watch.importFailed", { n: a.failed })}` : ""));
      const errors = a.errors.slice(0, ERRORS_SHOWN);
      if (errors.length) this.result.append(el("ul", {}, ...errors.map((e) => el("li", {}, t("watch.line", { n: e.line, text: wrong(e.code, e.detail) })))));
      this.#load();
    } catch (e) {
      const known = { too_large: "watch.tooMany", invalid: "watch.notText" }[e.code];
      this.result.append(el("p", { class: "form-error" }, known ? t(known) : e.message));
    }
  }
}
