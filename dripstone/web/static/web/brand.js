// Colors: the swatch shows what is typed, and opens the browser's own palette. Without this it shows what is saved.

const HEX = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i

function long(color) {
  return color.length === 4 ? "#" + [...color.slice(1)].map((digit) => digit + digit).join("") : color
}

for (const slot of document.querySelectorAll(".swatches li")) {
  const text = slot.querySelector("input")
  const swatch = slot.querySelector(".swatch")
  const note = slot.querySelector(".sub")
  const pick = document.createElement("span")
  const palette = document.createElement("input")
  pick.className = "pick"
  palette.type = "color"
  palette.setAttribute("aria-label", slot.querySelector("label").textContent + ", palette")
  swatch.replaceWith(pick)
  pick.append(swatch, palette)

  const show = () => {
    const color = text.value.trim()
    const isColor = HEX.test(color)
    swatch.querySelector("rect").setAttribute("fill", isColor ? color : "none")
    swatch.classList.toggle("is-empty", !isColor)
    if (isColor) palette.value = long(color)
  }
  text.addEventListener("input", () => { note.textContent = ""; show() })
  palette.addEventListener("input", () => { text.value = palette.value; note.textContent = ""; show() })
  show()
}
