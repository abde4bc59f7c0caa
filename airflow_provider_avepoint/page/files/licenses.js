// The cards of the licences, each with the trend of its tightest measure.
import { make, sayCount, sayFinding, sayMoment, sayNumber, sayShare } from "./common.js";

export function drawLicense(each) {
  if (each.error !== undefined) {
    return make("article", { class: "card" }, make("h3", {}, each.product_label),
      make("p", { class: "soft" }, make("bdi", {}, each.tenant)),
      make("p", { class: "bad" }, `The licences could not be read on ${sayMoment(each.audited_at)}: ${each.error}`));
  }
  const measure = [...each.measures].sort((a, b) => (b.share ?? 0) - (a.share ?? 0))[0];
  const isSame = each.name === each.product_label;
  return make("article", { class: "card" },
    make("h3", {}, make("bdi", {}, each.name)),
    make("p", { class: "soft" }, make("bdi", {}, each.tenant), isSame ? "" : `, ${each.product_label}`),
    measure ? make("p", {}, make("b", {}, sayNumber(measure.used)), sayLimit(measure)) : make("p", {}, "no figures"),
    measure && measure.readings.length > 1 ? drawTrend(measure) : null,
    each.findings.map((text) => make("p", { class: "bad" }, make("bdi", {}, sayFinding(text)))),
    each.doubts.map((text) => make("p", { class: "watch" }, make("bdi", {}, sayFinding(text)))));
}

// Where nothing is purchased, the vendor counts by another model.
function sayLimit({ unit, bought, share }) {
  return bought ? ` of ${sayNumber(bought)} ${unit} (${sayShare(share)})` : ` ${unit} used, none purchased`;
}

function drawTrend(measure) {
  const chart = make("div", {
    class: "chart", role: "img",
    "aria-label": `${measure.name}: ${sayNumber(measure.used)}${sayLimit(measure)}, ${sayCount(measure.readings.length, "reading")}`,
  });
  chart.measure = measure;
  return chart;
}

export function drawCharts(place) {
  if (typeof uPlot !== "undefined") for (const chart of place.querySelectorAll(".chart")) drawChart(chart, chart.measure);
}

function drawChart(place, measure) {
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
