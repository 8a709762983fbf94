/* Writing: rich text or source, what can be inserted, and saving as one types. Without this file a page has a textarea and a Save button.

   A form with `data-autosave` saves itself; any form may hold an editor (templates/editor/_editor.html), whose textarea is always current. */

const token = () => document.querySelector("input[name=csrfmiddlewaretoken]")?.value ?? ""
const here = (selector, root = document) => root.querySelector(selector)
const all = (selector, root = document) => [...root.querySelectorAll(selector)]

/* ---- Dialogs ------------------------------------------------------------------------------------------------------------------ */

/** Opens one of _dialogs.html. `check(values)` may be slow, and says what is wrong; the dialog then stays, with what was typed. */
function ask(name, values = {}, { check = () => "", removable = false } = {}) {
  const dialog = here(`[data-dialog=${name}]`), form = here("form", dialog), wrong = here(".wrong", dialog)
  form.reset()
  if (wrong) wrong.hidden = true
  for (const [key, value] of Object.entries(values)) if (form.elements[key]) form.elements[key].value = value ?? ""
  for (const button of all("[data-remove]", dialog)) button.hidden = !removable
  dialog.returnValue = ""
  return new Promise((resolve) => {
    const read = () => {
      const read = Object.fromEntries(new FormData(form))
      return { ...read, file: form.elements.file?.files[0] ?? values.chosen ?? null }
    }
    const submit = async (event) => {
      if (event.submitter?.value !== "ok") return
      event.preventDefault()
      const given = read()
      form.setAttribute("aria-busy", "true")
      const problem = await check(given)
      form.removeAttribute("aria-busy")
      if (problem && wrong) {
        wrong.textContent = problem
        wrong.hidden = false
        return
      }
      done = given
      dialog.close("ok")
    }
    let done = null
    form.addEventListener("submit", submit)
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit)
      resolve(dialog.returnValue === "ok" ? done : dialog.returnValue === "remove" ? "remove" : null)
    }, { once: true })
    dialog.showModal()
    here("input:not([type=hidden]):not([type=file]), textarea", dialog)?.focus()
  })
}

for (const dialog of all("[data-dialog]")) dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close("") })

/* ---- Pictures ------------------------------------------------------------------------------------------------------------------ */

const MOST_BYTES = 10_000_000

async function upload(file, url) {
  if (file.size > MOST_BYTES) throw new Error("The picture is larger than 10 MB.")
  const body = new FormData()
  body.set("image", file)
  const answer = await fetch(url, { method: "POST", body, headers: { Accept: "application/json", "X-CSRFToken": token() } })
  if (answer.redirected) throw new Error("You are signed out. Sign in in another tab, then try again.")
  const told = await answer.json().catch(() => ({}))
  if (!answer.ok) throw new Error(told.errors?.join(" ") ?? `The server answered ${answer.status}.`)
  return told
}

/** Asks for a picture and its words; resolves to attributes of <img>, or null. `chosen`: a file that was pasted or dropped. */
async function picture(url, chosen = null) {
  let attributes = null
  const check = async ({ file, src, alt, decorative }) => {
    if (!file && !src.trim()) return "Choose a picture, or give its address."
    if (!alt.trim() && !decorative) return "Say in words what it shows, or that it is only decoration."
    try {
      const kept = file ? await upload(file, url) : { url: src.trim() }
      attributes = { src: kept.url, alt: decorative ? "" : alt.trim() }
      if (kept.width) Object.assign(attributes, { width: String(kept.width), height: String(kept.height) })
      return ""
    } catch (error) {
      return error instanceof TypeError ? "The server does not answer. Try again." : error.message
    }
  }
  const dialog = here("[data-dialog=image]")
  for (const part of all("#image-file, label[for=image-file]", dialog)) part.hidden = !url || chosen !== null
  for (const part of all("#image-src, label[for=image-src]", dialog)) part.hidden = chosen !== null
  return (await ask("image", { chosen }, { check })) ? attributes : null
}

const pictures = (list) => [...(list ?? [])].filter((file) => file.type.startsWith("image/"))

/* ---- One editor ------------------------------------------------------------------------------------------------------------------ */

async function enhance(root) {
  const source = here("textarea.source", root), paper = here("[data-paper]", root), why = here("[data-why]", root), bar = here(".toolbar", root)
  const isReadOnly = source.matches(":disabled"), beginsAsSource = root.classList.contains("is-source")
  let rich = null, editor = null
  let into = source // where Insert… puts something: the letter, or a line above it
  bar.hidden = isReadOnly

  const isRich = () => !paper.hidden
  const changed = () => source.dispatchEvent(new Event("input", { bubbles: true }))
  const explain = (text) => {
    why.textContent = text
  }

  function showSource(reason = "") {
    paper.hidden = true
    source.hidden = false
    root.classList.add("is-source")
    here("[data-do=source]", bar).setAttribute("aria-pressed", "true")
    explain(reason)
  }

  /** False, with the reason, when rich text would drop something. */
  function showRich() {
    const lost = rich.report(source.value)
    if (lost.length) {
      showSource(`This is HTML source, because rich text would drop ${listed(lost)}.`)
      return false
    }
    editor ??= rich.open(paper, source.value, {
      placeholder: "Write here…", onChange: (html) => { source.value = html; changed() }, onChip: changeChip, onFiles: (files) => insertPicture(files[0]),
      attributes: { role: "textbox", "aria-multiline": "true", "aria-label": source.getAttribute("aria-label"), id: `${source.id}-rich` },
    })
    rich.set(editor, source.value)
    editor.setEditable(!isReadOnly, false)
    paper.hidden = false
    source.hidden = true
    root.classList.remove("is-source")
    here("[data-do=source]", bar).setAttribute("aria-pressed", "false")
    explain("")
    editor.on("transaction", pressed)
    pressed()
    return true
  }

  const marks = { bold: ["bold"], italic: ["italic"], link: ["link"], heading: ["heading"], list: ["bulletList"], numbers: ["orderedList"], quote: ["blockquote"] }
  function pressed() {
    // A mark of ProseMirror's own behind a chip at the end of a line: an image without a size, to whoever looks for one.
    for (const mark of all("img.ProseMirror-separator:not([width])", paper)) mark.width = mark.height = 0
    for (const [name, [type]] of Object.entries(marks)) here(`[data-do=${name}]`, bar)?.setAttribute("aria-pressed", String(editor.isActive(type)))
  }

  async function changeLink() {
    const { href = "" } = editor.getAttributes("link")
    const check = ({ href }) => (href.trim() ? "" : "Give the address that the link leads to.")
    const given = await ask("link", { href }, { check, removable: editor.isActive("link") })
    const chain = editor.chain().focus().extendMarkRange("link")
    if (given === "remove") chain.unsetLink().run()
    else if (given) {
      const address = whole(given.href.trim())
      if (editor.state.selection.empty && !editor.isActive("link")) {
        editor.chain().focus().insertContent({ type: "text", text: address, marks: [{ type: "link", attrs: { href: address } }] }).run()
      } else chain.setLink({ href: address }).run()
    } else editor.commands.focus()
  }

  async function changeChip(at, liquid) {
    const check = ({ source }) => (/^(\{\{[^]*\}\}|\{%[^]*%\})$/.test(source.trim()) ? "" : "It must begin with {{ or {% and end as it began.")
    const given = await ask("liquid", { source: liquid }, { check, removable: true })
    const range = { from: at, to: at + 1 }
    if (given === "remove") editor.chain().focus().deleteRange(range).run()
    else if (given) editor.chain().focus().insertContentAt(range, { type: "liquid", attrs: { source: given.source.trim() } }).run()
    else editor.commands.focus()
  }

  async function insertPicture(file = null) {
    const attributes = await picture(root.dataset.images, file)
    if (attributes && isRich()) editor.chain().focus().insertContent({ type: "image", attrs: attributes }).run()
    else if (attributes) {
      const quoted = Object.entries(attributes).map(([name, value]) => `${name}="${value.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"`)
      typeInto(source, `<img ${quoted.join(" ")}>`)
    } else if (isRich()) editor.commands.focus()
  }

  function typeInto(field, text) {
    field.focus()
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end")
    field.dispatchEvent(new Event("input", { bubbles: true }))
  }

  async function insert({ liquid, fallback, block }) {
    let text = liquid
    if (fallback !== undefined) {
      const given = await ask("field", { fallback: liquid.includes("first_name") ? "there" : "" })
      if (given === null) return focus()
      if (given.fallback.trim()) text = liquid.replace(/\s*\}\}$/, ` | default: ${quoted(given.fallback.trim())} }}`)
    }
    if (into !== source || !isRich()) return typeInto(into, text)
    const chip = { type: "liquid", attrs: { source: text } }
    editor.chain().focus().insertContent(block === undefined ? chip : { type: "paragraph", attrs: { wrap: "bare" }, content: [chip] }).run()
  }

  function focus() {
    if (into === source && isRich()) editor.commands.focus()
    else into.focus()
  }

  /** To a place that a check is about. */
  function go(find) {
    if (!isRich()) {
      const at = Math.max(source.value.indexOf(find), 0)
      source.focus()
      source.setSelectionRange(at, at + (source.value.startsWith(find, at) ? find.length : 0))
      return
    }
    let place = null
    editor.state.doc.descendants((node, at) => {
      if (place !== null) return false
      const hrefs = node.marks.filter((mark) => mark.type.name === "link").map((mark) => mark.attrs.href)
      if (node.attrs.source === find || node.attrs.src === find || hrefs.includes(find) || hrefs.some((href) => href?.includes(find) && find)) place = [at, at + node.nodeSize, node.isText]
      return true
    })
    const chain = editor.chain().focus()
    if (place?.[2]) chain.setTextSelection({ from: place[0], to: place[1] })
    else if (place) chain.setNodeSelection(place[0])
    chain.scrollIntoView().run()
  }

  const does = {
    bold: () => editor.chain().focus().toggleBold().run(), italic: () => editor.chain().focus().toggleItalic().run(), link: changeLink,
    heading: () => editor.chain().focus().toggleHeading({ level: 2 }).run(), list: () => editor.chain().focus().toggleBulletList().run(),
    numbers: () => editor.chain().focus().toggleOrderedList().run(), quote: () => editor.chain().focus().toggleBlockquote().run(),
    image: () => insertPicture(),
    source: () => {
      if (isRich()) { showSource(); source.focus() }
      else if (rich && showRich()) editor.commands.focus()
    },
  }
  bar.addEventListener("click", (event) => does[event.target.closest("[data-do]")?.dataset.do]?.())
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!step || event.target.closest(".insert > div")) return
    const buttons = all("button, summary", bar).filter((one) => one.checkVisibility() && !one.closest(".insert > div"))
    buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length].focus()
    event.preventDefault()
  })
  root.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k" && isRich()) { event.preventDefault(); changeLink() }
  })
  source.addEventListener("paste", (event) => { if (pictures(event.clipboardData?.files).length) { event.preventDefault(); insertPicture(pictures(event.clipboardData.files)[0]) } })
  source.addEventListener("drop", (event) => { if (pictures(event.dataTransfer?.files).length) { event.preventDefault(); insertPicture(pictures(event.dataTransfer.files)[0]) } })
  for (const line of all("#f-subject, #f-preview_text")) line.addEventListener("focus", () => { into = line })
  for (const letter of [paper, source]) letter.addEventListener("focusin", () => { into = source })
  offer(here(".insert", bar), insert, focus)

  try {
    const [tiptap, module] = await Promise.all([import(root.dataset.tiptap), import(root.dataset.rich)])
    rich = module.make(tiptap)
    const hadFocus = document.activeElement === source
    if (beginsAsSource) showSource() // and stays it until somebody asks for rich text: nothing moves
    else if (showRich() && hadFocus) editor.commands.focus("end")
  } catch (error) {
    console.error(error)
    showSource("Rich text could not be loaded. The source can be edited all the same.")
  }
  root.dataset.ready = isRich() ? "rich" : "source"
  return { root, go, replace: (html) => { source.value = html; if (rich) showRich() } }
}

const listed = (items) => (items.length > 1 ? `${items.slice(0, -1).join(", ")} and ${items.at(-1)}` : items[0])
const quoted = (text) => (text.includes('"') ? `'${text.replaceAll("'", "’")}'` : `"${text}"`)
/** `example.com` is meant as https://example.com. */
const whole = (address) => (/^([a-z][a-z0-9+.-]*:|#|\/|\{)/i.test(address) || !/^[\w-]+(\.[\w-]+)+/.test(address) ? address : `https://${address}`)

/* ---- Insert…: one list with a search ---------------------------------------------------------------------------------------------- */

function offer(menu, insert, cancel) {
  const find = here("input", menu), list = here("[role=listbox]", menu), none = here(".none-found", menu)
  const options = all("[role=option]", list)
  let active = null

  const shown = () => options.filter((one) => !one.hidden)
  function activate(option) {
    active?.setAttribute("aria-selected", "false")
    active = option ?? null
    active?.setAttribute("aria-selected", "true")
    active?.scrollIntoView({ block: "nearest" })
    find.setAttribute("aria-activedescendant", active?.id ?? "")
  }
  function filter() {
    const words = find.value.toLowerCase().split(/\s+/)
    for (const option of options) option.hidden = !words.every((word) => `${option.textContent} ${option.dataset.liquid}`.toLowerCase().includes(word))
    for (const group of all("[role=group]", list)) group.hidden = !all("[role=option]", group).some((one) => !one.hidden)
    none.hidden = shown().length > 0
    activate(shown()[0])
  }
  function choose(option) {
    if (!option) return
    menu.open = false
    insert(option.dataset)
  }
  here("summary", menu).addEventListener("click", (event) => { // not on `toggle`, which comes after the next keys
    event.preventDefault()
    menu.open = !menu.open
    if (!menu.open) return
    find.value = ""
    filter()
    find.focus()
  })
  find.addEventListener("input", filter)
  find.addEventListener("keydown", (event) => {
    const at = shown().indexOf(active), n = shown().length
    if (event.key === "ArrowDown") activate(shown()[(at + 1) % n])
    else if (event.key === "ArrowUp") activate(shown()[(at - 1 + n) % n])
    else if (event.key === "Enter") choose(active)
    else if (event.key === "Escape") { menu.open = false; cancel(); event.stopPropagation() }
    else return
    event.preventDefault()
  })
  list.addEventListener("click", (event) => choose(event.target.closest("[role=option]")))
}

/* ---- Saving as one types -------------------------------------------------------------------------------------------------------- */

const MEMBERS = ["subject", "preview_text", "content", "email_template_id"]
const PAUSE = 900 // milliseconds without a key
const KEEPALIVE = 60_000 // bytes that a browser sends for a page that is gone

function autosave(form, editors) {
  const standing = here("#standing"), overtaken = here("#overtaken")
  const stashed = `dripstone unsaved ${form.getAttribute("action")}`
  form.elements.tab.value = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("")
  const values = () => Object.fromEntries(MEMBERS.map((name) => [name, form.elements[name]?.value ?? ""]))
  const snapshot = () => JSON.stringify(values())
  let saved = snapshot(), running = null, timer = 0, failures = 0, isBlocked = false

  const isDirty = () => snapshot() !== saved
  const schedule = (delay = PAUSE) => { clearTimeout(timer); timer = setTimeout(() => save(), delay) }
  const tell = (kind, word, sentence) => {
    const pill = document.createElement("span"), rest = document.createElement("span")
    pill.className = `pill ${kind}`
    pill.textContent = word
    rest.textContent = sentence
    standing.replaceChildren(pill, rest)
  }
  const revise = (revision) => { for (const field of all("input[name=revision]")) field.value = revision }

  /** True when all that is written is saved. */
  async function save() {
    clearTimeout(timer)
    while (running) await running
    if (isBlocked) return false
    if (!isDirty()) return true
    running = send().finally(() => { running = null })
    return running
  }

  async function send() {
    const sent = snapshot()
    const slow = setTimeout(() => tell("", "Saving…", ""), 300)
    try {
      const body = new URLSearchParams(new FormData(form))
      const keepalive = String(body).length < KEEPALIVE // it goes out even if the page goes
      const answer = await fetch(form.action, { method: "POST", body, keepalive, headers: { Accept: "application/json" } })
      clearTimeout(slow)
      if (answer.redirected) return failed("You are signed out. Sign in in another tab; your text stays here meanwhile.")
      if (answer.status === 403) return failed("You may not change this any more, or the page is too old. Copy your text, and reload.")
      if (answer.status === 404) return failed("This email is gone. Your text is still here: copy it.")
      if (answer.status === 409) return settle(await answer.json())
      if (!answer.ok) return failed(`The server answered ${answer.status}.`)
      const { revision, is_changed: isChanged, standing: line } = await answer.json()
      saved = sent
      failures = 0
      localStorage.removeItem(stashed)
      revise(revision)
      standing.innerHTML = line
      for (const [id, isHidden] of [["publish", !isChanged && !line.includes("Draft</span>")], ["discard", !isChanged]]) {
        const part = document.getElementById(id)
        if (part && !part.contains(document.activeElement)) part.hidden = isHidden
      }
      document.body.dispatchEvent(new Event("saved"))
      if (isDirty()) schedule()
      return !isDirty()
    } catch {
      clearTimeout(slow)
      return failed("The server does not answer.")
    }
  }

  function failed(sentence) {
    failures += 1
    const wait = Math.min(2 ** failures, 30)
    stash()
    tell("bad", "Not saved", `${sentence} Your text is kept in this browser; trying again.`)
    schedule(wait * 1000)
    return false
  }

  /** Somebody else saved meanwhile: both texts are shown, and nothing is sent until one is chosen. */
  function settle({ revision, theirs, html }) {
    isBlocked = true
    stash()
    tell("bad", "Two texts", "Choose one above; what you write here stays.")
    overtaken.innerHTML = html
    overtaken.scrollIntoView({ block: "nearest" })
    overtaken.querySelector("[data-take=mine]").addEventListener("click", () => {
      resume(revision)
      saved = ""
      save()
    })
    overtaken.querySelector("[data-take=theirs]").addEventListener("click", () => {
      put(theirs)
      resume(revision)
      saved = snapshot()
      localStorage.removeItem(stashed)
      tell("", "Theirs", "This is what the other one wrote.")
      document.body.dispatchEvent(new Event("saved"))
    })
    return false
  }

  function resume(revision) {
    revise(revision)
    isBlocked = false
    overtaken.replaceChildren()
    here("#f-content-rich, textarea.source", form)?.focus()
  }

  function put(given) {
    for (const name of MEMBERS) if (name !== "content" && form.elements[name]) form.elements[name].value = given[name] ?? ""
    for (const editor of editors) editor.replace(given.content ?? "")
  }

  /** Kept in the browser while it is saved nowhere else. */
  function stash() {
    try { localStorage.setItem(stashed, JSON.stringify({ at: Date.now(), values: values() })) } catch { /* no room: the page still has it */ }
  }

  function offerStash() {
    const kept = JSON.parse(localStorage.getItem(stashed) ?? "null")
    if (!kept || JSON.stringify(kept.values) === saved) return localStorage.removeItem(stashed)
    const notice = document.createElement("div"), back = document.createElement("button"), drop = document.createElement("button")
    notice.className = "notice wait row"
    const when = new Date(kept.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })
    notice.append(Object.assign(document.createElement("span"), { className: "grow", textContent: `Text of ${when} was written in this browser and never saved.` }), back, drop)
    Object.assign(back, { type: "button", textContent: "Put it back" }).addEventListener("click", () => { put(kept.values); notice.remove(); save() })
    Object.assign(drop, { type: "button", className: "plain", textContent: "Drop it" }).addEventListener("click", () => { localStorage.removeItem(stashed); notice.remove() })
    overtaken.append(notice)
  }

  form.addEventListener("input", () => schedule())
  form.addEventListener("focusout", () => { if (isDirty()) schedule(100) })
  form.addEventListener("submit", (event) => { event.preventDefault(); save() })
  addEventListener("online", () => { if (isDirty()) save() })
  addEventListener("pagehide", () => {
    if (!isDirty()) return
    stash()
    save()
  })
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden" && isDirty()) save() })
  addEventListener("beforeunload", (event) => { if (isDirty() && (failures || isBlocked)) event.preventDefault() })
  offerStash()
  return save
}

/* ---- The page of an email --------------------------------------------------------------------------------------------------------- */

async function begin() {
  for (const line of all(".subject-line, .preview-line")) {
    line.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return
      event.preventDefault()
      const lines = all(".subject-line, .preview-line, .ProseMirror, textarea.source").filter((one) => one.checkVisibility())
      lines[lines.indexOf(line) + 1]?.focus()
    })
  }
  const editors = await Promise.all(all("[data-editor]").map(enhance))
  const form = here("form[data-autosave]")
  const save = form && !form.querySelector("fieldset:disabled") ? autosave(form, editors) : async () => true

  here("#publish")?.addEventListener("click", async (event) => {
    event.preventDefault()
    const action = event.currentTarget.formAction
    if (!(await save())) return
    const revision = here("input[name=revision]", form).value
    htmx.ajax("POST", action, { source: here("#ask"), target: "#ask", swap: "innerHTML", values: { revision } })
  })
  for (const after of all("form[data-after-save]")) {
    after.addEventListener("submit", async (event) => {
      event.preventDefault()
      if (!(await save())) return
      const query = here("#preview")?.dataset.query ?? ""
      after.elements.query.value = query
      after.elements.as.value = new URLSearchParams(query).get("as") ?? ""
      after.submit()
    })
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#checks a[href^='#f-']")
    if (!link) return
    event.preventDefault()
    choose("write")
    const place = here(link.getAttribute("href")), find = link.dataset.find ?? ""
    const editor = editors.find((one) => one.root.contains(place))
    if (editor) return editor.go(find)
    place.focus()
    const at = place.value?.indexOf(find) ?? -1
    if (find && at >= 0) place.setSelectionRange(at, at + find.length)
  })

  const sides = here(".sides"), write = here(".write")
  function choose(side) {
    if (!sides) return
    write.dataset.side = side
    for (const button of all("button", sides)) button.setAttribute("aria-pressed", String(button.dataset.side === side))
  }
  sides?.addEventListener("click", (event) => { const button = event.target.closest("button"); if (button) choose(button.dataset.side) })
  document.documentElement.dataset.editor = "ready"
}

begin()
