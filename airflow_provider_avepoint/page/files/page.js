import {
  drawVerdict, get, link, linkToRun, make, sayCount, sayDuration, sayMoment, sayNumber, sayShare, sayState, showProblem, toneOf,
} from "./common.js";

const $ = (id) => document.getElementById(id);
const GROUPS = [
  ["good", "Good", ["good"]],
  ["late", "Late", ["missed"]],
  ["failing", "Failing", ["failed", "partial"]],
  ["unclear", "Unclear", ["unknown", "skipped", "not loaded"]],
  ["running", "Running", ["running"]],
  ["excluded", "Excluded", ["excluded"]],
];
const FILTERS = ["q", "tenant", "product", "state"];
const MOST_GATES = 3;
const SORTS = {
  state: (scope) => scope.place,
  name: (scope) => `${scope.name}\u0000${scope.tenant}\u0000${scope.product_label}`.toLowerCase(),
  age: (scope) => -(scope.age_seconds ?? Infinity),
  due: (scope) => scope.due_at ?? "9",
  failure: (scope) => -(scope.failure ? Date.parse(scope.failure.last_at) : 0),
};
const CHUNK = 40;
const FINDINGS = 5;
let licenses = null;
const CARDS = 2;
let posture = null;
let shown = [];
let drawn = 0;
let view = readView();

// The address of the page around the frame is the one that readers copy; its path stays Airflow's.
function findHost() {
  try { return window.parent.location.origin === location.origin ? window.parent : window; } catch { return window; }
}

function readView() {
  const asked = new URLSearchParams(location.search || findHost().location.search);
  const found = Object.fromEntries(FILTERS.map((name) => [name, asked.get(name) ?? ""]));
  const [sort, way] = (asked.get("sort") ?? "").split(".");
  return { ...found, sort: Object.hasOwn(SORTS, sort) ? sort : "state", isReversed: way === "desc", scope: asked.get("scope") ?? "" };
}

function keepView() {
  const asked = new URLSearchParams();
  for (const name of [...FILTERS, "scope"]) if (view[name]) asked.set(name, view[name]);
  if (view.sort !== "state" || view.isReversed) asked.set("sort", view.sort + (view.isReversed ? ".desc" : ""));
  for (const place of new Set([window, findHost()])) {
    place.history.replaceState(place.history.state, "", place.location.pathname + (asked.size ? `?${asked}` : ""));
  }
}

function matches(scope) {
  if (view.tenant && scope.tenant !== view.tenant) return false;
  if (view.product && scope.product !== view.product) return false;
  const group = GROUPS.find(([name]) => name === view.state);
  if (view.state && !(group ? group[2].includes(scope.state) : scope.state === view.state)) return false;
  return view.q.toLowerCase().split(/\s+/).every((word) => scope.text.includes(word));
}

function textOf(scope) {
  return [scope.name, scope.organization_id, scope.tenant, scope.product_label, scope.state, scope.failure?.message,
    ...scope.gates.map((gate) => gate.name)].filter(Boolean).join(" ").toLowerCase();
}

function update() {
  keepView();
  const key = SORTS[view.sort];
  shown = posture.scopes.filter(matches).map((scope) => [key(scope), scope]);
  shown.sort(([a, first], [b, second]) => (a < b ? -1 : a > b ? 1 : first.place - second.place));
  shown = shown.map(([, scope]) => scope);
  if (view.isReversed) shown.reverse();
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const isIt = head.dataset.sort === view.sort;
    head.setAttribute("aria-sort", isIt ? (view.isReversed ? "descending" : "ascending") : "none");
  }
  const isFiltered = FILTERS.some((name) => view[name]);
  $("clear").hidden = !isFiltered;
  $("shown").textContent = posture.scopes.length === 0 ? "The ledger holds no backup of these tenants."
    : shown.length === 0 ? `None of ${sayCount(posture.scopes.length, "scope")} is like this.`
      : isFiltered ? `${shown.length.toLocaleString("en")} of ${sayCount(posture.scopes.length, "scope")}`
        : `${sayCount(posture.scopes.length, "scope")}${view.sort === "state" && !view.isReversed ? ", worst first" : ""}`;
  $("csv").disabled = shown.length === 0;
  for (const tile of $("tiles").querySelectorAll("button")) tile.setAttribute("aria-pressed", String(tile.value === view.state));
  $("rows").replaceChildren();
  drawn = 0;
  drawMore();
}

// Rows come as they come into view.
function drawMore() {
  $("rows").append(...shown.slice(drawn, drawn + CHUNK).map(drawRow));
  drawn = Math.min(drawn + CHUNK, shown.length);
  $("end").hidden = drawn >= shown.length;
}

function drawStrip(scope) {
  const words = Object.fromEntries(Object.entries(posture.letters).map(([word, letter]) => [letter, word]));
  const counts = {};
  const cells = [...scope.strip].map((letter, index) => {
    const word = words[letter];
    if (word) counts[word] = (counts[word] ?? 0) + 1;
    return make("i", { class: word ? `d-${letter.toLowerCase()}` : "d-none", title: `${posture.days[index]}: ${word ?? "none due"}` });
  });
  const told = Object.entries(counts).map(([word, count]) => `${count} ${word}`).join(", ") || "no backup and none due";
  return make("span", { class: "strip", role: "img", "aria-label": `The last ${posture.days.length} days: ${told}` }, cells);
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

function drawDue(scope) {
  if (!scope.due_at) return [make("span", { class: "soft" }, "–")];
  const left = (Date.parse(scope.due_at) - Date.parse(posture.read_at)) / 1000;
  return [
    make("span", { class: left < 0 && scope.state === "missed" ? "bad" : null, title: sayMoment(scope.due_at) },
      left < 0 ? `${sayDuration(-left)} ago` : `in ${sayDuration(left)}`),
    scope.expected ? make("small", {}, scope.expected) : null,
  ];
}

function sayFailure(failure) {
  if (failure.message) return failure.message;
  return failure.count === null ? "failed, without a message" : `${sayNumber(failure.count)} ${failure.unit}, without a message`;
}

function drawRow(scope) {
  const { failure } = scope;
  return make("tr", {},
    make("td", { "data-is": "State now" }, make("span", { class: `state ${toneOf(scope.state)}` }, scope.state)),
    make("th", { scope: "row" },
      make("button", { type: "button", class: "open", onclick: () => openDrawer(scope.key) }, make("bdi", {}, scope.name)),
      make("small", {}, make("bdi", {}, scope.tenant), `, ${scope.product_label}`)),
    make("td", { "data-is": "Newest good" }, drawAge(scope)),
    make("td", { "data-is": "Next due" }, drawDue(scope)),
    make("td", { "data-is": `Last ${posture.days.length} days` }, drawStrip(scope)),
    make("td", { "data-is": "Newest failure", class: "failure" }, failure
      ? [make("bdi", { class: "clamp", title: sayFailure(failure) }, sayFailure(failure)), make("small", {}, sayMoment(failure.last_at))]
      : make("span", { class: "soft" }, "none")),
    make("td", { "data-is": "Gates" }, scope.gates.length ? drawGates(scope.gates)
      : make("span", { class: "soft" }, "no gate")));
}

// A mapped gate has many instances: the ones that are shut come first, and the drawer has all.
function drawGates(gates) {
  const sorted = [...gates].sort((a, b) => a.passed - b.passed);
  const rest = sorted.length - MOST_GATES;
  return [...sorted.slice(0, MOST_GATES).map(drawGate), rest > 0 ? make("small", { class: "soft" }, `and ${rest} more`) : null];
}

function drawGate(gate) {
  return make("span", { class: "gate" }, linkToRun(gate, gate.name),
    make("small", { class: gate.passed ? null : "bad" },
      `${gate.passed ? "passed" : `shut: ${sayState(gate.reason)}`}, ${sayMoment(gate.judged_at)}`));
}

function drawTiles() {
  const tiles = GROUPS.map(([name, label, states]) => [name, label, states, states.reduce((sum, state) => sum + (posture.counts[state] ?? 0), 0)]);
  $("tiles").replaceChildren(...tiles
    .filter(([name, , , count]) => count || ["good", "late", "failing"].includes(name))
    .map(([name, label, states, count]) => make("li", {},
      make("button", {
        type: "button", value: name, class: count ? `tile ${toneOf(states[0])}` : "tile none", "aria-pressed": "false",
        onclick: () => { view.state = view.state === name ? "" : name; $("state").value = view.state; update(); },
      }, make("b", {}, count.toLocaleString("en")), make("span", {}, label),
      make("small", {}, states.filter((state) => state !== name).join(", ") || "now")))));
}

function fillSelect(id, all, options) {
  $(id).replaceChildren(make("option", { value: "" }, all), ...options.map(([value, text]) => make("option", { value }, text)));
  if (view[id] && !options.some(([value]) => value === view[id])) $(id).append(make("option", { value: view[id] }, view[id]));
  $(id).value = view[id];
}

function drawFindings(most = FINDINGS) {
  const all = posture.attention;
  $("attention").hidden = false;
  $("attention-title").textContent = all.length ? `Needs attention (${all.length})` : "Nothing needs attention";
  $("findings").replaceChildren(...all.slice(0, most).map((text) => make("li", {}, make("bdi", {}, text))));
  if (!all.length) $("findings").append(make("li", { class: "fine-note" }, posture.summary));
  $("more-findings").hidden = all.length <= most;
  $("more-findings").textContent = `Show ${all.length - most} more`;
}

function drawLicenses(answer, most = CARDS) {
  licenses = answer;
  const wanted = answer.licenses.filter((each) => each.needs_attention || each.doubts.length);
  const rest = answer.licenses.filter((each) => !wanted.includes(each));
  const all = [...answer.unread, ...wanted, ...rest];
  $("licenses").hidden = all.length === 0;
  const bad = answer.unread.length + wanted.length;
  $("licenses-title").textContent = bad ? `Licences that need attention (${bad} of ${all.length})` : `Licences (${all.length}, none near a limit)`;
  $("license-cards").replaceChildren(...all.slice(0, most).map(drawLicense));
  for (const chart of $("license-cards").querySelectorAll(".chart")) drawChart(chart, chart.measure);
  $("more-licenses").hidden = all.length <= most;
  $("more-licenses").textContent = `Show ${all.length - most} more`;
  $("more-licenses").onclick = () => drawLicenses(answer, Infinity);
}

function drawLicense(each) {
  if (each.error !== undefined) {
    return make("article", { class: "card" }, make("h3", {}, each.product_label),
      make("p", { class: "soft" }, each.tenant), make("p", { class: "bad" }, `The licences could not be read on ${sayMoment(each.audited_at)}: ${each.error}`));
  }
  const measure = [...each.measures].sort((a, b) => (b.share ?? 0) - (a.share ?? 0))[0];
  const chart = measure && measure.readings.length > 1 ? make("div", {
    class: "chart", role: "img",
    "aria-label": `${measure.name}: ${sayNumber(measure.used)} used${measure.bought ? ` of ${sayNumber(measure.bought)}` : ""}, ${sayCount(measure.readings.length, "reading")}`,
  }) : null;
  if (chart) chart.measure = measure;
  const isSame = each.name === each.product_label;
  return make("article", { class: "card" },
    make("h3", {}, make("bdi", {}, each.name)),
    make("p", { class: "soft" }, make("bdi", {}, each.tenant), isSame ? "" : `, ${each.product_label}`),
    measure ? make("p", {}, make("b", {}, sayNumber(measure.used)),
      measure.bought ? ` of ${sayNumber(measure.bought)} ${measure.unit} (${sayShare(measure.share)})` : ` ${measure.unit} used, no limit`) : make("p", {}, "no figures"),
    chart,
    [...each.findings, ...each.doubts].map((text) => make("p", { class: each.findings.includes(text) ? "bad" : "watch" }, text)));
}

function drawChart(place, measure) {
  if (typeof uPlot === "undefined") return;
  const style = getComputedStyle(document.documentElement);
  const at = measure.readings.map(([when]) => Date.parse(when) / 1000);
  const used = measure.readings.map(([, value]) => value);
  const bought = measure.readings.map(([, , value]) => value || null);
  const ahead = used.map(() => null);
  if (measure.forecast) {
    ahead[ahead.length - 1] = used.at(-1);
    at.push(Date.parse(measure.forecast_at) / 1000);
    used.push(null);
    bought.push(bought.at(-1));
    ahead.push(measure.forecast[0]);
  }
  const ink = style.getPropertyValue("--soft");
  new uPlot({
    width: place.clientWidth || 260, height: 90, legend: { show: false }, cursor: { show: false },
    scales: { x: { time: true } }, tzDate: (ts) => uPlot.tzDate(new Date(ts * 1000), "UTC"),
    axes: [
      { stroke: ink, grid: { show: false }, ticks: { show: false }, size: 20, space: 80, font: "11px system-ui", values: "{YYYY}-{MM}-{DD}" },
      { stroke: ink, grid: { stroke: style.getPropertyValue("--line"), width: 1 }, ticks: { show: false }, size: 44, space: 22, font: "11px system-ui" },
    ],
    series: [{},
      { stroke: style.getPropertyValue("--accent"), width: 2, points: { show: false } },
      { stroke: style.getPropertyValue("--bad"), width: 1, points: { show: false } },
      { stroke: style.getPropertyValue("--accent"), width: 1.5, dash: [4, 4], points: { show: false } }],
  }, [at, used, bought, ahead], place);
}

function drawLegend() {
  $("legend").replaceChildren(...Object.entries(posture.letters).map(([word, letter]) => make("li", {},
    make("span", { class: "strip" }, make("i", { class: `d-${letter.toLowerCase()}` })), ` ${posture.meanings[word]}`)));
}

async function openDrawer(key) {
  view.scope = key;
  keepView();
  $("drawer-title").textContent = posture.scopes.find((each) => each.key === key)?.name ?? "Scope";
  $("drawer-body").replaceChildren(make("p", { class: "soft" }, "Reading the ledger …"));
  if (!$("drawer").open) $("drawer").showModal();
  $("drawer-title").focus();
  try {
    const detail = await get(`api/v1/scopes/${encodeURIComponent(key)}`);
    if (view.scope === key) drawDrawer(detail);
  } catch (error) {
    const place = make("div", { class: "problem" });
    showProblem(place, error);
    $("drawer-body").replaceChildren(place);
  }
}

function drawDrawer({ scope, days, longest_gap_seconds: gap, jobs, verdicts }) {
  $("drawer-title").textContent = scope.name;
  const facts = [
    ["Tenant", make("bdi", {}, scope.tenant)],
    ["Product", scope.product_label],
    ["Organisation id", scope.organization_id && make("bdi", {}, scope.organization_id)],
    ["Newest good backup", scope.newest_good_at ? `${sayMoment(scope.newest_good_at)}, ${sayDuration(scope.age_seconds)} old` : "none known"],
    ["Gates allow", !scope.gates.length ? "no gate" : scope.allowed_age_seconds === null ? "any age" : sayDuration(scope.allowed_age_seconds)],
    ["Expected", scope.expected || "–"],
    ["Next due", scope.due_at ? sayMoment(scope.due_at) : "–"],
    ["Longest gap", gap === null ? "–" : sayDuration(gap)],
    ["Ledger loaded until", sayMoment(scope.loaded_until)],
  ].filter(([, value]) => value);
  const meaning = posture.meanings[scope.state];
  $("drawer-body").replaceChildren(make("div", {},
    make("p", {}, make("span", { class: `state ${toneOf(scope.state)}` }, scope.state), " ",
      meaning === scope.state ? null : make("span", { class: "soft" }, meaning.replace(`${scope.state}: `, ""))),
    make("dl", {}, facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    scope.failure ? make("p", { class: "quote" }, make("bdi", {}, sayFailure(scope.failure)), " ",
      make("small", {}, `${sayMoment(scope.failure.last_at)}, in ${sayCount(scope.failure.backups, "backup")} `,
        scope.failure.url ? link(scope.failure.url, "The vendor's explanation") : null)) : null,
    make("h3", {}, `The last ${days.length} days`), drawCalendar(days),
    make("h3", {}, `Gates (${scope.gates.length})`),
    scope.gates.length ? make("div", { class: "gates" }, scope.gates.map(drawGate)) : make("p", { class: "soft" }, "No gate guards this scope."),
    make("h3", {}, `Verdicts (${verdicts.length})`),
    verdicts.length ? verdicts.map((each) => drawVerdict(each)) : make("p", { class: "soft" }, "The ledger holds no verdict on this scope."),
    make("h3", {}, `Backups (${jobs.length === 100 ? "the newest 100" : jobs.length})`),
    jobs.length ? make("ul", { class: "evidence" }, jobs.map(drawJob)) : make("p", { class: "soft" }, "None ever started.")));
}

function drawJob(job) {
  const failed = Object.entries(job.failed).map(([unit, count]) => `${sayNumber(count)} ${unit} failed`);
  const took = job.started_at && job.finished_at ? `took ${sayDuration(Math.max(0, (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000))}` : null;
  return make("li", {}, make("span", { class: `state ${job.state === "success" ? "fine" : toneOf(job.state)}` }, sayState(job.state)), " ",
    job.started_at ? sayMoment(job.started_at) : "no start known", " ",
    make("span", { class: "soft" }, [took, `job ${job.job_id}`, ...failed].filter(Boolean).join(", ")),
    [...job.messages, ...job.problems.map((each) => `Not understood: ${each}`)].map((text) => make("small", {}, make("bdi", {}, text))));
}

function drawCalendar(days) {
  const weekdays = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
  const weeks = new Map();
  for (const day of days) {
    const moment = new Date(`${day.date}T00:00:00Z`);
    const weekday = (moment.getUTCDay() + 6) % 7;
    const monday = new Date(moment - weekday * 86400000).toISOString().slice(0, 10);
    if (!weeks.has(monday)) weeks.set(monday, Array(7).fill(null));
    weeks.get(monday)[weekday] = day;
  }
  return make("table", { class: "calendar" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Week of"), weekdays.map((each) => make("th", { scope: "col" }, each)))),
    make("tbody", {}, [...weeks].map(([monday, week]) => make("tr", {}, make("th", { scope: "row" }, monday),
      week.map((day) => {
        if (!day) return make("td", {});
        const letter = day.outcome ? posture.letters[day.outcome] : null;
        const told = `${day.date}: ${day.outcome ?? "none due"}${day.backups ? `, ${sayCount(day.backups, "backup")}` : ""}`;
        return make("td", { class: letter ? `d-${letter.toLowerCase()}` : "d-none", title: told },
          make("span", { "aria-hidden": "true" }, letter ?? "·"), make("span", { class: "unseen" }, told));
      })))));
}

// A spreadsheet must run none of the texts: an apostrophe comes before what looks like a formula.
function writeCell(value) {
  const text = String(value ?? "").split(";").map((part) => {
    const first = [...part.normalize("NFKC")].find((char) => !/[\p{C}\p{M}\p{Z}"]/u.test(char));
    return first && /[=+\-@\u2212\p{Pd}]/u.test(first) && !/^\d+(\.\d+)?$/.test(part) ? `'${part}` : part;
  }).join(";");
  return `"${text.replaceAll('"', '""')}"`;
}

function exportShown() {
  const columns = {
    tenant: (each) => each.tenant, product: (each) => each.product, scope: (each) => each.name,
    organization_id: (each) => each.organization_id, workload: (each) => each.workload, location: (each) => each.location,
    state: (each) => each.state, newest_good_at: (each) => each.newest_good_at,
    age_seconds: (each) => (each.age_seconds === null ? "" : Math.round(each.age_seconds)),
    allowed_age_seconds: (each) => each.allowed_age_seconds, due_at: (each) => each.due_at, expected: (each) => each.expected,
    days: (each) => each.strip, newest_failure_at: (each) => each.failure?.last_at,
    newest_failure: (each) => each.failure && sayFailure(each.failure), gates: (each) => each.gates.map((gate) => gate.name).join("; "),
  };
  const lines = [Object.keys(columns).join(","), ...shown.map((each) => Object.values(columns).map((read) => writeCell(read(each))).join(","))];
  const address = URL.createObjectURL(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
  // Before Airflow 3.3 the frame may not download, but the page around it may.
  let owner = document;
  try { owner = window.parent.document ?? document; } catch { owner = document; }
  const anchor = owner.createElement("a");
  anchor.href = address;
  anchor.download = `backups-${posture.read_at.slice(0, 10)}.csv`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

async function load() {
  $("reload").disabled = true;
  $("problem").hidden = true;
  $("asof").textContent = "Reading the ledger …";
  try {
    posture = await get("api/v1/posture");
    posture.scopes.forEach((scope, place) => { scope.place = place; scope.text = textOf(scope); });
    $("content").hidden = false;
    $("asof").textContent = `As of ${sayMoment(posture.read_at)}. Days and times are in UTC.`;
    $("strip-head").textContent = `Last ${posture.days.length} days`;
    const products = new Map(posture.scopes.map((scope) => [scope.product, scope.product_label]));
    fillSelect("tenant", "all", [...new Set(posture.scopes.map((scope) => scope.tenant))].sort().map((each) => [each, each]));
    fillSelect("product", "all", [...products].sort((a, b) => (a[1] < b[1] ? -1 : 1)));
    fillSelect("state", "all", [...GROUPS.map(([name, label]) => [name, label]),
      ...Object.keys(posture.meanings).filter((state) => !GROUPS.some(([name]) => name === state)).map((state) => [state, `only ${state}`])]);
    $("q").value = view.q;
    drawFindings();
    drawTiles();
    drawLegend();
    update();
    if (view.scope) openDrawer(view.scope);
    drawLicenses(await get("api/v1/licenses"));
  } catch (error) {
    if (!posture) { $("content").hidden = true; $("asof").textContent = ""; }
    showProblem($("problem"), error);
    // An answer that comes too late for this reader is there for the next one.
    if (error.kind === "no_answer") {
      $("problem").append(make("p", { class: "soft" }, "The page asks again in ten seconds."));
      setTimeout(load, 10000);
    }
    if (posture) $("asof").textContent = `Still as of ${sayMoment(posture.read_at)}.`;
  } finally {
    $("reload").disabled = false;
  }
}

for (const name of FILTERS) {
  $(name).addEventListener("input", () => { view[name] = $(name).value; update(); });
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
  $("q").focus();
});
$("reload").addEventListener("click", load);
$("csv").addEventListener("click", exportShown);
$("more-findings").addEventListener("click", () => drawFindings(Infinity));
$("close").addEventListener("click", () => $("drawer").close());
$("drawer").addEventListener("close", () => { view.scope = ""; keepView(); });
$("drawer").addEventListener("click", (event) => { if (event.target === $("drawer")) $("drawer").close(); });
// A chart has the colours of the theme in which it was drawn.
new MutationObserver(() => { if (licenses) drawLicenses(licenses); }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
new IntersectionObserver((entries) => { if (posture && entries.some((each) => each.isIntersecting)) drawMore(); }, { rootMargin: "600px" })
  .observe($("end"));
load();
