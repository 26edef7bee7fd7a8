"use strict";
const source = document.getElementById("report");
async function savedReport() {
  if (source.type === "application/json") {
    return new Blob([source.textContent], { type: source.type });
  }
  const packed = Uint8Array.from(atob(source.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream, { headers: { "Content-Type": "application/json" } }).blob();
}
const button = document.getElementById("save");
button.hidden = false;
button.addEventListener("click", async () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await savedReport());
  link.download = "compaudit.json";
  link.click();
});
