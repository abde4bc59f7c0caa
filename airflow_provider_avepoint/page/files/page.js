import { breakable, drawState, get, linkToRun, make, sayCount, sayDuration, sayFinding, sayMoment, sayState, showProblem } from "./common.js";
import { drawDetail, sayFailure } from "./drawer.js";
import { exportScopes } from "./export.js";
import { drawCharts, drawLicense } from "./licenses.js";
import { drawOtherTiles, drawStateTiles, GROUPS } from "./tiles.js";

const $ = (id) => document.getElementById(id);
const FILTERS = ["q", "tenant", "product", "state"];
const MOST_GATES = 3;
const WORST = "worst";
const STATES = GROUPS.flatMap(([, , states]) => states);
const SEVERITY = ["failed", "partial", "missed", "not loaded", "unknown", "skipped", "running", "good", "excluded"];
const SORTS = {
  [WORST]: (scope) => scope.place,
  state: (scope) => SEVERITY.indexOf(scope.state),
  name: (scope) => `${scope.name}\u0000${scope.tenant}\u0000${scope.product_label}`.toLowerCase(),
  age: (scope) => -(scope.age_seconds ?? Infinity),
  due: (scope) => scope.due_at ?? "9",
  failure: (scope) => -(scope.failure ? Date.parse(scope.failure.last_at) : 0),
};
// Rows of unequal height that are appended as they come into view need no library, and find-in-page and readers keep them.
const CHUNK = 40;
const FINDINGS = 3;
const OLD = 86400;
const SOON = 300;
const watch = new IntersectionObserver((entries) => { if (entries.at(-1).isIntersecting) drawMore(); }, { rootMargin: "600px" });
let posture = null;
let licenses = null;
const isOpen = { findings: false, licenses: false };
let found = [];
let shown = [];
let drawn = 0;
let next = 0;
let view = readView(location.search || findHost().location.search);

// The address of the page around the frame is the one that readers copy; its path stays Airflow's.
function findHost() {
  try { return window.parent.location.origin === location.origin ? window.parent : window; } catch { return window; }
}

function readView(search) {
  const asked = new URLSearchParams(search);
  const found = Object.fromEntries(FILTERS.map((name) => [name, asked.get(name) ?? ""]));
  const [sort, way] = (asked.get("sort") ?? "").split(".");
  return { ...found, sort: Object.hasOwn(SORTS, sort) ? sort : WORST, isReversed: way === "desc", scope: asked.get("scope") ?? "" };
}

function keepView({ isNewPage = false } = {}) {
  const asked = new URLSearchParams();
  for (const name of [...FILTERS, "scope"]) if (view[name]) asked.set(name, view[name]);
  if (view.sort !== WORST || view.isReversed) asked.set("sort", view.sort + (view.isReversed ? ".desc" : ""));
  const search = asked.size ? `?${asked}` : "";
  if (isNewPage) history.pushState({ isDrawer: true }, "", location.pathname + search);
  for (const place of new Set([window, findHost()])) {
    place.history.replaceState(place.history.state, "", place.location.pathname + search);
  }
}

const isOf = (each) => (!view.tenant || each.tenant === view.tenant) && (!view.product || each.product === view.product);

function matchesState(scope) {
  const group = GROUPS.find(([name]) => name === view.state);
  return !view.state || (group ? group[2].includes(scope.state) : scope.state === view.state);
}

function textOf(scope) {
  return [scope.name, scope.organization_id, scope.tenant, scope.product_label, scope.state, scope.failure?.message,
    ...scope.gates.map((gate) => gate.name)].filter(Boolean).join(" ").toLowerCase();
}

function update() {
  keepView();
  const words = view.q.toLowerCase().split(/\s+/);
  found = posture.scopes.filter((scope) => isOf(scope) && words.every((word) => scope.text.includes(word)));
  const key = SORTS[view.sort];
  shown = found.filter(matchesState).map((scope) => [key(scope), scope])
    .sort(([a, first], [b, second]) => (a < b ? -1 : a > b ? 1 : first.place - second.place))
    .map(([, scope]) => scope);
  if (view.isReversed) shown.reverse();
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const isIt = head.dataset.sort === view.sort;
    head.setAttribute("aria-sort", isIt ? (view.isReversed ? "descending" : "ascending") : "none");
  }
  const isFiltered = FILTERS.some((name) => view[name]);
  const isWorstFirst = view.sort === WORST && !view.isReversed;
  $("clear").hidden = !isFiltered;
  $("worst").hidden = isWorstFirst;
  const of = sayCount(posture.scopes.length, "scope");
  $("shown").textContent = posture.scopes.length === 0 ? "The ledger holds no backup of these tenants."
    : shown.length === 0 ? `None of ${of} is like this.`
      : `${isFiltered ? `${shown.length.toLocaleString("en")} of ` : ""}${of}${isWorstFirst ? ", worst first" : ""}`;
  $("csv").disabled = shown.length === 0;
  drawTiles();
  drawFindings();
  $("rows").replaceChildren();
  drawn = 0;
  drawMore();
}

function drawMore() {
  $("rows").append(...shown.slice(drawn, drawn + CHUNK).map(drawRow));
  drawn = Math.min(drawn + CHUNK, shown.length);
  $("end").hidden = drawn >= shown.length;
  // The end may still be in view, on a tall screen or after a filter: only a new watch tells.
  watch.unobserve($("end"));
  watch.observe($("end"));
}

function drawTiles() {
  const press = (name) => {
    view.state = view.state === name ? "" : name;
    $("state").value = view.state;
    update();
    $("tiles").querySelector(`button[value=${name}]`)?.focus();
  };
  const meant = licenses && splitLicenses();
  $("tiles").replaceChildren(...drawStateTiles(found, view.state, press), ...drawOtherTiles({
    licenses: meant && { bad: meant.bad.length, total: meant.bad.length + meant.rest.length },
    restores: posture.restores.filter(isOf), activity: posture.activity.filter(isOf),
  }));
}

// Forty-two elements a row make a long list slow: equal days in a row are one; only frames stay apart.
function drawStrip({ strip }) {
  const { days, letters } = posture;
  const counts = {};
  const cells = [...strip.matchAll(/[MR]|(.)\1*/g)].map(({ 0: run, index }) => {
    const word = Object.keys(letters).find((each) => letters[each] === run[0]);
    if (word) counts[word] = (counts[word] ?? 0) + run.length;
    const when = run.length > 1 ? `${days[index]} to ${days[index + run.length - 1]}` : days[index];
    const cell = make("i", { class: word ? `d-${run[0].toLowerCase()}` : "d-none", title: `${when}: ${word ?? "none due"}` });
    cell.style.setProperty("--days", run.length);
    return cell;
  });
  const told = Object.entries(counts).map(([word, count]) => `${count} ${word}`).join(", ") || "no backup and none due";
  return make("span", { class: "strip", role: "img", "aria-label": `The last ${days.length} days: ${told}` }, cells);
}

function drawAge(scope) {
  if (scope.age_seconds === null) return [make("b", { class: "bad" }, "none known")];
  const allowed = scope.allowed_age_seconds;
  const isOver = allowed !== null && scope.age_seconds > allowed;
  return [
    make("span", { class: isOver ? "bad" : null, title: sayMoment(scope.newest_good_at) }, `${sayDuration(scope.age_seconds)} old`),
    allowed === null ? null : make("small", {}, `gate allows ${sayDuration(allowed)}`),
  ];
}

const secondsUntil = (moment) => (Date.parse(moment) - Date.parse(posture.read_at)) / 1000;

function sayFromNow(moment) {
  const left = secondsUntil(moment);
  return left < 0 ? `${sayDuration(-left)} ago` : `in ${sayDuration(left)}`;
}

function drawDue(scope) {
  if (!scope.due_at) return [make("span", { class: "soft" }, "–")];
  const isLate = secondsUntil(scope.due_at) < 0 && scope.state === "missed";
  return [
    make("span", { class: isLate ? "bad" : null, title: sayMoment(scope.due_at) }, sayFromNow(scope.due_at)),
    scope.expected ? make("small", {}, scope.expected) : null,
  ];
}

function drawRow(scope) {
  const { failure } = scope;
  return make("tr", {},
    make("td", {}, drawState(scope.state)),
    make("th", { scope: "row" },
      make("button", { type: "button", class: "open", onclick: () => openDrawer(scope.key, { isNewPage: true }) }, make("bdi", {}, breakable(scope.name))),
      make("small", {}, make("bdi", {}, scope.tenant), `, ${scope.product_label.replace("Cloud Backup for ", "")}`)),
    make("td", { "data-is": "Newest good" }, drawAge(scope)),
    make("td", { "data-is": "Next due" }, drawDue(scope)),
    make("td", { "data-is": `Last ${posture.days.length} days` }, drawStrip(scope)),
    make("td", { "data-is": "Newest failure", class: "failure" }, failure
      ? [make("bdi", { class: "clamp", title: sayFailure(failure) }, sayFailure(failure)), make("small", { title: sayMoment(failure.last_at) }, sayFromNow(failure.last_at))]
      : make("span", { class: "soft" }, "none")),
    make("td", { "data-is": "Gates", class: "guards" }, scope.gates.length ? drawGates(scope.gates) : make("span", { class: "soft" }, "no gate")));
}

// A mapped gate has many instances: the ones that are shut come first, and the drawer has all.
function drawGates(gates) {
  const sorted = [...gates].sort((a, b) => a.passed - b.passed);
  const rest = sorted.length - MOST_GATES;
  return [...sorted.slice(0, MOST_GATES).map(drawGate), rest > 0 ? make("small", { class: "soft" }, `and ${rest} more`) : null];
}

function drawGate(gate) {
  return make("span", { class: "gate" }, linkToRun(gate, breakable(gate.name)), " ",
    make("small", { class: gate.passed ? null : "bad", title: sayMoment(gate.judged_at) },
      `${!gate.has_judged_scope ? "has not judged this scope" : gate.passed ? "passed" : `shut: ${sayState(gate.reason)}`}, ${sayFromNow(gate.judged_at)}`));
}

function fillSelect(id, all, options) {
  $(id).replaceChildren(make("option", { value: "" }, all), ...options.map(([value, text]) => make("option", { value }, text)));
  if (view[id] && !options.some(([value]) => value === view[id])) $(id).append(make("option", { value: view[id] }, view[id]));
  $(id).value = view[id];
}

function fillFilters() {
  const products = new Map(posture.scopes.map((scope) => [scope.product, scope.product_label]));
  fillSelect("tenant", "all", [...new Set(posture.scopes.map((scope) => scope.tenant))].sort().map((each) => [each, each]));
  fillSelect("product", "all", [...products].sort((a, b) => (a[1] < b[1] ? -1 : 1)));
  fillSelect("state", "all", [...GROUPS.map(([name, label]) => [name, label]),
    ...STATES.filter((state) => !GROUPS.some(([name]) => name === state)).map((state) => [state, `only ${state}`])]);
  $("q").value = view.q;
}

function drawFindings() {
  const all = posture.attention;
  const of = view.tenant || view.product ? ", of all tenants and products" : "";
  $("attention-title").textContent = all.length ? `Needs attention (${all.length}${of})` : "Nothing needs attention";
  const most = isOpen.findings ? all.length : FINDINGS;
  $("findings").replaceChildren(...all.slice(0, most).map((text) => make("li", {}, make("bdi", {}, sayFinding(text)))));
  if (!all.length) $("findings").append(make("li", { class: "fine-note" }, posture.summary));
  $("more-findings").hidden = all.length <= FINDINGS;
  $("more-findings").textContent = isOpen.findings ? "Show fewer" : `Show ${all.length - most} more`;
}

function splitLicenses() {
  const isBad = (each) => each.needs_attention || each.doubts.length;
  const known = licenses.licenses.filter(isOf);
  return { bad: [...licenses.unread.filter(isOf), ...known.filter(isBad)], rest: known.filter((each) => !isBad(each)) };
}

function drawLicenses() {
  if (!licenses) return;
  const { bad, rest } = splitLicenses();
  const all = [...bad, ...rest];
  const most = isOpen.licenses ? all.length : 1;
  $("licenses").hidden = all.length === 0;
  $("licenses-title").textContent = bad.length ? `Licences that need attention (${bad.length} of ${all.length})` : `Licences (${all.length}, none near a limit)`;
  $("license-cards").replaceChildren(...all.slice(0, most).map(drawLicense));
  drawCharts($("license-cards"));
  $("more-licenses").hidden = all.length <= 1;
  $("more-licenses").textContent = isOpen.licenses ? "Show fewer" : `Show ${all.length - most} more`;
}

function drawLegend() {
  const cells = [...Object.entries(posture.letters), ["none due", "none"]];
  $("legend").replaceChildren(...cells.map(([word, letter]) => make("li", { title: posture.meanings[word] },
    make("span", { class: "strip" }, make("i", { class: `d-${letter.toLowerCase()}` })), ` ${word}`)));
}

async function openDrawer(key, { isNewPage = false } = {}) {
  view.scope = key;
  keepView({ isNewPage });
  $("drawer-title").textContent = posture.scopes.find((each) => each.key === key)?.name ?? "Scope";
  $("drawer-body").replaceChildren(make("p", { class: "soft" }, "Reading the ledger …"));
  if (!$("drawer").open) $("drawer").showModal();
  $("drawer-title").focus();
  try {
    const detail = await get(`api/v1/scopes/${encodeURIComponent(key)}`);
    if (view.scope !== key) return;
    $("drawer-title").textContent = detail.scope.name;
    $("drawer-body").replaceChildren(drawDetail(detail, posture, drawGate));
  } catch (error) {
    const place = make("div", { class: "problem" });
    showProblem(place, error);
    $("drawer-body").replaceChildren(place);
  }
}

// Back closes the drawer: opening it has made an entry in the history.
function leaveDrawer() {
  if (!view.scope) return;
  view.scope = "";
  if (history.state?.isDrawer) history.back();
  else keepView();
}

function followHistory() {
  if (!posture) return;
  const before = view;
  view = readView(location.search);
  // Where the drawer alone has changed, the rows stay, and with them the reader's place and the keyboard's.
  if (Object.keys(view).some((name) => name !== "scope" && view[name] !== before[name])) {
    fillFilters();
    update();
    drawLicenses();
  } else keepView();
  if (view.scope) openDrawer(view.scope);
  else if ($("drawer").open) $("drawer").close();
}

// Until when the ledger is loaded, by the scope with the oldest load; that is bad news where it is not of late.
function tellAsOf() {
  const { loaded_until: loaded, read_at: read } = posture;
  const left = loaded ? secondsUntil(loaded) : 0;
  const said = loaded ? `Ledger loaded until ${sayMoment(loaded)}${left > SOON ? ", ahead of this clock" : ""}, read` : "Ledger read";
  $("asof").textContent = `${said} ${sayMoment(read)}. Days and times are in UTC.`;
  $("asof").classList.toggle("bad", left < -OLD || left > SOON);
}

async function load() {
  clearTimeout(next);
  $("reload").disabled = true;
  $("problem").hidden = true;
  $("asof").textContent = "Reading the ledger …";
  try {
    posture = await get("api/v1/posture");
    posture.scopes.forEach((scope, place) => { scope.place = place; scope.text = textOf(scope); });
    $("content").hidden = false;
    tellAsOf();
    $("strip-head").textContent = `Last ${posture.days.length} days`;
    fillFilters();
    drawLegend();
    update();
    if (view.scope) openDrawer(view.scope);
    licenses = await get("api/v1/licenses");
    drawLicenses();
    drawTiles();
  } catch (error) {
    if (!posture) { $("content").hidden = true; $("asof").textContent = ""; }
    showProblem($("problem"), error);
    // An answer that comes too late for this reader is there for the next one.
    if (error.kind === "no_answer") {
      $("problem").append(make("p", { class: "soft" }, "The page asks again in ten seconds."));
      next = setTimeout(load, 10000);
    }
    if (posture) $("asof").textContent = `Still as of ${sayMoment(posture.read_at)}.`;
  } finally {
    $("reload").disabled = false;
  }
}

for (const name of FILTERS) {
  $(name).addEventListener("input", () => {
    view[name] = $(name).value;
    update();
    drawLicenses();
  });
}
for (const head of document.querySelectorAll("th[data-sort] button")) {
  head.addEventListener("click", () => {
    const { sort } = head.parentElement.dataset;
    view.isReversed = view.sort === sort && !view.isReversed;
    view.sort = sort;
    update();
  });
}
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("clear").addEventListener("click", () => {
  for (const name of FILTERS) { view[name] = ""; $(name).value = ""; }
  update();
  drawLicenses();
  $("q").focus();
});
$("worst").addEventListener("click", () => { view.sort = WORST; view.isReversed = false; update(); });
$("reload").addEventListener("click", load);
$("csv").addEventListener("click", () => exportScopes(shown, posture.read_at));
$("more-findings").addEventListener("click", () => { isOpen.findings = !isOpen.findings; drawFindings(); });
$("more-licenses").addEventListener("click", () => { isOpen.licenses = !isOpen.licenses; drawLicenses(); });
$("close").addEventListener("click", () => $("drawer").close());
$("drawer").addEventListener("close", leaveDrawer);
$("drawer").addEventListener("click", (event) => { if (event.target === $("drawer")) $("drawer").close(); });
window.addEventListener("popstate", followHistory);
// A chart has the colours of the theme in which it was drawn.
new MutationObserver(drawLicenses).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
load();
