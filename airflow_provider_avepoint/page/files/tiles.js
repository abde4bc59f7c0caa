// The tiles: scopes by state, each a filter, and what is known of licences, restores and unusual activity.
import { make, sayCount, sayDuration, sayFinding, sayMoment, toneOf } from "./common.js";

export const GROUPS = [
  ["good", "Good", ["good"]],
  ["late", "Late", ["missed"]],
  ["failing", "Failing", ["failed", "partial"]],
  ["unclear", "Unclear", ["unknown", "skipped", "not loaded"]],
  ["running", "Running", ["running"]],
  ["excluded", "Excluded", ["excluded"]],
];
const ALWAYS = ["good", "late", "failing", "excluded"];

export function drawStateTiles(scopes, pressed, press) {
  const counts = {};
  for (const { state } of scopes) counts[state] = (counts[state] ?? 0) + 1;
  return GROUPS.map(([name, label, states]) => [name, label, states, states.reduce((sum, state) => sum + (counts[state] ?? 0), 0)])
    .filter(([name, , , count]) => count || ALWAYS.includes(name) || pressed === name)
    .map(([name, label, states, count]) => make("li", {},
      make("button", {
        type: "button", value: name, class: `tile ${count ? toneOf(states[0]) : "none"}`, "aria-pressed": String(pressed === name), onclick: () => press(name),
      }, make("b", {}, count.toLocaleString("en")), make("span", {}, label), drawNote(states.filter((state) => state !== name).join(", ")))));
}

const drawNote = (text) => (text ? make("small", {}, text) : null);

function drawTile({ tone, value, label, note, title }) {
  return make("li", {}, make("div", { class: `tile ${tone}`, title }, make("b", {}, value), make("span", {}, label), drawNote(note)));
}

export function drawOtherTiles({ licenses, restores, activity }) {
  return [licenses ? drawLicenseTile(licenses) : null, drawRestoreTile(restores), drawActivityTile(activity)].filter(Boolean);
}

function drawLicenseTile({ bad, total }) {
  if (!total) return drawTile({ tone: "none", value: "–", label: "Licences near a limit", note: "none read" });
  return drawTile({ tone: bad ? "bad" : "fine", value: bad.toLocaleString("en"), label: "Licences to look at", note: `of ${sayCount(total, "licence")}` });
}

function drawRestoreTile(restores) {
  const label = "Last proven restore";
  if (!restores.length) return drawTile({ tone: "none", value: "–", label, note: "no drill known" });
  const ages = restores.map((each) => each.age_seconds).filter((age) => age !== null);
  const bad = restores.filter((each) => each.needs_attention).length;
  const proven = restores.filter((each) => each.state === "proven").length;
  return drawTile({
    tone: bad ? "bad" : proven ? "fine" : "watch", value: ages.length ? sayDuration(Math.min(...ages)) : "never", label,
    note: `${ages.length ? "ago; " : ""}${proven.toLocaleString("en")} of ${sayCount(restores.length, "service")} proven`,
    title: restores.map((each) => `${each.tenant}, ${each.service}: ${each.state}${each.proven_at ? `, last on ${sayMoment(each.proven_at)}` : ""}`).join("\n"),
  });
}

// A check is a service of a protection audit, or a gate, that looks for unusual activity.
function drawActivityTile(activity) {
  const label = "Unusual activity";
  if (!activity.length) return drawTile({ tone: "none", value: "–", label, note: "no audit or gate looks" });
  const found = activity.filter((each) => each.state === "found");
  const open = activity.filter((each) => each.state === "not known");
  const nameOf = (each) => `${each.tenant}, ${each.name || each.product_label}`;
  const title = activity.map((each) => `${nameOf(each)}: ${each.findings.map(sayFinding).join("; ") || each.state} (${sayMoment(each.read_at)})`).join("\n");
  const of = `of ${sayCount(activity.length, "check")}`;
  if (found.length) return drawTile({ tone: "bad", value: found.length.toLocaleString("en"), label, note: found.length === 1 ? nameOf(found[0]) : of, title });
  if (open.length) return drawTile({ tone: "watch", value: "not known", label, note: `${open.length.toLocaleString("en")} ${of}`, title });
  return drawTile({ tone: "fine", value: "none", label, note: `found by ${sayCount(activity.length, "check")}`, title });
}
