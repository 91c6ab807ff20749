/** Markup that is already escaped. Only `element` and `raw` make it, so a plain string can never slip in unescaped. */
export interface Markup {
  readonly markup: string
}

export type Child = Markup | string | number

/** Attributes of an element; `undefined` leaves one out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>

/** Trusted, finished markup (a chart, say). */
export function raw(markup: string): Markup {
  return { markup }
}

/** An XML/HTML element; attribute values and text children are escaped. Elements without children close themselves in SVG only. */
export function element(name: string, attributes: Attributes, ...children: readonly Child[]): Markup {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeMarkup(attributeText(value))}"`)
    .join('')
  return raw(`<${name}${written}>${children.map(childMarkup).join('')}</${name}>`)
}

/** `text` with every character that could end text or an attribute replaced; control characters are dropped, as XML forbids them. */
export function escapeMarkup(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
}

function childMarkup(child: Child): string {
  return typeof child === 'object' ? child.markup : escapeMarkup(attributeText(child))
}

// Coordinates need no more than a hundredth of a pixel.
function attributeText(value: string | number | undefined): string {
  return typeof value === 'number' ? String(Math.round(value * 100) / 100) : String(value)
}
