// Airflow's own switch, not the system's, decides in the frame; the frame sees Airflow's class on <html>.
(() => {
  const own = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let host = null;
  try { host = window.parent === window ? null : window.parent.document; } catch { host = null; }
  const apply = () => {
    const isDark = host ? host.documentElement.classList.contains("dark") : system.matches;
    own.dataset.theme = isDark ? "dark" : "light";
    // The frame stands on Airflow's own ground, whatever colour a release gives it, unless our inks would not show.
    const ground = host ? host.defaultView.getComputedStyle(host.body).backgroundColor : "";
    const parts = /^rgb\(/.test(ground) ? ground.match(/\d+/g).map(Number) : [];
    const isFit = parts.length === 3 && (isDark ? Math.max(...parts) < 64 : Math.min(...parts) > 230);
    if (isFit) own.style.setProperty("--paper", ground);
    else own.style.removeProperty("--paper");
  };
  apply();
  // Airflow changes the class first, and fades the colour in.
  const follow = () => { apply(); setTimeout(apply, 500); };
  if (host) new MutationObserver(follow).observe(host.documentElement, { attributes: true, attributeFilter: ["class"] });
  else system.addEventListener("change", apply);
})();
