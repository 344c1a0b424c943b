// Keeps a page up to date without losing the reader's place: fetches the same page, and changes what has changed in it.
// What stays the same stays the same element, so focus, scroll, open details and what is being typed are kept.
"use strict";

const main = document.querySelector("main[data-refresh]");
const told = document.getElementById("refreshed");
const hold = document.getElementById("hold");
const everyMs = 1000 * Number(main.dataset.refresh);
const LONGEST_MS = 60_000;
let waitMs = everyMs;
let timer = null;

function tell(text) {
  if (told.textContent !== text) told.textContent = text;
}

// Attributes of `old` become those of `fresh`; whether details are open is the reader's.
function dress(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (name !== "open" && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

// A form that somebody is at stays as it is.
function inUse(form) {
  const changed = (field) =>
    ("defaultValue" in field && field.value !== field.defaultValue) ||
    ("defaultChecked" in field && field.checked !== field.defaultChecked) ||
    (field.options && [...field.options].some((option) => option.selected !== option.defaultSelected));
  return form.contains(document.activeElement) || [...form.elements].some(changed);
}

const alike = (old, fresh) =>
  old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id ?? "") === (fresh.id ?? "");

function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!(old instanceof Element)) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old instanceof HTMLFormElement && inUse(old)) return;
  dress(old, fresh);
  children(old, fresh);
}

// Elements with an id are known by it, so that a row that moved down is still the same row.
function children(old, fresh) {
  const coming = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
  const here = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    while (at && at.id && !coming.has(at.id)) at = drop(at);
    if (at && alike(at, child)) {
      const next = at.nextSibling;
      become(at, child);
      at = next;
    } else if (child.id && here.has(child.id) && alike(here.get(child.id), child)) {
      const known = here.get(child.id);
      old.insertBefore(known, at);
      become(known, child);
    } else {
      old.insertBefore(document.importNode(child, true), at);
    }
  }
  while (at) at = drop(at);
}

function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// What the reader looks at: where the focus is, else what is in the upper part of the window.
function lookedAt() {
  const focused = document.activeElement;
  const seen = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  if (focused !== main && main.contains(focused) && seen(focused)) return focused;
  const found = document.elementFromPoint(innerWidth / 2, innerHeight / 3);
  return main.contains(found) && found !== main ? found : null;
}

// What is looked at stays where it is on the screen, whatever comes or goes above it.
function update(content) {
  const held = scrollY > 0 ? lookedAt() : null;
  const before = held?.getBoundingClientRect().top;
  become(main, content);
  if (held?.isConnected) scrollBy(0, held.getBoundingClientRect().top - before);
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(turn, waitMs);
}

async function turn() {
  const selecting = !getSelection().isCollapsed;
  if (document.hidden || selecting || hold.getAttribute("aria-pressed") === "true") return again();
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(LONGEST_MS),
    });
    if (answer.type === "opaqueredirect" || answer.status === 401) return tell(told.dataset.over);
    if (!answer.ok) throw new Error(String(answer.status));
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = fresh.getElementById("content");
    if (!content) throw new Error("no content");
    update(content);
    document.title = fresh.title;
    waitMs = everyMs;
    tell("");
  } catch {
    waitMs = Math.min(2 * waitMs, LONGEST_MS);
    tell(told.dataset.stale);
  }
  again();
}

// Who comes back to the page sees at once what is new.
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (document.hidden) again();
  else turn();
});

hold.hidden = false;
hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", String(hold.getAttribute("aria-pressed") !== "true"));
});
again();
