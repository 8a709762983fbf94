"""The built-in template, for emails that have none of their own, and the footer that every email must have."""

import re

from liquid import Markup, escape

# A table of 600 px because Outlook knows no max-width; dark colours by media query, with !important because the light
# ones are inlined. Liquid stays Liquid here: compile.py treats this like any creator's template.
DEFAULT_TEMPLATE = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<style>
body { margin: 0; padding: 0; background-color: #ffffff; -webkit-text-size-adjust: 100%; }
.page { width: 100%; background-color: #ffffff; }
.column { width: 100%; max-width: 600px; margin: 0 auto; }
.letter { padding: 32px 24px 24px; text-align: left; color: #1f2328; font-size: 17px; line-height: 1.6;
  font-family: -apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
  overflow-wrap: anywhere; }
.footer { padding: 20px 24px 40px; border-top: 1px solid #d9dde2; text-align: center; color: #656d76;
  font-size: 13px; line-height: 1.6;
  font-family: -apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.footer p { margin: 0; }
.footer a { color: #656d76; text-decoration: underline; }
.letter a { color: #0b5cad; text-decoration: underline; }
.letter p { margin: 0 0 18px; }
.letter h1 { margin: 0 0 20px; font-size: 28px; line-height: 1.25; font-weight: 700; }
.letter h2 { margin: 32px 0 14px; font-size: 22px; line-height: 1.3; font-weight: 700; }
.letter h3 { margin: 28px 0 12px; font-size: 18px; line-height: 1.4; font-weight: 700; }
.letter ul { margin: 0 0 18px; padding-left: 26px; }
.letter ol { margin: 0 0 18px; padding-left: 26px; }
.letter li { margin: 0 0 8px; }
.letter blockquote { margin: 0 0 18px; padding: 2px 0 2px 18px; border-left: 3px solid #d0d7de; color: #57606a; }
.letter pre { margin: 0 0 18px; padding: 14px 16px; background-color: #f3f5f7; border-radius: 6px; font-size: 14px;
  line-height: 1.5; white-space: pre-wrap; font-family: ui-monospace, Menlo, Consolas, monospace; }
.letter code { font-size: 90%; font-family: ui-monospace, Menlo, Consolas, monospace; }
.letter img { max-width: 100%; height: auto; border: 0; }
.letter hr { margin: 28px 0; border: 0; border-top: 1px solid #d9dde2; }
@media (max-width: 480px) {
  .letter { padding: 24px 18px 16px !important; }
  .footer { padding: 18px 18px 32px !important; }
}
@media (prefers-color-scheme: dark) {
  body, .page { background-color: #16181c !important; }
  .letter { color: #e6e8eb !important; }
  .letter a { color: #7ab7ff !important; }
  .letter blockquote { color: #aab1ba !important; border-color: #444b55 !important; }
  .letter pre { background-color: #23272e !important; }
  .letter hr { border-color: #3a4048 !important; }
  .footer { color: #9aa2ac !important; border-color: #3a4048 !important; }
  .footer a { color: #9aa2ac !important; }
}
</style>
</head>
<body>
<table class="page" role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
<tr><td align="center">
<!--[if mso]><table role="presentation" width="600" cellpadding="0" cellspacing="0" border="0"><tr><td><![endif]-->
<table class="column" role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
<tr><td class="letter">
{{ message_content }}
</td></tr>
<tr><td class="footer">
<p>{{ unsubscribe_link }}{% if address != blank %}<br>
{{ address }}{% endif %}</p>
</td></tr>
</table>
<!--[if mso]></td></tr></table><![endif]-->
</td></tr>
</table>
</body>
</html>
"""

_FOOTER_STYLE = (
    "max-width:600px;margin:0 auto;padding:24px 18px;text-align:center;font-size:13px;line-height:1.6;color:#6b7280;"
    "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
)


def default_template(direction: str) -> str:
    """Mirrored for what is read from right to left: styles that name a side are stronger than a direction."""
    return _MIRRORED if direction == "rtl" else DEFAULT_TEMPLATE


_MIRRORED = re.sub(
    r"(text-align: |padding-|border-)(left|right)(?=[:;])",
    lambda found: found[1] + {"left": "right", "right": "left"}[found[2]],
    DEFAULT_TEMPLATE,
).replace("padding: 2px 0 2px 18px", "padding: 2px 18px 2px 0")


def html_address(address: str) -> Markup:
    return Markup("<br>").join(escape(line.strip()) for line in address.strip().splitlines())


def html_link(url: str, text: str) -> Markup:
    return Markup(f'<a href="{escape(url)}">{escape(text)}</a>')


def html_footer(unsubscribe_url: str | None, address: str | None) -> str:
    """The part of a compliant footer that a message lacks; None for what it has already."""
    lines = []
    if unsubscribe_url:
        link = '<a href="{}" style="color:#6b7280;text-decoration:underline">Unsubscribe</a>'
        lines.append(Markup(link).format(unsubscribe_url))
    if address and address.strip():
        lines.append(html_address(address))
    if not lines:
        return ""
    return f'<div style="{_FOOTER_STYLE}">{Markup("<br>").join(lines)}</div>\n'


def text_footer(unsubscribe_url: str | None, address: str | None) -> str:
    lines = [f"Unsubscribe <{unsubscribe_url}>"] if unsubscribe_url else []
    lines += [line.strip() for line in (address or "").strip().splitlines()]
    return "\n\n--------------------\n" + "\n".join(lines) if lines else ""
