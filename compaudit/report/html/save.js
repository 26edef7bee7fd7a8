"use strict";
const button = document.getElementById("save");
button.hidden = false;
button.addEventListener("click", () => {
  const text = document.getElementById("report").textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "compaudit.json";
  link.click();
});
