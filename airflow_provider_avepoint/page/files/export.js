// The rows that are shown, as a CSV file.
import { sayFailure } from "./drawer.js";

const COLUMNS = {
  tenant: (each) => each.tenant, product: (each) => each.product, scope: (each) => each.name,
  organization_id: (each) => each.organization_id, workload: (each) => each.workload, location: (each) => each.location,
  state: (each) => each.state, newest_good_at: (each) => each.newest_good_at,
  age_seconds: (each) => (each.age_seconds === null ? "" : Math.round(each.age_seconds)),
  allowed_age_seconds: (each) => each.allowed_age_seconds, due_at: (each) => each.due_at, expected: (each) => each.expected,
  days: (each) => each.strip, newest_failure_at: (each) => each.failure?.last_at,
  newest_failure: (each) => each.failure && sayFailure(each.failure), gates: (each) => each.gates.map((gate) => gate.name).join("; "),
};

// A spreadsheet must run none of the texts: an apostrophe comes before what looks like a formula.
function writeCell(value) {
  const text = String(value ?? "").split(";").map((part) => {
    const first = [...part.normalize("NFKC")].find((char) => !/[\p{C}\p{M}\p{Z}"]/u.test(char));
    return first && /[=+\-@\u2212\p{Pd}]/u.test(first) && !/^\d+(\.\d+)?$/.test(part) ? `'${part}` : part;
  }).join(";");
  return `"${text.replaceAll('"', '""')}"`;
}

export function exportScopes(scopes, readAt) {
  const lines = [Object.keys(COLUMNS).join(","), ...scopes.map((each) => Object.values(COLUMNS).map((read) => writeCell(read(each))).join(","))];
  const address = URL.createObjectURL(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
  // Before Airflow 3.3 the frame may not download, but the page around it may.
  let owner = document;
  try { owner = window.parent.document ?? document; } catch { owner = document; }
  const anchor = owner.createElement("a");
  anchor.href = address;
  anchor.download = `backups-${readAt.slice(0, 10)}.csv`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
