/* Rich text with Liquid, on django-prose-editor's build of Tiptap. The page hands the module in (`make(await import(url))`), so that
   nothing depends on an import map, which would be an inline script.

   read(source)      → a document of the editor
   write(document)   → HTML with Liquid
   report(source)    → what would get lost between the two, in words; [] = nothing

   A source is parsed with its Liquid hidden, as on the server (content/html.py): in text a tag of Liquid is an element of its own, inside
   a tag of HTML it is a word. Both come back as they were written. */

const LIQUID = /\{%-?\s*(raw|comment|doc)\b[^]*?\{%-?\s*end\1\s*-?%\}|\{\{[^]*?\}\}|\{%[^]*?%\}/y
const LIQUID_ANYWHERE = new RegExp(LIQUID.source, "g")
const BLOCKS = new Set(("ADDRESS ARTICLE ASIDE BLOCKQUOTE CENTER DETAILS DIV DL DT DD FIGCAPTION FIGURE FOOTER FORM H1 H2 H3 H4 H5 H6 " +
  "HEADER HR LI MAIN NAV OL P PRE SECTION TABLE TBODY TD TFOOT TH THEAD TR UL X-STYLE").split(" "))
const LEAF = "\u0000"
const LEAVES = new Set(["IMG", "BR", "HR", "INPUT", "LIQUID-TAG"])

/* ---- Hiding Liquid --------------------------------------------------------------------------------------------------- */

/** `text`: HTML without Liquid; `stash`: the Liquid by number; `isWhole`: every tag of Liquid ends. */
function hide(source) {
  let word = "lqd"
  while (source.toLowerCase().includes(word)) word += "q"
  const stash = []
  let text = "", at = 0, quote = "", state = "text"
  while (at < source.length) {
    LIQUID.lastIndex = at
    const found = LIQUID.exec(source)
    if (found) {
      text += state === "text" ? `<liquid-tag n="${stash.length}"></liquid-tag>` : `${word}${stash.length}z`
      stash.push(found[0])
      at += found[0].length
      continue
    }
    if (source.startsWith("{{", at) || source.startsWith("{%", at)) return { text: source, stash, word, isWhole: false }
    const character = source[at]
    if (state === "comment") state = source.startsWith("-->", at) ? "text" : state
    else if (state === "tag" && quote) quote = character === quote ? "" : quote
    else if (state === "tag" && (character === '"' || character === "'")) quote = character
    else if (state === "tag" && character === ">") state = "text"
    else if (state === "text" && source.startsWith("<!--", at)) state = "comment"
    else if (state === "text" && /<[a-z/!?]/i.test(source.slice(at, at + 2))) state = "tag"
    text += character
    at += 1
  }
  return { text, stash, word, isWhole: true }
}

const inert = document.implementation.createHTMLDocument("")

/** The source as a tree, its Liquid put back: as `source` of a <liquid-tag>, or within attributes. Nothing of it is loaded or run. */
function tree(source) {
  const { text, stash, word, isWhole } = hide(source)
  // Under our Content-Security-Policy a parser complains of every style, also where nothing is shown.
  const unstyled = text.replace(/(<\/?)style\b/gi, "$1x-style").replace(/([\s"'/])style(\s*=)/gi, "$1data-style$2")
  const parsed = new DOMParser().parseFromString(unstyled, "text/html")
  const restored = (value) => value.replace(new RegExp(`${word}(\\d+)z`, "g"), (_, number) => stash[number])
  for (const element of parsed.querySelectorAll("*")) {
    if (element.localName === "liquid-tag") {
      element.setAttribute("source", stash[element.getAttribute("n")])
      element.removeAttribute("n")
      continue
    }
    for (const { name, value } of [...element.attributes]) {
      if (name.includes(word)) {
        element.removeAttribute(name)
        element.setAttribute("data-liquid-in-tag", "")
      }
      else if (value.includes(word)) element.setAttribute(name, restored(value))
    }
  }
  const isDocument = /<(?:!doctype|html|head|body)\b/i.test(text)
  return { parsed, isWhole, isDocument }
}

/* ---- What is the same ------------------------------------------------------------------------------------------------- */

const attributes = (element) => [...element.attributes]
  .filter(({ name }) => name !== "data-wrap")
  .map(({ name, value }) => `${name}=${JSON.stringify(value)}`).sort().join(" ")
const signature = (element) => `${element.localName} ${attributes(element)}`.trim()

/** A tree as text: equal for two that a browser shows alike. Blocks as they nest; in them each run with the marks on it. */
function outline(root) {
  const lines = []
  let run = []
  const flush = (depth) => {
    const shown = []
    let isSpaced = true
    for (const [marks, text] of run) {
      const last = shown.at(-1)
      if (text[0] === LEAF) {
        if (text === `${LEAF}br` && last) last[1] = last[1].replace(/ $/, "")
        shown.push([marks, text])
        isSpaced = text === `${LEAF}br`
        continue
      }
      const words = text.replace(/[ \t\n\r\f]+/g, " ").replace(isSpaced ? /^ / : "", "")
      if (!words) continue
      isSpaced = words.endsWith(" ")
      if (last && last[0] === marks && last[1][0] !== LEAF) last[1] += words
      else shown.push([marks, words])
    }
    run = []
    if (shown.length) shown.at(-1)[1] = shown.at(-1)[1].replace(/ $/, "")
    const line = shown.filter(([, text]) => text).map(([marks, text]) => `[${marks}]${text}`).join("")
    if (line) lines.push(" ".repeat(depth) + line)
  }
  const walk = (node, depth, marks) => {
    for (const child of node.childNodes) {
      if (child.nodeType === 8) { flush(depth); lines.push(`<!--${child.data}-->`) }
      else if (child.nodeType === 3) run.push([marks, child.data])
      else if (child.nodeType !== 1) continue
      else if (BLOCKS.has(child.tagName)) {
        flush(depth)
        lines.push(" ".repeat(depth) + signature(child))
        walk(child, depth + 1, marks)
        flush(depth + 1)
      }
      else if (LEAVES.has(child.tagName)) run.push([marks, LEAF + signature(child)])
      else if (!child.childNodes.length && child.attributes.length) run.push([marks, LEAF + signature(child)])
      else walk(child, depth, [...marks.split(", ").filter(Boolean), signature(child)].sort().join(", "))
    }
  }
  walk(root, 0, "")
  flush(0)
  return lines.join("\n")
}

/** What a tree has, and how often: elements, attributes, comments. */
function features(root) {
  const found = new Map()
  const add = (name) => found.set(name, (found.get(name) ?? 0) + 1)
  const walker = inert.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_COMMENT)
  while (walker.nextNode()) {
    const node = walker.currentNode
    if (node.nodeType === 8) { add("a comment"); continue }
    if (["TBODY", "HEAD", "BODY", "HTML"].includes(node.tagName)) continue
    if (node.localName !== "liquid-tag" && node.localName !== "p") add(named(node.localName))
    for (const { name } of node.attributes) {
      if (name === "data-liquid-in-tag") add("Liquid inside a tag")
      else if (name !== "data-wrap" && node.localName !== "liquid-tag") add(`the ${name.replace("data-style", "style")} of ${named(node.localName)}`)
    }
  }
  return found
}

const NAMES = {
  table: "a table", tr: "a row of a table", td: "a cell", th: "a heading cell", img: "an image", a: "a link", div: "a box (div)", span: "a span",
  "x-style": "a style sheet", p: "a paragraph", ul: "a list", ol: "a numbered list", li: "a list item", pre: "preformatted text", br: "a line break",
  strong: "bold text", b: "bold text", em: "italic text", i: "italic text", center: "a centred part", font: "a font", button: "a button", meta: "a meta tag", title: "a title", link: "a linked style sheet",
}
const IN_TABLES = new Set(["<caption>", "<thead>", "<tfoot>", "<colgroup>", "<col>", "a row of a table", "a cell", "a heading cell", "bold text"])
const named = (name) => NAMES[name] ?? (/^h[1-6]$/.test(name) ? "a heading" : `<${name}>`)

/** Whether a condition or loop begins in one element and goes on in another: as HTML the parts would be mended one by one. */
function isTorn(root) {
  const open = []
  for (const tag of root.querySelectorAll("liquid-tag")) {
    const [, name] = /^\{%-?\s*(\w+)/.exec(tag.getAttribute("source")) ?? []
    if (!name || /^(raw|comment|doc)$/.test(name)) continue
    if (/^(if|unless|case|for|tablerow|capture|ifchanged)$/.test(name)) open.push(tag.parentNode)
    else if (/^(else|elsif|when)$/.test(name) && open.length && open.at(-1) !== tag.parentNode) return true
    else if (name.startsWith("end") && open.length && open.pop() !== tag.parentNode) return true
  }
  return false
}

/* ---- The editor's document ---------------------------------------------------------------------------------------------- */

/** Text that stands in a holder without a paragraph becomes one that remembers it, and so leaves without one again. */
function wrapBare(root) {
  for (const paragraph of root.querySelectorAll("p")) paragraph.setAttribute("data-wrap", "p")
  const newBare = () => {
    const paragraph = root.ownerDocument.createElement("p")
    paragraph.setAttribute("data-wrap", "bare")
    return paragraph
  }
  for (const holder of [root, ...root.querySelectorAll("blockquote, li")]) {
    let bare = null
    for (const child of [...holder.childNodes]) {
      const isBlock = child.nodeType === 1 && (BLOCKS.has(child.tagName) || child.querySelector("p, ul, ol, table, div, h1, h2, h3, blockquote"))
      if (isBlock || child.nodeType === 8) { bare = null; continue }
      if (!bare && child.nodeType === 3 && !child.data.trim()) continue
      if (!bare) {
        bare = newBare()
        child.before(bare)
      }
      bare.append(child)
    }
    if (holder !== root && !holder.children.length) holder.append(newBare())
  }
}

/** In words: `{{ subscriber.first_name | default: "friend" }}` → first name, or “friend”. */
export function spoken(liquid) {
  const inside = liquid.slice(2, -2).replace(/^-|-$/g, "").trim()
  const field = /^subscriber\.([\w-]+)\s*(\|.*)?$/s.exec(inside)
  if (field) {
    const fallback = /\|\s*default:\s*(?:"([^"]*)"|'([^']*)')/.exec(field[2] ?? "")
    const name = field[1].replaceAll("_", " ")
    return fallback ? `${name}, or “${fallback[1] ?? fallback[2]}”` : name
  }
  const snippet = /^snippet\.([\w-]+)$/.exec(inside)
  if (snippet) return `snippet: ${snippet[1]}`
  return NAMED[inside] ?? inside
}
const NAMED = {
  unsubscribe_url: "address to unsubscribe", unsubscribe_link: "unsubscribe link", address: "postal address",
  subscriber_preferences_url: "address of preferences", subscriber_preferences_link: "link to preferences",
}

/** The Tiptap extensions: what a letter is made of, each with the attributes that it may keep. */
function extensions(tiptap, { placeholder = "", onChip = () => {} } = {}) {
  const kept = (...names) => Object.fromEntries(names.map((name) => [name, {
    default: null, keepOnSplit: false,
    parseHTML: (element) => element.getAttribute(name),
    renderHTML: (values) => (values[name] === null ? {} : { [name]: values[name] }),
  }]))
  const named = (mark, names) => mark.extend({
    addAttributes: () => ({ tag: { default: names[0], rendered: false, parseHTML: (element) => element.localName } }),
    parseHTML: () => names.map((tag) => ({ tag })),
    renderHTML: ({ mark }) => [mark.attrs.tag, {}, 0],
    addPasteRules: () => [], addInputRules: () => [],
  })
  const paragraph = tiptap.Paragraph.extend({
    addAttributes: () => ({ wrap: {
      default: null, keepOnSplit: false,
      parseHTML: (element) => element.getAttribute("data-wrap"),
      renderHTML: ({ wrap }) => (wrap ? { "data-wrap": wrap } : {}),
    } }),
  })
  const image = tiptap.Image.extend({
    addAttributes: () => kept("src", "alt", "title", "width", "height"),
    parseHTML: () => [{ tag: "img[src]" }],
    addInputRules: () => [],
    addNodeView: () => ({ node }) => {
      const dom = document.createElement("img")
      const { src, alt, width, height } = node.attrs
      if (!/\{[{%]/.test(src)) dom.src = src
      dom.alt = alt ?? ""
      if (alt === null || alt === "") dom.classList.add("no-alt")
      if (/^\d+$/.test(width ?? "")) dom.width = width
      if (/^\d+$/.test(height ?? "")) dom.height = height
      return { dom }
    },
  }).configure({ inline: true, allowBase64: true })
  const link = tiptap.Link.extend({ addAttributes: () => kept("href", "title", "target", "rel"), inclusive: () => false })
    .configure({ openOnClick: false, autolink: false, linkOnPaste: true })
  return [
    tiptap.Document, tiptap.Text, paragraph, tiptap.HardBreak, heading(tiptap),
    tiptap.BulletList, tiptap.OrderedList.extend({ addAttributes: () => kept("start", "type", "reversed") }),
    tiptap.ListItem.extend({ addAttributes: () => kept("value") }), tiptap.Blockquote, tiptap.HorizontalRule,
    named(tiptap.Bold, ["strong", "b"]), named(tiptap.Italic, ["em", "i"]), named(tiptap.Strike, ["s", "del", "strike"]),
    named(tiptap.Underline, ["u"]), named(tiptap.Code, ["code"]), named(tiptap.Subscript, ["sub"]), named(tiptap.Superscript, ["sup"]),
    link, image, chip(tiptap, onChip), tiptap.History, tiptap.Dropcursor, tiptap.Gapcursor,
    tiptap.Placeholder.configure({ placeholder }),
  ]
}

/** Shown one level lower: on the page it stands below the page's own heading. */
function heading(tiptap) {
  return tiptap.Heading.extend({ addNodeView: () => ({ node }) => {
    const dom = document.createElement("div")
    dom.className = `is-h${node.attrs.level}`
    dom.setAttribute("role", "heading")
    dom.setAttribute("aria-level", Math.min(node.attrs.level + 1, 6))
    return { dom, contentDOM: dom, update: (next) => next.type === node.type && next.attrs.level === node.attrs.level }
  } }).configure({ levels: [1, 2, 3, 4, 5, 6] })
}

/** A tag of Liquid, shown as a chip. What is typed or pasted as Liquid becomes one when it is complete. */
function chip(tiptap, onChip) {
  return tiptap.Node.create({
    name: "liquid", group: "inline", inline: true, atom: true, selectable: true,
    addAttributes: () => ({ source: { default: "" } }),
    parseHTML: () => [{ tag: "liquid-tag", getAttrs: (element) => ({ source: element.getAttribute("source") }) }],
    renderHTML: ({ node }) => ["liquid-tag", { source: node.attrs.source }],
    renderText: ({ node }) => node.attrs.source,
    addNodeView: () => ({ node, getPos }) => {
      const dom = document.createElement("span")
      dom.className = node.attrs.source.startsWith("{%") ? "chip logic" : "chip"
      dom.textContent = spoken(node.attrs.source)
      dom.title = node.attrs.source
      dom.addEventListener("dblclick", () => onChip(getPos(), node.attrs.source))
      return { dom }
    },
    addKeyboardShortcuts() {
      return { Enter: ({ editor }) => {
        const { node, from } = editor.state.selection
        if (node?.type.name !== "liquid") return false
        onChip(from, node.attrs.source)
        return true
      } }
    },
    addProseMirrorPlugins() {
      const type = this.type
      return [new tiptap.pm.state.Plugin({ appendTransaction: (transactions, _, state) => {
        if (!transactions.some((one) => one.docChanged)) return null
        const found = []
        state.doc.descendants((node, at) => {
          if (!node.isText || !node.text.includes("{")) return
          for (const match of node.text.matchAll(LIQUID_ANYWHERE)) found.push([at + match.index, match[0], node.marks])
        })
        if (!found.length) return null
        const change = state.tr
        for (const [at, source, marks] of found.reverse()) change.replaceWith(at, at + source.length, type.create({ source }, null, marks))
        return change
      } })]
    },
  })
}

/* ---- Writing it down ------------------------------------------------------------------------------------------------------ */

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\u00a0", "&nbsp;")

function attribute(name, value) {
  const liquid = value.match(LIQUID_ANYWHERE) ?? []
  const quote = liquid.some((one) => one.includes('"')) && !liquid.some((one) => one.includes("'")) ? "'" : '"'
  const outside = (text) => text.replaceAll("&", "&amp;").replaceAll("\u00a0", "&nbsp;").replaceAll(quote, quote === '"' ? "&quot;" : "&#39;")
  let text = "", done = 0
  for (const found of value.matchAll(LIQUID_ANYWHERE)) {
    text += outside(value.slice(done, found.index)) + found[0]
    done = found.index + found[0].length
  }
  return ` ${name}=${quote}${text}${outside(value.slice(done))}${quote}`
}

function isBare(paragraph) {
  const before = paragraph.previousElementSibling
  const { wrap } = paragraph.dataset
  if (wrap === "p") return false
  const inItem = paragraph.parentElement?.localName === "li"
  if (wrap !== "bare" && !(inItem && [...paragraph.parentElement.children].filter((one) => one.localName === "p").length === 1)) return false
  return !(before?.localName === "p" && isBare(before)) // two in a row would run together
}

function written(node) {
  if (node.nodeType === 3) return escaped(node.data)
  const name = node.localName
  if (name === "liquid-tag") return node.getAttribute("source")
  const inside = [...node.childNodes].map(written).join("")
  if (name === "p" && isBare(node)) return `${inside}\n`
  const opening = `<${name}${[...node.attributes].filter((one) => one.name !== "data-wrap").map((one) => attribute(one.name, one.value)).join("")}>`
  if (name === "br" || name === "img") return opening
  if (name === "hr") return `${opening}\n`
  if (name === "ul" || name === "ol" || name === "blockquote") {
    const isFlat = name === "blockquote" && !/\n./s.test(inside)
    return isFlat ? `${opening}${inside.trimEnd()}</${name}>\n` : `${opening}\n${inside}</${name}>\n`
  }
  if (name === "li") return `${opening}${inside.trimEnd()}</${name}>\n`
  return BLOCKS.has(node.tagName) ? `${opening}${inside}</${name}>\n` : `${opening}${inside}</${name}>`
}

/* ---- In one --------------------------------------------------------------------------------------------------------------- */

export function make(tiptap) {
  const schema = tiptap.getSchema(extensions(tiptap))
  const serializer = (of) => tiptap.pm.model.DOMSerializer.fromSchema(of)

  function read(source, into = schema) {
    const { parsed } = tree(source)
    wrapBare(parsed.body)
    return tiptap.pm.model.DOMParser.fromSchema(into).parse(parsed.body)
  }

  function write(doc) {
    const holder = inert.createElement("div")
    holder.append(serializer(doc.type.schema).serializeFragment(doc.content, { document: inert }))
    const only = holder.children.length === 1 ? holder.firstElementChild : null
    if (only?.localName === "p" && only.dataset.wrap !== "p" && !only.childNodes.length) return ""
    return [...holder.childNodes].map(written).join("").trimEnd()
  }

  /** What the rich editor would drop of this source, as words; [] when it keeps everything. */
  function report(source) {
    const before = tree(source)
    if (!before.isWhole) return ["Liquid that never ends"]
    if (before.isDocument) return ["a whole document (html, head, body)"]
    if (isTorn(before.parsed.body)) return ["Liquid that begins in one element and ends in another"]
    const after = tree(write(read(source)))
    const same = ["head", "body"].every((part) => outline(before.parsed[part]) === outline(after.parsed[part]))
    if (same) return []
    const left = features(after.parsed.documentElement), lost = []
    for (const [name, count] of features(before.parsed.documentElement)) if ((left.get(name) ?? 0) < count) lost.push(name)
    const isInTable = (name) => lost.includes("a table") && name !== "a table" && IN_TABLES.has(name)
    const whole = lost.filter((name) => !isInTable(name) && !(name.startsWith("the ") && lost.includes(name.replace(/^the \S+ of /, ""))))
    if (whole.length) return whole
    if (/\{[{%]/.test(before.parsed.body.textContent)) return ["braces that are text and not Liquid"]
    const inList = before.parsed.querySelector("ul > liquid-tag, ol > liquid-tag")
    return [inList ? "Liquid between the items of a list" : "the way something is nested"]
  }

  function open(element, source, { onChange, onFiles = () => {}, ...options }) {
    const take = (event, data) => {
      const files = [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/"))
      if (!files.length) return false
      event.preventDefault()
      onFiles(files)
      return true
    }
    const editor = new tiptap.Editor({
      element, injectCSS: false, extensions: extensions(tiptap, options),
      editorProps: {
        attributes: options.attributes ?? {},
        handlePaste: (_, event) => take(event, event.clipboardData), handleDrop: (_, event) => take(event, event.dataTransfer),
      },
      onUpdate: ({ editor }) => onChange(write(editor.state.doc)),
    })
    set(editor, source)
    return editor
  }

  /** Puts a source into the editor: no change by the writer, so nothing is told and undo does not go behind it. */
  function set(editor, source) {
    const doc = read(source, editor.schema)
    editor.chain().setMeta("addToHistory", false).setContent(doc.toJSON(), { emitUpdate: false }).run()
  }

  return { read, write, report, open, set }
}
