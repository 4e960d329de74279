// The page's words: which language, the strings, and numbers and times as people there write them.

const LANGUAGES = ["pt-BR", "en"];
const STORE_KEY = "gtv.language";

let language = LANGUAGES[0];
let strings = {};
let plural = new Intl.PluralRules(language);
const listeners = new Set();
const formats = new Map();

export function currentLanguage() {
  return language;
}

// Portuguese unless the address (?lang=en) or an earlier choice says otherwise.
export function preferredLanguage() {
  const asked = new URLSearchParams(location.search).get("lang");
  let stored = null;
  try {
    stored = localStorage.getItem(STORE_KEY);
  } catch {
    // Storage may be switched off; the choice then lasts as long as the page.
  }
  return [asked, stored].find((l) => LANGUAGES.includes(l)) ?? LANGUAGES[0];
}

export async function setLanguage(next, remember = false) {
  const res = await fetch(`/i18n/${next}.json`);
  if (!res.ok) throw new Error(`i18n ${next}: ${res.status}`);
  strings = await res.json();
  language = next;
  plural = new Intl.PluralRules(next);
  formats.clear();
  if (remember) {
    try {
      localStorage.setItem(STORE_KEY, next);
    } catch {
      // As above.
    }
  }
  document.documentElement.lang = next;
  translate(document);
  for (const fn of listeners) fn(next);
}

export function onLanguage(fn) {
  listeners.add(fn);
}

export function has(key) {
  return key in strings;
}

// The string of a key with {name} replaced from values; with forms by number, values.n chooses.
export function t(key, values = {}) {
  let s = strings[key];
  if (s && typeof s === "object") s = s[plural.select(values.n ?? 0)] ?? s.other;
  if (s === undefined) return key;
  return s.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// Fills every element that names its string: data-t (text), data-t-title, data-t-label (aria-label), data-t-placeholder.
export function translate(root) {
  for (const el of root.querySelectorAll("[data-t]")) el.textContent = t(el.dataset.t);
  for (const el of root.querySelectorAll("[data-t-title]")) el.title = t(el.dataset.tTitle);
  for (const el of root.querySelectorAll("[data-t-label]")) el.setAttribute("aria-label", t(el.dataset.tLabel));
  for (const el of root.querySelectorAll("[data-t-placeholder]")) el.placeholder = t(el.dataset.tPlaceholder);
}

function format(name, make) {
  if (!formats.has(name)) formats.set(name, make());
  return formats.get(name);
}

export function formatNumber(n, digits = 0) {
  return format(`n${digits}`, () =>
    new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })).format(n);
}

export function formatPercent(fraction) {
  return format("p", () => new Intl.NumberFormat(language, { style: "percent" })).format(fraction);
}

export function formatTime(ms) {
  return format("t", () => new Intl.DateTimeFormat(language, { timeStyle: "medium" })).format(ms);
}

// The time alone for today, with the day in front otherwise.
export function formatMoment(ms) {
  const today = new Date().toDateString() === new Date(ms).toDateString();
  if (today) return formatTime(ms);
  return format("m", () => new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" })).format(ms);
}
