// Airflow's own switch, not the system's, decides in the frame; the frame sees Airflow's class on <html>.
(() => {
  const own = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let host = null;
  try { host = window.parent === window ? null : window.parent.document.documentElement; } catch { host = null; }
  const apply = () => {
    const isDark = host ? host.classList.contains("dark") : system.matches;
    own.dataset.theme = isDark ? "dark" : "light";
  };
  apply();
  own.toggleAttribute("data-framed", Boolean(host));
  if (host) new MutationObserver(apply).observe(host, { attributes: true, attributeFilter: ["class"] });
  else system.addEventListener("change", apply);
})();
