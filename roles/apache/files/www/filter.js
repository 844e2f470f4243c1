// The filter box of the landing page. Without JavaScript it stays hidden.
"use strict";
const box = document.getElementById("filter");
const items = Array.from(document.querySelectorAll("#projects > li"));
box.parentElement.hidden = false;
box.addEventListener("input", () => {
  // Normalize as PEP 503 does: lowercase, and one hyphen for any run of -, _ and .
  const wanted = box.value.trim().toLowerCase().replace(/[-_.]+/g, "-");
  for (const item of items) {
    item.hidden = !item.firstElementChild.textContent.includes(wanted);
  }
});
