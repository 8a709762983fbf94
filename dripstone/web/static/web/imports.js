// A file to import is sent in pieces, each again when the connection fails. Without this the form sends it in one go.

const PIECE = 1_000_000; // bytes
const WAITS = [1, 2, 4, 8, 16]; // seconds before another try
const upload = document.querySelector("form[data-upload]");

class Refused extends Error {}

upload?.addEventListener("submit", async (event) => {
  const file = upload.querySelector("input[type=file]").files[0];
  if (!file) return; // the form says so itself
  event.preventDefault();
  const { file: name, bytes } = upload.dataset;
  if (name && (file.name !== name || file.size < Number(bytes))) {
    return show(`This is another file. Choose “${name}” again, or begin a new import.`, true);
  }
  busy(true);
  try {
    location.assign(await send(file));
  } catch (error) {
    busy(false);
    const sentence = error instanceof Refused ? error.message : "The connection broke off. What has arrived is kept.";
    show(error instanceof Refused ? sentence : `${sentence} Press the button to go on.`, true);
  }
});

// Where the import is, and how far it has come; both stay with the form, so that another press goes on from there.
async function send(file) {
  const at = upload.dataset;
  if (!at.url) {
    const made = await post(at.begin, new URLSearchParams({ file_name: file.name, n_bytes: file.size }));
    Object.assign(at, { url: made.url, file: file.name, bytes: 0, pieces: 0 });
  }
  while (Number(at.bytes) < file.size) {
    const begin = Number(at.bytes);
    const piece = file.slice(begin, begin + PIECE);
    await post(`${at.url}/pieces/${at.pieces}`, piece);
    Object.assign(at, { bytes: begin + piece.size, pieces: Number(at.pieces) + 1 });
    progress(Number(at.bytes), file.size);
  }
  return (await post(`${at.url}/arrival`)).url;
}

async function post(url, body) {
  for (const wait of [...WAITS, null]) {
    const answer = await tried(url, body);
    if (answer?.ok) return answer.status === 204 ? {} : answer.json();
    if (answer && answer.status < 500 && answer.status !== 408) throw new Refused(await sentence(answer));
    if (wait === null) break;
    show("The server does not answer. Trying again…");
    await new Promise((resolve) => setTimeout(resolve, wait * 1_000));
  }
  throw new Error("nobody answers");
}

async function tried(url, body) {
  const headers = { ...JSON.parse(document.body.getAttribute("hx-headers")), Accept: "application/json" };
  if (body instanceof Blob) headers["Content-Type"] = "application/octet-stream";
  try {
    return await fetch(url, { method: "POST", body, headers, redirect: "error" });
  } catch {
    return null;
  }
}

async function sentence(answer) {
  try {
    return `${(await answer.json()).errors.join("; ")}.`;
  } catch {
    return "The server did not take the file. Reload the page and try again.";
  }
}

function progress(n, of) {
  const bar = upload.querySelector("progress");
  bar.max = of;
  bar.value = n;
  show(`${Math.floor((100 * n) / of)}% of ${(of / 1_000_000).toFixed(1)} MB`);
}

function busy(is) {
  for (const control of upload.querySelectorAll("input, button")) control.disabled = is;
  upload.querySelector("progress").hidden = !is;
  window.onbeforeunload = is ? (event) => event.preventDefault() : null;
  if (is) show("Sending…");
}

function show(text, isWrong = false) {
  const said = upload.querySelector("[data-said]");
  said.textContent = text;
  said.classList.toggle("wrong", isWrong);
}

// How the file is read: seen as soon as one chooses it. Without this a button does it.
document.querySelector("form[data-reading]")?.addEventListener("change", (event) => event.currentTarget.submit());
