// Comforts only: every page does its work without this file.
(() => {
  "use strict";

  const dark = matchMedia("(prefers-color-scheme: dark)");

  function copy(button) {
    const source = document.querySelector(button.dataset.copy);
    if (!source) return;
    const text = source.value ?? source.textContent;
    navigator.clipboard.writeText(text.trim()).then(() => confirmCopy(button), () => select(source));
  }

  function confirmCopy(button) {
    const label = button.querySelector("[data-copy-label]") ?? button;
    button.dataset.before ??= label.textContent;
    label.textContent = "Copied";
    button.classList.add("copied");
    clearTimeout(button.copyTimer);
    button.copyTimer = setTimeout(() => {
      label.textContent = button.dataset.before;
      button.classList.remove("copied");
    }, 2000);
  }

  function select(element) {
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }

  function toggleTheme() {
    const root = document.documentElement;
    const now = root.dataset.theme ?? (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax${secure}`;
  }

  // A form with data-suggest-zone gets the browser's zone unless the reader has chosen one.
  function suggestZone(root) {
    for (const field of root.querySelectorAll("[data-suggest-zone]")) {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const known = [...field.options].some((option) => option.value === zone);
      if (known && field.value === field.dataset.suggestZone) field.value = zone;
      field.removeAttribute("data-suggest-zone");
    }
  }

  function reveal(root) {
    // Buttons that only scripts can serve are hidden until there are scripts.
    for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
    suggestZone(root);
  }

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-copy], [data-dialog], [data-close]");
    if (target?.dataset.copy) copy(target);
    if (target?.dataset.dialog) {
      const dialog = document.getElementById(target.dataset.dialog);
      if (dialog) {
        event.preventDefault();
        dialog.showModal();
      }
    }
    if (target && "close" in target.dataset) {
      event.preventDefault();
      target.closest("dialog")?.close();
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-theme-form]")) {
      event.preventDefault();
      toggleTheme();
    }
  });

  // Days of one's own and a preset range exclude each other; without scripts the server says so.
  document.addEventListener("change", (event) => {
    const fields = event.target.closest(".filters form")?.elements;
    if (!fields) return;
    const days = [fields.since, fields.until];
    if (days.includes(event.target) && event.target.value) fields.range.value = "custom";
    if (event.target === fields.range && fields.range.value !== "custom") for (const day of days) day.value = "";
  });

  document.addEventListener("DOMContentLoaded", () => {
    reveal(document);
    document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  });
  document.addEventListener("htmx:after:swap", () => reveal(document));
})();
