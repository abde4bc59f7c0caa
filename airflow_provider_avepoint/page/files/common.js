// What all parts of the page share. Texts become text nodes only, so a vendor's text is never markup.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(2).filter((each) => each !== null && each !== undefined && each !== false));
  return element;
}

export class Problem extends Error {
  constructor(sentence, steps = [], kind = "") { super(sentence); this.steps = steps; this.kind = kind; }
}

export async function get(path) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", headers: { accept: "application/json" } });
  } catch {
    throw new Problem("Airflow does not answer. Check the connection and reload.");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401 || answer.status === 403) {
    throw new Problem("Your session has ended. Log in to Airflow again, then reload.");
  }
  const body = await answer.json().catch(() => ({}));
  throw new Problem(typeof body.sentence === "string" ? body.sentence
    : `Airflow answered with the status ${answer.status}. Whoever runs Airflow finds the reason in its log.`, body.steps ?? [], body.problem);
}

export function showProblem(place, error) {
  const steps = error.steps ?? [];
  place.replaceChildren(
    make("p", {}, make("strong", {}, error instanceof Problem ? error.message : `The page failed: ${error.message}`)),
    ...(steps.length ? [make("ol", {}, steps.map((each) => make("li", {}, each)))] : []),
  );
  place.hidden = false;
}

// The report's own forms of durations, times and numbers.
export function sayDuration(seconds) {
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86400) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} days`;
}

export const sayMoment = (text) => `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`;
export const sayCount = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
export const sayNumber = (number) => number.toLocaleString("en", { maximumFractionDigits: Math.abs(number) < 1000 ? 1 : 0 });
// Close to 1, but not 1, a share gets two decimals and is never 100 %; close to 0, but not 0, never 0 %.
export function sayShare(share) {
  const percent = share * 100;
  if (percent > 0 && percent < 1) return percent >= 0.1 ? `${percent.toFixed(1)} %` : "less than 0.1 %";
  if (share === 1 || Math.abs(percent - 100) > 1) return `${percent.toFixed(0)} %`;
  return `${(share < 1 ? Math.min(percent, 99.99) : Math.max(percent, 100.01)).toFixed(2)} %`;
}
export const sayState = (state) => state.replaceAll("_", " ");
// A finding begins with the reason that programs read, such as near_limit.
export const sayFinding = (text) => text.replace(/(?<=^|: )[a-z]+(?:_[a-z]+)+(?=: | since )/g, sayState);
export const sayFailed = (failed) => Object.entries(failed).filter(([, count]) => count)
  .map(([unit, count]) => `${sayNumber(count)} ${singular(unit, count)} failed`);
export const singular = (unit, count) => (count === 1 ? unit.replace(/s$/, "") : unit);

// The tone of a state or of a verdict's reason.
export function toneOf(state) {
  if (state === "good" || state === "passed" || state === "success") return "fine";
  if (["failed", "partial", "missed", "stale", "unusual_activity"].includes(state)) return "bad";
  if (["running", "waiting", "excluded", "forgotten"].includes(state)) return "calm";
  return "watch";
}

export const drawState = (state) => make("span", { class: `state ${toneOf(state)}` }, sayState(state));

// Names of tasks are long words: they may break after a dot or an underscore.
export const breakable = (name) => name.split(/(?<=[._/])/).flatMap((part, index) => (index ? [make("wbr"), part] : [part]));

// Airflow's frame opens no windows and cannot leave itself, but the page around it can open one.
export function link(address, text, title) {
  return make("a", {
    href: address, target: "_blank", rel: "noopener noreferrer", title,
    onclick: (event) => {
      if (window.parent === window) return;
      event.preventDefault();
      window.parent.open(address, "_blank", "noopener");
    },
  }, text);
}

export function linkToRun(run, text) {
  if (!run.dag_id || !run.run_id) return text;
  const root = location.pathname.replace(/avepoint-page\/[^/]*$/, "");
  const parts = ["dags", run.dag_id, "runs", run.run_id, "tasks", run.task_id];
  if (run.map_index !== null && run.map_index >= 0) parts.push("mapped", String(run.map_index));
  return link(new URL(root + parts.map(encodeURIComponent).join("/"), location.href).href, text, "Open the run in Airflow");
}

function sayScopes(verdict) {
  const counted = `${verdict.good.toLocaleString("en")} of ${sayCount(verdict.judged, "scope")} good`;
  const isOther = !verdict.passed && verdict.scopes.length && verdict.scopes.every((scope) => scope.passed);
  return isOther ? `${counted}; shut because of other scopes` : counted;
}

export function drawVerdict(verdict, { isOpen = false } = {}) {
  const title = verdict.gate ? breakable(verdict.gate) : "Verdict from outside of a task";
  const policy = Object.entries(verdict.policy).map(([name, value]) => make("li", {}, make("code", {}, name), ` ${value}`));
  return make("details", { class: "verdict", open: isOpen },
    make("summary", {},
      drawState(verdict.reason), " ", make("b", {}, title), " ",
      make("span", { class: "soft" }, `${sayMoment(verdict.judged_at)} · ${sayScopes(verdict)}`)),
    make("div", {},
      make("p", { class: "soft" }, make("bdi", {}, verdict.tenant), `, ${verdict.product_label}`,
        verdict.run_id ? [", ", linkToRun(verdict, `${verdict.run_id}, try ${verdict.try_number}`)] : null),
      make("ul", { class: "evidence" }, verdict.scopes.map((scope) => make("li", {},
        drawState(scope.reason), " ", make("bdi", {}, scope.name), " ",
        make("span", { class: "soft" }, [
          scope.job_id ? `job ${scope.job_id}` : "no job",
          scope.state, scope.started_at ? `started ${sayMoment(scope.started_at)}` : null,
          ...sayFailed(scope.failed),
          scope.open_jobs ? sayCount(scope.open_jobs, "open job") : null,
        ].filter(Boolean).join(", ")),
        scope.notes.map((note) => make("small", {}, make("bdi", {}, note)))))),
      verdict.scopes_left_out ? make("p", { class: "soft" }, `${sayCount(verdict.scopes_left_out, "more scope")} in the ledger.`) : null,
      make("div", { class: "policy" }, "The gate's arguments", make("ul", {}, policy.length ? policy : make("li", {}, "none")))));
}
