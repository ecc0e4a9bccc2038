// Runs before the page is drawn, so that it is drawn once: the theme and the language that were chosen before.
{
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const chosen = localStorage.getItem("language");
  const wanted = chosen ? [chosen] : navigator.languages;
  const known = wanted.map((tag) => tag.slice(0, 2)).find((tag) => tag === "en" || tag === "id");
  document.documentElement.lang = known ?? "en";
}
