// The drawer of a scope: its calendar, the gates that guard it, its verdicts and its backups.
import {
  drawState, drawVerdict, link, make, sayCount, sayDuration, sayFailed, sayMoment, singular, sayNumber,
} from "./common.js";

const WEEKDAYS = ["Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"];
const MOST_JOBS = 100;
const MOST_VERDICTS = 20;

export function sayFailure({ message, count, unit }) {
  if (message) return message;
  return count === null ? "failed, without a message" : `${sayNumber(count)} ${singular(unit, count)}, without a message`;
}

export function drawDetail({ scope, days, longest_gap_seconds: gap, jobs, verdicts }, { letters, meanings }, drawGate) {
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
  const meaning = meanings[scope.state];
  return make("div", {},
    make("p", {}, drawState(scope.state), " ",
      meaning === scope.state ? null : make("span", { class: "soft" }, meaning.replace(`${scope.state}: `, ""))),
    make("dl", {}, facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    scope.failure ? make("p", { class: "quote" }, make("bdi", {}, sayFailure(scope.failure)), " ",
      make("small", {}, `${sayMoment(scope.failure.last_at)}, in ${sayCount(scope.failure.backups, "backup")} `,
        scope.failure.url ? link(scope.failure.url, "The vendor's explanation") : null)) : null,
    make("h3", {}, `The last ${days.length} days`), drawCalendar(days, letters),
    make("h3", {}, `Gates (${scope.gates.length})`),
    scope.gates.length ? make("div", { class: "gates" }, scope.gates.map(drawGate)) : make("p", { class: "soft" }, "No gate guards this scope."),
    make("h3", {}, `Verdicts (${verdicts.length === MOST_VERDICTS ? `the newest ${MOST_VERDICTS}` : verdicts.length})`),
    verdicts.length ? verdicts.map((each) => drawVerdict(each)) : make("p", { class: "soft" }, "The ledger holds no verdict on this scope."),
    make("h3", {}, `Backups (${jobs.length === MOST_JOBS ? `the newest ${MOST_JOBS}` : jobs.length})`),
    jobs.length ? make("ul", { class: "evidence" }, jobs.map(drawJob)) : make("p", { class: "soft" }, "None ever started."));
}

function drawJob(job) {
  const took = job.started_at && job.finished_at ? `took ${sayDuration(Math.max(0, (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000))}` : null;
  return make("li", {}, drawState(job.state), " ",
    job.started_at ? sayMoment(job.started_at) : "no start known", " ",
    make("span", { class: "soft" }, [took, `job ${job.job_id}`, ...sayFailed(job.failed)].filter(Boolean).join(", ")),
    [...job.messages, ...job.problems.map((each) => `Not understood: ${each}`)].map((text) => make("small", {}, make("bdi", {}, text))));
}

function drawCalendar(days, letters) {
  const weeks = new Map();
  for (const day of days) {
    const moment = new Date(`${day.date}T00:00:00Z`);
    const weekday = (moment.getUTCDay() + 6) % 7;
    const monday = new Date(moment - weekday * 86400000).toISOString().slice(0, 10);
    if (!weeks.has(monday)) weeks.set(monday, Array(7).fill(null));
    weeks.get(monday)[weekday] = day;
  }
  return make("table", { class: "calendar" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Week of"), WEEKDAYS.map((each) => make("th", { scope: "col" }, each)))),
    make("tbody", {}, [...weeks].map(([monday, week]) => make("tr", {}, make("th", { scope: "row" }, monday),
      week.map((day) => {
        if (!day) return make("td", {});
        const letter = day.outcome ? letters[day.outcome] : null;
        const told = `${day.date}: ${day.outcome ?? "none due"}${day.backups ? `, ${sayCount(day.backups, "backup")}` : ""}`;
        return make("td", { class: letter ? `d-${letter.toLowerCase()}` : "d-none", title: told },
          make("span", { "aria-hidden": "true" }, letter ?? "·"), make("span", { class: "unseen" }, told));
      })))));
}
