"use strict";
// The page of the server: sends photos, and shows its answers. What comes from outside (file names, the server's words)
// is only ever written as text.

const DRAWN_PX = 1280; // the longer side of what is drawn; what is sent are the photo's own bytes
const COLOURS = [[20, 11, 53], [133, 33, 107], [229, 92, 48], [252, 255, 164]]; // matplotlib's "inferno", coarsely
const PATIENCE_MS = 90_000;

const find = (selector, inside = document) => inside.querySelector(selector);
const make = (template) => find(`#${template}`).content.firstElementChild.cloneNode(true);
const say = (text) => { find("#status").textContent = text; };
const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

let token = ""; // in memory only: a reload forgets it
let tokenGiven = null; // what all requests wait for while a token is asked for
let framing = "square"; // or "whole": what the network sees of a photo as it is
let queue = Promise.resolve(); // photos are answered one after the other

/* ---------------------------------------------------------------- asking the server */

/** Ask the server; gives the parsed JSON, or throws an Error whose message can be shown. */
async function ask(path, body) {
  const headers = body ? { "Content-Type": "application/octet-stream" } : {};
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { method: body ? "POST" : "GET", body, headers, signal: AbortSignal.timeout(PATIENCE_MS) })
    .catch((error) => { throw new Error(unreachable(error)); });
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  if (answer.status !== 401) throw new Error(refusal(answer.status, content));
  await askForToken();
  return ask(path, body);
}

function unreachable(error) {
  if (error.name === "TimeoutError") return "The server took too long. Try again in a moment, or with a smaller photo.";
  return "There is no connection to the server. See that it is running and reachable, then try again.";
}

function refusal(status, { error, expected, received, remedy }) {
  if (status === 503) return `The server is busy: ${error || "it cannot answer now"}. Wait a moment, then try again.`;
  const parts = [error || `the server answered ${status}`, expected && `expected ${expected}`, received && `received ${received}`];
  return `${sentence(parts.filter(Boolean).join("; "))} ${sentence(remedy || "choose another photo")}`;
}

/** Show the field for the token, and wait until somebody fills it. */
function askForToken() {
  tokenGiven ??= new Promise((given) => {
    const form = find("#access");
    say(token ? "The server does not accept this token. Check it and enter it again." : "The server asks for a token.");
    form.hidden = false;
    find("#token").focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      token = find("#token").value.trim();
      find("#token").value = "";
      form.hidden = true;
      tokenGiven = null;
      say("");
      find("#choose").focus();
      given();
    };
  });
  return tokenGiven;
}

async function showModel() {
  try {
    const model = await ask("/model");
    name(model);
    find("#cropped").hidden = model.crop !== "face";
    framing = model.framing;
  } catch (error) {
    find("#model").textContent = error.message;
    setTimeout(showModel, 3000);
  }
}

function name(model) {
  find("#model").textContent = `Model ${model.name}` + (model.version ? `, version ${model.version}` : "");
}

/* ---------------------------------------------------------------- photos and their answers */

function take(files) {
  if (!files.length) return say("There was no file in that. Choose, drop or paste photos.");
  for (const file of files) {
    const article = make("photo");
    find("h2", article).textContent = file.name || "Photo";
    find(".again", article).onclick = () => enqueue(article, file);
    find("#answers").prepend(article);
    find("#clear").hidden = false;
    enqueue(article, file);
  }
}

function enqueue(article, file) {
  find(".again", article).hidden = find(".problem", article).hidden = true;
  queue = queue.then(() => answer(article, file));
}

/** Show a photo, ask the server, show what it says. */
async function answer(article, file) {
  if (!article.isConnected) return; // removed while it waited
  const photoName = find("h2", article).textContent;
  const canvas = find("canvas", article);
  const query = find("#cropped input").checked && !find("#cropped").hidden ? "?crop=none" : "";
  say(`Answering ${photoName} …`);
  const photo = await draw(file);
  show(canvas, photo, []);
  try {
    const { model, photos: [{ faces, problem }] } = await ask(`/predict${query}`, file);
    name(model);
    show(canvas, photo, faces);
    find("ol", article).replaceChildren(...faces.map((face, index) => card(face, { index, file, photo, query })));
    if (problem) throw new Error(wordsOf(problem));
    say(`${photoName}: ${summary(faces)}.`);
  } catch (error) {
    say("");
    complain(find(".problem", article), error.message);
    find(".again", article).hidden = false;
  }
}

function complain(place, message) {
  place.textContent = message;
  place.hidden = false;
}

function wordsOf(problem) {
  if (problem !== "no face") return `${sentence(problem)} Choose a whole JPEG, PNG, WebP or BMP photo.`;
  return "No face was found. Choose a photo in which a face is upright, larger and turned to the camera;"
    + " if it shows nothing but a face, tick “The photo is a face crop already” and try again.";
}

function summary(faces) {
  const words = faces.map((face, index) => `${title(face, index)}, ${percent(face.probability)}`);
  return faces.length > 1 ? `${faces.length} faces. ${words.join("; ")}` : words.join();
}

const title = (face, index) => (face.box ? `Face ${index + 1}: ${face.label}` : face.label);

function percent(probability) {
  if (probability > 0.999 && probability < 1) return "> 99.9 %";
  if (probability < 0.001 && probability > 0) return "< 0.1 %";
  return `${(100 * probability).toFixed(1)} %`;
}

/** Make the card of a face. */
function card(face, context) {
  const item = make("face");
  find("h3", item).textContent = title(face, context.index);
  find(".place", item).textContent = face.box
    ? `${face.box.width} × ${face.box.height} px, ${face.box.x} px from the left, ${face.box.y} px from the top`
    : "the photo as it is";
  find("ul", item).replaceChildren(...Object.entries(face.probabilities).map(row));
  const button = find(".look", item);
  if (context.index) button.setAttribute("aria-label", `${button.textContent} in face ${context.index + 1}`);
  button.onclick = () => look(item, context);
  return item;
}

function row([label, probability]) {
  const item = make("class");
  find("span", item).textContent = label;
  Object.assign(find("div", item), { ariaLabel: label, ariaValueNow: 100 * probability, ariaValueText: percent(probability) });
  find("i", item).style.width = `${100 * probability}%`;
  find("b", item).textContent = percent(probability);
  return item;
}

/* ---------------------------------------------------------------- drawing */

/** Decode a photo upright and as small as it is drawn; null where the browser cannot. */
async function draw(file) {
  try {
    const whole = await createImageBitmap(file, { imageOrientation: "from-image" });
    const scale = Math.min(1, DRAWN_PX / Math.max(whole.width, whole.height));
    const size = [whole.width, whole.height].map((side) => Math.max(1, Math.round(side * scale)));
    const bitmap = await createImageBitmap(whole, { resizeWidth: size[0], resizeHeight: size[1], resizeQuality: "high" });
    whole.close(); // four bytes a pixel
    return { bitmap, scale };
  } catch {
    return null;
  }
}

function show(canvas, photo, faces) {
  canvas.hidden = !photo;
  if (!photo) return;
  Object.assign(canvas, { width: photo.bitmap.width, height: photo.bitmap.height });
  canvas.setAttribute("aria-label", faces.length ? `The photo. ${summary(faces)}` : "The photo");
  const pen = canvas.getContext("2d");
  pen.drawImage(photo.bitmap, 0, 0);
  const unit = Math.max(canvas.width, canvas.height) / 300; // of lines and letters, whatever the photo's size
  faces.forEach(({ box }, index) => box && outline(pen, box, { number: index + 1, scale: photo.scale, unit }));
}

/** Draw a numbered box, white on dark: on any photo one of the two is seen. */
function outline(pen, box, { number, scale, unit }) {
  const [x, y, width, height] = [box.x, box.y, box.width, box.height].map((value) => value * scale);
  for (const [colour, thickness] of [["#101820", 3 * unit], ["#fff", 1.2 * unit]]) {
    Object.assign(pen, { strokeStyle: colour, lineWidth: thickness });
    pen.strokeRect(x, y, width, height);
  }
  const side = 15 * unit;
  const [left, top] = [Math.max(0, x), Math.max(0, y)]; // a box may reach over the photo's edge
  pen.fillStyle = "#101820";
  pen.fillRect(left, top, side, side);
  Object.assign(pen, { fillStyle: "#fff", font: `bold ${11 * unit}px sans-serif`, textAlign: "center", textBaseline: "middle" });
  pen.fillText(number, left + side / 2, top + side / 2);
}

/* ---------------------------------------------------------------- what the network looked at */

async function look(item, context) {
  const [button, figure, problem] = [find(".look", item), find("figure", item), find(".problem", item)];
  if (button.ariaBusy === "true") return; // not disabled: that would lose the focus
  const shown = button.ariaPressed === "true";
  problem.hidden = true;
  try {
    if (!figure.dataset.ready) {
      button.ariaBusy = "true";
      say("Covering one part of the photo after another …");
      const map = await ask(`/heat-map?face=${context.index}${context.query.replace("?", "&")}`, context.file);
      lay(figure, map, context.photo);
      figure.dataset.ready = "yes";
    }
    button.ariaPressed = String(!shown);
    figure.hidden = shown;
    say(shown ? "" : find(".words", figure).textContent);
  } catch (error) {
    say("");
    complain(problem, error.message);
  } finally {
    button.ariaBusy = "false";
  }
}

/** Lay a map over what the network saw of the photo. */
function lay(figure, { grid, box, label }, photo) {
  const canvas = find("canvas", figure);
  const pen = canvas.getContext("2d");
  const side = canvas.width;
  pen.fillStyle = "#808080";
  pen.fillRect(0, 0, side, side);
  if (photo) {
    const [x, y, width, height] = seen(box, photo);
    pen.drawImage(photo.bitmap, x, y, width, height, 0, 0, side, side);
  }
  const [width, height] = [grid[0].length, grid.length];
  const small = Object.assign(document.createElement("canvas"), { width, height });
  small.getContext("2d").putImageData(new ImageData(coloured(grid), width, height), 0, 0);
  Object.assign(pen, { globalAlpha: 0.55, imageSmoothingQuality: "high" });
  pen.drawImage(small, 0, 0, side, side);
  find(".words", figure).textContent = inWords(grid, label);
  canvas.setAttribute("aria-label", `Heat map over the photo. ${inWords(grid, label)}`);
}

/** Return (x, y, width, height) of what the network saw, in pixels of the bitmap. */
function seen(box, { bitmap, scale }) {
  if (box) return [box.x, box.y, box.width, box.height].map((value) => value * scale);
  if (framing === "whole") return [0, 0, bitmap.width, bitmap.height];
  const side = Math.min(bitmap.width, bitmap.height);
  return [(bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side];
}

/** Turn values in [0, 1] into RGBA. */
function coloured(grid) {
  const last = COLOURS.length - 1;
  return new Uint8ClampedArray(grid.flat().flatMap((value) => {
    const place = Math.min(Math.floor(value * last), last - 1);
    const part = value * last - place;
    return [...COLOURS[place].map((from, channel) => from + part * (COLOURS[place + 1][channel] - from)), 255];
  }));
}

/** Say where a map is brightest. */
function inWords(grid, label) {
  const values = grid.flat();
  const most = Math.max(...values);
  if (!most) return `No single part matters: “${label}” stays as probable whichever is covered.`;
  const at = values.indexOf(most);
  const third = (index, count, names) => names[Math.floor((3 * index) / count)];
  const down = third(Math.floor(at / grid[0].length), grid.length, ["top", "middle", "bottom"]);
  const across = third(at % grid[0].length, grid[0].length, ["left", "centre", "right"]);
  return `Covering the bright parts makes “${label}” less probable; most of all at the ${`${down} ${across}`.replace("middle centre", "centre")}.`;
}

/* ---------------------------------------------------------------- the camera */

const REFUSED = {
  NotAllowedError: "The camera was not allowed. Allow it for this page beside the browser’s address bar, or choose a file.",
  NotFoundError: "There is no camera. Choose a file.",
  NotReadableError: "Another program is using the camera. Close that, or choose a file.",
};

async function offerCamera() {
  const devices = await navigator.mediaDevices?.enumerateDevices(); // undefined unless https or this very machine
  find("#camera").hidden = !devices?.some((device) => device.kind === "videoinput");
}

async function startCamera() {
  try {
    find("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    await find("video").play();
    find("#live").hidden = false;
    find("#camera").hidden = true;
    find("#take").focus();
    say("The camera is on. Nothing is sent before you take the photo.");
  } catch (error) {
    say(REFUSED[error.name] ?? `The camera cannot be used (${error.name}). Choose a file.`);
  }
}

function stopCamera() {
  for (const track of find("video").srcObject?.getTracks() ?? []) track.stop();
  find("video").srcObject = null;
  find("#live").hidden = true;
  find("#camera").hidden = false;
  find("#camera").focus();
  say("The camera is off.");
}

function takePhoto() {
  const video = find("video");
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  stopCamera();
  canvas.toBlob((blob) => take([new File([blob], "Photo of the camera")]), "image/jpeg", 0.95);
}

/* ---------------------------------------------------------------- who calls what */

find("#choose").onclick = () => find("#files").click();
find("#files").onchange = ({ target }) => {
  take([...target.files]);
  target.value = ""; // the same file may be chosen again
};
find("#camera").onclick = startCamera;
find("#take").onclick = takePhoto;
find("#stop").onclick = stopCamera;
find("#clear").onclick = () => {
  find("#answers").replaceChildren();
  find("#clear").hidden = true;
  find("#choose").focus();
  say("All answers are removed.");
};
// Anywhere: a photo dropped beside the field would otherwise replace the page.
document.ondragover = (event) => {
  event.preventDefault();
  find("#choose").classList.add("over");
};
document.ondragleave = (event) => event.relatedTarget || find("#choose").classList.remove("over");
document.ondrop = (event) => {
  event.preventDefault();
  find("#choose").classList.remove("over");
  take([...event.dataTransfer.files]);
};
document.onpaste = (event) => {
  if (event.clipboardData.files.length) take([...event.clipboardData.files]);
};

showModel();
offerCamera();
