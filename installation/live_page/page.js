// Asks the show once a second how it is; starts the picture again when the show comes back.
"use strict";
const at = (id) => document.getElementById(id);
const picture = at("picture");
const rate = (value) => (typeof value === "number" ? `${value.toFixed(1)} fps` : "–");

function state({ state, brightness, held }) {
  if (state) return state;
  if (brightness === undefined) return "starting";
  if (brightness < 0.005) return "dark";
  return held ? "holding a picture" : "playing";
}

function show(status) {
  at("title").textContent = status.title || "Wanderer";
  document.title = status.title || "Wanderer";
  at("scene").textContent = status.scene || "\u00a0";
  at("generated").textContent = rate(status.generated_hz);
  at("displayed").textContent = rate(status.displayed_hz);
  at("state").textContent = state(status);
  trouble(status.last_error ? `Last trouble: ${status.last_error}` : "");
}

function trouble(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

async function ask() {
  try {
    const answer = await fetch("/status", { cache: "no-store", signal: AbortSignal.timeout(4000) });
    show(await answer.json());
    if (document.body.classList.replace("lost", "found")) {
      picture.src = `/stream.mjpeg?${Date.now()}`;
    }
  } catch {
    document.body.classList.remove("found");
    document.body.classList.add("lost");
    at("state").textContent = "away";
    trouble("The show does not answer. This page will notice when it comes back.");
  }
  setTimeout(ask, 1000);
}

picture.addEventListener("click", () =>
  document.fullscreenElement ? document.exitFullscreen() : picture.requestFullscreen());
picture.addEventListener("error", () => document.body.classList.add("lost"));
ask();
