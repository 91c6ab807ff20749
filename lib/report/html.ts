import { element, type Markup, raw } from './markup.js'
import type { Column, Row } from './table.js'

/** What a report shows, from top to bottom. Charts are finished `<svg>` text of `lineChart` and `barChart`. */
export type Section =
  | { readonly kind: 'text'; readonly heading?: string; readonly text: string }
  | { readonly kind: 'table'; readonly heading?: string; readonly columns: readonly Column[]; readonly rows: readonly Row[] }
  | { readonly kind: 'chart'; readonly heading?: string; readonly svg: string; readonly note?: string }
  | { readonly kind: 'facts'; readonly heading?: string; readonly facts: readonly (readonly [string, string])[] }

export interface Report {
  readonly title: string
  readonly subtitle?: string
  readonly sections: readonly Section[]
}

// System colours follow the reader's light or dark setting; charts draw in currentColor.
const style = `
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2.5rem auto; padding: 0 1.25rem; background: Canvas; color: CanvasText; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; }
.subtitle { opacity: .75; margin: 0 0 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); white-space: nowrap; }
thead th { font-weight: 600; white-space: normal; vertical-align: bottom; }
.number { text-align: right; }
svg { max-width: 100%; height: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; font-size: .92rem; }
dt { opacity: .75; }
dd { margin: 0; overflow-wrap: anywhere; }
.note { opacity: .75; font-size: .9rem; }
@media print { body { margin: 0; max-width: none; } }
`

/** One HTML file with nothing outside of it: no scripts, fonts, images or links are loaded, and the policy forbids it. */
export function htmlReport(report: Report): string {
  const head = element(
    'head',
    {},
    raw('<meta charset="utf-8">'),
    raw('<meta name="viewport" content="width=device-width, initial-scale=1">'),
    raw(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`),
    element('title', {}, report.title),
    raw(`<style>${style}</style>`)
  )
  const intro = [
    element('h1', {}, report.title),
    ...(report.subtitle === undefined ? [] : [element('p', { class: 'subtitle' }, report.subtitle)])
  ]
  const body = element('body', {}, element('main', {}, ...intro, ...report.sections.flatMap(section)))
  return `<!doctype html>\n<html lang="en">${head.markup}\n${body.markup}</html>\n`
}

function section(content: Section): Markup[] {
  const heading = content.heading === undefined ? [] : [element('h2', {}, content.heading)]
  return [...heading, ...sectionBody(content)]
}

function sectionBody(content: Section): Markup[] {
  switch (content.kind) {
    case 'text':
      return [element('p', {}, content.text)]
    case 'table':
      return [element('div', { class: 'scroll' }, table(content.columns, content.rows))]
    case 'chart':
      return [
        element('div', { class: 'scroll' }, raw(content.svg)),
        ...(content.note === undefined ? [] : [element('p', { class: 'note' }, content.note)])
      ]
    case 'facts':
      return [element('dl', {}, ...content.facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]))]
  }
}

function table(columns: readonly Column[], rows: readonly Row[]): Markup {
  const side = (i: number): string | undefined => (columns[i]?.align === 'right' ? 'number' : undefined)
  const head = element('tr', {}, ...columns.map((column, i) => element('th', { scope: 'col', class: side(i) }, column.title)))
  const body = rows.map((row) => element('tr', {}, ...columns.map((_, i) => element('td', { class: side(i) }, row[i] ?? ''))))
  return element('table', {}, element('thead', {}, head), element('tbody', {}, ...body))
}
